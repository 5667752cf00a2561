//! What is said when the grammar doesn't hold, and where reading goes on.

use super::reader::{Reader, closing};
use super::token::Kind;
use crate::spec::{Problem, Span};

impl Reader<'_> {
    pub(super) fn problem(
        &mut self,
        message: impl Into<String>,
        span: Span,
        text: &str,
        help: &str,
    ) {
        self.problems.push(Problem::new(message, span, text).help(help));
    }

    /// Tells of what the end of the file left open.
    pub(super) fn end_of_file(&mut self) {
        let mut unclosed = std::mem::take(&mut self.unclosed).into_iter();
        let Some((bracket, span)) = unclosed.next() else { return };
        self.sound = false;
        let end = self.here();
        let message = format!("this `{bracket}` is never closed");
        let mut problem = Problem::new(message, span, "opened here");
        for (_, span) in unclosed {
            problem = problem.other(span, "this one is open as well");
        }
        let help = format!("close it with `{}`", closing(bracket));
        let end = end.start.saturating_sub(1)..end.start;
        self.problems.push(problem.other(end, "the file ends here").help(help));
    }

    pub(super) fn stray(&mut self) {
        let span = self.take();
        let found = self.source[span.clone()].to_owned();
        let help = match found.as_str() {
            "," => "remove it; a comma stands between two values",
            ":" | "=" => "a field is written `name: value`",
            _ => "remove it, or open it",
        };
        if found.starts_with([')', ']', '}']) {
            self.sound = false;
        }
        self.problem(format!("`{found}` has no place here"), span, "unexpected", help);
    }

    pub(super) fn just_opened(&self) -> bool {
        matches!(self.at.checked_sub(1).map(|at| &self.tokens[at].kind), Some(Kind::Open(_)))
    }

    /// Whether nothing but space stands before the current token on its line.
    pub(super) fn begins_line(&self) -> bool {
        self.source[..self.here().start]
            .rsplit('\n')
            .next()
            .is_some_and(|line| line.trim().is_empty())
    }

    /// Whether `)` stands before the current token on its line, with or without a comma.
    pub(super) fn after_close(&self) -> bool {
        let before = self.tokens[..self.at].iter().rev().find(|token| token.kind != Kind::Comma);
        !self.begins_line() && before.is_some_and(|token| token.kind == Kind::Close(')'))
    }

    /// Tells that the innermost bracket should have been closed before the current token.
    pub(super) fn missing_close(&mut self, before: &str) {
        let Some((bracket, span)) = self.open.last().cloned() else { return };
        let close = closing(bracket);
        let message = format!("this `{bracket}` is never closed");
        let problem = Problem::new(message, span, "opened here")
            .other(self.here(), format!("`{close}` is missing before this {before}"));
        self.problems.push(problem.help(format!("close it with `{close}`")));
    }

    /// Tells of fields that stand behind the bracket that they belong into, and passes over them.
    pub(super) fn closed_too_early(&mut self) {
        let before = self.tokens[..self.at].iter().rev().find(|token| token.kind != Kind::Comma);
        let close = before.map_or(self.here(), |token| token.span.clone());
        let field = self.source[self.here()].to_owned();
        let problem = Problem::new("this `)` is one too many", close, "closes a bracket too early")
            .other(self.here(), format!("so `{field}` belongs to nothing"));
        self.problems.push(problem.help("remove it"));
        self.sound = false;
        while self.peek() == Some(&Kind::Word) && self.ahead(1) == Some(&Kind::Colon) {
            self.item();
            if self.peek() == Some(&Kind::Comma) {
                self.take();
            }
        }
        if self.peek() == Some(&Kind::Close(')')) {
            self.take();
            if self.peek() == Some(&Kind::Comma) {
                self.take();
            }
        }
    }

    /// Tells that the innermost bracket is closed by another one's partner.
    pub(super) fn left_open(&mut self, found: char) {
        let Some((bracket, span)) = self.open.last().cloned() else { return };
        self.sound = false;
        let message = format!("this `{bracket}` is never closed");
        let problem = Problem::new(message, span, "opened here")
            .other(self.here(), format!("`{}` is missing before this `{found}`", closing(bracket)));
        let help = format!("close it with `{}`", closing(bracket));
        self.problems.push(problem.help(help));
    }
}
