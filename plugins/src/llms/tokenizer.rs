//! Where an LLM's tokenizer comes from.

use std::path::{Path, PathBuf};

use eagle_core::text::{TextError, Tokenizer};
use serde::{Deserialize, Serialize};

/// Where an LLM's tokenizer comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum TokenizerSource {
    /// The small tokenizer of the mini world, part of the program.
    Embedded,
    /// A Hugging Face `tokenizer.json`; a relative path starts at the experiment's folder.
    File(PathBuf),
}

impl TokenizerSource {
    /// The tokenizer.
    ///
    /// # Errors
    /// A file that can't be read or isn't a tokenizer.
    pub fn open(&self, base: &Path) -> Result<Tokenizer, TextError> {
        match self {
            TokenizerSource::Embedded => {
                Tokenizer::from_json(crate::world::vocabulary::TOKENIZER, "the embedded tokenizer")
            }
            TokenizerSource::File(path) => Tokenizer::from_file(&base.join(path)),
        }
    }
}
