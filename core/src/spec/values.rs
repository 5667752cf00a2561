//! Reads the values of a form's fields: texts, numbers in their ranges, choices, lists.

use super::problem::{did_you_mean, listed};
use super::syntax::{Item, Shape, Value};
use super::{Problem, Spanned};

/// How a field's value is read.
pub(super) trait Read<T>: FnOnce(&Place<'_>) -> Result<T, Vec<Problem>> {}
impl<T, F: FnOnce(&Place<'_>) -> Result<T, Vec<Problem>>> Read<T> for F {}

/// The value of a field.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub value: &'a Value,
    pub name: &'static str,
    pub source: &'a str,
    /// Whether it is one of many in a list.
    pub entry: bool,
}

impl<'a> Place<'a> {
    pub fn raw(&self) -> &'a str {
        &self.source[self.value.span.clone()]
    }

    /// The problem that it isn't `expected`.
    pub fn wrong(&self, expected: &str) -> Problem {
        let found = self.value.describe(self.source);
        let text = format!("this is {found}");
        let entry = if self.entry { "every entry of " } else { "" };
        let message = format!("{entry}`{}` is {expected}", self.name);
        Problem::new(message, self.value.span.clone(), text)
    }

    /// The same field, looking at the value inside `Some(…)`.
    pub fn inside(&self, value: &'a Value) -> Place<'a> {
        Place { value, ..*self }
    }

    /// The same field, looking at one of its list.
    pub fn part(&self, value: &'a Value) -> Place<'a> {
        Place { value, entry: true, ..*self }
    }

    /// A list's elements.
    pub fn list(&self, expected: &str, example: &str) -> Result<&'a [Value], Vec<Problem>> {
        match &self.value.shape {
            Shape::List(items) => Ok(items),
            _ => Err(vec![self.wrong(expected).help(format!("write `{}: {example}`", self.name))]),
        }
    }
}

/// Reads every part, and reports every problem of every part.
pub(super) fn each<'a, T>(
    parts: impl IntoIterator<Item = Place<'a>>,
    read: impl Fn(&Place<'_>) -> Result<T, Vec<Problem>>,
) -> Result<Vec<T>, Vec<Problem>> {
    let (mut values, mut problems) = (Vec::new(), Vec::new());
    for part in parts {
        match read(&part) {
            Ok(value) => values.push(value),
            Err(more) => problems.extend(more),
        }
    }
    if problems.is_empty() { Ok(values) } else { Err(problems) }
}

pub(super) fn text(place: &Place<'_>) -> Result<Spanned<String>, Vec<Problem>> {
    match &place.value.shape {
        Shape::Text(text) => Ok(Spanned::new(text.clone(), place.value.span.clone())),
        Shape::Word => {
            let help = format!("write \"{}\"", place.raw());
            Err(vec![place.wrong("a text between double quotes").help(help)])
        }
        _ => Err(vec![place.wrong("a text between double quotes")]),
    }
}

/// A name that may be part of a path in `--set`, of a file's name and of a table.
pub(super) fn name(place: &Place<'_>) -> Result<Spanned<String>, Vec<Problem>> {
    let text = text(place)?;
    let mut chars = text.value.chars();
    let simple = chars.next().is_some_and(|c| c.is_ascii_alphabetic())
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if simple {
        return Ok(text);
    }
    let message = format!("{:?} can't be a name", text.value);
    let help = "a name begins with a letter and goes on with letters, digits, `-` and `_`";
    Err(vec![Problem::new(message, text.span, format!("this `{}`", place.name)).help(help)])
}

/// A list of texts.
pub(super) fn texts(place: &Place<'_>) -> Result<Vec<Spanned<String>>, Vec<Problem>> {
    let items = place.list("a list of nodes", "[\"a\", \"b\"]")?;
    each(items.iter().map(|item| place.part(item)), text)
}

/// A number that `ron` reads, of which `ok` holds; `expected` says what that is.
pub(super) fn number<T: serde::de::DeserializeOwned + 'static>(
    expected: &'static str,
    ok: fn(&T) -> bool,
) -> impl Fn(&Place<'_>) -> Result<T, Vec<Problem>> {
    move |place| {
        let scalar = matches!(place.value.shape, Shape::Number | Shape::Word);
        let value = super::ron_options().from_str::<T>(place.raw()).ok().filter(|_| scalar);
        value.filter(ok).ok_or_else(|| vec![place.wrong(expected)])
    }
}

/// A root seed. The results keep it as a signed number.
pub(super) fn seed(place: &Place<'_>) -> Result<u64, Vec<Problem>> {
    const LARGEST: u64 = i64::MAX as u64;
    number("a whole number from 0 to 9223372036854775807", |seed: &u64| *seed <= LARGEST)(place)
}

/// A list of root seeds.
pub(super) fn seeds(place: &Place<'_>) -> Result<Vec<u64>, Vec<Problem>> {
    let items = place.list("a list of whole numbers", "[0, 1, 2]")?;
    each(items.iter().map(|item| place.part(item)), seed)
}

/// `None`, `Some(value)` or `value`.
pub(super) fn option<T>(
    read: impl Fn(&Place<'_>) -> Result<T, Vec<Problem>>,
) -> impl Fn(&Place<'_>) -> Result<Option<T>, Vec<Problem>> {
    move |place| match &place.value.shape {
        Shape::Word if place.raw() == "None" => Ok(None),
        Shape::Group { name: Some(name), items } if name.value == "Some" => match &items[..] {
            [Item { name: None, value }] => read(&place.inside(value)).map(Some),
            _ => Err(vec![place.wrong("`None` or one value")]),
        },
        _ => read(place).map(Some),
    }
}

/// One of some words.
pub(super) fn choice<T: Copy + 'static>(
    choices: &'static [(&'static str, T)],
) -> impl Fn(&Place<'_>) -> Result<T, Vec<Problem>> {
    move |place| {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let found = match &place.value.shape {
            Shape::Text(text) => text.as_str(),
            _ => place.raw(),
        };
        let chosen = choices.iter().find(|(name, _)| *name == found);
        match (chosen, &place.value.shape) {
            (Some((_, value)), Shape::Word) => Ok(*value),
            (Some((name, _)), Shape::Text(_)) => {
                let problem = place.wrong(&format!("one of {}, without quotes", listed(&names)));
                Err(vec![problem.help(format!("write `{}: {name}`", place.name))])
            }
            (_, Shape::Word | Shape::Text(_)) => {
                let problem = place.wrong(&format!("one of {}", listed(&names)));
                Err(vec![problem.help(did_you_mean(found, "choices", &names))])
            }
            _ => Err(vec![place.wrong(&format!("one of {}", listed(&names)))]),
        }
    }
}
