//! What a run leaves on disk: metrics, predictions, and the manifest that names everything.
//!
//! ```text
//! OUT/cache/stages/ID/   weights.safetensors, metrics.jsonl, stage.json (written last: it is done);
//!                        checkpoint.safetensors while it is under way
//! OUT/runs/NAME-ID/      experiment.ron, manifest.json, metrics.jsonl, predictions/BENCHMARK.jsonl
//! ```

mod claims;
mod files;
mod machine;
mod manifest;
mod metrics;
mod predictions;

use std::path::{Path, PathBuf};

pub use claims::{claim, remove_contents, try_claim};
pub use files::{hash_file, read_json, write_json, write_text};
pub use machine::{Machine, machine, memory_bytes, now, peak_bytes};
pub use manifest::{Manifest, Score, StageRecord, Status};
pub use metrics::{Metric, Metrics, metrics_of};
pub use predictions::{Prediction, read_predictions, write_predictions};

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
