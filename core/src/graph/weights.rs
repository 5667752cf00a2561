//! Where weights come from: files, and other experiments, which are checked as well.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::draft::{Draft, Part};
use super::{Context, Graph, Node, checked};
use crate::nn::ParamShape;
use crate::registry::Registry;
use crate::spec::problem::{did_you_mean, position};
use crate::spec::{Problem, Weights};
use crate::weights::{Files, WeightsError, misfit};

/// The experiments on the way to the one that is being linked, outermost first, and the outcome of
/// those that were linked.
pub(super) struct Trail {
    open: Vec<PathBuf>,
    done: BTreeMap<PathBuf, Option<Arc<Graph>>>,
}

impl Trail {
    pub fn of(context: &Context<'_>) -> Trail {
        Trail { open: context.file.map(real).into_iter().collect(), done: BTreeMap::new() }
    }
}

fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// Checks every node's weights; the experiments that they come from, by their paths as written.
pub(super) fn sources(
    draft: &mut Draft<'_>,
    registry: &Registry,
    context: &Context<'_>,
    trail: &mut Trail,
) -> BTreeMap<PathBuf, Arc<Graph>> {
    let mut sources = BTreeMap::new();
    let (mut problems, mut absent) = (Vec::new(), Vec::new());
    for part in &draft.nodes {
        match &part.spec.weights.value {
            Weights::Random => {}
            Weights::File { path, prefix } => match file(part, path, prefix, context) {
                Err(Wrong::Absent(problem)) => absent.push(*problem),
                Err(Wrong::Misfit(problem)) => problems.push(*problem),
                Ok(()) => {}
            },
            Weights::From { experiment, stage, node } => {
                match graph(part, experiment, registry, context, trail) {
                    Ok(Some(graph)) => {
                        problems.extend(fits(part, &graph, stage.as_deref(), node.as_deref()));
                        absent.extend(absent_there(part, experiment, &graph, context));
                        sources.insert(experiment.clone(), graph);
                    }
                    Ok(None) => {}
                    Err(problem) => problems.push(*problem),
                }
            }
        }
    }
    draft.problems.extend(problems);
    draft.absent.extend(absent);
    sources
}

fn at(part: &Part<'_>, message: String, text: &str) -> Problem {
    Problem::new(message, part.spec.weights.span.clone(), text)
}

const RELATIVE: &str = "a relative path starts at the folder of this file";

/// Why a checkpoint can't be used.
enum Wrong {
    /// It is not there.
    Absent(Box<Problem>),
    /// It is, and is no checkpoint or another model's.
    Misfit(Box<Problem>),
}

/// Holds a checkpoint's header against the node's parameters; its values are not read.
fn file(part: &Part<'_>, path: &Path, prefix: &str, context: &Context<'_>) -> Result<(), Wrong> {
    let full = context.base.join(path);
    if !full.exists() {
        let message = format!("there is no file {}", path.display());
        return Err(Wrong::Absent(Box::new(at(part, message, "the weights").help(RELATIVE))));
    }
    let wrong = |error| Wrong::Misfit(Box::new(unfit(part, path, error)));
    let files = Files::open(&full).map_err(wrong)?;
    let config = part.known.as_ref().and_then(|known| known.config.as_ref());
    // A node that is wrong in itself was reported.
    let (Some(config), Some(built)) = (config, part.built.as_ref()) else { return Ok(()) };
    misfit(&built.params, &files, prefix, &config.keys()).map_err(wrong)
}

fn unfit(part: &Part<'_>, path: &Path, error: WeightsError) -> Problem {
    const SHOWN: usize = 20;
    let WeightsError::Misfit { problems, help, .. } = error else {
        return at(part, error.to_string(), "the weights");
    };
    let message = format!("{} doesn't fit `{}`", path.display(), part.spec.id.value);
    let mut problem = at(part, message, "the weights");
    for line in problems.iter().take(SHOWN) {
        problem = problem.note(line);
    }
    if let Some(more) = problems.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        problem = problem.note(format!("and {more} more"));
    }
    problem.help = help;
    problem
}

/// What the experiment that weights come from would need and doesn't find.
fn absent_there(
    part: &Part<'_>,
    path: &Path,
    graph: &Graph,
    context: &Context<'_>,
) -> Option<Problem> {
    let first = graph.absent.first()?;
    let what = match graph.absent.len() {
        1 => "a file that is not there".to_owned(),
        count => format!("{count} files that are not there"),
    };
    let message = format!("{} needs {what}", path.display());
    let problem = at(part, message, "the weights come from there");
    match read(context.base, path) {
        Ok(source) => Some(in_short(problem, Some(path), &source, &graph.absent)),
        Err(_) => Some(problem.note(first.message.clone())),
    }
}

/// The other experiment, linked; `None` if it is wrong and that was reported for another node.
fn graph(
    part: &Part<'_>,
    path: &Path,
    registry: &Registry,
    context: &Context<'_>,
    trail: &mut Trail,
) -> Result<Option<Arc<Graph>>, Box<Problem>> {
    let full = context.base.join(path);
    let source = read(context.base, path).map_err(|(message, help)| {
        Box::new(at(part, message, "an experiment's file").help(help))
    })?;
    let id = real(&full);
    if let Some(done) = trail.done.get(&id) {
        return Ok(done.clone());
    }
    if let Some(first) = trail.open.iter().position(|open| *open == id) {
        let names = trail.open[first..].iter().chain([&id]).map(|path| file_name(path));
        let round = names.collect::<Vec<_>>().join(" -> ");
        let message = format!("these experiments wait for each other's weights: {round}");
        let help = "let one of them begin with other weights";
        return Err(Box::new(at(part, message, "leads back").help(help)));
    }
    let base = full.parent().unwrap_or(Path::new("")).to_owned();
    let inner = Context { base: &base, file: Some(&full) };
    trail.open.push(id.clone());
    let graph = checked(&source, registry, &inner, trail);
    trail.open.pop();
    match graph {
        Ok(graph) => {
            let graph = Arc::new(graph);
            trail.done.insert(id, Some(graph.clone()));
            Ok(Some(graph))
        }
        Err(problems) => {
            trail.done.insert(id, None);
            let message = format!("{} has {}", path.display(), count(&problems));
            let problem = at(part, message, "the weights come from there");
            Err(Box::new(in_short(problem, Some(path), &source, &problems)))
        }
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// The text of an experiment's file, or what is wrong with its path and what would be right.
pub(super) fn read(base: &Path, path: &Path) -> Result<String, (String, &'static str)> {
    std::fs::read_to_string(base.join(path)).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => (format!("there is no file {}", path.display()), RELATIVE),
        _ => (format!("can't read {}: {error}", path.display()), "an experiment's file is needed"),
    })
}

/// `1 error`, `2 errors`
pub(super) fn count(problems: &[Problem]) -> String {
    match problems.len() {
        1 => "an error".to_owned(),
        count => format!("{count} errors"),
    }
}

/// The errors of another text as notes of `problem`, with their places if that text is a file.
pub(super) fn in_short(
    mut problem: Problem,
    file: Option<&Path>,
    source: &str,
    problems: &[Problem],
) -> Problem {
    for inner in problems {
        let (line, column) = position(source, inner.primary.span.start);
        let place =
            file.map_or(String::new(), |file| format!("{}:{line}:{column}: ", file.display()));
        let help = inner.help.as_ref().map_or(String::new(), |help| format!(" ({help})"));
        problem = problem.note(format!("{place}{}{help}", inner.message));
        for note in &inner.notes {
            problem = problem.note(note.clone());
        }
    }
    problem
}

/// Whether the other experiment has the stage and the node, and whether that is the same plugin.
fn fits(part: &Part<'_>, graph: &Graph, stage: Option<&str>, node: Option<&str>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let other = &graph.name;
    let names: Vec<&str> =
        graph.stages.iter().map(|stage| stage.spec.name.value.as_str()).collect();
    if let Some(stage) = stage.filter(|stage| !names.contains(stage)) {
        let message = format!("the experiment `{other}` has no stage `{stage}`");
        problems
            .push(at(part, message, "unknown stage").help(did_you_mean(stage, "stages", &names)));
    }
    let id = node.unwrap_or(&part.spec.id.value);
    let ids: Vec<&str> = graph.dag.node_weights().map(|node| node.id.as_str()).collect();
    let Some(found) = graph.dag.node_weights().find(|node| node.id == id) else {
        let message = format!("the experiment `{other}` has no node `{id}`");
        let help = match node {
            Some(_) => did_you_mean(id, "nodes", &ids),
            None => {
                let near = did_you_mean(id, "nodes there", &ids);
                format!("name the node with `From(experiment: …, node: \"…\")`; {near}")
            }
        };
        problems.push(at(part, message, "unknown node").help(help));
        return problems;
    };
    if let Some(known) = part.known.as_ref().filter(|known| known.entry.name != found.name) {
        let message =
            format!("`{id}` of the experiment `{other}` is another plugin: `{}`", found.name);
        let problem = at(part, message, "its weights don't fit");
        let place = part.spec.plugin.name.span.clone();
        let problem = problem.other(place, format!("this is `{}`", known.entry.name));
        problems.push(problem.help("name a node of the same plugin"));
        return problems;
    }
    if let Some(built) = &part.built {
        problems.extend(sizes(part, found, &built.params, other));
    }
    problems
}

/// The parameters here that have another shape there, or are on one side alone.
fn sizes(part: &Part<'_>, found: &Node, here: &[ParamShape], other: &str) -> Option<Problem> {
    const SHOWN: usize = 3;
    let there = |name: &str| found.params.iter().find(|param| param.name == name);
    let mut different: Vec<String> = Vec::new();
    for param in here {
        match there(&param.name) {
            Some(twin) if twin.shape == param.shape => {}
            Some(twin) => different
                .push(format!("{} is {:?} there, {:?} here", param.name, twin.shape, param.shape)),
            None => different.push(format!("{} is not there", param.name)),
        }
    }
    let surplus = found.params.iter().filter(|twin| here.iter().all(|p| p.name != twin.name));
    different.extend(surplus.map(|twin| format!("{} is there alone", twin.name)));
    if different.is_empty() {
        return None;
    }
    let id = &found.id;
    let message = format!("`{id}` of the experiment `{other}` has other sizes");
    let problem = at(part, message, "its weights don't fit");
    let mut problem = problem
        .other(part.spec.plugin.name.span.clone(), "this is configured otherwise")
        .help("let the fields that decide its parameters be the same in both");
    let more = different.len().saturating_sub(SHOWN);
    for one in different.into_iter().take(SHOWN) {
        problem = problem.note(one);
    }
    Some(if more > 0 { problem.note(format!("and {more} more")) } else { problem })
}
