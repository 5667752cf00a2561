//! What was typed: the text of an experiment or a study, read into types that keep their places.

pub mod edit;
pub mod experiment;
mod form;
pub mod plugin;
pub mod problem;
pub mod stage;
pub mod study;
pub mod syntax;
pub mod weights;

use std::ops::Range;

pub use edit::set;
pub use experiment::{Experiment, NodeSpec};
pub use plugin::{FieldSpec, PluginSpec};
pub use problem::{Label, Problem, render};
pub use stage::{Schedule, StageSpec, TEMPLATES, TooLong};
pub use study::{Axis, Study, Trial};
pub use weights::Weights;

/// Bytes of the source.
pub type Span = Range<usize>;

/// A value and the bytes that it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Its place in the source.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// `value`, read from `span`.
    pub fn new(value: T, span: Span) -> Self {
        Spanned { value, span }
    }
}

/// What a file may hold.
#[derive(Debug, Clone)]
pub enum File {
    /// One experiment.
    Experiment(Experiment),
    /// A product of variations of one experiment.
    Study(Study),
}

/// How this project reads RON: `Some` may be left out.
pub fn ron_options() -> ron::Options {
    ron::Options::default().with_default_extension(ron::extensions::Extensions::IMPLICIT_SOME)
}

/// Reads a file.
///
/// # Errors
/// Everything that is wrong with its form, in the order of the text.
pub fn parse(source: &str) -> Result<File, Vec<Problem>> {
    match read(source) {
        (Some(file), problems) if problems.is_empty() => Ok(file),
        (_, problems) => Err(problems),
    }
}

/// Reads as much of a file as makes sense, and everything that is wrong with its form. What could
/// not be read has its default and is listed under `broken`, so that `graph::check` can look for
/// errors in the rest without repeating these.
pub fn read(source: &str) -> (Option<File>, Vec<Problem>) {
    todo!("{source}")
}
