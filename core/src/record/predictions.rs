//! What a model answered, question by question.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::RecordError;
use super::files::line;
use crate::data::{AnswerKey, Sample};
use crate::registry::BenchmarkConfig;
use crate::score::{Judged, Question, Verdict};
use crate::weights::write_atomically;

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
