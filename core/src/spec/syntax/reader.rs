//! The grammar: values, groups, lists and maps.

use super::token::{Kind, Token, tokens};
use super::{Item, Shape, Tree, Value};
use crate::spec::{Problem, Span, Spanned};

/// How deeply brackets may be nested.
const DEPTH: usize = 64;

/// Reads one value and everything that is wrong with its form.
pub(super) fn read(source: &str) -> Tree {
    let tokens = tokens(source);
    let closed = tokens.closed;
    let mut reader = Reader {
        source,
        tokens: tokens.tokens,
        at: 0,
        open: Vec::new(),
        named: Vec::new(),
        unclosed: Vec::new(),
        problems: Vec::new(),
        sound: closed,
        stop: false,
    };
    let root = reader.whole();
    if closed {
        reader.end_of_file();
    } else {
        // A forgotten quote makes words of what is text; nothing else is sure.
        reader.problems.clear();
    }
    let mut problems = tokens.problems;
    problems.append(&mut reader.problems);
    problems.sort_by_key(|problem| problem.primary.span.start);
    Tree { root, problems, sound: reader.sound }
}

pub(super) struct Reader<'a> {
    pub(super) source: &'a str,
    pub(super) tokens: Vec<Token>,
    pub(super) at: usize,
    /// The brackets that are open.
    pub(super) open: Vec<(char, Span)>,
    /// For each of them, whether it holds a field.
    pub(super) named: Vec<bool>,
    /// Those that the end of the file left open, innermost first.
    pub(super) unclosed: Vec<(char, Span)>,
    pub(super) problems: Vec<Problem>,
    pub(super) sound: bool,
    pub(super) stop: bool,
}

impl Reader<'_> {
    pub(super) fn peek(&self) -> Option<&Kind> {
        self.ahead(0)
    }

    pub(super) fn ahead(&self, by: usize) -> Option<&Kind> {
        if self.stop { None } else { self.tokens.get(self.at + by).map(|token| &token.kind) }
    }

    /// The place of the current token, or the end of the file.
    pub(super) fn here(&self) -> Span {
        let end = self.source.trim_end().len();
        self.tokens.get(self.at).map_or(end..end, |token| token.span.clone())
    }

    pub(super) fn take(&mut self) -> Span {
        let span = self.here();
        self.at += 1;
        span
    }

    /// Right behind the last token.
    pub(super) fn behind(&self) -> usize {
        self.at.checked_sub(1).and_then(|at| self.tokens.get(at)).map_or(0, |token| token.span.end)
    }

    pub(super) fn whole(&mut self) -> Option<Value> {
        while let Some(Kind::Close(_) | Kind::Comma | Kind::Colon | Kind::Equals) = self.peek() {
            self.stray();
        }
        self.peek()?;
        let root = self.value();
        if self.peek() == Some(&Kind::Comma) && self.ahead(1).is_none() {
            self.take();
        }
        if self.peek().is_some() && !self.stop {
            let message = "the file goes on after its end";
            self.problem(
                message,
                self.here(),
                "doesn't belong to anything",
                "remove what follows the last `)`, or look for a bracket that is closed too early",
            );
            self.sound = false;
        }
        Some(root)
    }

    /// A value; the current token must be able to begin one.
    pub(super) fn value(&mut self) -> Value {
        let kind = self.peek().cloned();
        let span = self.here();
        let shape = match kind {
            Some(Kind::Word) => {
                if self.ahead(1) == Some(&Kind::Open('(')) {
                    return self.group();
                }
                Shape::Word
            }
            Some(Kind::Number) => Shape::Number,
            Some(Kind::Text(text)) => Shape::Text(text),
            Some(Kind::Char) => Shape::Char,
            Some(Kind::Open('(')) => return self.group(),
            Some(Kind::Open('[')) => return self.list(),
            Some(Kind::Open(_)) => return self.map(),
            _ => return Value { shape: Shape::Missing, span },
        };
        self.take();
        Value { shape, span }
    }

    pub(super) fn group(&mut self) -> Value {
        let start = self.here().start;
        let name = (self.peek() == Some(&Kind::Word)).then(|| {
            let span = self.take();
            Spanned::new(self.source[span.clone()].to_owned(), span)
        });
        let items = self.bracket(Self::item);
        Value { shape: Shape::Group { name, items }, span: start..self.behind() }
    }

    pub(super) fn list(&mut self) -> Value {
        let start = self.here().start;
        let items = self.bracket(Self::element);
        Value { shape: Shape::List(items), span: start..self.behind() }
    }

    pub(super) fn map(&mut self) -> Value {
        let start = self.here().start;
        let items = self.bracket(Self::entry);
        Value { shape: Shape::Map(items), span: start..self.behind() }
    }

    /// What stands between an opening bracket, which is the current token, and its closing one.
    pub(super) fn bracket<T>(&mut self, one: fn(&mut Self) -> T) -> Vec<T> {
        let mut items = Vec::new();
        let span = self.take();
        let bracket = self.source[span.clone()].chars().next().unwrap_or('(');
        if self.open.len() >= DEPTH {
            self.problem("brackets are nested too deeply", span, "one bracket too many", "");
            (self.stop, self.sound) = (true, false);
            return items;
        }
        self.open.push((bracket, span));
        self.named.push(false);
        loop {
            match self.peek() {
                None => {
                    if !self.stop {
                        self.unclosed.extend(self.open.last().cloned());
                    }
                    break;
                }
                Some(&Kind::Close(c)) if c == closing(bracket) => {
                    self.take();
                    break;
                }
                Some(&Kind::Close(c)) if self.open.iter().any(|&(open, _)| closing(open) == c) => {
                    self.left_open(c);
                    break;
                }
                Some(Kind::Comma) if self.just_opened() && bracket == '(' => {
                    // `ClipVit(, from: …`
                    self.missing_close("`,`");
                    break;
                }
                Some(Kind::Close(_) | Kind::Comma | Kind::Colon | Kind::Equals) => self.stray(),
                Some(Kind::Word) if bracket == '[' && self.ahead(1) == Some(&Kind::Colon) => {
                    if self.after_close() {
                        self.closed_too_early();
                    } else {
                        self.missing_close(&format!("`{}:`", &self.source[self.here()]));
                        break;
                    }
                }
                Some(Kind::Open('('))
                    if bracket == '(' && self.named.last() == Some(&true) && self.begins_line() =>
                {
                    // The next node or stage.
                    self.missing_close("`(`");
                    self.sound = false;
                    break;
                }
                Some(_) => {
                    items.push(one(self));
                    self.separator();
                }
            }
        }
        self.open.pop();
        self.named.pop();
        items
    }

    pub(super) fn separator(&mut self) {
        match self.peek() {
            Some(Kind::Comma) => {
                self.take();
            }
            None | Some(Kind::Close(_)) => {}
            // A bracket that was left open has taken the comma.
            Some(_) if self.at > 0 && self.tokens[self.at - 1].kind == Kind::Comma => {}
            Some(Kind::Colon | Kind::Equals) => {
                self.stray();
                if begins_value(self.peek()) {
                    self.value();
                }
                self.separator();
            }
            Some(_) => {
                let end = self.behind();
                let before = self.source[..end].char_indices().next_back().map_or(0, |(at, _)| at);
                let message = "a comma is missing";
                self.problem(message, before..end, "after this", "put `,` between two values");
            }
        }
    }

    pub(super) fn element(&mut self) -> Value {
        self.value()
    }

    /// `value` or `name: value`.
    pub(super) fn item(&mut self) -> Item {
        let name = match (self.peek(), self.ahead(1)) {
            (Some(Kind::Word), Some(Kind::Colon)) => self.name(),
            (Some(Kind::Word), Some(Kind::Equals)) => {
                let name = self.name();
                let help = "a field is written `name: value`";
                self.problem("`=` stands for `:`", self.here(), "write `:`", help);
                name
            }
            (Some(Kind::Text(_)), Some(Kind::Colon)) => {
                let name = self.name();
                let bare = name.value.trim_matches('"').to_owned();
                let help = format!("write `{bare}: …`");
                self.problem("a field's name has no quotes", name.span.clone(), "a text", &help);
                Spanned::new(bare, name.span)
            }
            (Some(Kind::Word), Some(Kind::Open('('))) => return self.positional(),
            (Some(Kind::Word), next) if begins_value(next) => {
                let name = self.name();
                let message = format!("`:` is missing after `{}`", name.value);
                let help = format!("write `{}: …`", name.value);
                self.problem(message, name.span.clone(), "a field's name", &help);
                return Item { name: Some(name), value: self.value() };
            }
            _ => return self.positional(),
        };
        self.take();
        if begins_value(self.peek()) {
            return Item { value: self.value(), name: Some(name) };
        }
        let message = format!("`{}` has no value", name.value);
        self.problem(
            message,
            name.span.clone(),
            "nothing follows",
            "a field is written `name: value`",
        );
        let value = Value { shape: Shape::Missing, span: name.span.clone() };
        Item { name: Some(name), value }
    }

    pub(super) fn positional(&mut self) -> Item {
        Item { name: None, value: self.value() }
    }

    pub(super) fn name(&mut self) -> Spanned<String> {
        if let Some(named) = self.named.last_mut() {
            *named = true;
        }
        let span = self.take();
        Spanned::new(self.source[span.clone()].to_owned(), span)
    }

    /// `key: value` of a map.
    pub(super) fn entry(&mut self) -> (Value, Value) {
        let key = self.value();
        if self.peek() == Some(&Kind::Colon) {
            self.take();
        } else {
            let help = "an entry of a map is written `key: value`";
            self.problem("a map's key has no value", key.span.clone(), "a key", help);
        }
        let value = self.value();
        (key, value)
    }
}

pub(super) fn begins_value(kind: Option<&Kind>) -> bool {
    matches!(kind, Some(Kind::Word | Kind::Number | Kind::Text(_) | Kind::Char | Kind::Open(_)))
}

pub(super) fn closing(bracket: char) -> char {
    match bracket {
        '(' => ')',
        '[' => ']',
        _ => '}',
    }
}
