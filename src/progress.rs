//! What a user sees of a run: progress bars on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use eagle_core::lab::Observer;
use eagle_core::record::Score;
use eagle_core::schedule::Schedule;
use eagle_core::train::{Step, Totals};
use indicatif::{ProgressBar, ProgressStyle};

/// Seconds between two plain lines of a stage.
const EVERY: Duration = Duration::from_secs(10);

/// Shows a run on standard error.
pub struct Progress {
    terminal: bool,
    stop: Arc<AtomicBool>,
    bar: Option<ProgressBar>,
    started: Instant,
    told: Instant,
    seen: usize,
    stage: String,
}

impl Progress {
    /// Progress that stops the run when `stop` is set.
    pub fn new(stop: &Arc<AtomicBool>) -> Progress {
        let stop = stop.clone();
        let now = Instant::now();
        let terminal = std::io::stderr().is_terminal();
        let stage = String::new();
        Progress { terminal, stop, bar: None, started: now, told: now, seen: 0, stage }
    }

    fn bar(&mut self, length: usize, done: usize, prefix: String, template: &str) {
        let style =
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(length as u64).with_style(style).with_prefix(prefix);
        bar.set_position(done as u64);
        // What was done before says nothing of the speed.
        bar.reset_eta();
        self.bar = Some(bar);
    }

    fn rate(&self) -> f64 {
        self.seen as f64 / self.started.elapsed().as_secs_f64().max(1e-9)
    }
}

impl Observer for Progress {
    fn stage(&mut self, experiment: &str, schedule: &Schedule, done: usize, steps: usize) {
        eprintln!("{experiment}: {schedule}");
        (self.started, self.told, self.seen) = (Instant::now(), Instant::now(), 0);
        self.stage.clone_from(&schedule.stage);
        if done > 0 {
            eprintln!("  goes on from step {done} of {steps}");
        }
        if self.terminal {
            let template = "  {prefix} {bar:24} {pos}/{len} steps  {msg}  {elapsed} + {eta}";
            self.bar(steps, done, schedule.stage.clone(), template);
        }
    }

    fn reused(&mut self, experiment: &str, stage: &str, id: &str) {
        eprintln!(
            "{experiment}: stage {stage} was trained before ({}), not again",
            &id[..12.min(id.len())]
        );
    }

    fn step(&mut self, step: &Step) {
        self.seen += step.samples;
        let message = format!("loss {:.4}  {:.0} samples/s", step.loss, self.rate());
        if let Some(bar) = &self.bar {
            bar.set_position(step.step as u64);
            bar.set_message(message);
        } else if !self.terminal && (self.told.elapsed() > EVERY || step.step == step.steps) {
            self.told = Instant::now();
            let left = (step.steps - step.step) * step.samples;
            let eta = left as f64 / self.rate().max(1e-9);
            eprintln!(
                "  {} step {}/{}  {message}  {eta:.0} s left",
                self.stage, step.step, step.steps
            );
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
        eprintln!("{text}");
    }

    fn answered(&mut self, benchmark: &str, blind: bool, done: usize, of: usize) {
        if !self.terminal {
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
        let error = score.standard_error.map_or(String::new(), |e| format!(" ± {:.1}", e * 100.0));
        eprintln!(
            "  {}{blind}: {} {:.1}{error} ({} questions)",
            score.benchmark,
            score.metric,
            score.value * 100.0,
            score.n
        );
    }

    fn stop(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}
