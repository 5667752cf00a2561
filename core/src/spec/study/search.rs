//! `search: Greedy(…)`, `search: Exhaustive(…)`: which sets of the base's experts are tried.

use super::Trial;
use crate::spec::form::{Form, Known};
use crate::spec::problem::{did_you_mean, listed};
use crate::spec::syntax::{Item, Shape};
use crate::spec::values::{Place, each, number, option, text, texts};
use crate::spec::{Problem, Span, Spanned, without};

/// A search over the sets of an experiment's experts. A set is a list of positions in `experts`,
/// in order; its trial is the base without the others.
#[derive(Debug, Clone)]
pub struct Search {
    /// The ids of the vision encoders that may be left out.
    pub experts: Vec<Spanned<String>>,
    /// In which order sets are tried.
    pub strategy: Strategy,
    /// The benchmarks whose mean is the score.
    pub score: Vec<Spanned<String>>,
    /// The whole `Greedy(…)` or `Exhaustive(…)`.
    pub span: Span,
}

/// In which order sets of experts are tried.
#[derive(Debug, Clone, PartialEq)]
pub enum Strategy {
    /// Round by round, the best expert is added to the best set so far.
    Greedy {
        /// The set that it starts from; empty: from the best single expert.
        start: Vec<usize>,
        /// The most rounds.
        rounds: usize,
        /// What an expert must add to the score, at least: more than this. None: it may take away.
        min_gain: Option<f64>,
    },
    /// All sets.
    Exhaustive {
        /// The smallest set.
        at_least: usize,
        /// The largest set.
        at_most: usize,
    },
}

/// The columns of the results that a search fills.
pub(super) const COLUMNS: [&str; 2] = ["round", "experts"];

impl Search {
    /// The experts of a set, as its trials are called: `clip+convnext`.
    pub fn name(&self, set: &[usize]) -> String {
        let names = set.iter().filter_map(|&at| self.experts.get(at));
        names.map(|expert| expert.value.as_str()).collect::<Vec<_>>().join("+")
    }

    /// What `trial`, which has all experts, is with those of `set` alone.
    ///
    /// # Errors
    /// An expert that the trial's text doesn't have.
    pub fn trial(&self, trial: &Trial, round: usize, set: &[usize]) -> Result<Trial, Problem> {
        let others = (0..self.experts.len()).filter(|at| !set.contains(at));
        let others: Vec<&str> = others.map(|at| self.experts[at].value.as_str()).collect();
        let experts = self.name(set);
        let comma = if trial.name.is_empty() { "" } else { "," };
        let mut values = trial.values.clone();
        values.push((COLUMNS[0].to_owned(), round.to_string()));
        values.push((COLUMNS[1].to_owned(), experts.clone()));
        Ok(Trial {
            name: format!("{}{comma}experts={experts}", trial.name),
            source: without(&trial.source, &others)?,
            values,
            seed: trial.seed,
        })
    }

    /// Sets, with their rounds, that show before anything is trained whether the search can run:
    /// each expert stands in one of the smallest and, if it is exhaustive, of the largest.
    pub fn probes(&self) -> Vec<(usize, Vec<usize>)> {
        let count = self.experts.len();
        match &self.strategy {
            Strategy::Greedy { start, .. } => {
                let grown = (0..count).filter(|at| !start.contains(at)).map(|at| {
                    let mut set = start.clone();
                    set.push(at);
                    set.sort_unstable();
                    (1, set)
                });
                let first = Some((0, start.clone())).filter(|_| !start.is_empty());
                first.into_iter().chain(grown).collect()
            }
            Strategy::Exhaustive { at_least, at_most } => {
                let mut probes: Vec<(usize, Vec<usize>)> = Vec::new();
                for size in [*at_least, *at_most] {
                    for first in 0..count {
                        let mut set: Vec<usize> = (0..size).map(|i| (first + i) % count).collect();
                        set.sort_unstable();
                        if !probes.contains(&(1, set.clone())) {
                            probes.push((1, set));
                        }
                    }
                }
                probes
            }
        }
    }

    /// The most sets that it tries.
    pub fn most(&self) -> usize {
        let count = self.experts.len();
        match &self.strategy {
            Strategy::Greedy { start, rounds, .. } => {
                let left = count - start.len();
                let grown: usize = (0..*rounds).map(|round| left.saturating_sub(round)).sum();
                grown + usize::from(!start.is_empty())
            }
            Strategy::Exhaustive { at_least, at_most } => {
                (*at_least..=*at_most).map(|size| choose(count, size)).sum()
            }
        }
    }
}

fn choose(count: usize, size: usize) -> usize {
    (0..size).fold(1, |ways, i| ways * (count - i) / (i + 1))
}

/// More experts than this have too many sets to try.
const MOST_EXHAUSTIVE: usize = 16;

const GREEDY: &[Known] = &[
    Known { name: "experts", example: "experts: [\"clip\", \"sam\"]", means: "vision encoders" },
    Known { name: "score", example: "score: Mean([\"mini-colour\"])", means: "what is best" },
    Known { name: "start", example: "start: [\"clip\"]", means: "the first set" },
    Known { name: "rounds", example: "rounds: 5", means: "the most rounds" },
    Known { name: "min_gain", example: "min_gain: 0.01", means: "what an expert must add" },
];

const EXHAUSTIVE: &[Known] = &[
    Known { name: "experts", example: "experts: [\"clip\", \"sam\"]", means: "vision encoders" },
    Known { name: "score", example: "score: Mean([\"mini-colour\"])", means: "what is best" },
    Known { name: "at_least", example: "at_least: 1", means: "the smallest set" },
    Known { name: "at_most", example: "at_most: 3", means: "the largest set" },
];

/// Reads `Greedy(…)` or `Exhaustive(…)`.
pub(super) fn read(place: &Place<'_>) -> Result<Search, Vec<Problem>> {
    let kind = match &place.value.shape {
        Shape::Group { name: Some(name), .. } => name,
        _ => return Err(vec![place.wrong("`Greedy(…)` or `Exhaustive(…)`")]),
    };
    let greedy = kind.value == "Greedy";
    if !greedy && kind.value != "Exhaustive" {
        let message = format!("there is no search `{}`", kind.value);
        let help = did_you_mean(&kind.value, "searches", &["Greedy", "Exhaustive"]);
        return Err(vec![Problem::new(message, kind.span.clone(), "unknown").help(help)]);
    }
    let known = if greedy { GREEDY } else { EXHAUSTIVE };
    let mut form = Form::open(place.value, place.source, &format!("`{}`", kind.value), "", known);
    let experts = form.required("experts", experts).unwrap_or_default();
    let count = experts.len();
    let score = form.required("score", score).unwrap_or_default();
    let strategy = match greedy {
        true => Strategy::Greedy {
            start: form.or("start", |place: &Place<'_>| start(place, &experts), Vec::new()),
            rounds: form.or("rounds", self::count, count),
            min_gain: form.or("min_gain", option(gain), Some(0.0)),
        },
        false => Strategy::Exhaustive {
            at_least: form.or("at_least", |place: &Place<'_>| size(place, 1, count), 1),
            at_most: form.or("at_most", |place: &Place<'_>| size(place, 1, count), count),
        },
    };
    if let Strategy::Exhaustive { at_least, at_most } = strategy {
        if at_least > at_most && form.problems.is_empty() {
            let message = format!("the smallest set has {at_least} experts, the largest {at_most}");
            let problem = Problem::new(message, kind.span.clone(), "no set is between them");
            form.problems.push(problem.help("lower `at_least`, or raise `at_most`"));
        }
        if count > MOST_EXHAUSTIVE {
            let message = format!("{count} experts have too many sets to try them all");
            let problem = Problem::new(message, kind.span.clone(), "too many");
            let help = format!("search with `Greedy`, or name {MOST_EXHAUSTIVE} experts at most");
            form.problems.push(problem.help(help));
        }
    }
    let (_, problems) = form.close();
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(Search { experts, strategy, score, span: kind.span.clone() })
}

fn experts(place: &Place<'_>) -> Result<Vec<Spanned<String>>, Vec<Problem>> {
    let experts = texts(place)?;
    if experts.len() < 2 {
        let problem = place.wrong("a list of two or more vision encoders");
        return Err(vec![problem.help("a search chooses among experts")]);
    }
    twice(&experts, "expert").map_or(Ok(experts.clone()), |problem| Err(vec![problem]))
}

fn twice(names: &[Spanned<String>], what: &str) -> Option<Problem> {
    names.iter().enumerate().find_map(|(at, name)| {
        let first = names[..at].iter().find(|first| first.value == name.value)?;
        let message = format!("the {what} `{}` is named twice", name.value);
        let problem = Problem::new(message, name.span.clone(), "again here");
        Some(problem.other(first.span.clone(), "first here").help("remove one of them"))
    })
}

/// `Mean(["mini-colour", "mini-count"])`
fn score(place: &Place<'_>) -> Result<Vec<Spanned<String>>, Vec<Problem>> {
    let expected = "`Mean([…])` of benchmarks' names";
    let wrong =
        || place.wrong(expected).help("write `score: Mean([\"mini-colour\", \"mini-count\"])`");
    let list = match &place.value.shape {
        Shape::Group { name: Some(name), items } if name.value == "Mean" => match &items[..] {
            [Item { name: None, value }] => place.inside(value),
            _ => return Err(vec![wrong()]),
        },
        _ => return Err(vec![wrong()]),
    };
    let Shape::List(items) = &list.value.shape else { return Err(vec![wrong()]) };
    if items.is_empty() {
        return Err(vec![wrong()]);
    }
    let names = each(items.iter().map(|item| list.part(item)), text)?;
    twice(&names, "benchmark").map_or(Ok(names.clone()), |problem| Err(vec![problem]))
}

fn start(place: &Place<'_>, experts: &[Spanned<String>]) -> Result<Vec<usize>, Vec<Problem>> {
    let names = texts(place)?;
    let known: Vec<&str> = experts.iter().map(|expert| expert.value.as_str()).collect();
    let mut problems: Vec<Problem> = twice(&names, "expert").into_iter().collect();
    let mut set = Vec::new();
    for name in names {
        match known.iter().position(|expert| *expert == name.value) {
            Some(at) => set.push(at),
            // What is wrong with the experts was said.
            None if known.is_empty() => {}
            None => {
                let message =
                    format!("the search starts from `{}`, which is no expert", name.value);
                let problem = Problem::new(message, name.span, "not in `experts`");
                problems.push(problem.help(format!("its experts are {}", listed(&known))));
            }
        }
    }
    set.sort_unstable();
    if problems.is_empty() { Ok(set) } else { Err(problems) }
}

fn count(place: &Place<'_>) -> Result<usize, Vec<Problem>> {
    number("a whole number, 1 or more", |n| *n >= 1)(place)
}

fn size(place: &Place<'_>, least: usize, most: usize) -> Result<usize, Vec<Problem>> {
    let size = count(place)?;
    if (least..=most.max(least)).contains(&size) || most == 0 {
        return Ok(size);
    }
    Err(vec![place.wrong(&format!("a number of experts, {least} to {most}"))])
}

fn gain(place: &Place<'_>) -> Result<f64, Vec<Problem>> {
    number("a number, 0 or more", |x: &f64| *x >= 0.0 && x.is_finite())(place)
}
