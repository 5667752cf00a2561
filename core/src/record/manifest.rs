//! Everything about a run, in one file.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::files::{read_json, write_json};
use super::{Machine, RecordError};

/// One score of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// The benchmark's name.
    pub benchmark: String,
    /// What is measured: `accuracy`, `f1/adversarial`.
    pub metric: String,
    /// The value; shares are 0 to 1.
    pub value: f64,
    /// Questions, or groups of them.
    pub n: usize,
    /// The value's standard error; absent below two questions.
    pub standard_error: Option<f64>,
    /// Whether the picture was withheld.
    pub blind: bool,
    /// Whether it is its benchmark's main metric.
    #[serde(default = "yes")]
    pub main: bool,
    /// Where the 95 % confidence interval begins.
    #[serde(default)]
    pub low: Option<f64>,
    /// Where it ends.
    #[serde(default)]
    pub high: Option<f64>,
    /// Answers of the benchmark that its rules can't judge; they score 0.
    #[serde(default)]
    pub undecided: usize,
    /// What a guess gives, where that is known.
    #[serde(default)]
    pub chance: Option<f64>,
    /// The best value.
    #[serde(default = "one")]
    pub maximum: f64,
}

fn yes() -> bool {
    true
}

fn one() -> f64 {
    1.0
}

/// One stage of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageRecord {
    /// Its name in this run.
    pub name: String,
    /// Its identity.
    pub id: String,
    /// Optimiser steps.
    pub steps: usize,
    /// Samples seen.
    pub samples: usize,
    /// Samples cut to the longest length.
    pub truncated: usize,
    /// Samples left out as too long.
    pub skipped: usize,
    /// Wall time in seconds, over all sittings.
    pub seconds: f64,
}

/// Whether a run is over, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Under way, or killed.
    Running,
    /// Trained and evaluated.
    Done,
    /// Stopped by an error.
    Failed,
    /// Stopped by its user; it can go on.
    Interrupted,
}

/// Everything about a run, in `manifest.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of this form.
    pub schema: u32,
    /// The run's identity.
    pub run: String,
    /// The experiment's name.
    pub experiment: String,
    /// The study's name, if it is a trial of one.
    pub study: Option<String>,
    /// What tells it from the other trials of its study; the experiment's name otherwise.
    pub trial: String,
    /// Its place among its study's trials, from 0.
    #[serde(default)]
    pub position: Option<u64>,
    /// The root of every use of chance.
    pub seed: u64,
    /// The varied fields of a trial and their values.
    pub axes: BTreeMap<String, String>,
    /// Whether it is over, and how.
    pub status: Status,
    /// What stopped it, if it failed.
    pub error: Option<String>,
    /// When it was started, RFC 3339, UTC.
    pub started: String,
    /// When it ended.
    pub finished: Option<String>,
    /// Wall time in seconds: of the stages over all sittings (wherever they were trained), and of
    /// this sitting's evaluation.
    pub seconds: f64,
    /// The process's peak memory in bytes; 0 where the system doesn't tell.
    pub peak_bytes: u64,
    /// Parameters that any stage trains.
    pub parameters_trained: u64,
    /// Parameters that no stage trains.
    pub parameters_frozen: u64,
    /// Visual tokens per image.
    pub visual_tokens: u64,
    /// FLOPs of one forward pass over one sample of the last stage's length, as `plan` counts them;
    /// 0 in manifests of before they were counted.
    #[serde(default)]
    pub forward_flops: u64,
    /// Training samples per second over all stages.
    pub samples_per_second: f64,
    /// The commit of the checkout that it was run in, if it was one, with `-dirty` behind it if
    /// tracked files were changed.
    pub commit: Option<String>,
    /// The program's version.
    pub version: String,
    /// The command line.
    pub command: String,
    /// Where it ran.
    pub machine: Machine,
    /// Its stages.
    pub stages: Vec<StageRecord>,
    /// The stages of the experiments that it takes weights from, and of those that they do, each
    /// once: those that they take weights from first.
    #[serde(default)]
    pub sources: Vec<StageRecord>,
    /// Its scores.
    pub scores: Vec<Score>,
}

impl Manifest {
    /// Writes `manifest.json` in a run's folder.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn write(&self, folder: &Path) -> Result<(), RecordError> {
        write_json(&folder.join("manifest.json"), self)
    }

    /// Reads `manifest.json` of a run's folder; `None` if there is none.
    ///
    /// # Errors
    /// The file can't be read or is damaged.
    pub fn read(folder: &Path) -> Result<Option<Manifest>, RecordError> {
        read_json(&folder.join("manifest.json"))
    }
}
