//! Text: tokens, and the conversations that are made of them.

pub mod template;
pub mod tokenizer;

pub use template::{EncodeError, Encoded, Fitted, Piece, Template, TooLong};
pub use tokenizer::{TextError, Tokenizer};
