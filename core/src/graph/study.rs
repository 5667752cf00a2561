//! A study: its base, every value of every axis on its own, then every trial.

use std::path::Path;

use super::weights::{Trail, count, in_short, read};
use super::{Context, Graph, checked};
use crate::registry::Registry;
use crate::spec::{Axis, Problem, Study, Trial};

/// Links every trial of a study, whose base is first changed by `edit`. What is wrong with the
/// base, or with one value of an axis, is said once and not for every trial that it is part of.
///
/// # Errors
/// Everything that keeps a trial from running, at its place in the study.
pub fn link_study(
    study: &Study,
    registry: &Registry,
    context: &Context<'_>,
    edit: impl FnOnce(String) -> Result<String, Problem>,
) -> Result<Vec<(Trial, Graph)>, Vec<Problem>> {
    let path = &study.base.value;
    let full = context.base.join(path);
    let place = study.base.span.clone();
    let text = "the experiment that is varied";
    let base = read(context.base, path)
        .map_err(|(message, help)| vec![Problem::new(message, place.clone(), text).help(help)])?;
    let base = edit(base).map_err(|problem| {
        let here = Problem::new(problem.message, place.clone(), text);
        vec![Problem { notes: problem.notes, help: problem.help, ..here }]
    })?;
    let folder = full.parent().unwrap_or(Path::new(""));
    let context = Context { base: folder, file: Some(&full) };
    let link = |source: &str| checked(source, registry, &context, &mut Trail::of(&context));
    if let Err(problems) = link(&base) {
        let message = format!("{} has {}", path.display(), count(&problems));
        let problem = Problem::new(message, place, text);
        return Err(vec![in_short(problem, Some(path), &base, &problems)]);
    }
    let mut problems = Vec::new();
    for (at, axis) in study.vary.iter().enumerate() {
        problems.extend(values(study, at, axis, &base, &link));
    }
    let trials = study.trials(&base).map_err(|mut more| {
        more.append(&mut problems);
        more
    })?;
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut graphs = Vec::new();
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
    at: usize,
    axis: &Axis,
    base: &str,
    link: &impl Fn(&str) -> Result<Graph, Vec<Problem>>,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    for value in axis.values() {
        // A path that leads nowhere is reported with the trials.
        let Ok(source) = crate::spec::set(base, &axis.path(), &value.value) else { continue };
        let Err(more) = link(&source) else { continue };
        // Two axes may need each other: a value that is right in some trial is no mistake.
        let somewhere = study.vary.len() > 1 && {
            let trials = study.trials(base).unwrap_or_default();
            let with = |trial: &Trial| trial.values[at].1 == Axis::short(&value.value);
            trials.iter().filter(|trial| with(trial)).any(|trial| link(&trial.source).is_ok())
        };
        if !somewhere {
            let message =
                format!("with this value {} has {}", study.base.value.display(), count(&more));
            let text = format!("of `{}`", axis.name());
            let problem = Problem::new(message, value.span, text);
            problems.push(in_short(problem, None, &source, &more));
        }
    }
    problems
}

/// A trial whose values are right alone and wrong together.
fn combination(study: &Study, trial: &Trial, problems: &[Problem]) -> Problem {
    let at = study.span.start;
    let head = at..at + "Study".len();
    let message = format!("the trial {trial} has {}", count(problems));
    let problem = Problem::new(message, head, "these values don't fit each other");
    in_short(problem, None, &trial.source, problems)
}
