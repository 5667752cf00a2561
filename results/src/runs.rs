//! What a run leaves on disk, read back: `manifest.json`, `metrics.jsonl`, `predictions/*.jsonl`.
//!
//! Keys that are not named here are ignored, so that a newer recorder may add some. A kill in
//! mid-write leaves half a last line: it is dropped, and reported, unless the run says it is done.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::ResultsError;
use crate::store::{list, read};

/// The manifest schema that this crate reads.
const SCHEMA: i64 = 1;

#[derive(Debug, Deserialize)]
pub struct Manifest {
    pub run: String,
    pub experiment: String,
    pub study: Option<String>,
    pub trial: String,
    pub position: Option<i64>,
    pub seed: i64,
    #[serde(default)]
    pub axes: BTreeMap<String, String>,
    pub status: Status,
    pub error: Option<String>,
    pub started: Option<String>,
    pub finished: Option<String>,
    pub seconds: Option<f64>,
    pub peak_bytes: Option<i64>,
    pub parameters_trained: Option<i64>,
    pub parameters_frozen: Option<i64>,
    pub visual_tokens: Option<i64>,
    pub forward_flops: Option<i64>,
    pub samples_per_second: Option<f64>,
    pub commit: Option<String>,
    pub version: Option<String>,
    pub command: Option<String>,
    #[serde(default)]
    pub machine: Machine,
    #[serde(default)]
    pub stages: Vec<Stage>,
    #[serde(default)]
    pub sources: Vec<Stage>,
    #[serde(default)]
    pub scores: Vec<Score>,
}

impl Manifest {
    /// Optimiser steps of its own stages, and with those of the experiments that it takes weights
    /// from.
    pub fn steps(&self) -> (i64, i64) {
        let sum = |stages: &[Stage]| stages.iter().map(|stage| stage.steps).sum::<i64>();
        (sum(&self.stages), sum(&self.stages) + sum(&self.sources))
    }
}

#[derive(Debug, Deserialize)]
pub struct Stage {
    #[serde(default)]
    pub steps: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Running,
    Done,
    Failed,
    Interrupted,
}

impl Status {
    pub fn name(self) -> &'static str {
        match self {
            Status::Running => "running",
            Status::Done => "done",
            Status::Failed => "failed",
            Status::Interrupted => "interrupted",
        }
    }
}

#[derive(Debug, Default, Deserialize)]
pub struct Machine {
    pub os: Option<String>,
    pub arch: Option<String>,
    pub threads: Option<i64>,
}

#[derive(Debug, Deserialize)]
pub struct Score {
    pub benchmark: String,
    pub metric: String,
    /// None where the recorder wrote null for what is not a finite number.
    pub value: Option<f64>,
    pub n: i64,
    pub standard_error: Option<f64>,
    #[serde(default)]
    pub blind: bool,
    /// Absent where a benchmark had one metric only.
    #[serde(default = "yes")]
    pub main: bool,
    pub low: Option<f64>,
    pub high: Option<f64>,
    #[serde(default)]
    pub undecided: i64,
    pub chance: Option<f64>,
    pub maximum: Option<f64>,
}

fn yes() -> bool {
    true
}

#[derive(Debug, Deserialize)]
pub struct Metric {
    pub stage: String,
    pub step: i64,
    pub name: String,
    pub value: Option<f64>,
}

#[derive(Debug, Deserialize)]
pub struct Sample {
    pub sample: String,
    pub question: Option<String>,
    pub prediction: Option<String>,
    /// A text, or whatever the benchmark keeps (a list of accepted answers).
    pub answer: Option<serde_json::Value>,
    pub score: Option<f64>,
    pub correct: Option<bool>,
    pub parsed: Option<String>,
    #[serde(default)]
    pub undecided: bool,
    pub category: Option<String>,
    pub group: Option<String>,
}

#[derive(Debug)]
pub struct Run {
    pub folder: PathBuf,
    pub manifest: Manifest,
    pub metrics: Vec<Metric>,
    pub predictions: Vec<Predictions>,
    /// Files whose last line was cut short.
    pub truncated: Vec<PathBuf>,
}

/// One benchmark's answers.
#[derive(Debug)]
pub struct Predictions {
    pub path: PathBuf,
    pub benchmark: String,
    pub blind: bool,
    pub samples: Vec<Sample>,
}

/// The run in `folder`; None where its manifest is not written yet.
pub fn read_run(folder: &Path) -> Result<Option<Run>, ResultsError> {
    let Some(manifest) = read_manifest(folder)? else { return Ok(None) };
    let mut truncated = Vec::new();
    let done = manifest.status == Status::Done;
    let metrics = read_lines(&folder.join("metrics.jsonl"), done, METRIC_LINE, &mut truncated)?;
    let mut predictions = Vec::new();
    for path in list(&folder.join("predictions"))? {
        let Some(name) = path.file_name().and_then(|n| n.to_str()) else { continue };
        let Some(benchmark) = name.strip_suffix(".jsonl") else { continue };
        let (benchmark, blind) = match benchmark.strip_suffix(".blind") {
            Some(benchmark) => (benchmark.to_owned(), true),
            None => (benchmark.to_owned(), false),
        };
        let samples = read_lines(&path, done, SAMPLE_LINE, &mut truncated)?;
        predictions.push(Predictions { path, benchmark, blind, samples });
    }
    Ok(Some(Run { folder: folder.to_owned(), manifest, metrics, predictions, truncated }))
}

/// What the run in `folder` says of itself; None where nothing is written yet.
pub fn read_manifest(folder: &Path) -> Result<Option<Manifest>, ResultsError> {
    let path = folder.join("manifest.json");
    let Some(bytes) = read(&path)? else { return Ok(None) };
    parse_manifest(&path, &bytes).map(Some)
}

const MANIFEST: &str = "a run's manifest, as `eagle-lab run` writes it";
const METRIC_LINE: &str =
    r#"one line {"stage": text, "step": integer, "name": text, "value": number} a value"#;
const SAMPLE_LINE: &str = r#"one line {"sample": text, "question": text, "prediction": text, "answer": text, "score": number, "correct": bool} an answer"#;

fn parse_manifest(path: &Path, bytes: &[u8]) -> Result<Manifest, ResultsError> {
    // The number comes first: a newer manifest must not fail over a field that it renamed.
    #[derive(Deserialize)]
    struct Number {
        schema: i64,
    }
    let malformed = |e: serde_json::Error| ResultsError::Malformed {
        path: path.to_owned(),
        line: e.line().max(1),
        problem: without_position(&e),
        expected: MANIFEST,
    };
    let number: Number = serde_json::from_slice(bytes).map_err(malformed)?;
    if number.schema != SCHEMA {
        let path = path.to_owned();
        return Err(ResultsError::ManifestSchema { path, found: number.schema, known: SCHEMA });
    }
    serde_json::from_slice(bytes).map_err(malformed)
}

/// The lines of a file, none where there is no such file.
fn read_lines<T: DeserializeOwned>(
    path: &Path,
    done: bool,
    expected: &'static str,
    truncated: &mut Vec<PathBuf>,
) -> Result<Vec<T>, ResultsError> {
    let bytes = read(path)?.unwrap_or_default();
    let mut values = Vec::new();
    for (index, line) in bytes.split_inclusive(|b| *b == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        match serde_json::from_slice(line) {
            Ok(value) => values.push(value),
            // Only the last line can lack its line break.
            Err(_) if !done && !line.ends_with(b"\n") => truncated.push(path.to_owned()),
            Err(e) => {
                let (path, problem) = (path.to_owned(), without_position(&e));
                return Err(ResultsError::Malformed { path, line: index + 1, problem, expected });
            }
        }
    }
    Ok(values)
}

/// serde_json counts lines within what it was given, which is one line here.
fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    match text.strip_suffix(&position) {
        Some(problem) => format!("column {}: {problem}", error.column()),
        None => text,
    }
}
