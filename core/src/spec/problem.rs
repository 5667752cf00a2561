//! What is wrong with a file, where, and what would be right.

use super::Span;

/// A place and what is to be said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// The text beside it.
    pub text: String,
}

/// Something wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    /// What is wrong.
    pub message: String,
    /// Where.
    pub primary: Label,
    /// Other places that have to do with it.
    pub others: Vec<Label>,
    /// What else is to be known (the errors of another file).
    pub notes: Vec<String>,
    /// What would be right.
    pub help: Option<String>,
}

/// Draws problems as a compiler does: `file:line:column`, the lines, the labels, the help.
pub fn render(problems: &[Problem], source: &str, file_name: &str, color: bool) -> String {
    todo!("{problems:?} {source} {file_name} {color}")
}
