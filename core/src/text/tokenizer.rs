//! A Hugging Face tokenizer, from a `tokenizer.json`.

use std::ops::Range;
use std::path::{Path, PathBuf};

/// A tokenizer and the hash of the file that it was made from.
#[derive(Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    bos: Option<u32>,
    fingerprint: String,
}

/// What is wrong with a tokenizer or a text.
#[derive(Debug, thiserror::Error)]
pub enum TextError {
    /// A `tokenizer.json` that can't be read.
    #[error("can't read {path}: {error}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// A text that isn't a `tokenizer.json`.
    #[error("{name}: not a tokenizer.json: {detail}")]
    Format {
        /// Where the text comes from.
        name: String,
        /// What the tokenizer says.
        detail: String,
    },
    /// A text or a sequence of ids that the tokenizer refuses.
    #[error("the tokenizer refuses {what}: {detail}")]
    Refused {
        /// The beginning of the text, or the ids.
        what: String,
        /// What the tokenizer says.
        detail: String,
    },
}

/// A token and the bytes of the text that it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its number in the vocabulary.
    pub id: u32,
    /// Where it comes from; several tokens share a character that is spelled in bytes.
    pub bytes: Range<usize>,
}

impl Tokenizer {
    /// Reads a `tokenizer.json`.
    ///
    /// # Errors
    /// No such file, or not a tokenizer.
    pub fn from_file(path: &Path) -> Result<Self, TextError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| TextError::Read { path: path.to_path_buf(), error })?;
        Self::from_json(&text, &path.display().to_string())
    }

    /// Parses the text of a `tokenizer.json`; errors call it `name`.
    ///
    /// # Errors
    /// Not a tokenizer.
    pub fn from_json(text: &str, name: &str) -> Result<Self, TextError> {
        let format = |error: tokenizers::Error| TextError::Format {
            name: name.to_string(),
            detail: error.to_string(),
        };
        let mut inner = tokenizers::Tokenizer::from_bytes(text).map_err(format)?;
        // A file may say to pad or to cut: both would silently change what is learnt.
        inner.with_padding(None);
        inner.with_truncation(None).map_err(format)?;
        // What the file's post-processor puts before a text: `<s>`, or nothing.
        let empty = inner.encode("", true).map_err(format)?;
        let bos = empty.get_ids().first().copied();
        let fingerprint = blake3::hash(text.as_bytes()).to_hex().to_string();
        Ok(Self { inner, bos, fingerprint })
    }

    /// The tokens of `text`; names of special tokens in it are parsed, none are added.
    ///
    /// # Errors
    /// The tokenizer refuses the text.
    pub fn encode(&self, text: &str) -> Result<Vec<Token>, TextError> {
        let encoding = self.inner.encode(text, false).map_err(|error| TextError::Refused {
            what: format!("{:?}", text.chars().take(40).collect::<String>()),
            detail: error.to_string(),
        })?;
        let tokens = encoding.get_ids().iter().zip(encoding.get_offsets());
        Ok(tokens.map(|(&id, &(start, end))| Token { id, bytes: start..end }).collect())
    }

    /// The text of `ids`, without special tokens.
    ///
    /// # Errors
    /// The tokenizer refuses the ids.
    pub fn decode(&self, ids: &[u32]) -> Result<String, TextError> {
        self.inner.decode(ids, true).map_err(|error| TextError::Refused {
            what: format!("{ids:?}"),
            detail: error.to_string(),
        })
    }

    /// The number of a token, by its exact spelling in the vocabulary.
    #[must_use]
    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The spelling of a token in the vocabulary.
    #[must_use]
    pub fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// What the file says to put before every text.
    #[must_use]
    pub fn bos(&self) -> Option<u32> {
        self.bos
    }

    /// What stands after the end of a shorter sequence of a batch; never looked at.
    #[must_use]
    pub fn pad(&self) -> u32 {
        ["<pad>", "[PAD]", "<unk>", "</s>"].iter().find_map(|token| self.id(token)).unwrap_or(0)
    }

    /// One more than the largest id, special tokens included: the rows of an embedding.
    #[must_use]
    pub fn vocabulary_size(&self) -> usize {
        // Not the number of tokens: some files leave gaps.
        self.inner.get_vocab(true).values().max().map_or(0, |&id| id as usize + 1)
    }

    /// A hash of the file: part of the identity of whatever is trained on its tokens.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let size = self.vocabulary_size();
        write!(f, "Tokenizer({size} tokens, {})", &self.fingerprint[..8])
    }
}
