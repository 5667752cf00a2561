//! Judged predictions in the form of lmms-eval's samples (`--log_samples`), one JSON object a line.

use std::path::Path;

use eagle_core::record::{self, Prediction, RecordError};
use eagle_core::registry::BenchmarkConfig;
use serde_json::json;

/// Writes what our own form has (so that `eagle-lab score` reads it again), and beside it `doc_id`,
/// `target`, `input`, `resps`, `filtered_resps`, and the score under the main metric's name.
///
/// # Errors
/// The file can't be written.
pub fn write(
    path: &Path,
    benchmark: &dyn BenchmarkConfig,
    predictions: &[Prediction],
) -> Result<(), RecordError> {
    let line = |(index, one): (usize, &Prediction)| {
        let mut sample = json!(one);
        sample["doc_id"] = json!(index);
        sample["target"] = json!(one.answer);
        sample["input"] = json!(one.question);
        sample["resps"] = json!([[one.prediction]]);
        sample["filtered_resps"] = json!([one.prediction]);
        sample[benchmark.metric()] = json!(one.verdict.score);
        sample.to_string() + "\n"
    };
    let text: String = predictions.iter().enumerate().map(line).collect();
    record::write_text(path, &text)
}
