//! `budgets`: the same study with less, or more, spent on it.

use super::{Axis, Edit, Exclusion, Search, Study, axis, exclude, search};
use crate::spec::form::{Form, Known};
use crate::spec::problem::{did_you_mean, listed};
use crate::spec::values::{Place, each, name, seeds};
use crate::spec::{Problem, Spanned};

/// `(name: "quick", seeds: [0], set: [("stages.fine-tuning.epochs", 0.5)])`: what it names stands in
/// place of what the study says; what it sets, it sets besides.
#[derive(Debug, Clone)]
pub struct Budget {
    /// Its name, for `--budget`.
    pub name: Spanned<String>,
    /// In place of the study's.
    pub vary: Option<Vec<Axis>>,
    /// In place of the study's.
    pub exclude: Option<Vec<Exclusion>>,
    /// In place of the study's.
    pub seeds: Option<Vec<u64>>,
    /// In place of the study's.
    pub search: Option<Search>,
    /// Values of the base, set after those that the study sets.
    pub set: Vec<Edit>,
}

/// The name of the study as it stands, for `--budget`.
pub const STANDARD: &str = "standard";

impl Study {
    /// The study at a budget. Its results are another study's, `BUDGET-NAME`, so that no table mixes
    /// rows of two budgets. [`STANDARD`] is the study as it stands.
    ///
    /// # Errors
    /// It has no such budget.
    pub fn at(&self, budget: &str) -> Result<Study, String> {
        if budget == STANDARD {
            return Ok(self.clone());
        }
        let Some(budget) = self.budgets.iter().find(|known| known.name.value == budget) else {
            let names = self.budgets.iter().map(|known| known.name.value.as_str());
            let names: Vec<&str> = names.chain([STANDARD]).collect();
            return Err(format!(
                "the study {} has no budget {budget:?}; {}",
                self.name.value,
                did_you_mean(budget, "budgets", &names)
            ));
        };
        let mut study = self.clone();
        study.name.value = format!("{}-{}", budget.name.value, self.name.value);
        study.vary = budget.vary.clone().unwrap_or(study.vary);
        study.exclude = budget.exclude.clone().unwrap_or(study.exclude);
        study.seeds = budget.seeds.clone().unwrap_or(study.seeds);
        study.search = budget.search.clone().or(study.search);
        study.set.extend(budget.set.iter().cloned());
        study.budgets = Vec::new();
        Ok(study)
    }
}

const BUDGET: &[Known] = &[
    Known { name: "name", example: "name: \"quick\"", means: "what `--budget` calls it" },
    Known { name: "vary", example: "vary: [Node(\"fuse\", […])]", means: "what is varied" },
    Known { name: "exclude", example: "exclude: [[(\"seed\", 1)]]", means: "what is left out" },
    Known { name: "seeds", example: "seeds: [0]", means: "the seeds of every trial" },
    Known { name: "search", example: "search: Greedy(…)", means: "a search over experts" },
    Known {
        name: "set",
        example: "set: [(\"stages.0.epochs\", 0.5)]",
        means: "values of the base",
    },
];

/// Reads `[(name: "quick", …), …]`.
pub(super) fn read(place: &Place<'_>) -> Result<Vec<Budget>, Vec<Problem>> {
    let items = place.list("a list of budgets", "[(name: \"quick\", seeds: [0])]")?;
    let budgets = each(items.iter().map(|item| place.part(item)), one)?;
    for (at, budget) in budgets.iter().enumerate() {
        let again = budgets[..at].iter().any(|first| first.name.value == budget.name.value);
        if again || budget.name.value == STANDARD {
            let message = match again {
                true => format!("two budgets are called {:?}", budget.name.value),
                false => format!("{STANDARD:?} is the study as it stands"),
            };
            let problem = Problem::new(message, budget.name.span.clone(), "a name of its own");
            return Err(vec![problem.help("give it another name")]);
        }
    }
    Ok(budgets)
}

fn one(place: &Place<'_>) -> Result<Budget, Vec<Problem>> {
    let mut form = Form::open(place.value, place.source, "the budget", "name", BUDGET);
    let head = Spanned::new(String::new(), form.head());
    let budget = Budget {
        name: form.required("name", name).unwrap_or(head),
        vary: form.optional("vary", axis::list),
        exclude: form.optional("exclude", exclude::read),
        seeds: form.optional("seeds", seeds),
        search: form.optional("search", search::read),
        set: form.or("set", axis::edits, Vec::new()),
    };
    let changes = form.places().len() > 1;
    let (broken, mut problems) = form.close();
    if !changes && broken.is_empty() {
        let names: Vec<&str> = BUDGET[1..].iter().map(|known| known.name).collect();
        let text = "it is the study as it stands";
        let problem = Problem::new("this budget changes nothing", place.value.span.clone(), text);
        problems.push(problem.help(format!("give it some of {}", listed(&names))));
    }
    if problems.is_empty() { Ok(budget) } else { Err(problems) }
}
