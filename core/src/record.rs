//! What a run leaves on disk: metrics, predictions, and the manifest that names everything.
//!
//! ```text
//! OUT/cache/stages/ID/   weights.safetensors, metrics.jsonl, stage.json (written last: it is done);
//!                        checkpoint.safetensors while it is under way
//! OUT/runs/NAME-ID/      experiment.ron, manifest.json, metrics.jsonl, predictions/BENCHMARK.jsonl
//! ```

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::data::{AnswerKey, Sample};
use crate::registry::BenchmarkConfig;
use crate::score::{Judged, Question, Verdict};
use crate::weights::{TEMPORARY, write_atomically};

/// A record that can't be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {detail}", path = path.display())]
pub struct RecordError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    pub detail: String,
}

impl RecordError {
    /// What is wrong with a file.
    pub fn new(path: &Path, detail: impl ToString) -> Self {
        RecordError { path: path.to_owned(), detail: detail.to_string() }
    }
}

/// One value of one step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// The stage's name.
    pub stage: String,
    /// The step, from 1.
    pub step: usize,
    /// `loss` (nats per target token), `lr`, `gradient-norm` (before clipping).
    pub name: String,
    /// The value.
    pub value: f64,
}

/// The append-only metrics of a stage.
pub struct Metrics {
    path: PathBuf,
    file: File,
    stage: String,
}

const METRICS: &str = "metrics.jsonl";

impl Metrics {
    /// Opens the metrics in a stage's folder and drops what was written after step `kept`: those
    /// steps will be made again.
    ///
    /// # Errors
    /// The file can't be read or written.
    pub fn resume(folder: &Path, stage: &str, kept: usize) -> Result<Metrics, RecordError> {
        let path = folder.join(METRICS);
        let fail = |error: std::io::Error| RecordError::new(&path, error);
        let old = std::fs::read_to_string(&path).unwrap_or_default();
        let good: String = old
            .lines()
            .take_while(|line| {
                serde_json::from_str::<Metric>(line).is_ok_and(|metric| metric.step <= kept)
            })
            .map(|line| format!("{line}\n"))
            .collect();
        write_atomically(&path, good.as_bytes()).map_err(fail)?;
        let file = OpenOptions::new().append(true).open(&path).map_err(fail)?;
        Ok(Metrics { path, file, stage: stage.into() })
    }

    /// Appends the values of a step.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn write(&mut self, step: usize, values: &[(&str, f64)]) -> Result<(), RecordError> {
        let mut text = String::new();
        for (name, value) in values {
            let metric =
                Metric { stage: self.stage.clone(), step, name: (*name).into(), value: *value };
            text += &line(&metric);
        }
        self.file.write_all(text.as_bytes()).map_err(|error| RecordError::new(&self.path, error))
    }

    /// Waits until everything is on the disk.
    ///
    /// # Errors
    /// What the system says.
    pub fn sync(&self) -> Result<(), RecordError> {
        self.file.sync_all().map_err(|error| RecordError::new(&self.path, error))
    }
}

/// The metrics of a stage's folder, its name replaced by `stage`'s (the work may have been done
/// under another name), as text.
///
/// # Errors
/// The file can't be read or is damaged.
pub fn metrics_of(folder: &Path, stage: &str) -> Result<String, RecordError> {
    let path = folder.join(METRICS);
    let text = std::fs::read_to_string(&path).map_err(|error| RecordError::new(&path, error))?;
    text.lines()
        .map(|text| {
            let metric: Metric =
                serde_json::from_str(text).map_err(|error| RecordError::new(&path, error))?;
            Ok(line(&Metric { stage: stage.into(), ..metric }))
        })
        .collect()
}

/// One answered question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// The sample's id.
    pub sample: String,
    /// What was asked.
    pub question: String,
    /// What the model said.
    pub prediction: String,
    /// What is right.
    pub answer: String,
    /// What else its benchmark knows of the question.
    #[serde(flatten)]
    pub key: AnswerKey,
    /// What was found about it.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Whether the score is 1.
    pub correct: bool,
}

impl Prediction {
    /// What a benchmark makes of a prediction for one of its samples.
    pub fn judge(benchmark: &dyn BenchmarkConfig, sample: &Sample, prediction: String) -> Self {
        let none = AnswerKey::default();
        let question = Question::of(sample, &none);
        let verdict = benchmark.judge(&question, &prediction);
        Prediction {
            sample: sample.id.clone(),
            question: question.text.to_owned(),
            prediction,
            answer: question.answer.to_owned(),
            key: question.key.clone(),
            correct: verdict.correct(),
            verdict,
        }
    }

    /// As what a benchmark summarises.
    pub fn judged(&self) -> Judged<'_> {
        let question = Question { text: &self.question, answer: &self.answer, key: &self.key };
        Judged { question, verdict: &self.verdict }
    }
}

/// Writes predictions, one a line.
///
/// # Errors
/// The file can't be written.
pub fn write_predictions(path: &Path, predictions: &[Prediction]) -> Result<(), RecordError> {
    let text: String = predictions.iter().map(line).collect();
    write_atomically(path, text.as_bytes()).map_err(|error| RecordError::new(path, error))
}

/// Reads predictions, one a line.
///
/// # Errors
/// The file can't be read or is damaged.
pub fn read_predictions(path: &Path) -> Result<Vec<Prediction>, RecordError> {
    let text = std::fs::read_to_string(path).map_err(|error| RecordError::new(path, error))?;
    text.lines()
        .enumerate()
        .map(|(i, line)| {
            serde_json::from_str(line)
                .map_err(|error| RecordError::new(path, format!("line {}: {error}", i + 1)))
        })
        .collect()
}

fn line(value: &impl Serialize) -> String {
    // Strings and finite numbers always have a JSON form.
    serde_json::to_string(value).map(|text| text + "\n").unwrap_or_default()
}

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

/// Where a run ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The operating system.
    pub os: String,
    /// The processor's architecture.
    pub arch: String,
    /// Threads used.
    pub threads: usize,
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

/// Writes a value as indented JSON.
///
/// # Errors
/// The file can't be written.
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<(), RecordError> {
    let text =
        serde_json::to_string_pretty(value).map_err(|error| RecordError::new(path, error))?;
    write_text(path, &(text + "\n"))
}

/// Writes a text file.
///
/// # Errors
/// The file can't be written.
pub fn write_text(path: &Path, text: &str) -> Result<(), RecordError> {
    write_atomically(path, text.as_bytes()).map_err(|error| RecordError::new(path, error))
}

/// Reads a JSON file; `None` if there is none.
///
/// # Errors
/// The file can't be read or is damaged.
pub fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>, RecordError> {
    match std::fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(RecordError::new(path, error)),
        Ok(text) => {
            serde_json::from_str(&text).map(Some).map_err(|error| RecordError::new(path, error))
        }
    }
}

/// The hash of a file's bytes, in hexadecimal digits.
///
/// # Errors
/// The file can't be read.
pub fn hash_file(path: &Path) -> Result<String, RecordError> {
    let fail = |error: std::io::Error| RecordError::new(path, error);
    let mut hasher = blake3::Hasher::new();
    std::io::copy(&mut File::open(path).map_err(fail)?, &mut hasher).map_err(fail)?;
    Ok(hasher.finalize().to_hex().to_string())
}

/// The time now, RFC 3339, UTC, in milliseconds: small trials begin in the same second, and the
/// first one is a table's baseline.
pub fn now() -> String {
    let elapsed =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let (seconds, milliseconds) = (elapsed.as_secs(), elapsed.subsec_millis());
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Days to a civil date, after Howard Hinnant's `civil_from_days`.
    let z = days + 719_468;
    let (era, day_of_era) = (z / 146_097, z % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milliseconds:03}Z")
}

/// The peak memory of this process in bytes; 0 where the system doesn't tell.
pub fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1024
}

/// The memory of this machine in bytes, swap included; 0 where the system doesn't tell.
pub fn memory_bytes() -> u64 {
    let info = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let of = |name: &str| {
        let line = info.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    (of("MemTotal:").unwrap_or(0) + of("SwapTotal:").unwrap_or(0)) * 1024
}

/// This machine, with the number of threads used.
pub fn machine(threads: usize) -> Machine {
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    Machine { os: os.into(), arch: arch.into(), threads }
}

/// Locks a folder of results for as long as the result lives (the system unlocks it if we die), and
/// removes the half-written files of a process that died in it. Waits for whoever has it.
///
/// # Errors
/// What the system says.
pub fn claim(folder: &Path) -> Result<File, RecordError> {
    if let Some(file) = try_claim(folder)? {
        return Ok(file);
    }
    tracing::info!(folder = %folder.display(), "waiting for another process");
    let path = folder.join(LOCK);
    let fail = |error: std::io::Error| RecordError::new(&path, error);
    let file = File::create(&path).map_err(fail)?;
    file.lock().map_err(fail)?;
    remove(folder, &|name| name.ends_with(TEMPORARY))?;
    Ok(file)
}

/// Like [`claim`], but `None` if another process, or another worker of this one, has the folder.
///
/// # Errors
/// What the system says.
pub fn try_claim(folder: &Path) -> Result<Option<File>, RecordError> {
    let path = folder.join(LOCK);
    let fail = |error: std::io::Error| RecordError::new(&path, error);
    std::fs::create_dir_all(folder).map_err(fail)?;
    let file = File::create(&path).map_err(fail)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(fail(error)),
    }
    remove(folder, &|name| name.ends_with(TEMPORARY))?;
    Ok(Some(file))
}

/// Removes the files in a claimed folder and in those within it, but not its lock.
///
/// # Errors
/// What the system says.
pub fn remove_contents(folder: &Path) -> Result<(), RecordError> {
    remove(folder, &|name| name != LOCK)
}

const LOCK: &str = "lock";

fn remove(folder: &Path, which: &dyn Fn(&str) -> bool) -> Result<(), RecordError> {
    let fail = |error: std::io::Error| RecordError::new(folder, error);
    for entry in std::fs::read_dir(folder).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        if entry.file_type().map_err(fail)?.is_dir() {
            remove(&entry.path(), which)?;
        } else if which(&entry.file_name().to_string_lossy()) {
            std::fs::remove_file(entry.path()).map_err(fail)?;
        }
    }
    Ok(())
}
