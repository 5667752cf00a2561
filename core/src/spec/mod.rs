//! What was typed: the text of an experiment or a study, read into types that keep their places.

pub mod edit;
pub mod experiment;
mod form;
pub mod generation;
pub mod plugin;
pub mod problem;
pub mod stage;
pub mod study;
pub mod syntax;
mod tiles;
mod values;
pub mod weights;
mod without;

use std::ops::Range;

use syntax::{Shape, Value};

pub use edit::{includes, set};
pub use experiment::{Experiment, NodeSpec};
pub use generation::Generation;
pub use plugin::{FieldSpec, PluginSpec};
pub use problem::{Label, Problem, nearest, render, render_warnings};
pub use stage::{Schedule, StageSpec, TooLong};
pub use study::{
    Axis, Budget, Case, Choice, Edit, Exclusion, STANDARD, Search, Strategy, Study, Trial,
};
pub use weights::Weights;
pub use without::without;

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
    let tree = syntax::read(source);
    let mut problems = tree.problems;
    let faults: Vec<Span> = problems.iter().map(|problem| problem.primary.span.clone()).collect();
    let mut file = match &tree.root {
        Some(root) if tree.sound => content(root, source, &mut problems),
        Some(_) => None,
        None if problems.is_empty() => {
            let message = "the file is empty";
            let help = "a file holds `Experiment(name: …, nodes: […], …)` or `Study(…)`";
            problems.push(Problem::new(message, 0..source.len().min(1), "nothing here").help(help));
            None
        }
        None => None,
    };
    if let Some(File::Experiment(experiment)) = &mut file {
        experiment.plugins().for_each(|plugin| plugin.mark(&faults));
    }
    problems.sort_by_key(|problem| problem.primary.span.start);
    (file, problems)
}

fn content(root: &Value, source: &str, problems: &mut Vec<Problem>) -> Option<File> {
    let help = "a file holds `Experiment(…)` or `Study(…)`";
    let Shape::Group { name: Some(name), .. } = &root.shape else {
        let text = format!("this is {}", root.describe(source));
        let problem = Problem::new("this is no experiment", root.span.clone(), text);
        problems.push(problem.help(help));
        return None;
    };
    match name.value.as_str() {
        "Experiment" => Some(File::Experiment(experiment::read(root, source, problems))),
        "Study" => study::read(root, source, problems).map(File::Study),
        other => {
            let message = format!("a file can't hold `{other}`");
            let help = match problem::nearest(other, ["Experiment", "Study"]) {
                Some(near) => format!("did you mean `{near}`?"),
                None => help.to_owned(),
            };
            problems.push(Problem::new(message, name.span.clone(), "unknown").help(help));
            None
        }
    }
}
