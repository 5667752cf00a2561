//! Why a sample can't be written down for a language model.

use super::template::Template;
use super::tokenizer::TextError;

/// Why a sample can't be written down.
#[derive(Debug, thiserror::Error)]
#[error("sample {sample:?}: {kind}")]
pub struct EncodeError {
    /// Its id.
    pub sample: String,
    /// What is wrong with it.
    pub kind: EncodeErrorKind,
}

/// What is wrong with a sample.
#[derive(Debug, thiserror::Error)]
pub enum EncodeErrorKind {
    /// Nothing is said.
    #[error("it has no turns")]
    NoTurns,
    /// A turn number beyond the last.
    #[error("it has {turns} turns, so no turn {turn} (counted from 0)")]
    NoSuchTurn {
        /// The number asked for.
        turn: usize,
        /// How many there are.
        turns: usize,
    },
    /// A placeholder without a picture.
    #[error("turn {turn} says `<image>`, but the sample has no picture")]
    NoPicture {
        /// Counted from 0.
        turn: usize,
    },
    /// More placeholders than pictures.
    #[error("`<image>` occurs {found} times, for one picture")]
    ManyImages {
        /// How often.
        found: usize,
    },
    /// A placeholder that would have to be learnt.
    #[error("the answer of turn {turn} says `<image>`")]
    ImageInAnswer {
        /// Counted from 0.
        turn: usize,
    },
    /// Nothing to learn.
    #[error("the answer of turn {turn} is empty")]
    EmptyAnswer {
        /// Counted from 0.
        turn: usize,
    },
    /// A text that would end the answer or open another turn.
    #[error("turn {turn} says {token:?}, which the template uses as a mark")]
    Reserved {
        /// Counted from 0.
        turn: usize,
        /// The mark.
        token: &'static str,
    },
    /// [`Template::Plain`] with something else than a captioned picture.
    #[error("the plain template takes one turn and a picture: it has {turns} turns, {picture}")]
    NotACaption {
        /// How many there are.
        turns: usize,
        /// "a picture" or "no picture".
        picture: &'static str,
    },
    /// A token across the line between prompt and answer: a mask would be wrong by one.
    #[error("the token {token:?} belongs to a prompt and to its answer; trim the answer")]
    Boundary {
        /// Its text.
        token: String,
    },
    /// The vocabulary lacks a mark of the template.
    #[error("the tokenizer has no token {token:?}, with which the {template:?} template ends")]
    NoStop {
        /// The template.
        template: Template,
        /// The mark.
        token: &'static str,
    },
    /// Longer than the context.
    #[error("it is {length} positions long, the context {max_length}")]
    TooLong {
        /// Tokens and visual tokens.
        length: usize,
        /// What fits.
        max_length: usize,
    },
    /// The tokenizer refuses the text.
    #[error(transparent)]
    Text(#[from] TextError),
}
