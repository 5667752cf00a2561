//! A conversation as what a language model reads, and what becomes of one that is too long.

use serde::{Deserialize, Serialize};

use super::error::{EncodeError, EncodeErrorKind};
use super::template::IMAGE;
use super::tokenizer::Tokenizer;

/// One position, or one picture, of what a language model reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// A token of the vocabulary.
    Token {
        /// Its id.
        id: u32,
        /// Whether the model learns to say it.
        label: bool,
    },
    /// The picture: as many positions as it has visual tokens, none of them labelled.
    Image,
}

/// A conversation as pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// In order.
    pub pieces: Vec<Piece>,
}

/// What to do with a sample that is longer than the model's context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum TooLong {
    /// Stop, naming it.
    #[default]
    Error,
    /// Keep its beginning, as LLaVA does silently; skip it if that holds no label.
    Truncate,
    /// Leave it out.
    Skip,
}

/// A sample that was held against the model's context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fitted {
    /// It fits.
    Whole(Encoded),
    /// Its beginning, which does.
    Truncated(Encoded),
    /// Nothing of it is used. Count these.
    Skipped,
}

impl Encoded {
    /// Positions, where a picture takes `visual_tokens` of them.
    #[must_use]
    pub fn len(&self, visual_tokens: usize) -> usize {
        self.pieces.iter().map(|piece| piece.len(visual_tokens)).sum()
    }

    /// Tokens that are learnt.
    #[must_use]
    pub fn labels(&self) -> usize {
        self.pieces.iter().filter(|piece| matches!(piece, Piece::Token { label: true, .. })).count()
    }

    /// Holds it against a context of `max_length` positions. `sample` is its id.
    ///
    /// # Errors
    /// It doesn't fit, and the policy is [`TooLong::Error`].
    pub fn fit(
        mut self,
        sample: &str,
        max_length: usize,
        visual_tokens: usize,
        policy: TooLong,
    ) -> Result<Fitted, EncodeError> {
        let length = self.len(visual_tokens);
        if length <= max_length {
            return Ok(Fitted::Whole(self));
        }
        match policy {
            TooLong::Error => Err(EncodeError {
                sample: sample.to_string(),
                kind: EncodeErrorKind::TooLong { length, max_length },
            }),
            TooLong::Skip => Ok(Fitted::Skipped),
            TooLong::Truncate => {
                let mut end = 0;
                let fitting = self.pieces.iter().take_while(|piece| {
                    end += piece.len(visual_tokens);
                    end <= max_length
                });
                let kept = fitting.count();
                self.pieces.truncate(kept);
                let learns = self.labels() > 0;
                Ok(if learns { Fitted::Truncated(self) } else { Fitted::Skipped })
            }
        }
    }

    /// The text with its pieces told apart: `|` between tokens, `[ ]` around what is learnt.
    #[must_use]
    pub fn show(&self, tokenizer: &Tokenizer) -> String {
        let mut text = String::new();
        let mut learnt = false;
        for piece in &self.pieces {
            let (token, label) = match *piece {
                Piece::Image => (IMAGE.to_string(), false),
                Piece::Token { id, label } => (tokenizer.token(id).unwrap_or_default(), label),
            };
            if label != learnt {
                text.push_str(if label { "[" } else { "]" });
            } else if !text.is_empty() {
                text.push('|');
            }
            learnt = label;
            text.push_str(&token);
        }
        if learnt {
            text.push(']');
        }
        text
    }
}

impl Piece {
    fn len(self, visual_tokens: usize) -> usize {
        match self {
            Self::Image => visual_tokens,
            Self::Token { .. } => 1,
        }
    }
}
