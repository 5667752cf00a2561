//! `--set path=value`: an edit of the text, so that what is run can be read.
//!
//! A path names fields; nodes and stages are named by their `id` or `name`, plugins in a list by
//! their name, and everything in a list by its index from 0:
//! `seed`, `nodes.clip.plugin.image_size`, `stages.fine-tuning.lr_of.clip`, `evaluate.0.path`.

use super::problem::{did_you_mean, listed};
use super::syntax::{self, Item, Shape, Value};
use super::{Problem, Span, experiment, stage, study};

/// What a path leads to.
enum Target<'a> {
    /// A value that is there.
    Value(&'a Value),
    /// A field that isn't: where to insert it, and after how many others.
    Absent { at: usize, first: bool, name: &'a str },
}

/// The source with the value at `path` replaced, or added where a field is absent.
///
/// # Errors
/// The path leads nowhere, or the value isn't RON.
pub fn set(source: &str, path: &str, value: &str) -> Result<String, Problem> {
    let tree = syntax::read(source);
    if let Some(problem) = tree.problems.into_iter().next() {
        return Err(problem);
    }
    let Some(root) = &tree.root else {
        return Err(Problem::new("the file is empty", 0..0, "nothing here"));
    };
    let target = find(root, source, path)?;
    let last = path.rsplit('.').next().unwrap_or(path);
    let (span, new) = match target {
        Target::Value(old) => (old.span.clone(), written(value, old, last, source)),
        Target::Absent { at, first, name } => {
            let missing = Value { shape: Shape::Missing, span: at..at };
            let comma = if first { "" } else { ", " };
            (at..at, format!("{comma}{name}: {}", written(value, &missing, last, source)))
        }
    };
    let edited = format!("{}{new}{}", &source[..span.start], &source[span.end..]);
    match syntax::read(&edited).problems.into_iter().next() {
        None => Ok(edited),
        Some(problem) => {
            let message = format!("`{value}` is no value for `{path}`: {}", problem.message);
            let span =
                if span.is_empty() { span.start.saturating_sub(1)..span.start } else { span };
            Err(Problem::new(message, span, "to be replaced")
                .help("a value is written as in the file: a number, a word, \"text\", [a, list]"))
        }
    }
}

/// Whether what stands at `outer` includes what stands, or would be added, at `inner`.
pub fn includes(source: &str, outer: &str, inner: &str) -> bool {
    let tree = syntax::read(source);
    let Some(root) = &tree.root else { return false };
    match (find(root, source, outer), find(root, source, inner)) {
        (Ok(Target::Value(outer)), Ok(Target::Value(inner))) => {
            outer.span.start <= inner.span.start && inner.span.end <= outer.span.end
        }
        (Ok(Target::Value(outer)), Ok(Target::Absent { at, .. })) => outer.span.contains(&at),
        (Ok(Target::Absent { at, name, .. }), Ok(Target::Absent { at: other, name: same, .. })) => {
            (at, name) == (other, same)
        }
        _ => false,
    }
}

fn find<'a>(root: &'a Value, source: &str, path: &'a str) -> Result<Target<'a>, Problem> {
    let mut value = root;
    let mut walked = Vec::new();
    let mut words = path.split('.').peekable();
    while let Some(word) = words.next() {
        let step = match &value.shape {
            Shape::Group { items, .. }
                if items.iter().any(|item| item.name.is_some()) || items.is_empty() =>
            {
                field(items, word)
            }
            Shape::Group { items, .. } => {
                let values: Vec<&Value> = items.iter().map(|item| &item.value).collect();
                element(&values, word)
            }
            Shape::List(items) => element(&items.iter().collect::<Vec<_>>(), word),
            _ => None,
        };
        match step {
            Some(next) => value = next,
            None if words.peek().is_none() && may_add(value, &walked, word) => {
                let Shape::Group { items, .. } = &value.shape else { break };
                let at = items.last().map_or(value.span.end - 1, |item| item.value.span.end);
                return Ok(Target::Absent { at, first: items.is_empty(), name: word });
            }
            None => return Err(nowhere(value, source, path, &walked, word)),
        }
        walked.push(word);
    }
    Ok(Target::Value(value))
}

fn field<'a>(items: &'a [Item], word: &str) -> Option<&'a Value> {
    let named = |item: &&Item| item.name.as_ref().is_some_and(|name| name.value == word);
    items.iter().find(named).map(|item| &item.value)
}

/// The element of a list that a word means: by its index, its `id`, its `name`, the name of its
/// plugin if only one has it, or the first of a pair such as `("clip", 1e-4)`, which means the other.
fn element<'a>(items: &[&'a Value], word: &str) -> Option<&'a Value> {
    if let Ok(index) = word.parse::<usize>() {
        return items.get(index).copied();
    }
    let titled = items.iter().find(|item| title(item) == Some(word));
    if let Some(Value { shape: Shape::Group { items: parts, .. }, .. }) = titled
        && let [Item { name: None, .. }, Item { name: None, value }] = &parts[..]
    {
        return Some(value);
    }
    titled.copied().or_else(|| {
        let mut called = items.iter().filter(|item| plugin_name(item) == Some(word));
        match (called.next(), called.next()) {
            (Some(only), None) => Some(*only),
            _ => None,
        }
    })
}

fn title(value: &Value) -> Option<&str> {
    let Shape::Group { items, .. } = &value.shape else { return None };
    let text = |value: &'_ Value| matches!(value.shape, Shape::Text(_));
    let titled = items.iter().find(|item| match &item.name {
        Some(name) => name.value == "id" || name.value == "name",
        None => items.len() == 2 && text(&item.value),
    })?;
    match &titled.value.shape {
        Shape::Text(text) => Some(text),
        _ => None,
    }
}

fn plugin_name(value: &Value) -> Option<&str> {
    match &value.shape {
        Shape::Group { name: Some(name), .. } => Some(&name.value),
        _ => None,
    }
}

/// The fields of the form at a path, if it is one of ours; a plugin's are not known here.
fn fields_at(root_name: &str, walked: &[&str]) -> Option<Vec<&'static str>> {
    Some(match (root_name, walked) {
        ("Study", []) => study::fields(),
        (_, []) => experiment::fields(),
        (_, ["nodes", _]) => experiment::node_fields(),
        (_, ["stages", _]) => stage::fields(),
        _ => return None,
    })
}

fn may_add(value: &Value, walked: &[&str], word: &str) -> bool {
    let Shape::Group { name, items } = &value.shape else { return false };
    let root_name = name.as_ref().map_or("", |name| name.value.as_str());
    match fields_at(root_name, walked) {
        Some(fields) => fields.contains(&word),
        None => {
            let mut chars = word.chars();
            name.is_some()
                && chars.next().is_some_and(|c| c.is_alphabetic() || c == '_')
                && chars.all(|c| c.is_alphanumeric() || c == '_')
                && items.iter().all(|item| item.name.is_some())
        }
    }
}

fn nowhere(value: &Value, source: &str, path: &str, walked: &[&str], word: &str) -> Problem {
    let place = head(value);
    let within =
        if walked.is_empty() { "the file".to_owned() } else { format!("`{}`", walked.join(".")) };
    let (names, nouns): (Vec<String>, &str) = match &value.shape {
        Shape::Group { name, items } if items.iter().all(|item| item.name.is_some()) => {
            let root_name = name.as_ref().map_or("", |name| name.value.as_str());
            let here = items.iter().filter_map(|item| item.name.as_ref()).map(|n| n.value.clone());
            let known = fields_at(root_name, walked).unwrap_or_default();
            let mut names: Vec<String> = known.into_iter().map(str::to_owned).collect();
            names.extend(here.filter(|name| !known_contains(&names, name)).collect::<Vec<_>>());
            (names, "fields")
        }
        Shape::Group { items, .. } => ((0..items.len()).map(|i| i.to_string()).collect(), "parts"),
        Shape::List(items) => {
            let name = |(index, item): (usize, &Value)| {
                title(item).or(plugin_name(item)).map_or(index.to_string(), str::to_owned)
            };
            let nouns = match walked {
                ["nodes"] => "nodes",
                ["stages"] => "stages",
                _ => "parts",
            };
            (items.iter().enumerate().map(name).collect(), nouns)
        }
        _ => {
            let message = format!("`{path}` leads nowhere: {within} is {}", value.describe(source));
            return Problem::new(message, place, "has no parts")
                .help(format!("end the path here: `{}=…`", walked.join(".")));
        }
    };
    let message = format!("`{path}` leads nowhere: {within} has no `{word}`");
    let valid: Vec<&str> = names.iter().map(String::as_str).collect();
    let help = match super::problem::nearest(word, valid.iter().copied()) {
        Some(_) => did_you_mean(word, nouns, &valid),
        None if valid.is_empty() => format!("it has no {nouns}"),
        None => format!("its {nouns} are {}", listed(&valid)),
    };
    Problem::new(message, place, "looked for here").help(help)
}

fn known_contains(names: &[String], name: &str) -> bool {
    names.iter().any(|known| known == name)
}

fn head(value: &Value) -> Span {
    match &value.shape {
        Shape::Group { name: Some(name), .. } => name.span.clone(),
        Shape::Group { .. } | Shape::List(_) => value.span.start..value.span.start + 1,
        _ => value.span.clone(),
    }
}

/// The new value as RON: a bare word stands for a text where a text is needed.
fn written(value: &str, old: &Value, field: &str, source: &str) -> String {
    let value = value.trim();
    let needs_text = match &old.shape {
        Shape::Text(_) => true,
        Shape::Missing => TEXTS.contains(&field),
        _ => false,
    };
    let needs_texts = match &old.shape {
        Shape::List(items) => {
            LISTS.contains(&field) || items.iter().any(|item| matches!(item.shape, Shape::Text(_)))
        }
        _ => LISTS.contains(&field),
    };
    let tree = syntax::read(value);
    let shape = tree.root.filter(|_| tree.sound).map(|root| root.shape);
    match shape {
        // `r"…"` and `"…"` are texts already.
        Some(Shape::Text(_)) if value.ends_with(['"', '#']) => value.to_owned(),
        Some(Shape::List(items)) if needs_texts => {
            let quote_word = |item: &Value| {
                let raw = &value[item.span.clone()];
                match item.shape {
                    Shape::Text(_) if raw.ends_with(['"', '#']) => raw.to_owned(),
                    Shape::Word | Shape::Number | Shape::Text(_) => quoted(raw),
                    _ => raw.to_owned(),
                }
            };
            format!("[{}]", items.iter().map(quote_word).collect::<Vec<_>>().join(", "))
        }
        Some(Shape::List(_) | Shape::Group { .. } | Shape::Map(_)) => value.to_owned(),
        _ if needs_text => quoted(value),
        Some(Shape::Number | Shape::Char) if tree.problems.is_empty() => value.to_owned(),
        Some(Shape::Word) if is_word(value, old, source) => value.to_owned(),
        // Neither a number nor a word of RON: `data/train.json`.
        Some(Shape::Text(_) | Shape::Word) | None => quoted(value),
        Some(_) => value.to_owned(),
    }
}

/// Fields that are texts even where they are absent, and those that are lists of texts.
const TEXTS: [&str; 5] = ["id", "name", "template", "base", "path"];
const LISTS: [&str; 2] = ["from", "train"];

/// Whether a bare word stays one: `true`, `None`, `Cosine`, or whatever stands in for a word.
fn is_word(value: &str, old: &Value, source: &str) -> bool {
    let capital = value.starts_with(char::is_uppercase);
    let was_word = old.shape == Shape::Word && !source[old.span.clone()].is_empty();
    capital || was_word || matches!(value, "true" | "false" | "inf")
}

fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("\"{escaped}\"")
}
