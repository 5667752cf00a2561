//! `Name(field: value, …)`: a plugin's configuration, kept as text until the registry is known.

use super::syntax::{Item, Shape, Value};
use super::{Problem, Span, Spanned};

/// A plugin as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginSpec {
    /// The plugin's name; empty where `read` has reported that there is none.
    pub name: Spanned<String>,
    /// The raw RON, name included.
    pub text: String,
    /// The place of `text`.
    pub span: Span,
    /// Its fields, in order; a repeated one is here twice.
    pub fields: Vec<FieldSpec>,
    /// Whether `read` has reported something about its inside; never in what `parse` returns.
    pub broken: bool,
}

/// A field of a plugin as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldSpec {
    /// Its name.
    pub name: Spanned<String>,
    /// The place of its value.
    pub value: Span,
    /// Whether `read` has reported something about it; never in what `parse` returns.
    pub broken: bool,
}

impl PluginSpec {
    /// What stands for a plugin that `read` could not find.
    pub(super) fn missing(span: Span) -> PluginSpec {
        let name = Spanned::new(String::new(), span.clone());
        PluginSpec { name, text: String::new(), span, fields: Vec::new(), broken: true }
    }

    /// Notes what the syntax's problems lie in.
    pub(super) fn mark(&mut self, faults: &[Span]) {
        let within = |span: &Span| {
            faults.iter().any(|fault| span.start <= fault.start && fault.end <= span.end)
        };
        self.broken |= within(&self.span);
        for field in &mut self.fields {
            field.broken |= within(&(field.name.span.start..field.value.end));
        }
    }

    /// The place of a field's value, if it was typed.
    pub fn place(&self, field: &str) -> Option<Span> {
        let field = self.fields.iter().find(|found| found.name.value == field)?;
        Some(field.value.clone())
    }
}

/// Reads `Name(field: value, …)`; `noun` is what is expected.
pub(crate) fn read(
    value: &Value,
    source: &str,
    noun: &str,
    problems: &mut Vec<Problem>,
) -> PluginSpec {
    let Shape::Group { name: Some(name), items } = &value.shape else {
        problems.extend(not_a_plugin(value, source, noun));
        return PluginSpec::missing(value.span.clone());
    };
    let mut plugin = PluginSpec {
        name: name.clone(),
        text: source[value.span.clone()].to_owned(),
        span: value.span.clone(),
        fields: Vec::new(),
        broken: false,
    };
    for Item { name: field, value } in items {
        match field {
            Some(field) => {
                let broken = value.shape == Shape::Missing;
                plugin.broken |= broken;
                let value = value.span.clone();
                plugin.fields.push(FieldSpec { name: field.clone(), value, broken });
            }
            None => {
                let found = value.describe(source);
                let message = format!("{found} has no field name in `{}`", name.value);
                let problem = Problem::new(message, value.span.clone(), "which field is this?");
                let help =
                    format!("write `{}(field: {})`", name.value, &source[value.span.clone()]);
                problems.push(problem.help(help));
                plugin.broken = true;
            }
        }
    }
    plugin
}

fn not_a_plugin(value: &Value, source: &str, noun: &str) -> Option<Problem> {
    let raw = &source[value.span.clone()];
    let help = match &value.shape {
        Shape::Missing => return None,
        Shape::Word => format!("write `{raw}()`"),
        Shape::Group { .. } => format!("write its name before the bracket: `Name{raw}`"),
        _ => "write `Name(field: value)`".to_owned(),
    };
    let message = format!("a {noun} is written `Name(field: value, …)`");
    let text = format!("this is {}", value.describe(source));
    Some(Problem::new(message, value.span.clone(), text).help(help))
}
