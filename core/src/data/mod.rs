//! Samples, pictures and data sets: what a model learns from and is judged by.

pub mod annotations;
pub mod check;
mod cut;
pub mod frame;
pub mod preprocess;
pub mod resample;
pub mod tiles;

use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;

use image::RgbImage;
use serde::{Deserialize, Serialize};

use annotations::Annotations;

/// One conversation about at most one picture.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    /// Unique within its data set; every error about the sample names it.
    pub id: String,
    /// The picture, if the sample has one.
    pub picture: Option<Picture>,
    /// The turns in order; never empty.
    pub turns: Vec<Turn>,
    /// What is known of the picture beside the turns.
    pub annotations: Option<Arc<Annotations>>,
    /// What a scorer has to know beside the last turn's answer.
    pub key: Option<Arc<AnswerKey>>,
}

/// What a scorer has to know of a question beside one right answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AnswerKey {
    /// All accepted answers (VQA's ten, DocVQA's several); none if the turn's is the only one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<String>,
    /// The texts of the choices A, B, C, … of a multiple-choice question.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
    /// Questions that count together: MME's pair about one picture, MMBench's circular passes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The subset under which the question is also reported: POPE's `adversarial`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// What an open answer is read as.
    #[serde(skip_serializing_if = "AnswerForm::is_text")]
    pub form: AnswerForm,
}

/// What an open answer is read as, where a benchmark says so.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AnswerForm {
    /// As it is written.
    #[default]
    Text,
    /// A whole number.
    Integer,
    /// A number that is rounded to so many decimals.
    Decimals(u8),
    /// A list.
    List,
}

impl AnswerForm {
    fn is_text(&self) -> bool {
        *self == AnswerForm::Text
    }
}

/// A question and its answer. `<image>` in a question stands where the picture is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// What the user says.
    pub question: String,
    /// What the assistant is to say.
    pub answer: String,
}

/// Where a sample's pixels come from.
#[derive(Debug, Clone)]
pub enum Picture {
    /// An encoded file (PNG, JPEG).
    File(PathBuf),
    /// Encoded bytes (a member of a shard).
    Bytes(Arc<[u8]>),
    /// A vector scene, drawn at the size that is asked for.
    Drawn(Arc<dyn Draw>),
}

/// A picture without pixels of its own, drawn anti-aliased at any size.
pub trait Draw: Debug + Send + Sync {
    /// The picture at `width` x `height` pixels.
    fn draw(&self, width: u32, height: u32) -> RgbImage;
}

/// What is wrong with a data set or one of its samples.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A file that can't be read.
    #[error("can't read {path}: {error}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// A file that isn't what it should be.
    #[error("{path}: {detail}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what would be right.
        detail: String,
    },
    /// Encoded bytes that aren't a picture.
    #[error("broken picture: {detail}")]
    Picture {
        /// What the decoder says.
        detail: String,
    },
    /// A sample that can't be used.
    #[error("sample {sample:?}: {detail}")]
    Sample {
        /// Its id.
        sample: String,
        /// What is wrong, and what would be right.
        detail: String,
    },
}

impl DataError {
    /// The same error, naming the sample that it is about.
    #[must_use]
    pub fn of_sample(self, sample: &str) -> Self {
        match self {
            Self::Sample { .. } => self,
            other => Self::Sample { sample: sample.to_string(), detail: other.to_string() },
        }
    }
}

/// The words of a text, as Python's `str.split` counts them.
#[must_use]
pub fn words(text: &str) -> usize {
    let blank = |c: char| c.is_whitespace() || ('\x1c'..='\x1f').contains(&c);
    text.split(blank).filter(|word| !word.is_empty()).count()
}

/// A finite, indexed set of samples. The same index gives the same sample, always, on any thread.
pub trait Dataset: Debug + Send + Sync {
    /// The number of samples.
    fn len(&self) -> usize;

    /// Whether it has no samples.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The sample at `index`, below `len()`.
    ///
    /// # Errors
    /// The sample can't be read.
    fn sample(&self, index: usize) -> Result<Sample, DataError>;

    /// A hash of everything that the samples depend on (files' bytes; a generator's version and
    /// seed): part of the identity of a stage that trains on it.
    fn fingerprint(&self) -> String;

    /// The words of the sample's conversation, negative if it has no picture: by what
    /// `group_by_modality_length` groups.
    ///
    /// # Errors
    /// The sample can't be read.
    fn words(&self, index: usize) -> Result<i32, DataError> {
        let sample = self.sample(index)?;
        let turns = sample.turns.iter();
        let count: usize =
            turns.map(|turn| words(&turn.question) + words(&turn.answer)).sum::<usize>().max(1);
        let count = i32::try_from(count).unwrap_or(i32::MAX);
        Ok(if sample.picture.is_some() { count } else { -count })
    }

    /// What was left out or put right when the sample was read: `data check` tells it.
    fn remarks(&self, _index: usize) -> Vec<String> {
        Vec::new()
    }

    /// Which of the sources of a mixture the sample is of, by number; empty where there is one.
    fn source(&self, _index: usize) -> String {
        String::new()
    }

    /// Everything wrong that can be found cheaply before training: missing pictures, empty answers.
    fn problems(&self) -> Vec<DataError> {
        Vec::new()
    }
}
