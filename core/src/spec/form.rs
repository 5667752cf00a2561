//! Reads the fields of a form such as a stage: unknown, repeated, missing and wrong ones are all
//! reported, and what can be read is.

use super::problem::{did_you_mean, listed};
use super::syntax::{Item, Shape, Value};
use super::values::{Place, Read};
use super::{Problem, Span};

/// A field that a form may have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    /// Its name.
    pub name: &'static str,
    /// How it may be written.
    pub example: &'static str,
    /// What it is.
    pub means: &'static str,
}

/// A form's fields while they are read.
pub(super) struct Form<'a> {
    source: &'a str,
    /// What it is, with its name: ``the stage `pre-training` ``.
    what: String,
    /// Where to point when something is missing.
    head: Span,
    known: &'static [Known],
    items: Vec<(&'static str, &'a Value)>,
    missing: Vec<&'static Known>,
    /// Values without a name.
    nameless: usize,
    /// Fields with an error.
    pub broken: Vec<&'static str>,
    pub problems: Vec<Problem>,
}

impl<'a> Form<'a> {
    /// The form `what` (``a stage``), named by its field `title`, of `value`'s fields.
    pub fn open(
        value: &'a Value,
        source: &'a str,
        what: &str,
        title: &str,
        known: &'static [Known],
    ) -> Form<'a> {
        let mut form = Form {
            source,
            what: what.to_owned(),
            head: value.span.start..value.span.start + 1,
            known,
            items: Vec::new(),
            missing: Vec::new(),
            nameless: 0,
            broken: Vec::new(),
            problems: Vec::new(),
        };
        let Shape::Group { name, items } = &value.shape else {
            form.not_a_form(value);
            return form;
        };
        if let Some(name) = name {
            form.head = name.span.clone();
        }
        let named = items.iter().find(|item| item.name.as_ref().is_some_and(|n| n.value == title));
        if let Some(Item { value: Value { shape: Shape::Text(text), span }, .. }) = named {
            form.head = span.clone();
            form.what = format!("{what} `{text}`");
        }
        for item in items {
            form.item(item);
        }
        form
    }

    fn not_a_form(&mut self, value: &Value) {
        self.broken.extend(self.known.iter().map(|known| known.name));
        if value.shape == Shape::Missing {
            return;
        }
        let example = self.known.iter().find(|known| !known.example.is_empty());
        let example = example.map_or("name: value", |known| known.example);
        let what = self.what.strip_prefix("the ").map(|what| format!("a {what}"));
        let message = format!("{} is written `({example}, …)`", what.unwrap_or(self.what.clone()));
        self.problems.push(Problem::new(
            message,
            value.span.clone(),
            format!("this is {}", value.describe(self.source)),
        ));
    }

    fn item(&mut self, item: &'a Item) {
        let names: Vec<&str> = self.known.iter().map(|known| known.name).collect();
        let Some(name) = &item.name else {
            let found = item.value.describe(self.source);
            let message = format!("{found} has no field name in {}", self.what);
            self.nameless += 1;
            let help = format!("write `name: value`; the fields are {}", listed(&names));
            let text = "which field is this?";
            self.problems.push(Problem::new(message, item.value.span.clone(), text).help(help));
            return;
        };
        let Some(known) = self.known.iter().find(|known| known.name == name.value) else {
            let message = format!("{} has no field `{}`", self.what, name.value);
            let help = did_you_mean(&name.value, "fields", &names);
            let text = "unknown field";
            self.problems.push(Problem::new(message, name.span.clone(), text).help(help));
            // What was meant is not missing.
            if let Some(near) = super::problem::nearest(&name.value, names) {
                self.broken.extend(self.known.iter().map(|k| k.name).find(|known| *known == near));
            }
            return;
        };
        let first =
            self.items.iter().find(|(name, _)| *name == known.name).map(|(_, value)| *value);
        match first {
            Some(first) => self.problems.push(
                Problem::new(
                    format!("{} has `{}` twice", self.what, known.name),
                    name.span.clone(),
                    "again here",
                )
                .other(first.span.clone(), "first here")
                .help("remove one of them"),
            ),
            None => self.items.push((known.name, &item.value)),
        }
    }

    /// The value of a field, if it was typed.
    pub fn get(&self, name: &str) -> Option<&'a Value> {
        self.items.iter().find(|(found, _)| *found == name).map(|(_, value)| *value)
    }

    /// Where to point for the whole form.
    pub fn head(&self) -> Span {
        self.head.clone()
    }

    /// The places of the values that were typed.
    pub fn places(&self) -> Vec<(&'static str, Span)> {
        self.items.iter().map(|(name, value)| (*name, value.span.clone())).collect()
    }

    /// The field as `read` reads it; `None` if it is absent, or wrong and so reported.
    pub fn optional<T>(&mut self, name: &'static str, read: impl Read<T>) -> Option<T> {
        let value = self.get(name)?;
        if value.shape == Shape::Missing {
            self.broken.push(name);
            return None;
        }
        let read = read(&Place { value, name, source: self.source, entry: false });
        read.map_err(|problems| {
            self.broken.push(name);
            self.problems.extend(problems);
        })
        .ok()
    }

    /// Like `optional`, with a default.
    pub fn or<T>(&mut self, name: &'static str, read: impl Read<T>, default: T) -> T {
        self.optional(name, read).unwrap_or(default)
    }

    /// Like `optional`, and it is a problem if it is absent.
    pub fn required<T>(&mut self, name: &'static str, read: impl Read<T>) -> Option<T> {
        if self.get(name).is_none() && !self.broken.contains(&name) {
            self.missing.extend(self.known.iter().find(|known| known.name == name));
            self.broken.push(name);
        }
        self.optional(name, read)
    }

    /// Reports what is missing and hands over all problems.
    pub fn close(mut self) -> (Vec<&'static str>, Vec<Problem>) {
        // A value without a name may be what is missing.
        if self.missing.len() > self.nameless {
            let names: Vec<&str> = self.missing.iter().map(|known| known.name).collect();
            let add: Vec<String> = self
                .missing
                .iter()
                .map(|known| format!("`{}` ({})", known.example, known.means))
                .collect();
            let message = format!("{} lacks {}", self.what, listed(&names));
            let text = if names.len() == 1 { "a field is missing" } else { "fields are missing" };
            let problem = Problem::new(message, self.head.clone(), text);
            self.problems.push(problem.help(format!("add {}", add.join(", "))));
        }
        (self.broken, self.problems)
    }
}
