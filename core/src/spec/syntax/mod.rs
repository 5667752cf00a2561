//! The structure of RON text, with the place of everything.
//!
//! `ron` itself reports only the first error, drops the names of structs and takes a repeated field
//! in silence; here reading goes on after a problem. Numbers stay text: `ron` reads them later.

mod reader;
mod recovery;
mod token;

use super::{Problem, Span, Spanned};

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
    reader::read(source)
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
