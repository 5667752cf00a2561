//! What is wrong with one field of a plugin, in words for a reader who doesn't write Rust.

use super::configure::article;
use crate::registry::{Entry, Kind};
use crate::spec::problem::{did_you_mean, listed};
use crate::spec::syntax::{self, Shape, Value as Syntax};
use crate::spec::{FieldSpec, PluginSpec, Problem, Span};

/// What is wrong with one field's value, found by reading a plugin that has only this field.
pub(super) fn wrong_value(spec: &PluginSpec, field: &FieldSpec, entry: &Entry) -> Option<Problem> {
    let raw = spec.text.get(inside(&field.name.span.start, &field.value.end, spec))?;
    let head = format!("{}(", entry.name);
    let text = format!("{head}{raw})");
    let error = (entry.parse)(&text).err()?;
    let known = entry.fields.iter().find(|known| known.name == field.name.value)?;
    let place = |position| {
        let at = offset(&text, position).saturating_sub(head.len());
        (field.name.span.start + at).clamp(field.value.start, field.value.end)
    };
    let (start, end) = (place(&error.span.start), place(&error.span.end));
    let span = innermost(spec, field, end.max(start));
    let kind = match &error.code {
        ron::Error::NoSuchEnumVariant { expected, .. } if !known.kind.contains('<') => {
            format!("one of {}", listed(expected))
        }
        _ => in_words(known.kind),
    };
    let message = format!("`{}` of `{}` is {kind}", known.name, entry.name);
    let problem = Problem::new(message, span, explain(&error.code, &kind));
    let docs = known.docs.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ");
    let help = match &error.code {
        ron::Error::NoSuchEnumVariant { expected, found, .. } => {
            did_you_mean(found, "choices", expected)
        }
        ron::Error::NoSuchStructField { expected, found, .. } => {
            did_you_mean(found, "fields", expected)
        }
        _ if docs.is_empty() => return Some(problem),
        _ => format!("`{}`: {docs}", known.name),
    };
    Some(problem.help(help))
}

/// The largest size, count or length that a model's part may have. Beyond it, products of sizes
/// could leave 64 bits and `check`, which builds every module in outline, would not come to an end.
pub(super) const LARGEST: usize = 1_000_000;

/// A whole number of a node's plugin that no model could have.
pub(super) fn too_large(spec: &PluginSpec, field: &FieldSpec, entry: &Entry) -> Option<Problem> {
    let known = entry.fields.iter().find(|known| known.name == field.name.value)?;
    if matches!(entry.kind, Kind::Dataset | Kind::Benchmark) || !known.kind.contains("usize") {
        return None;
    }
    let raw = spec.text.get(inside(&field.value.start, &field.value.end, spec))?;
    let span = over(&syntax::read(raw).root?, raw)?;
    let message = format!("`{}` of `{}` is larger than any model's", known.name, entry.name);
    let place = field.value.start + span.start..field.value.start + span.end;
    Some(Problem::new(message, place, "too large").help(format!("write {LARGEST} or less")))
}

/// The first number in a value that is too large.
fn over(value: &Syntax, raw: &str) -> Option<Span> {
    match &value.shape {
        Shape::Number => {
            let number =
                crate::spec::ron_options().from_str::<u64>(&raw[value.span.clone()]).ok()?;
            (number > LARGEST as u64).then(|| value.span.clone())
        }
        Shape::List(items) => items.iter().find_map(|item| over(item, raw)),
        Shape::Group { items, .. } => items.iter().find_map(|item| over(&item.value, raw)),
        _ => None,
    }
}

/// The smallest part of a field's value around a place: the element of a list, the whole number.
fn innermost(spec: &PluginSpec, field: &FieldSpec, at: usize) -> Span {
    let Some(raw) = spec.text.get(inside(&field.value.start, &field.value.end, spec)) else {
        return field.value.clone();
    };
    let at = at.saturating_sub(field.value.start);
    let Some(mut value) = syntax::read(raw).root else { return field.value.clone() };
    loop {
        let parts: Vec<Syntax> = match value.shape {
            Shape::List(items) => items,
            Shape::Group { items, .. } => items.into_iter().map(|item| item.value).collect(),
            _ => Vec::new(),
        };
        match parts.into_iter().find(|part| part.span.start <= at && at <= part.span.end) {
            Some(part) => value = part,
            None => {
                return field.value.start + value.span.start..field.value.start + value.span.end;
            }
        }
    }
}

fn inside(start: &usize, end: &usize, spec: &PluginSpec) -> Span {
    start.saturating_sub(spec.span.start)..end.saturating_sub(spec.span.start)
}

fn explain(error: &ron::Error, kind: &str) -> String {
    match error {
        // ron reads the 4 of 4.5 and then misses a comma.
        ron::Error::ExpectedStructLikeEnd | ron::Error::ExpectedComma
            if kind.contains("whole number") =>
        {
            "not a whole number".to_owned()
        }
        ron::Error::ExpectedInteger => "not a whole number".to_owned(),
        ron::Error::ExpectedFloat => "not a number".to_owned(),
        ron::Error::ExpectedBoolean => "neither `true` nor `false`".to_owned(),
        ron::Error::ExpectedString => "not a text between double quotes".to_owned(),
        ron::Error::ExpectedArray => "not a list".to_owned(),
        ron::Error::IntegerOutOfBounds => "too large, or below 0".to_owned(),
        ron::Error::NoSuchEnumVariant { .. } => "no such choice".to_owned(),
        ron::Error::NoSuchStructField { .. } => "no such field".to_owned(),
        ron::Error::ExpectedIdentifier
        | ron::Error::InvalidIdentifier(_)
        | ron::Error::SuggestRawIdentifier(_) => "not a word without quotes".to_owned(),
        ron::Error::UnexpectedChar('-') => "below 0".to_owned(),
        other => other.to_string(),
    }
}

/// A Rust type, for a reader who doesn't write Rust.
fn in_words(kind: &str) -> String {
    let kind: String = kind.split_whitespace().collect::<Vec<_>>().join("");
    let inner = |prefix: &str, suffix: &str| {
        kind.strip_prefix(prefix).and_then(|kind| kind.strip_suffix(suffix)).map(in_words)
    };
    match kind.as_str() {
        "usize" | "u8" | "u16" | "u32" | "u64" => "a whole number, 0 or more".to_owned(),
        "isize" | "i8" | "i16" | "i32" | "i64" => "a whole number".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "bool" => "`true` or `false`".to_owned(),
        "String" => "a text between double quotes".to_owned(),
        "PathBuf" | "std::path::PathBuf" => "a path between double quotes".to_owned(),
        _ => {
            if let Some(inner) = inner("Vec<", ">") {
                return format!("a list, each {inner}");
            }
            if let Some(inner) = inner("Option<", ">") {
                return format!("{inner}, or `None`");
            }
            let array = kind.strip_prefix('[').and_then(|kind| kind.strip_suffix(']'));
            if let Some((one, count)) = array.and_then(|kind| kind.split_once(';')) {
                return format!("a group of {count}, each {}", in_words(one));
            }
            let tuple = kind.strip_prefix('(').and_then(|kind| kind.strip_suffix(')'));
            match tuple {
                Some(parts) if !parts.contains(['(', '<']) => {
                    let parts: Vec<String> = parts.split(',').map(in_words).collect();
                    format!("a group `(…, …)`: {}", parts.join(", "))
                }
                _ => article(&format!("`{kind}`")),
            }
        }
    }
}

/// The byte at a position of ron's, which counts lines and characters from 1.
pub(super) fn offset(text: &str, position: &ron::error::Position) -> usize {
    let before = position.line.saturating_sub(1);
    let start: usize = text.split_inclusive('\n').take(before).map(str::len).sum();
    let line = &text[start.min(text.len())..];
    let column = position.col.saturating_sub(1);
    start + line.char_indices().nth(column).map_or(line.len(), |(at, _)| at)
}
