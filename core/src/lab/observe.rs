//! What a run tells while it goes on, and what is said of it beside its numbers.

use crate::record::Score;
use crate::schedule::Schedule;
use crate::train::{Step, Totals};

/// Who hears what happens, and may stop it.
pub trait Observer {
    /// A stage begins, at `done` of `steps` steps.
    fn stage(&mut self, experiment: &str, schedule: &Schedule, done: usize, steps: usize);
    /// A stage was found trained.
    fn reused(&mut self, experiment: &str, stage: &str, id: &str);
    /// A step was made.
    fn step(&mut self, step: &Step);
    /// A stage is trained.
    fn trained(&mut self, totals: &Totals);
    /// `done` of `of` questions of a benchmark are answered.
    fn answered(&mut self, benchmark: &str, blind: bool, done: usize, of: usize);
    /// A benchmark is scored; this is its main metric.
    fn scored(&mut self, score: &Score);
    /// Whether to save and stop at the next step.
    fn stop(&self) -> bool;
    /// Whether to wait for what another process or worker is at; else the run ends as
    /// [`Ending::Busy`].
    fn waits(&self) -> bool {
        true
    }
}

/// What the results say of a run apart from its numbers.
#[derive(Debug, Clone, Default)]
pub struct Labels {
    /// The study's name and the varied fields, if the experiment is a trial.
    pub study: Option<String>,
    /// What tells the trial from the others.
    pub trial: Option<String>,
    /// The trial's place in its study, from 0.
    pub position: Option<u64>,
    /// The varied fields and their values.
    pub axes: std::collections::BTreeMap<String, String>,
    /// The program's version, the commit of the checkout that it is run in, the command line.
    pub program: (String, Option<String>, String),
    /// The resolved text of the experiment.
    pub source: String,
    /// Threads used.
    pub threads: usize,
}
