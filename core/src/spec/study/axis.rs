//! The axes of a study: what is varied, and which edits of the base each value is.

use crate::spec::problem::did_you_mean;
use crate::spec::syntax::{Item, Shape, Value};
use crate::spec::values::{Place, each, name, text};
use crate::spec::{PluginSpec, Problem, Span, Spanned};

/// One thing that a study varies.
#[derive(Debug, Clone)]
pub enum Axis {
    /// `Node("fuse", [ChannelConcat(grid: 8), SequenceAppend()])`: a node's plugin.
    Node {
        /// The node's id.
        node: Spanned<String>,
        /// What stands in its place, one after the other.
        plugins: Vec<PluginSpec>,
    },
    /// `Set("nodes.clip.plugin.image_size", [48, 64])`: any value, by its path.
    Set {
        /// The path, as in `--set`.
        path: Spanned<String>,
        /// The values' raw RON.
        values: Vec<Spanned<String>>,
    },
    /// `Cases("freezing", [("frozen", [("stages.tuning.train", ["project"])]), …])`: alternatives
    /// with names, each of which sets any number of values.
    Cases {
        /// What they are alternatives of; a column of the results.
        name: Spanned<String>,
        /// The alternatives.
        cases: Vec<Case>,
    },
    /// `Paired([Node(…), Set(…)])`: axes of one length that advance together.
    Paired {
        /// The axes.
        axes: Vec<Axis>,
        /// The whole `Paired(…)`.
        span: Span,
    },
}

/// One of an axis's named alternatives.
#[derive(Debug, Clone)]
pub struct Case {
    /// Its name in tables.
    pub label: Spanned<String>,
    /// What it sets: paths, as in `--set`, and raw RON. Nothing: the base as it is.
    pub edits: Vec<Edit>,
}

/// A value of the base that is set: its path, as in `--set`, and raw RON.
pub type Edit = (Spanned<String>, Spanned<String>);

/// One value of an axis.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// Its place in the study.
    pub span: Span,
    /// What it sets: the path with its place in the study, and the raw RON.
    pub edits: Vec<(Spanned<String>, String)>,
    /// The columns of the results that tell it, with its values there.
    pub values: Vec<(String, String)>,
}

impl Axis {
    /// Its values, one after the other.
    pub fn choices(&self) -> Vec<Choice> {
        let one = |path: Spanned<String>, column: &str, value: &str, span: &Span| Choice {
            span: span.clone(),
            edits: vec![(path, value.to_owned())],
            values: vec![(column.to_owned(), short(value))],
        };
        match self {
            Axis::Node { node, plugins } => {
                let path = format!("nodes.{}.plugin", node.value);
                let path = Spanned::new(path, node.span.clone());
                let choice = |plugin: &PluginSpec| {
                    one(path.clone(), &node.value, &plugin.text, &plugin.span)
                };
                plugins.iter().map(choice).collect()
            }
            Axis::Set { path, values } => {
                let choice = |value: &Spanned<String>| {
                    one(path.clone(), &path.value, &value.value, &value.span)
                };
                values.iter().map(choice).collect()
            }
            Axis::Cases { name, cases } => {
                let choice = |case: &Case| Choice {
                    span: case.label.span.clone(),
                    edits: case.edits.iter().map(|(p, v)| (p.clone(), v.value.clone())).collect(),
                    values: vec![(name.value.clone(), case.label.value.clone())],
                };
                cases.iter().map(choice).collect()
            }
            Axis::Paired { axes, span } => {
                let of: Vec<Vec<Choice>> = axes.iter().map(Axis::choices).collect();
                let length = of.iter().map(Vec::len).min().unwrap_or(0);
                (0..length).map(|at| together(&of, at, span)).collect()
            }
        }
    }

    /// The number of its values.
    fn len(&self) -> usize {
        match self {
            Axis::Node { plugins, .. } => plugins.len(),
            Axis::Set { values, .. } => values.len(),
            Axis::Cases { cases, .. } => cases.len(),
            Axis::Paired { axes, .. } => axes.iter().map(Axis::len).min().unwrap_or(0),
        }
    }

    /// Its columns in the results, with their places: a node's id, a path, or the cases' name.
    pub fn columns(&self) -> Vec<Spanned<String>> {
        match self {
            Axis::Node { node: name, .. }
            | Axis::Set { path: name, .. }
            | Axis::Cases { name, .. } => vec![name.clone()],
            Axis::Paired { axes, .. } => axes.iter().flat_map(Axis::columns).collect(),
        }
    }
}

/// The values number `at` of axes that advance together.
fn together(of: &[Vec<Choice>], at: usize, span: &Span) -> Choice {
    let mut all = Choice { span: span.clone(), ..Choice::default() };
    for choice in of.iter().filter_map(|choices| choices.get(at)) {
        // The first one that differs is where to point.
        if all.edits.is_empty() {
            all.span = choice.span.clone();
        }
        all.edits.extend(choice.edits.iter().cloned());
        all.values.extend(choice.values.iter().cloned());
    }
    all
}

/// A value as it stands in a trial's name: on one line, without empty brackets and quotes.
pub(super) fn short(value: &str) -> String {
    let words = value.split_whitespace().collect::<Vec<_>>().join(" ");
    words.strip_suffix("()").unwrap_or(&words).trim_matches('"').to_owned()
}

const AXIS: &str = "`Node(\"id\", [Plugin(…), …])`, `Set(\"path\", [value, …])`, \
                    `Cases(\"name\", [(\"label\", [(\"path\", value), …]), …])` or `Paired([axis, …])`";

/// Reads `[Node("fuse", […]), …]`.
pub(super) fn list(place: &Place<'_>) -> Result<Vec<Axis>, Vec<Problem>> {
    let items = place.list("a list of axes", "[Node(\"fuse\", [A(), B()])]")?;
    each(items.iter().map(|item| place.part(item)), read)
}

/// Reads one axis.
fn read(place: &Place<'_>) -> Result<Axis, Vec<Problem>> {
    let Shape::Group { name: Some(kind), items } = &place.value.shape else {
        return Err(vec![place.wrong(AXIS)]);
    };
    const KINDS: [&str; 4] = ["Node", "Set", "Cases", "Paired"];
    if !KINDS.contains(&kind.value.as_str()) {
        let message = format!("there is no axis `{}`", kind.value);
        let problem = Problem::new(message, kind.span.clone(), "unknown");
        return Err(vec![problem.help(did_you_mean(&kind.value, "axes", &KINDS))]);
    }
    match (kind.value.as_str(), &items[..]) {
        ("Paired", [Item { name: None, value: axes }]) => paired(place, axes),
        (kind, [Item { name: None, value: what }, Item { name: None, value: values }])
            if kind != "Paired" =>
        {
            let what = place.part(what);
            let list = values_of(place, values)?;
            let part = |value| Place { value, ..place.part(value) };
            match kind {
                "Node" => node(text(&what)?, place, list),
                "Cases" => cases(name(&what)?, list.iter().map(part)),
                _ => Ok(Axis::Set {
                    path: text(&what)?,
                    values: list.iter().map(|value| raw(place, value)).collect(),
                }),
            }
        }
        _ => Err(vec![place.wrong(AXIS)]),
    }
}

fn raw(place: &Place<'_>, value: &Value) -> Spanned<String> {
    Spanned::new(place.source[value.span.clone()].to_owned(), value.span.clone())
}

/// The values of an axis.
fn values_of<'a>(place: &Place<'a>, values: &'a Value) -> Result<&'a [Value], Vec<Problem>> {
    let Shape::List(list) = &values.shape else {
        let text = format!("this is {}", values.describe(place.source));
        let problem =
            Problem::new("the values of an axis stand in a list", values.span.clone(), text);
        let help = format!("write `[{}]`", &place.source[values.span.clone()]);
        return Err(vec![problem.help(help)]);
    };
    if list.is_empty() {
        let problem = Problem::new("this axis has no values", values.span.clone(), "empty");
        return Err(vec![problem.help("give at least one value, or remove the axis")]);
    }
    Ok(list)
}

fn node(node: Spanned<String>, place: &Place<'_>, list: &[Value]) -> Result<Axis, Vec<Problem>> {
    let mut problems = Vec::new();
    let read = |value| crate::spec::plugin::read(value, place.source, "plugin", &mut problems);
    let plugins = list.iter().map(read).collect();
    if problems.is_empty() { Ok(Axis::Node { node, plugins }) } else { Err(problems) }
}

/// `("frozen", [("stages.tuning.train", ["project"]), …])`
fn cases<'a>(
    name: Spanned<String>,
    list: impl Iterator<Item = Place<'a>>,
) -> Result<Axis, Vec<Problem>> {
    let cases = each(list, case)?;
    for (at, case) in cases.iter().enumerate() {
        let first = cases[..at].iter().find(|first| first.label.value == case.label.value);
        if let Some(first) = first {
            let message =
                format!("two cases of `{}` are called {:?}", name.value, case.label.value);
            let problem = Problem::new(message, case.label.span.clone(), "again here")
                .other(first.label.span.clone(), "first here");
            return Err(vec![problem.help("give one of them another name")]);
        }
    }
    Ok(Axis::Cases { name, cases })
}

fn case(place: &Place<'_>) -> Result<Case, Vec<Problem>> {
    let expected = "a case such as `(\"frozen\", [(\"stages.tuning.train\", [\"project\"])])`";
    let wrong = |place: &Place<'_>| {
        let text = format!("this is {}", place.value.describe(place.source));
        let message = format!("every entry of `Cases` is {expected}");
        Problem::new(message, place.value.span.clone(), text)
    };
    let Some((label, edits)) = pair(place.value) else { return Err(vec![wrong(place)]) };
    let label = self::label(&place.part(label))?;
    if !matches!(edits.shape, Shape::List(_)) {
        return Err(vec![wrong(&place.part(edits))]);
    }
    Ok(Case { label, edits: self::edits(&place.part(edits))? })
}

/// `[("stages.tuning.lr", 1e-4), …]`
pub(super) fn edits(place: &Place<'_>) -> Result<Vec<Edit>, Vec<Problem>> {
    let list = place.list("a list of paths with values", "[(\"stages.tuning.lr\", 1e-4)]")?;
    each(list.iter().map(|value| place.part(value)), |edit| {
        let Some((path, value)) = pair(edit.value) else {
            let text = format!("this is {}", edit.value.describe(edit.source));
            let message = "values are set by their paths: `(\"stages.tuning.lr\", 1e-4)`";
            return Err(vec![Problem::new(message, edit.value.span.clone(), text)]);
        };
        Ok((text(&edit.part(path))?, raw(edit, value)))
    })
}

/// A case's name: part of a trial's name and a value in the results.
fn label(place: &Place<'_>) -> Result<Spanned<String>, Vec<Problem>> {
    let label = text(place)?;
    let plain = |c: char| !c.is_control() && !",=".contains(c);
    if !label.value.trim().is_empty() && label.value.chars().all(plain) {
        return Ok(label);
    }
    let message = format!("{:?} can't be the name of a case", label.value);
    let problem = Problem::new(message, label.span, "part of a trial's name");
    Err(vec![problem.help("a short text without commas and equals signs")])
}

/// The two values of `(a, b)`.
pub(in crate::spec) fn pair(value: &Value) -> Option<(&Value, &Value)> {
    match &value.shape {
        Shape::Group { name: None, items } => match &items[..] {
            [Item { name: None, value: first }, Item { name: None, value: second }] => {
                Some((first, second))
            }
            _ => None,
        },
        _ => None,
    }
}

fn paired(place: &Place<'_>, axes: &Value) -> Result<Axis, Vec<Problem>> {
    let list = values_of(place, axes)?;
    let axes = each(list.iter().map(|value| place.part(value)), read)?;
    let span = place.value.span.clone();
    for (axis, value) in axes.iter().zip(list).skip(1) {
        if axis.len() != axes[0].len() {
            let said = |axis: &Axis| match axis.len() {
                1 => "1 value".to_owned(),
                count => format!("{count} values"),
            };
            let message = "axes that advance together have values of one number";
            let problem = Problem::new(message, head(value), said(axis))
                .other(head(&list[0]), said(&axes[0]));
            let help = "give each of them as many values, or let them vary independently, outside of `Paired`";
            return Err(vec![problem.help(help)]);
        }
    }
    Ok(Axis::Paired { axes, span })
}

/// The name before the bracket.
fn head(value: &Value) -> Span {
    match &value.shape {
        Shape::Group { name: Some(name), .. } => name.span.clone(),
        _ => value.span.clone(),
    }
}
