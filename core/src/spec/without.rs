//! An experiment without some of its nodes: an edit of the text, so that what is run can be read.

use super::problem::did_you_mean;
use super::syntax::{self, Item, Shape, Value};
use super::{Problem, Span};

/// The experiment without the nodes called `ids`: they are gone from `nodes`, and they and their
/// parts (`"clip.blocks[-6:]"`) from every `from`, `train` and `lr_of`. All else stays as it is
/// written.
///
/// # Errors
/// The text is no experiment, or has no such node.
pub fn without(source: &str, ids: &[&str]) -> Result<String, Problem> {
    let tree = syntax::read(source);
    if let Some(problem) = tree.problems.into_iter().next() {
        return Err(problem);
    }
    let nodes = tree.root.as_ref().map_or(&[][..], |root| list(root, "nodes"));
    let stages = tree.root.as_ref().map_or(&[][..], |root| list(root, "stages"));
    let known: Vec<&str> = nodes.iter().filter_map(id).collect();
    if let Some(id) = ids.iter().find(|id| !known.contains(id)) {
        let message = format!("there is no node `{id}`");
        let problem = Problem::new(message, 0..0, "to be taken out");
        return Err(problem.help(did_you_mean(id, "nodes", &known)));
    }
    let gone = |value: &Value| id(value).is_some_and(|id| ids.contains(&id));
    let named = |value: &Value| match &value.shape {
        Shape::Text(text) => ids.iter().any(|id| means(text, id)),
        _ => false,
    };
    // A learning rate is a pair of a node and a number.
    let rate = |value: &Value| match &value.shape {
        Shape::Group { items, .. } => items.first().is_some_and(|item| named(&item.value)),
        _ => false,
    };
    let mut cuts = Vec::new();
    cut(tree.root.as_ref().and_then(|root| field(root, "nodes")), &gone, &mut cuts);
    for node in nodes.iter().filter(|node| !gone(node)) {
        cut(field(node, "from"), &named, &mut cuts);
    }
    for stage in stages {
        cut(field(stage, "train"), &named, &mut cuts);
        cut(field(stage, "lr_of"), &rate, &mut cuts);
    }
    Ok(removed(source, cuts))
}

/// Whether a text names the node or a part of it.
fn means(text: &str, id: &str) -> bool {
    text.strip_prefix(id).is_some_and(|part| part.is_empty() || part.starts_with(['.', '[']))
}

fn field<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let Shape::Group { items, .. } = &value.shape else { return None };
    let named = |item: &&Item| item.name.as_ref().is_some_and(|known| known.value == name);
    items.iter().find(named).map(|item| &item.value)
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    match field(value, name).map(|value| &value.shape) {
        Some(Shape::List(items)) => items,
        _ => &[],
    }
}

fn id(node: &Value) -> Option<&str> {
    match &field(node, "id")?.shape {
        Shape::Text(id) => Some(id),
        _ => None,
    }
}

/// The parts of a list's text that must go so that it lacks the elements that are `gone`: each with
/// what stands before the next one, the last ones with what stands before them.
fn cut(value: Option<&Value>, gone: &dyn Fn(&Value) -> bool, cuts: &mut Vec<Span>) {
    let Some(Value { shape: Shape::List(items), span }) = value else { return };
    let Some(last) = items.iter().rposition(|item| !gone(item)) else {
        // An empty list has no comma.
        if !items.is_empty() {
            cuts.push(span.start + 1..span.end - 1);
        }
        return;
    };
    for at in (0..last).filter(|&at| gone(&items[at])) {
        cuts.push(items[at].span.start..items[at + 1].span.start);
    }
    if let Some(end) = items.last().filter(|_| last + 1 < items.len()) {
        cuts.push(items[last].span.end..end.span.end);
    }
}

fn removed(source: &str, mut cuts: Vec<Span>) -> String {
    cuts.sort_by_key(|cut| cut.start);
    let mut text = String::with_capacity(source.len());
    let mut at = 0;
    for cut in cuts {
        text.push_str(&source[at..cut.start]);
        at = cut.end;
    }
    text + &source[at..]
}
