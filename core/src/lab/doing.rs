//! What a run is at, in `progress.json` of its folder: for those who watch it from outside. It is
//! there while the run goes on, at most [`EVERY`] old, and gone when the run ends.

use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::Observer;
use crate::record::{self, RecordError, Score};
use crate::schedule::Schedule;
use crate::train::{Step, Totals};

/// Time between two notes.
pub const EVERY: Duration = Duration::from_secs(1);

const PROGRESS: &str = "progress.json";

/// What a run is at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "doing", rename_all = "kebab-case")]
pub enum Doing {
    /// It trains a stage.
    Training {
        /// The experiment whose stage it is.
        experiment: String,
        /// The stage.
        stage: String,
        /// Steps done.
        step: usize,
        /// Steps in all.
        steps: usize,
        /// The last step's loss; none before the first.
        loss: Option<f64>,
        /// Training samples a second, in this sitting.
        samples_per_second: f64,
        /// Seconds that the stage's other steps will take.
        seconds_left: Option<f64>,
        /// When this was noted.
        at: String,
    },
    /// It answers the questions of a benchmark.
    Answering {
        /// The benchmark.
        benchmark: String,
        /// Whether the pictures are withheld.
        blind: bool,
        /// Questions answered.
        done: usize,
        /// Questions in all.
        of: usize,
        /// When this was noted.
        at: String,
    },
}

impl Doing {
    /// What the run in a folder is at; `None` if it says nothing.
    ///
    /// # Errors
    /// The file can't be read or is damaged.
    pub fn read(folder: &Path) -> Result<Option<Doing>, RecordError> {
        record::read_json(&folder.join(PROGRESS))
    }
}

/// Notes what happens, and passes it on.
pub(super) struct Noting<'a> {
    watch: &'a mut dyn Observer,
    folder: &'a Path,
    experiment: String,
    stage: String,
    /// The sitting's beginning, and the samples and steps that it has seen.
    sitting: (Instant, usize, usize),
    told: Option<Instant>,
}

impl Noting<'_> {
    pub fn new<'a>(watch: &'a mut dyn Observer, folder: &'a Path) -> Noting<'a> {
        let sitting = (Instant::now(), 0, 0);
        let (experiment, stage) = (String::new(), String::new());
        Noting { watch, folder, experiment, stage, sitting, told: None }
    }

    /// Writes a note, unless one was written just now and this one can be done without.
    fn note(&mut self, needed: bool, doing: Doing) {
        if !needed && self.told.is_some_and(|told| told.elapsed() < EVERY) {
            return;
        }
        self.told = Some(Instant::now());
        // Who watches sees less; the run is none the worse.
        if let Err(error) = record::write_json(&self.folder.join(PROGRESS), &doing) {
            tracing::warn!(%error, "no progress is noted");
        }
    }

    fn training(&self, step: usize, steps: usize, loss: Option<f64>) -> Doing {
        let (begun, samples, made) = self.sitting;
        let seconds = begun.elapsed().as_secs_f64().max(1e-9);
        let each = (made > 0).then(|| seconds / made as f64);
        Doing::Training {
            experiment: self.experiment.clone(),
            stage: self.stage.clone(),
            step,
            steps,
            loss,
            samples_per_second: samples as f64 / seconds,
            seconds_left: each.map(|each| each * steps.saturating_sub(step) as f64),
            at: record::now(),
        }
    }
}

impl Drop for Noting<'_> {
    fn drop(&mut self) {
        // Nobody noted anything where there is no file.
        let _ = std::fs::remove_file(self.folder.join(PROGRESS));
    }
}

impl Observer for Noting<'_> {
    fn stage(&mut self, experiment: &str, schedule: &Schedule, done: usize, steps: usize) {
        self.experiment = experiment.to_owned();
        self.stage.clone_from(&schedule.stage);
        self.sitting = (Instant::now(), 0, 0);
        let doing = self.training(done, steps, None);
        self.note(true, doing);
        self.watch.stage(experiment, schedule, done, steps);
    }

    fn reused(&mut self, experiment: &str, stage: &str, id: &str) {
        self.watch.reused(experiment, stage, id);
    }

    fn step(&mut self, step: &Step) {
        self.sitting.1 += step.samples;
        self.sitting.2 += 1;
        let doing = self.training(step.step, step.steps, Some(step.loss));
        self.note(false, doing);
        self.watch.step(step);
    }

    fn trained(&mut self, totals: &Totals) {
        self.watch.trained(totals);
    }

    fn answered(&mut self, benchmark: &str, blind: bool, done: usize, of: usize) {
        let (benchmark_, at) = (benchmark.to_owned(), record::now());
        self.note(false, Doing::Answering { benchmark: benchmark_, blind, done, of, at });
        self.watch.answered(benchmark, blind, done, of);
    }

    fn scored(&mut self, score: &Score) {
        self.watch.scored(score);
    }

    fn stop(&self) -> bool {
        self.watch.stop()
    }

    fn waits(&self) -> bool {
        self.watch.waits()
    }
}
