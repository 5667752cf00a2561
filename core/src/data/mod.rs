//! Samples, pictures and data sets: what a model learns from and is judged by.

pub mod preprocess;
pub mod sheet;

use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;

use image::RgbImage;

/// One conversation about at most one picture.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Unique within its data set; every error about the sample names it.
    pub id: String,
    /// The picture, if the sample has one.
    pub picture: Option<Picture>,
    /// The turns in order; never empty.
    pub turns: Vec<Turn>,
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
    /// A field of a data set's configuration out of its range.
    #[error("{dataset}: {detail}")]
    Config {
        /// The data set's name in an experiment file.
        dataset: &'static str,
        /// The field, and what it can be.
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

    /// Everything wrong that can be found cheaply before training: missing pictures, empty answers.
    fn problems(&self) -> Vec<DataError> {
        Vec::new()
    }
}
