//! `Study(…)`: variations of one experiment: a product of axes, or a search over its experts.

mod axis;
mod budget;
mod exclude;
mod search;

use std::path::PathBuf;

use super::experiment::file_name;
use super::form::{Form, Known};
use super::syntax::Value;
use super::values::{seeds, text};
use super::{Problem, Span, Spanned, set};

pub(super) use axis::pair;
pub use axis::{Axis, Case, Choice, Edit};
pub use budget::{Budget, STANDARD};
pub use exclude::Exclusion;
pub use search::{Search, Strategy};

/// A study as it was typed.
#[derive(Debug, Clone)]
pub struct Study {
    /// Its name in results.
    pub name: Spanned<String>,
    /// The experiment that is varied; a relative path starts at the study's folder.
    pub base: Spanned<PathBuf>,
    /// Values of the base that are set in every trial.
    pub set: Vec<Edit>,
    /// What is varied; the trials are the product.
    pub vary: Vec<Axis>,
    /// Trials that are left out.
    pub exclude: Vec<Exclusion>,
    /// The seeds of every trial; the base's own if there are none.
    pub seeds: Vec<u64>,
    /// A search over the base's experts: one for every combination of `vary`.
    pub search: Option<Search>,
    /// The same study with less, or more, spent on it.
    pub budgets: Vec<Budget>,
    /// The whole `Study(…)`.
    pub span: Span,
}

/// One experiment of a study.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// Its row in tables: what differs from other trials, seeds aside (`fuse=SequenceAppend`), or
    /// the experiment's name if nothing does.
    pub name: String,
    /// The base's text with the differences written into it.
    pub source: String,
    /// Each axis (a node's id, a path or the name of cases) with its value in this trial, in the
    /// study's order.
    pub values: Vec<(String, String)>,
    /// Its seed.
    pub seed: u64,
}

impl Study {
    /// The text of the base with the values that the study sets.
    ///
    /// # Errors
    /// Paths that lead nowhere, at their places in the study.
    pub fn set_in(&self, base: &str) -> Result<String, Vec<Problem>> {
        let apply = |text: String, (path, value): &Edit| {
            let set = set(&text, &path.value, &value.value);
            set.map_err(|problem| vec![elsewhere(problem, path.span.clone(), &self.base.value)])
        };
        self.set.iter().try_fold(base.to_owned(), apply)
    }

    /// The experiments of this study, given the text of its base. If it searches, these are what
    /// `vary` and `seeds` make of the base; the search takes experts from them.
    ///
    /// # Errors
    /// Axes and exclusions that don't fit the base, at their places in the study.
    pub fn trials(&self, base: &str) -> Result<Vec<Trial>, Vec<Problem>> {
        let mut trials = self.variants(base)?;
        for trial in trials.iter_mut().filter(|trial| trial.name.is_empty()) {
            trial.name = experiment_name(&trial.source);
        }
        Ok(trials)
    }

    /// The same, with an empty name where nothing differs.
    fn variants(&self, base: &str) -> Result<Vec<Trial>, Vec<Problem>> {
        let mut problems = self.same_columns();
        let axes: Vec<Vec<Choice>> = self.vary.iter().map(Axis::choices).collect();
        let mut combinations = vec![(base.to_owned(), Vec::new())];
        for axis in &axes {
            let mut next = Vec::new();
            for (source, values) in &combinations {
                for choice in axis {
                    match choice.edit(source) {
                        Ok(source) => {
                            let values: &Vec<(String, String)> = values;
                            next.push((source, [&values[..], &choice.values].concat()));
                        }
                        // A wrong path is wrong for every value.
                        Err((problem, place)) => {
                            let problem = elsewhere(problem, place, &self.base.value);
                            if !problems.contains(&problem) {
                                problems.push(problem);
                            }
                        }
                    }
                }
            }
            // What can't be applied to anything hides nothing of the other axes.
            combinations = if next.is_empty() { combinations } else { next };
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let labels = labels(&axes);
        let trials = combinations.into_iter().flat_map(|(source, values)| {
            let name = name_of(&values, &labels);
            self.seeded(Trial { name, source, values, seed: 0 })
        });
        exclude::apply(&self.exclude, &axes, trials.collect())
    }

    /// The experiments from which a search takes experts, those that differ in their seed alone
    /// together.
    ///
    /// # Errors
    /// As [`Study::trials`].
    pub fn searched(&self, base: &str) -> Result<Vec<Vec<Trial>>, Vec<Problem>> {
        let mut groups: Vec<Vec<Trial>> = Vec::new();
        for trial in self.variants(base)? {
            match groups.iter_mut().find(|group| group[0].values == trial.values) {
                Some(group) => group.push(trial),
                None => groups.push(vec![trial]),
            }
        }
        Ok(groups)
    }

    /// Columns of the results that two axes would fill.
    fn same_columns(&self) -> Vec<Problem> {
        let columns: Vec<Spanned<String>> = self.vary.iter().flat_map(Axis::columns).collect();
        let mut problems = Vec::new();
        for (at, column) in columns.iter().enumerate() {
            let searched = self.search.is_some() && search::COLUMNS.contains(&&*column.value);
            let first = columns[..at].iter().find(|first| first.value == column.value);
            let problem = match first {
                Some(first) => {
                    let message = format!("two axes are called `{}`", column.value);
                    Problem::new(message, column.span.clone(), "again here")
                        .other(first.span.clone(), "first here")
                        .help("put their values into one axis, or give one of them another name")
                }
                None if searched => {
                    let message = format!("an axis of a search can't be called `{}`", column.value);
                    let text = "the search has a column of this name";
                    Problem::new(message, column.span.clone(), text).help("give it another name")
                }
                None => continue,
            };
            problems.push(problem);
        }
        problems
    }

    fn seeded(&self, mut trial: Trial) -> Vec<Trial> {
        if let Some(super::File::Experiment(experiment)) = super::read(&trial.source).0 {
            trial.seed = experiment.seed;
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

impl Choice {
    /// A text with this choice written into it, or what is wrong with that and where in the study.
    ///
    /// # Errors
    /// A path that leads nowhere.
    pub fn edit(&self, source: &str) -> Result<String, (Problem, Span)> {
        self.edits.iter().try_fold(source.to_owned(), |source, (path, value)| {
            set(&source, &path.value, value).map_err(|problem| (problem, path.span.clone()))
        })
    }
}

/// How each column that differs between trials is called in their names: by the end of its path
/// that no other column ends in.
fn labels(axes: &[Vec<Choice>]) -> Vec<(String, String)> {
    let mut columns: Vec<(&str, Vec<&str>)> = Vec::new();
    for (column, value) in axes.iter().flatten().flat_map(|choice| &choice.values) {
        match columns.iter_mut().find(|(known, _)| known == column) {
            Some((_, values)) => values.push(value),
            None => columns.push((column, vec![value])),
        }
    }
    let names: Vec<&str> = columns.iter().map(|(column, _)| *column).collect();
    let label = |column: &str| {
        let words: Vec<&str> = column.split('.').collect();
        let end = |count: usize| words[words.len() - count..].join(".");
        let alone = |end: &String| {
            let same = |other: &&&str| **other == *end || other.ends_with(&format!(".{end}"));
            names.iter().filter(same).count() == 1
        };
        (1..words.len()).map(end).find(alone).unwrap_or_else(|| column.to_owned())
    };
    // What doesn't differ is no part of a name.
    let differs = |(_, values): &&(&str, Vec<&str>)| values.iter().any(|v| *v != values[0]);
    columns.iter().filter(differs).map(|(c, _)| ((*c).to_owned(), label(c))).collect()
}

fn name_of(values: &[(String, String)], labels: &[(String, String)]) -> String {
    let part = |(column, value): &(String, String)| {
        let (_, label) = labels.iter().find(|(known, _)| known == column)?;
        Some(format!("{label}={value}"))
    };
    values.iter().filter_map(part).collect::<Vec<_>>().join(",")
}

fn experiment_name(source: &str) -> String {
    match super::read(source).0 {
        Some(super::File::Experiment(experiment)) => experiment.name.value,
        _ => String::new(),
    }
}

impl std::fmt::Display for Trial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, seed {}", self.name, self.seed)
    }
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
    Known {
        name: "exclude",
        example: "exclude: [[(\"fuse\", SequenceAppend()), (\"seed\", 1)]]",
        means: "trials that are left out",
    },
    Known { name: "seeds", example: "seeds: [0, 1, 2]", means: "the seeds of every trial" },
    Known {
        name: "search",
        example: "search: Greedy(experts: […], score: Mean([…]))",
        means: "a search over the base's experts",
    },
    Known { name: "set", example: "set: [(\"stages.0.epochs\", 2)]", means: "values of the base" },
    Known {
        name: "budgets",
        example: "budgets: [(name: \"quick\", seeds: [0])]",
        means: "the study with less, or more, spent on it",
    },
];

/// Reads the fields of `Study(…)`.
pub(super) fn read(root: &Value, source: &str, problems: &mut Vec<Problem>) -> Option<Study> {
    let mut form = Form::open(root, source, "the study", "name", STUDY);
    let name = form.required("name", file_name);
    let base = form.required("base", text);
    // A search alone is a study.
    let searches = form.get("search").is_some();
    let vary = match searches && form.get("vary").is_none() {
        true => Some(Vec::new()),
        false => form.required("vary", axis::list),
    };
    let exclude = form.optional("exclude", exclude::read);
    let seeds = form.optional("seeds", seeds);
    let set = form.or("set", axis::edits, Vec::new());
    let budgets = form.or("budgets", budget::read, Vec::new());
    let search = form.optional("search", search::read);
    problems.extend(form.close().1);
    // What was refused must not be taken for what isn't there.
    let search = if searches { Some(search?) } else { None };
    Some(Study {
        name: name?,
        base: base.map(|base| Spanned::new(base.value.into(), base.span))?,
        set,
        vary: vary?,
        exclude: exclude.unwrap_or_default(),
        seeds: seeds.unwrap_or_default(),
        search,
        budgets,
        span: root.span.clone(),
    })
}

/// The names of a study's fields.
pub(super) fn fields() -> Vec<&'static str> {
    STUDY.iter().map(|known| known.name).collect()
}
