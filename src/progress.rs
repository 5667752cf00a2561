//! What a user sees of a run: progress bars on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use eagle_core::features::Recall;
use eagle_core::lab::Observer;
use eagle_core::record::Score;
use eagle_core::schedule::Schedule;
use eagle_core::train::{Step, Totals};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::file::Ready;

/// Seconds between two plain lines of a stage.
const EVERY: Duration = Duration::from_secs(10);

/// Standard error, shared by the trials that run side by side.
pub struct Screen {
    terminal: bool,
    /// Where bars stand one below the other; each line then says whose it is.
    many: Option<MultiProgress>,
}

impl Screen {
    /// Standard error for one trial at a time, or for `many`.
    pub fn new(many: bool) -> Screen {
        Screen { terminal: std::io::stderr().is_terminal(), many: many.then(MultiProgress::new) }
    }

    /// Writes lines; above the bars, if there are many.
    fn say(&self, name: &str, text: &str) {
        let Some(many) = &self.many else { return eprintln!("{text}") };
        let lines: Vec<String> = text.lines().map(|line| format!("[{name}] {line}")).collect();
        many.suspend(|| eprintln!("{}", lines.join("\n")));
    }
}

/// Shows a run on standard error.
pub struct Progress<'a> {
    screen: &'a Screen,
    stop: Arc<AtomicBool>,
    waits: bool,
    /// What the trial is called beside others.
    name: String,
    bar: Option<ProgressBar>,
    started: Instant,
    told: Instant,
    seen: usize,
    stage: String,
}

impl Progress<'_> {
    /// Progress of a run that stops when `stop` is set, and that waits for what others are at if it
    /// `waits`.
    pub fn new<'a>(
        stop: &Arc<AtomicBool>,
        screen: &'a Screen,
        ready: &Ready,
        waits: bool,
    ) -> Progress<'a> {
        let (stop, now, stage) = (stop.clone(), Instant::now(), String::new());
        let trial = ready.study.as_ref().map(|(_, trial)| trial.to_string());
        let name = trial.unwrap_or_else(|| ready.graph.name.clone());
        Progress { screen, stop, waits, name, bar: None, started: now, told: now, seen: 0, stage }
    }

    fn say(&self, text: &str) {
        self.screen.say(&self.name, text);
    }

    fn bar(&mut self, length: usize, done: usize, prefix: String, template: &str) {
        let style =
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let mut bar = ProgressBar::new(length as u64);
        let mut prefix = prefix;
        if let Some(many) = &self.screen.many {
            bar = many.add(bar);
            prefix = format!("[{}] {prefix}", self.name);
        }
        let bar = bar.with_style(style).with_prefix(prefix);
        bar.set_position(done as u64);
        // What was done before says nothing of the speed.
        bar.reset_eta();
        self.bar = Some(bar);
    }

    fn rate(&self) -> f64 {
        self.seen as f64 / self.started.elapsed().as_secs_f64().max(1e-9)
    }
}

impl Observer for Progress<'_> {
    fn stage(&mut self, experiment: &str, schedule: &Schedule, done: usize, steps: usize) {
        self.say(&format!("{experiment}: {schedule}"));
        (self.started, self.told, self.seen) = (Instant::now(), Instant::now(), 0);
        self.stage.clone_from(&schedule.stage);
        if done > 0 {
            self.say(&format!("  goes on from step {done} of {steps}"));
        }
        if self.screen.terminal {
            let template = "  {prefix} {bar:24} {pos}/{len} steps  {msg}  {elapsed} + {eta}";
            self.bar(steps, done, schedule.stage.clone(), template);
        }
    }

    fn reused(&mut self, experiment: &str, stage: &str, id: &str) {
        let id = &id[..12.min(id.len())];
        self.say(&format!("{experiment}: stage {stage} was trained before ({id}), not again"));
    }

    fn step(&mut self, step: &Step) {
        self.seen += step.samples;
        let message = format!("loss {:.4}  {:.0} samples/s", step.loss, self.rate());
        if let Some(bar) = &self.bar {
            bar.set_position(step.step as u64);
            bar.set_message(message);
        } else if !self.screen.terminal && (self.told.elapsed() > EVERY || step.step == step.steps)
        {
            self.told = Instant::now();
            let left = (step.steps - step.step) * step.samples;
            let eta = left as f64 / self.rate().max(1e-9);
            let at = format!("{} step {}/{}", self.stage, step.step, step.steps);
            self.say(&format!("  {at}  {message}  {eta:.0} s left"));
        }
    }

    fn trained(&mut self, totals: &Totals) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        let mut text = format!(
            "  {} steps, {} samples in {:.1} s ({:.0} samples/s)",
            totals.steps,
            totals.samples,
            totals.seconds,
            totals.samples as f64 / totals.seconds.max(1e-9)
        );
        if totals.skipped > 0 || totals.truncated > 0 {
            text +=
                &format!("; too long: {} skipped, {} truncated", totals.skipped, totals.truncated);
        }
        let Recall { recalled, encoded } = totals.features;
        if recalled + encoded > 0 {
            text +=
                &format!("; frozen features: {recalled} of {} from the cache", recalled + encoded);
        }
        self.say(&text);
    }

    fn answered(&mut self, benchmark: &str, blind: bool, done: usize, of: usize) {
        if !self.screen.terminal {
            return;
        }
        if self.bar.is_none() {
            let blind = if blind { ", blind" } else { "" };
            let template = "  {prefix} {bar:24} {pos}/{len} questions";
            self.bar(of, done, format!("{benchmark}{blind}"), template);
        }
        if let Some(bar) = &self.bar {
            bar.set_position(done as u64);
        }
    }

    fn scored(&mut self, score: &Score) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        let blind = if score.blind { " blind" } else { "" };
        // Shares are shown in percent.
        let scale = if score.maximum == 1.0 { 100.0 } else { 1.0 };
        let error = score.standard_error.map_or(String::new(), |e| format!(" ± {:.1}", e * scale));
        let value = score.value * scale;
        let (benchmark, metric, n) = (&score.benchmark, &score.metric, score.n);
        let undecided = match score.undecided {
            0 => String::new(),
            count => format!(", {count} undecided"),
        };
        self.say(&format!(
            "  {benchmark}{blind}: {metric} {value:.1}{error} ({n} questions{undecided})"
        ));
    }

    fn stop(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn waits(&self) -> bool {
        self.waits
    }
}

impl Drop for Progress<'_> {
    /// A run that failed leaves no bar behind.
    fn drop(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}
