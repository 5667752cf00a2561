//! A study: its base, every value of every axis on its own, then every trial; of a search, the
//! trials that show whether it can run.

use std::path::Path;

use super::weights::{Trail, count, in_short, read};
use super::{Context, Graph, checked};
use crate::registry::{Kind, Registry};
use crate::spec::problem::did_you_mean;
use crate::spec::{Choice, Problem, Search, Study, Trial};

/// A study that can run.
#[derive(Debug)]
pub struct LinkedStudy {
    /// Its trials. Those of a search are known when it runs; these are its first ones.
    pub trials: Vec<(Trial, Graph)>,
    /// What a search takes experts from: the trials of each group differ in their seeds alone.
    /// None without a search.
    pub searched: Vec<Vec<Trial>>,
}

/// Links every trial of a study, whose base is first changed by `edit`. What is wrong with the
/// base, or with one value of an axis, is said once and not for every trial that it is part of. What is
/// wrong with the study's `form` is said with the rest.
///
/// # Errors
/// Everything that keeps a trial from running, at its place in the study.
pub fn link_study(
    study: &Study,
    mut form: Vec<Problem>,
    registry: &Registry,
    context: &Context<'_>,
    edit: impl FnOnce(String) -> Result<String, Problem>,
) -> Result<LinkedStudy, Vec<Problem>> {
    let linked = linked(study, registry, context, edit).map_err(|more| form.extend(more));
    form.sort_by_key(|problem| problem.primary.span.start);
    linked.ok().filter(|_| form.is_empty()).ok_or(form)
}

fn linked(
    study: &Study,
    registry: &Registry,
    context: &Context<'_>,
    edit: impl FnOnce(String) -> Result<String, Problem>,
) -> Result<LinkedStudy, Vec<Problem>> {
    let path = &study.base.value;
    let full = context.base.join(path);
    let base = text(study, context, edit)?;
    let folder = full.parent().unwrap_or(Path::new(""));
    let context = Context { base: folder, file: Some(&full) };
    let link = |source: &str| checked(source, registry, &context, &mut Trail::of(&context));
    let graph = link(&base).map_err(|problems| {
        // What is set may be what is wrong.
        let (place, label, with) = match study.set.last() {
            Some((path, _)) => (&path.span, "set here", "with what the study sets, "),
            None => (&study.base.span, BASE, ""),
        };
        let message = format!("{with}{} has {}", path.display(), count(&problems));
        let problem = Problem::new(message, place.clone(), label);
        vec![in_short(problem, Some(path), &base, &problems)]
    })?;
    let mut problems = Vec::new();
    for axis in &study.vary {
        problems.extend(values(study, &axis.choices(), &base, &link));
    }
    if let Some(search) = &study.search {
        problems.extend(misfits(search, &graph));
    }
    let trials = study.trials(&base).map_err(|mut more| {
        more.append(&mut problems);
        more
    })?;
    if !problems.is_empty() {
        return Err(problems);
    }
    let Some(search) = &study.search else {
        let trials = all(study, trials, &link)?;
        return Ok(LinkedStudy { trials, searched: Vec::new() });
    };
    let searched = study.searched(&base)?;
    // It may come to need all experts.
    let whole = searched.iter().filter_map(|group| group.first()).cloned().collect();
    all(study, whole, &link)?;
    Ok(LinkedStudy { trials: all(study, probes(search, &searched)?, &link)?, searched })
}

const BASE: &str = "the experiment that is varied";

/// The text of a study's base.
fn text(
    study: &Study,
    context: &Context<'_>,
    edit: impl FnOnce(String) -> Result<String, Problem>,
) -> Result<String, Vec<Problem>> {
    let place = &study.base.span;
    let base = read(context.base, &study.base.value)
        .map_err(|(message, help)| vec![Problem::new(message, place.clone(), BASE).help(help)])?;
    let base = study.set_in(&base)?;
    edit(base).map_err(|problem| {
        let here = Problem::new(problem.message, place.clone(), BASE);
        vec![Problem { notes: problem.notes, help: problem.help, ..here }]
    })
}

/// Links trials; what is wrong with them, once for all seeds.
fn all(
    study: &Study,
    trials: Vec<Trial>,
    link: &impl Fn(&str) -> Result<Graph, Vec<Problem>>,
) -> Result<Vec<(Trial, Graph)>, Vec<Problem>> {
    let (mut graphs, mut problems) = (Vec::new(), Vec::new());
    for trial in trials {
        match link(&trial.source) {
            Ok(graph) => graphs.push((trial, graph)),
            Err(more) => {
                let problem = combination(study, &trial, &more);
                // Another seed of the same values says the same.
                if !problems.iter().any(|said: &Problem| said.notes == problem.notes) {
                    problems.push(problem);
                }
            }
        }
    }
    if problems.is_empty() { Ok(graphs) } else { Err(problems) }
}

/// The values of an axis that can't stand in the base even alone.
fn values(
    study: &Study,
    choices: &[Choice],
    base: &str,
    link: &impl Fn(&str) -> Result<Graph, Vec<Problem>>,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    for choice in choices {
        // A path that leads nowhere is reported with the trials.
        let Ok(source) = choice.edit(base) else { continue };
        let Err(more) = link(&source) else { continue };
        // Two axes may need each other: a value that is right in some trial is no mistake.
        let somewhere = study.vary.len() > 1 && {
            let trials = study.trials(base).unwrap_or_default();
            let with =
                |trial: &&Trial| choice.values.iter().all(|pair| trial.values.contains(pair));
            trials.iter().filter(with).any(|trial| link(&trial.source).is_ok())
        };
        if !somewhere {
            let message =
                format!("with this value {} has {}", study.base.value.display(), count(&more));
            let names: Vec<&str> = choice.values.iter().map(|(name, _)| name.as_str()).collect();
            let text = format!("of `{}`", names.join("`, `"));
            let problem = Problem::new(message, choice.span.clone(), text);
            problems.push(in_short(problem, None, &source, &more));
        }
    }
    problems
}

/// Experts and benchmarks that the base doesn't have.
fn misfits(search: &Search, graph: &Graph) -> Vec<Problem> {
    let mut problems = Vec::new();
    let encoders = graph.dag.node_weights().filter(|node| node.kind == Kind::Encoder);
    let encoders: Vec<&str> = encoders.map(|node| node.id.as_str()).collect();
    for expert in search.experts.iter().filter(|id| !encoders.contains(&id.value.as_str())) {
        let message = format!("the base has no vision encoder `{}`", expert.value);
        let problem = Problem::new(message, expert.span.clone(), "no expert of the base");
        problems.push(problem.help(did_you_mean(&expert.value, "vision encoders", &encoders)));
    }
    let benchmarks: Vec<&str> = graph.benchmarks.iter().map(|known| known.name.as_str()).collect();
    for name in search.score.iter().filter(|name| !benchmarks.contains(&name.value.as_str())) {
        let message = format!("the base has no benchmark `{}`", name.value);
        let problem = Problem::new(message, name.span.clone(), "not in its `evaluate`");
        problems.push(problem.help(did_you_mean(&name.value, "benchmarks", &benchmarks)));
    }
    problems
}

/// The first trials of a search in each group.
fn probes(search: &Search, searched: &[Vec<Trial>]) -> Result<Vec<Trial>, Vec<Problem>> {
    let mut trials = Vec::new();
    for group in searched {
        for (round, set) in search.probes() {
            for trial in group {
                let probe = search.trial(trial, round, &set).map_err(|problem| {
                    let text = "an expert that a trial doesn't have";
                    let here = Problem::new(problem.message, search.span.clone(), text);
                    vec![Problem { help: problem.help, ..here }]
                })?;
                trials.push(probe);
            }
        }
    }
    Ok(trials)
}

/// A trial whose values are right alone and wrong together.
fn combination(study: &Study, trial: &Trial, problems: &[Problem]) -> Problem {
    let at = study.span.start;
    let head = at..at + "Study".len();
    let message = format!("the trial {trial} has {}", count(problems));
    let problem = match &study.search {
        Some(search) => Problem::new(message, search.span.clone(), "without the other experts"),
        None => Problem::new(message, head, "these values don't fit each other"),
    };
    in_short(problem, None, &trial.source, problems)
}
