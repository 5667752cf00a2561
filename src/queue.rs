//! Trials side by side: workers take them from one queue, and put back what others are at.
//!
//! Each worker computes in a pool of its own, so that the numbers don't depend on how many there
//! are. A search adds the trials of its next round when the last one of a round is through.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use eagle_core::lab::{Ending, LabError, Part};
use eagle_core::record::Manifest;

use crate::file::Ready;

/// A trial, and the search that waits for it.
pub struct Task {
    /// What is to be run.
    pub ready: Ready,
    /// The search's number, and its own number for the set.
    pub of: Option<(usize, usize)>,
}

/// Who gives more trials when some are through.
pub trait Source: Send {
    /// Says that a task of a search ended, with its manifest if that was well; its next tasks.
    fn ended(&mut self, of: (usize, usize), manifest: Option<&Manifest>) -> Vec<Task>;
}

/// What became of all trials.
#[derive(Default)]
pub struct Report {
    /// The manifests of those that are done, with their studies or experiments.
    pub done: Vec<(String, Manifest)>,
    /// What failed, in the order in which it did.
    pub failed: Vec<String>,
    /// Whether the user stopped it.
    pub stopped: bool,
}

/// The trials that are to be run.
pub struct Queue<S> {
    state: Mutex<State<S>>,
    changed: Condvar,
}

struct State<S> {
    source: S,
    waiting: VecDeque<Waiting>,
    running: usize,
    /// Whether there is one trial, so that its failure is said once, at the end.
    alone: bool,
    report: Report,
}

struct Waiting {
    task: Task,
    /// What others were at when it was tried, and when to try it again.
    busy: Option<(Part, Instant)>,
    delay: Duration,
}

/// From the first to the longest pause before a trial that others are at is tried again.
const DELAYS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

impl<S: Source> Queue<S> {
    /// A queue of these trials, in order.
    pub fn new(tasks: Vec<Task>, source: S) -> Queue<S> {
        let alone = tasks.len() == 1;
        let waiting = tasks.into_iter().map(Waiting::new).collect();
        let state = State { source, waiting, running: 0, alone, report: Report::default() };
        Queue { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Takes and runs trials until none is left. `run` is told whether to wait for what others are
    /// at; it is when nothing else is left to do.
    pub fn work(&self, run: &dyn Fn(&Task, bool) -> Result<Ending, LabError>) {
        while let Some((waiting, waits)) = self.take() {
            let ending = run(&waiting.task, waits);
            self.give(waiting, ending);
        }
    }

    /// What came of it, and the source.
    pub fn close(self) -> (Report, S) {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        (state.report, state.source)
    }

    fn lock(&self) -> MutexGuard<'_, State<S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next trial, and whether to wait for what others are at; `None` if all is done.
    fn take(&self) -> Option<(Waiting, bool)> {
        let mut state = self.lock();
        loop {
            if state.report.stopped || (state.waiting.is_empty() && state.running == 0) {
                return None;
            }
            let now = Instant::now();
            let due = |waiting: &Waiting| waiting.busy.is_none_or(|(_, again)| again <= now);
            let next = state.waiting.iter().position(due);
            if let Some(waiting) = next.and_then(|at| state.waiting.remove(at)) {
                state.running += 1;
                return Some((waiting, false));
            }
            if state.running == 0 {
                // A stage is sooner free than a run.
                let stage =
                    |waiting: &Waiting| waiting.busy.is_some_and(|(what, _)| what == Part::Stage);
                let at = state.waiting.iter().position(stage).unwrap_or(0);
                state.running += 1;
                return state.waiting.remove(at).map(|waiting| (waiting, true));
            }
            let again = state.waiting.iter().filter_map(|waiting| Some(waiting.busy?.1)).min();
            let pause = again.map_or(DELAYS.1, |again| again.saturating_duration_since(now));
            let changed = self.changed.wait_timeout(state, pause);
            state = changed.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn give(&self, waiting: Waiting, ending: Result<Ending, LabError>) {
        let mut state = self.lock();
        state.running -= 1;
        let manifest = match ending {
            Ok(Ending::Busy(what)) => {
                let again = Instant::now() + waiting.delay;
                let delay = (waiting.delay * 2).min(DELAYS.1);
                state.waiting.push_back(Waiting { busy: Some((what, again)), delay, ..waiting });
                self.changed.notify_all();
                return;
            }
            Ok(Ending::Done(_, manifest)) => {
                let name = waiting.task.ready.table().to_owned();
                state.report.done.push((name, (*manifest).clone()));
                Some(manifest)
            }
            Ok(Ending::Stopped) => {
                state.report.stopped = true;
                None
            }
            Err(error) => {
                let failure = format!("{}: {error}", waiting.task.ready.title());
                // The list comes when all others are through, which may be days.
                if !state.alone {
                    eprintln!("failed: {failure}");
                }
                state.report.failed.push(failure);
                None
            }
        };
        if let Some(of) = waiting.task.of.filter(|_| !state.report.stopped) {
            let next = state.source.ended(of, manifest.as_deref());
            // Before what comes after the search.
            next.into_iter().rev().for_each(|task| state.waiting.push_front(Waiting::new(task)));
        }
        self.changed.notify_all();
    }
}

impl Waiting {
    fn new(task: Task) -> Waiting {
        Waiting { task, busy: None, delay: DELAYS.0 }
    }
}
