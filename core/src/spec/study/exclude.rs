//! `exclude`: combinations of values that make no trial.

use super::Trial;
use super::axis::{Choice, pair, short};
use crate::spec::problem::{did_you_mean, listed};
use crate::spec::values::{Place, each, text};
use crate::spec::{Problem, Span, Spanned};

/// `[("fuse", SequenceAppend()), ("seed", 1)]`: a trial that has all of these values is left out.
#[derive(Debug, Clone)]
pub struct Exclusion {
    /// Axes and their values, as they stand in the results.
    pub values: Vec<(Spanned<String>, Spanned<String>)>,
    /// The whole list.
    pub span: Span,
}

/// The name of the axis that `seeds` is.
const SEED: &str = "seed";

/// Reads `[[("fuse", SequenceAppend()), ("seed", 1)], …]`.
pub(super) fn read(place: &Place<'_>) -> Result<Vec<Exclusion>, Vec<Problem>> {
    let example = "[[(\"fuse\", SequenceAppend()), (\"seed\", 1)]]";
    let items = place.list("a list of lists of values", example)?;
    each(items.iter().map(|item| place.part(item)), |entry| {
        let wrong = || {
            entry
                .wrong("a list of axes with their values")
                .help(format!("write `{}: {example}`", place.name))
        };
        let values =
            entry.list("a list of axes with their values", example).map_err(|_| vec![wrong()])?;
        if values.is_empty() {
            let problem =
                Problem::new("this excludes every trial", entry.value.span.clone(), "empty");
            return Err(vec![
                problem.help("name the values that make no trial together, or remove the entry"),
            ]);
        }
        let values = each(values.iter().map(|value| entry.part(value)), |one| {
            let Some((axis, value)) = pair(one.value) else {
                return Err(vec![wrong_pair(one)]);
            };
            let raw = short(&one.source[value.span.clone()]);
            Ok((text(&one.part(axis))?, Spanned::new(raw, value.span.clone())))
        })?;
        Ok(Exclusion { values, span: entry.value.span.clone() })
    })
}

fn wrong_pair(place: &Place<'_>) -> Problem {
    let text = format!("this is {}", place.value.describe(place.source));
    let message = "an exclusion names axes with a value of each: `(\"fuse\", SequenceAppend())`";
    Problem::new(message, place.value.span.clone(), text)
}

/// The trials that no exclusion leaves out. `axes` are all values of all axes.
///
/// # Errors
/// Exclusions that name no axis or no value of it, or leave out nothing or everything.
pub(super) fn apply(
    exclusions: &[Exclusion],
    axes: &[Vec<Choice>],
    trials: Vec<Trial>,
) -> Result<Vec<Trial>, Vec<Problem>> {
    let problems: Vec<Problem> =
        exclusions.iter().flat_map(|exclusion| unknown(exclusion, axes, &trials)).collect();
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut kept = trials.clone();
    for exclusion in exclusions {
        if !trials.iter().any(|trial| exclusion.matches(trial)) {
            let message = "no trial has these values together";
            let problem = Problem::new(message, exclusion.span.clone(), "leaves out nothing");
            return Err(vec![problem.help("remove this entry, or correct its values")]);
        }
        kept.retain(|trial| !exclusion.matches(trial));
        if kept.is_empty() {
            let message = "no trial is left: every one is excluded";
            let problem = Problem::new(message, exclusion.span.clone(), "leaves out the last one");
            return Err(vec![problem.help("add a value to this entry, or remove it")]);
        }
    }
    Ok(kept)
}

impl Exclusion {
    fn matches(&self, trial: &Trial) -> bool {
        self.values.iter().all(|(axis, value)| {
            let found = trial.values.iter().find(|(known, _)| *known == axis.value);
            match found {
                Some((_, found)) => *found == value.value,
                None => axis.value == SEED && trial.seed.to_string() == value.value,
            }
        })
    }
}

/// The names and values that no trial has.
fn unknown(exclusion: &Exclusion, axes: &[Vec<Choice>], trials: &[Trial]) -> Vec<Problem> {
    let all = || axes.iter().flatten().flat_map(|choice| &choice.values);
    let problem = |(axis, value): &(Spanned<String>, Spanned<String>)| {
        let of_axis = |(known, _): &&(String, String)| *known == axis.value;
        let mut values: Vec<String> =
            all().filter(of_axis).map(|(_, value)| value.clone()).collect();
        if values.is_empty() && axis.value == SEED {
            values = trials.iter().map(|trial| trial.seed.to_string()).collect();
        }
        values.sort();
        values.dedup();
        if values.is_empty() {
            let mut names: Vec<&str> = all().map(|(known, _)| known.as_str()).collect();
            names.push(SEED);
            names.sort_unstable();
            names.dedup();
            let message = format!("the study varies no `{}`", axis.value);
            let problem = Problem::new(message, axis.span.clone(), "no axis");
            return Some(problem.help(did_you_mean(&axis.value, "axes", &names)));
        }
        if values.contains(&value.value) {
            return None;
        }
        let message = format!("`{}` never is `{}`", axis.value, value.value);
        let problem = Problem::new(message, value.span.clone(), "no value of this axis");
        Some(problem.help(format!("its values are {}", listed(&values))))
    };
    exclusion.values.iter().filter_map(problem).collect()
}
