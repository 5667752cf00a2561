//! What is wrong with a file, where, and what would be right.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

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
    pub primary: Box<Label>,
    /// Other places that have to do with it.
    pub others: Vec<Label>,
    /// What else is to be known (the errors of another file).
    pub notes: Vec<String>,
    /// What would be right.
    pub help: Option<String>,
}

impl Problem {
    /// A problem at `span`, with `text` beside it.
    pub fn new(message: impl Into<String>, span: Span, text: impl Into<String>) -> Self {
        let primary = Box::new(Label { span, text: text.into() });
        let (others, notes) = (Vec::new(), Vec::new());
        Problem { message: message.into(), primary, others, notes, help: None }
    }

    /// Points at another place.
    #[must_use]
    pub fn other(mut self, span: Span, text: impl Into<String>) -> Self {
        self.others.push(Label { span, text: text.into() });
        self
    }

    /// Adds what else is to be known.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Says what would be right.
    #[must_use]
    pub fn help(self, help: impl Into<String>) -> Self {
        Problem { help: Some(help.into()), ..self }
    }
}

/// Draws problems as a compiler does: `file:line:column`, the lines, the labels, the help.
pub fn render(problems: &[Problem], source: &str, file_name: &str, color: bool) -> String {
    draw(Level::ERROR, problems, source, file_name, color)
}

/// The same for what doesn't make the file wrong.
pub fn render_warnings(problems: &[Problem], source: &str, file_name: &str, color: bool) -> String {
    draw(Level::WARNING, problems, source, file_name, color)
}

fn draw(
    level: Level<'_>,
    problems: &[Problem],
    source: &str,
    file_name: &str,
    color: bool,
) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    // A window of a known width, so that the same file gives the same text everywhere.
    let renderer = renderer.term_width(140);
    let drawn: Vec<String> = problems
        .iter()
        .map(|problem| renderer.render(&[group(level.clone(), problem, source, file_name)]))
        .collect();
    drawn.join("\n\n")
}

fn group<'a>(
    level: Level<'a>,
    problem: &'a Problem,
    source: &'a str,
    file_name: &'a str,
) -> Group<'a> {
    let mut snippet = Snippet::source(source).path(file_name).annotation(
        AnnotationKind::Primary
            .span(visible(&problem.primary.span, source))
            .label(problem.primary.text.as_str()),
    );
    for label in &problem.others {
        let span = visible(&label.span, source);
        snippet = snippet.annotation(AnnotationKind::Context.span(span).label(label.text.as_str()));
    }
    let mut group = level.primary_title(problem.message.as_str()).element(snippet);
    for note in &problem.notes {
        group = group.element(Level::NOTE.message(note.as_str()));
    }
    if let Some(help) = &problem.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    group
}

/// The part of a span that is on its first line and inside the source: what spans many lines is
/// drawn as many lines.
fn visible(span: &Span, source: &str) -> Span {
    let start = floor(source, span.start);
    let end = floor(source, span.end).max(start);
    let line = source[start..end].find('\n').map_or(end, |at| start + at);
    start..line
}

fn floor(source: &str, at: usize) -> usize {
    let at = at.min(source.len());
    (0..=at).rev().find(|&at| source.is_char_boundary(at)).unwrap_or(0)
}

/// The line and column, from 1, of a byte.
pub fn position(source: &str, at: usize) -> (usize, usize) {
    let before = &source[..floor(source, at)];
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
    (line, column)
}

/// The one of `valid` that `name` was most likely meant to be.
pub fn nearest<'a>(name: &str, valid: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = plain(name);
    let limit = (wanted.chars().count() / 3).max(1);
    valid
        .into_iter()
        .filter_map(|candidate| {
            let found = plain(candidate);
            let distance = strsim::damerau_levenshtein(&wanted, &found);
            let within = wanted.len().min(found.len()) >= 3
                && (found.starts_with(&wanted) || wanted.starts_with(&found));
            (distance <= limit || within).then_some((distance, candidate))
        })
        .min()
        .map(|(_, candidate)| candidate)
}

/// Lower case, without the signs between words.
fn plain(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '-' | '_' | '.')).flat_map(char::to_lowercase).collect()
}

/// What to write instead of `name`: the nearest valid one, else all of them. `nouns` is what they
/// are, in the plural.
pub fn did_you_mean(name: &str, nouns: &str, valid: &[&str]) -> String {
    match nearest(name, valid.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if valid.is_empty() => format!("there are no {nouns} here"),
        None => format!("the {nouns} are {}", listed(valid)),
    }
}

/// `` `a`, `b` and `c` ``
pub fn listed(names: &[impl AsRef<str>]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{}`", name.as_ref())).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => "none".to_owned(),
    }
}
