//! Text: tokens, and the conversations that are made of them.

mod encoded;
mod error;
pub mod template;
pub mod tokenizer;

pub use encoded::{Encoded, Fitted, Piece, TooLong};
pub use error::{EncodeError, EncodeErrorKind};
pub use template::{IMAGE, Template};
pub use tokenizer::{TextError, Token, Tokenizer};
