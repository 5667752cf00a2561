//! The structure of RON text, with the place of everything.
//!
//! `ron` itself reports only the first error, drops the names of structs and takes a repeated field
//! in silence; here reading goes on after a problem. Numbers stay text: `ron` reads them later.

use super::token::{Kind, Token, tokens};
use super::{Problem, Span, Spanned};

/// How deeply brackets may be nested.
const DEPTH: usize = 64;

/// A value and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// What it is.
    pub shape: Shape,
    /// Its place.
    pub span: Span,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// Nothing, where something belongs; reported.
    Missing,
    /// A bare word: `true`, `Cosine`.
    Word,
    /// A number.
    Number,
    /// A text, without quotes and escapes.
    Text(String),
    /// `'c'`
    Char,
    /// `Name(…)` or `(…)`.
    Group {
        /// The name before the bracket.
        name: Option<Spanned<String>>,
        /// What is inside.
        items: Vec<Item>,
    },
    /// `[…]`
    List(Vec<Value>),
    /// `{…}`
    Map(Vec<(Value, Value)>),
}

/// A part of a group: `value` or `name: value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The name.
    pub name: Option<Spanned<String>>,
    /// The value.
    pub value: Value,
}

/// A text's structure and what is wrong with it.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// The value, if there is one.
    pub root: Option<Value>,
    /// What is wrong, in the order of the text.
    pub problems: Vec<Problem>,
    /// Whether `root` is what was meant in spite of the problems: all brackets pair up.
    pub sound: bool,
}

/// Reads one value and everything that is wrong with its form.
pub fn read(source: &str) -> Tree {
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

struct Reader<'a> {
    source: &'a str,
    tokens: Vec<Token>,
    at: usize,
    /// The brackets that are open.
    open: Vec<(char, Span)>,
    /// For each of them, whether it holds a field.
    named: Vec<bool>,
    /// Those that the end of the file left open, innermost first.
    unclosed: Vec<(char, Span)>,
    problems: Vec<Problem>,
    sound: bool,
    stop: bool,
}

impl Reader<'_> {
    fn peek(&self) -> Option<&Kind> {
        self.ahead(0)
    }

    fn ahead(&self, by: usize) -> Option<&Kind> {
        if self.stop { None } else { self.tokens.get(self.at + by).map(|token| &token.kind) }
    }

    /// The place of the current token, or the end of the file.
    fn here(&self) -> Span {
        let end = self.source.trim_end().len();
        self.tokens.get(self.at).map_or(end..end, |token| token.span.clone())
    }

    fn take(&mut self) -> Span {
        let span = self.here();
        self.at += 1;
        span
    }

    /// Right behind the last token.
    fn behind(&self) -> usize {
        self.at.checked_sub(1).and_then(|at| self.tokens.get(at)).map_or(0, |token| token.span.end)
    }

    fn problem(&mut self, message: impl Into<String>, span: Span, text: &str, help: &str) {
        self.problems.push(Problem::new(message, span, text).help(help));
    }

    fn whole(&mut self) -> Option<Value> {
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

    /// Tells of what the end of the file left open.
    fn end_of_file(&mut self) {
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

    fn stray(&mut self) {
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

    /// A value; the current token must be able to begin one.
    fn value(&mut self) -> Value {
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

    fn group(&mut self) -> Value {
        let start = self.here().start;
        let name = (self.peek() == Some(&Kind::Word)).then(|| {
            let span = self.take();
            Spanned::new(self.source[span.clone()].to_owned(), span)
        });
        let items = self.bracket(Self::item);
        Value { shape: Shape::Group { name, items }, span: start..self.behind() }
    }

    fn list(&mut self) -> Value {
        let start = self.here().start;
        let items = self.bracket(Self::element);
        Value { shape: Shape::List(items), span: start..self.behind() }
    }

    fn map(&mut self) -> Value {
        let start = self.here().start;
        let items = self.bracket(Self::entry);
        Value { shape: Shape::Map(items), span: start..self.behind() }
    }

    /// What stands between an opening bracket, which is the current token, and its closing one.
    fn bracket<T>(&mut self, one: fn(&mut Self) -> T) -> Vec<T> {
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

    fn just_opened(&self) -> bool {
        matches!(self.at.checked_sub(1).map(|at| &self.tokens[at].kind), Some(Kind::Open(_)))
    }

    /// Whether nothing but space stands before the current token on its line.
    fn begins_line(&self) -> bool {
        self.source[..self.here().start]
            .rsplit('\n')
            .next()
            .is_some_and(|line| line.trim().is_empty())
    }

    /// Whether `)` stands before the current token on its line, with or without a comma.
    fn after_close(&self) -> bool {
        let before = self.tokens[..self.at].iter().rev().find(|token| token.kind != Kind::Comma);
        !self.begins_line() && before.is_some_and(|token| token.kind == Kind::Close(')'))
    }

    /// Tells that the innermost bracket should have been closed before the current token.
    fn missing_close(&mut self, before: &str) {
        let Some((bracket, span)) = self.open.last().cloned() else { return };
        let close = closing(bracket);
        let message = format!("this `{bracket}` is never closed");
        let problem = Problem::new(message, span, "opened here")
            .other(self.here(), format!("`{close}` is missing before this {before}"));
        self.problems.push(problem.help(format!("close it with `{close}`")));
    }

    /// Tells of fields that stand behind the bracket that they belong into, and passes over them.
    fn closed_too_early(&mut self) {
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
    fn left_open(&mut self, found: char) {
        let Some((bracket, span)) = self.open.last().cloned() else { return };
        self.sound = false;
        let message = format!("this `{bracket}` is never closed");
        let problem = Problem::new(message, span, "opened here")
            .other(self.here(), format!("`{}` is missing before this `{found}`", closing(bracket)));
        let help = format!("close it with `{}`", closing(bracket));
        self.problems.push(problem.help(help));
    }

    fn separator(&mut self) {
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

    fn element(&mut self) -> Value {
        self.value()
    }

    /// `value` or `name: value`.
    fn item(&mut self) -> Item {
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

    fn positional(&mut self) -> Item {
        Item { name: None, value: self.value() }
    }

    fn name(&mut self) -> Spanned<String> {
        if let Some(named) = self.named.last_mut() {
            *named = true;
        }
        let span = self.take();
        Spanned::new(self.source[span.clone()].to_owned(), span)
    }

    /// `key: value` of a map.
    fn entry(&mut self) -> (Value, Value) {
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

fn begins_value(kind: Option<&Kind>) -> bool {
    matches!(kind, Some(Kind::Word | Kind::Number | Kind::Text(_) | Kind::Char | Kind::Open(_)))
}

fn closing(bracket: char) -> char {
    match bracket {
        '(' => ')',
        '[' => ']',
        _ => '}',
    }
}

impl Value {
    /// What it is, in words.
    pub fn describe(&self, source: &str) -> String {
        let raw = || source.get(self.span.clone()).unwrap_or_default();
        match &self.shape {
            Shape::Missing => "nothing".to_owned(),
            Shape::Word => format!("the word `{}`", raw()),
            Shape::Number => format!("the number {}", raw()),
            Shape::Text(_) if self.span.len() <= 40 => format!("the text {}", raw()),
            Shape::Text(_) => "a text".to_owned(),
            Shape::Char => format!("the character {}", raw()),
            Shape::Group { name: Some(name), .. } => format!("`{}(…)`", name.value),
            Shape::Group { name: None, .. } => "a group `(…)`".to_owned(),
            Shape::List(_) => "a list".to_owned(),
            Shape::Map(_) => "a map `{…}`".to_owned(),
        }
    }
}
