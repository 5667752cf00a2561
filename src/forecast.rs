//! What studies would take before they are run: trials, shared stages, optimiser steps, time.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use eagle_core::lab::forecast::{Forecast, forecast, machine_flops};
use eagle_core::lab::search::{self, Next, Scores};
use eagle_core::registry::Registry;

use crate::Failure;
use crate::file::{Opened, Ready, Searched};
use crate::run::labels;

/// Training reaches about this part of the machine's rate for matrix products: measured on the mini
/// studies, where small products and the data take most of the time (docs/log.md).
const EFFICIENCY: f64 = 0.3;

/// What one study would take.
pub struct Row {
    /// Its name.
    pub name: String,
    /// The trials; of a search the most.
    pub trials: Vec<Forecast>,
    /// Whether it searches, so that there may be fewer trials.
    pub searches: bool,
}

/// What some studies would take together.
pub struct Whole {
    rows: Vec<Row>,
    /// Floating-point operations a second of one worker.
    rate: f64,
    jobs: usize,
}

impl Row {
    /// The forecast of every trial of a study.
    ///
    /// # Errors
    /// Data that can't be opened, or a trial of a search that can't be linked.
    pub fn of(
        opened: &Opened,
        out: &Path,
        threads: usize,
        registry: &Registry,
    ) -> Result<Row, Failure> {
        let name = opened.ready.first().map(|ready| ready.table().to_owned()).unwrap_or_default();
        let imagined = opened.searches.iter().map(|search| imagined(search, registry));
        let imagined: Vec<Ready> =
            imagined.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
        let searches = !opened.searches.is_empty();
        let all = if searches { &imagined } else { &opened.ready };
        let one = |ready: &Ready| {
            forecast(&ready.graph, &ready.base, &labels(ready, threads), out)
                .map_err(|error| Failure::Running(format!("{}: {error}", ready.title())))
        };
        Ok(Row { name, trials: all.iter().map(one).collect::<Result<_, _>>()?, searches })
    }
}

/// The trials that a search comes to if each expert that is tried first is the best: no search on
/// these experts runs more.
fn imagined(searched: &Searched, registry: &Registry) -> Result<Vec<Ready>, Failure> {
    let (mut scores, mut trials) = (Scores::new(), Vec::new());
    while let Next::Try(round, sets) = search::progress(&searched.search, &scores).next {
        for set in sets {
            trials.extend(searched.ready(round, &set, scores.len(), registry)?);
            let score = set.len() as f64 - scores.len() as f64 * 1e-3;
            scores.insert(set, Some(score));
        }
    }
    Ok(trials)
}

impl Whole {
    /// These studies, run by `jobs` workers of `threads` threads.
    pub fn new(rows: Vec<Row>, jobs: usize, threads: usize) -> Whole {
        let pieces = rows.iter().flat_map(|row| &row.trials).flat_map(|trial| &trial.pieces);
        let done: BTreeMap<&str, (f64, f64)> = pieces
            .filter_map(|piece| Some((piece.id.as_str(), (piece.flops, piece.took?))))
            .collect();
        let (flops, seconds) = done.values().fold((0.0, 0.0), |(f, s), one| (f + one.0, s + one.1));
        // A minute of work says more than a guess.
        let rate = match seconds > 60.0 {
            true => flops / seconds,
            false => machine_flops() * threads as f64 * EFFICIENCY,
        };
        Whole { rows, rate, jobs }
    }

    /// The estimated time of all that is not done.
    pub fn left(&self) -> Duration {
        let mut open: BTreeMap<&str, f64> = BTreeMap::new();
        let mut exams = 0.0;
        for trial in self.rows.iter().flat_map(|row| &row.trials) {
            exams += trial.exam_flops;
            for piece in trial.pieces.iter().filter(|piece| piece.took.is_none()) {
                open.insert(&piece.id, piece.flops);
            }
        }
        let flops = exams + open.values().sum::<f64>();
        Duration::from_secs_f64((flops / (self.rate * self.jobs as f64)).min(1e9))
    }

    /// Trials, and those that are done.
    pub fn trials(&self) -> (usize, usize) {
        let trials = || self.rows.iter().flat_map(|row| &row.trials);
        (trials().count(), trials().filter(|trial| trial.done).count())
    }
}

impl std::fmt::Display for Whole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "| study | trials | done | stages | steps |")?;
        writeln!(f, "|---|--:|--:|--:|--:|")?;
        let (mut uses, mut scratch) = (0, 0);
        let mut different: BTreeMap<&str, (usize, bool)> = BTreeMap::new();
        for row in &self.rows {
            let pieces = || row.trials.iter().flat_map(|trial| &trial.pieces);
            let own: BTreeSet<&str> = pieces().map(|piece| piece.id.as_str()).collect();
            uses += pieces().count();
            scratch += pieces().map(|piece| piece.steps).sum::<usize>();
            different.extend(pieces().map(|p| (p.id.as_str(), (p.steps, p.took.is_some()))));
            let steps: BTreeMap<&str, usize> =
                pieces().map(|piece| (piece.id.as_str(), piece.steps)).collect();
            let (most, done) = (if row.searches { "at most " } else { "" }, row.trials.iter());
            let done = done.filter(|trial| trial.done).count();
            let (trials, stages) = (row.trials.len(), own.len());
            let steps: usize = steps.values().sum();
            writeln!(f, "| {} | {most}{trials} | {done} | {stages} | {steps} |", row.name)?;
        }
        let (trials, done) = self.trials();
        let steps: usize = different.values().map(|(steps, _)| steps).sum();
        let open = different.values().filter(|(_, done)| !done);
        let (count, left) = open.fold((0, 0), |(n, sum), (steps, _)| (n + 1, sum + steps));
        writeln!(
            f,
            "\n{trials} trials, {done} done. {} different stages, used {uses} times: {count} to train, \
             {left} optimiser steps (of {steps}; one by one from scratch it would be {scratch}).\n\
             Estimated: {}.",
            different.len(),
            clock(self.left())
        )
    }
}

/// A time as a person says it: `about 25 min`.
pub fn clock(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..60 => format!("about {seconds} s"),
        seconds @ 60..5400 => format!("about {} min", (seconds + 30) / 60),
        seconds @ 5400..172_800 => format!("about {:.1} h", seconds as f64 / 3600.0),
        seconds => format!("about {:.0} days", seconds as f64 / 86_400.0),
    }
}
