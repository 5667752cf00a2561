//! The values of every step, appended as they come.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::RecordError;
use super::files::line;
use crate::weights::write_atomically;

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
