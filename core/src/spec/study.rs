//! `Study(…)`: a product of variations of one experiment.

use std::path::PathBuf;

use super::experiment::file_name;
use super::form::{Form, Known};
use super::syntax::{Item, Shape, Value};
use super::values::{Place, each, seed, text};
use super::{PluginSpec, Problem, Span, Spanned, set};

/// A study as it was typed.
#[derive(Debug, Clone)]
pub struct Study {
    /// Its name in results.
    pub name: Spanned<String>,
    /// The experiment that is varied; a relative path starts at the study's folder.
    pub base: Spanned<PathBuf>,
    /// What is varied; the trials are the product.
    pub vary: Vec<Axis>,
    /// The seeds of every trial; the base's own if there are none.
    pub seeds: Vec<u64>,
    /// The whole `Study(…)`.
    pub span: Span,
}

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
}

/// One experiment of a study.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// Its row in tables: what differs from other trials, seeds aside (`fuse=SequenceAppend`), or
    /// the experiment's name if nothing does.
    pub name: String,
    /// The base's text with the differences written into it.
    pub source: String,
    /// Each axis (a node's id or a path) with its value in this trial, in the study's order.
    pub values: Vec<(String, String)>,
    /// Its seed.
    pub seed: u64,
}

impl Axis {
    /// What is varied, as `--set` calls it.
    pub fn path(&self) -> String {
        match self {
            Axis::Node { node, .. } => format!("nodes.{}.plugin", node.value),
            Axis::Set { path, .. } => path.value.clone(),
        }
    }

    /// Its column in results: the node's id, or the path.
    pub fn name(&self) -> String {
        match self {
            Axis::Node { node, .. } => node.value.clone(),
            Axis::Set { path, .. } => path.value.clone(),
        }
    }

    /// A value as it stands in a trial's name: on one line, without empty brackets and quotes.
    pub fn short(value: &str) -> String {
        let words = value.split_whitespace().collect::<Vec<_>>().join(" ");
        words.strip_suffix("()").unwrap_or(&words).trim_matches('"').to_owned()
    }

    /// The raw RON of its values, with their places.
    pub fn values(&self) -> Vec<Spanned<String>> {
        match self {
            Axis::Node { plugins, .. } => plugins
                .iter()
                .map(|plugin| Spanned::new(plugin.text.clone(), plugin.span.clone()))
                .collect(),
            Axis::Set { values, .. } => values.clone(),
        }
    }
}

impl Study {
    /// The experiments of this study, given the text of its base.
    ///
    /// # Errors
    /// Axes that don't fit the base, at their places in the study.
    pub fn trials(&self, base: &str) -> Result<Vec<Trial>, Vec<Problem>> {
        let start =
            Trial { name: String::new(), source: base.to_owned(), values: Vec::new(), seed: 0 };
        let mut trials = vec![start];
        let mut problems = Vec::new();
        for axis in &self.vary {
            let wrong = |value: &Spanned<String>| {
                let problem = set(base, &axis.path(), &value.value).err()?;
                let place = match axis {
                    Axis::Node { node, .. } => node.span.clone(),
                    Axis::Set { path, .. } => path.span.clone(),
                };
                Some(elsewhere(problem, place, &self.base.value))
            };
            // A wrong path is wrong for every value.
            if let Some(problem) = axis.values().iter().find_map(wrong) {
                problems.push(problem);
                continue;
            }
            trials = trials.iter().flat_map(|trial| vary(trial, axis)).collect();
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(trials.into_iter().flat_map(|trial| self.seeded(trial)).collect())
    }

    fn seeded(&self, mut trial: Trial) -> Vec<Trial> {
        if let Some(super::File::Experiment(experiment)) = super::read(&trial.source).0 {
            trial.seed = experiment.seed;
            if trial.name.is_empty() {
                trial.name = experiment.name.value;
            }
        }
        if self.seeds.is_empty() {
            return vec![trial];
        }
        let one = |&seed: &u64| {
            let source = set(&trial.source, "seed", &seed.to_string());
            let source = source.unwrap_or_else(|_| trial.source.clone());
            Trial { source, seed, ..trial.clone() }
        };
        self.seeds.iter().map(one).collect()
    }
}

fn vary(trial: &Trial, axis: &Axis) -> Vec<Trial> {
    let one = |value: Spanned<String>| {
        let source = set(&trial.source, &axis.path(), &value.value).ok()?;
        let short = Axis::short(&value.value);
        let path = axis.name();
        let label = path.rsplit('.').next().unwrap_or(&path);
        // What doesn't differ is no part of the name.
        let name = match axis.values().len() {
            1 => trial.name.clone(),
            _ => joined(&trial.name, &format!("{label}={short}")),
        };
        let mut values = trial.values.clone();
        values.push((axis.name(), short));
        Some(Trial { name, source, values, seed: trial.seed })
    };
    axis.values().into_iter().filter_map(one).collect()
}

impl std::fmt::Display for Trial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, seed {}", self.name, self.seed)
    }
}

fn joined(left: &str, right: &str) -> String {
    if left.is_empty() { right.to_owned() } else { format!("{left},{right}") }
}

/// A problem of the base, shown at the place in the study that causes it.
fn elsewhere(problem: Problem, place: Span, base: &std::path::Path) -> Problem {
    let text = format!("not in {}", base.display());
    let here = Problem::new(problem.message, place, text);
    Problem { notes: problem.notes, help: problem.help, ..here }
}

const STUDY: &[Known] = &[
    Known { name: "name", example: "name: \"fusion\"", means: "its name in results" },
    Known { name: "base", example: "base: \"x2.ron\"", means: "the experiment that is varied" },
    Known { name: "vary", example: "vary: [Node(\"fuse\", […])]", means: "what is varied" },
    Known { name: "seeds", example: "seeds: [0, 1, 2]", means: "the seeds of every trial" },
];

/// Reads the fields of `Study(…)`.
pub(super) fn read(root: &Value, source: &str, problems: &mut Vec<Problem>) -> Option<Study> {
    let mut form = Form::open(root, source, "the study", "name", STUDY);
    let name = form.required("name", file_name);
    let base = form.required("base", text);
    let vary = form.required("vary", |place: &Place<'_>| {
        let items = place.list("a list of axes", "[Node(\"fuse\", [A(), B()])]")?;
        each(items.iter().map(|item| place.part(item)), axis)
    });
    let seeds = form.optional("seeds", |place: &Place<'_>| {
        let items = place.list("a list of whole numbers", "[0, 1, 2]")?;
        each(items.iter().map(|item| place.part(item)), seed)
    });
    problems.extend(form.close().1);
    let base = base.map(|base| Spanned::new(base.value.into(), base.span));
    let seeds = seeds.unwrap_or_default();
    Some(Study { name: name?, base: base?, vary: vary?, seeds, span: root.span.clone() })
}

const AXIS: &str = "`Node(\"id\", [Plugin(…), …])` or `Set(\"path\", [value, …])`";

fn axis(place: &Place<'_>) -> Result<Axis, Vec<Problem>> {
    let Shape::Group { name: Some(name), items } = &place.value.shape else {
        return Err(vec![place.wrong(AXIS)]);
    };
    let [Item { name: None, value: what }, Item { name: None, value: values }] = &items[..] else {
        return Err(vec![place.wrong(AXIS)]);
    };
    let what = text(&place.part(what))?;
    let Shape::List(list) = &values.shape else {
        let text = format!("this is {}", values.describe(place.source));
        let problem =
            Problem::new("the values of an axis stand in a list", values.span.clone(), text);
        return Err(vec![
            problem.help(format!("write `[{}]`", &place.source[values.span.clone()])),
        ]);
    };
    if list.is_empty() {
        let problem = Problem::new("this axis has no values", values.span.clone(), "empty");
        return Err(vec![problem.help("give at least one value, or remove the axis")]);
    }
    match name.value.as_str() {
        "Node" => {
            let mut problems = Vec::new();
            let read = |value| super::plugin::read(value, place.source, "plugin", &mut problems);
            let plugins = list.iter().map(read).collect();
            if problems.is_empty() { Ok(Axis::Node { node: what, plugins }) } else { Err(problems) }
        }
        "Set" => {
            let raw = |value: &Value| {
                Spanned::new(place.source[value.span.clone()].to_owned(), value.span.clone())
            };
            Ok(Axis::Set { path: what, values: list.iter().map(raw).collect() })
        }
        other => {
            let problem =
                Problem::new(format!("there is no axis `{other}`"), name.span.clone(), "unknown");
            Err(vec![problem.help(super::problem::did_you_mean(other, "axes", &["Node", "Set"]))])
        }
    }
}

/// The names of a study's fields.
pub(super) fn fields() -> Vec<&'static str> {
    STUDY.iter().map(|known| known.name).collect()
}
