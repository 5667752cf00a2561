//! Which of the paper's findings hold here: each as a claim, with the evidence and a verdict.

pub(crate) mod below;
mod claims;
mod data;
mod rows;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

pub use claims::Claim;
pub(crate) use rows::place_of;
use rows::{Studies, compared};
pub use text::{FindingsFormat, notes as findings_notes, render_findings};

use crate::cell::Cell;
use crate::stats::LEVEL;
use crate::table::{
    Significance, TableColumn, Trial, columns, difference, has, mean_over, samples, select,
};
use crate::{ResultsError, query};

/// One finding of the paper, and what the runs say of it.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The finding.
    pub claim: Claim,
    /// The study that decides it; None where no study of its table has run.
    pub study: Option<String>,
    /// What came out.
    pub outcome: Outcome,
}

/// What the runs say of a finding.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// A study that it needs has no finished run.
    NoRuns {
        /// The command that makes them.
        command: String,
    },
    /// There are runs, but not the rows or benchmarks that it speaks of.
    Missing {
        /// What is missing.
        what: String,
    },
    /// It was tested.
    Tested(Evidence),
}

/// The evidence for or against a finding.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// By how much the side that the paper says is greater scores more; in the scale of the scores.
    pub difference: f64,
    /// How sure that is: against a difference of zero, or of minus the claim's margin. None where
    /// nothing can be said.
    pub significance: Option<Significance>,
    /// Seeds that all rows have run.
    pub seeds: usize,
    /// Questions asked of each row, in one seed.
    pub samples: usize,
    /// The benchmarks.
    pub benchmarks: Vec<String>,
    /// The rows on the side that is said to be greater.
    pub more: Vec<String>,
    /// The rows on the other side.
    pub less: Vec<String>,
    /// The verdict.
    pub verdict: Verdict,
}

/// Whether a finding holds here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The whole 95 % interval lies on the paper's side, and p is below 0.05.
    Holds,
    /// The whole 95 % interval lies on the other side, and p is below 0.05.
    DoesNotHold,
    /// Neither.
    Undecided,
}

impl Verdict {
    /// As it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Holds => "holds",
            Verdict::DoesNotHold => "does not hold",
            Verdict::Undecided => "undecided",
        }
    }

    fn of(significance: Option<&Significance>, margin: f64) -> Self {
        let sure = significance.filter(|test| test.p < LEVEL).and_then(|test| test.interval);
        match sure {
            Some((low, _)) if low > -margin => Verdict::Holds,
            Some((_, high)) if high < -margin => Verdict::DoesNotHold,
            _ => Verdict::Undecided,
        }
    }
}

impl Evidence {
    /// The difference with its interval, in points of percent: "+3.4 [+0.9, +5.9]".
    #[must_use]
    pub fn told(&self) -> String {
        text::interval(self)
    }

    /// Which rows are set against which.
    #[must_use]
    pub fn rows(&self) -> String {
        text::rows(self)
    }
}

impl Finding {
    /// What it says, with its margin.
    #[must_use]
    pub fn statement(&self) -> String {
        text::statement(self)
    }

    /// The paper's numbers, where they are known, and the place.
    #[must_use]
    pub fn in_the_paper(&self) -> String {
        text::paper(self)
    }

    /// "holds", "does not hold", "undecided" or "no runs".
    #[must_use]
    pub fn verdict(&self) -> &'static str {
        match &self.outcome {
            Outcome::NoRuns { .. } => "no runs",
            Outcome::Missing { .. } => Verdict::Undecided.name(),
            Outcome::Tested(evidence) => evidence.verdict.name(),
        }
    }
}

/// Every finding of the paper, with what the runs in `out` say of it: once for each study of its
/// table, "no runs" where there is none. A folder without any run is no error.
///
/// # Errors
/// What [`crate::query`] returns.
pub fn findings(out: &Path) -> Result<Vec<Finding>, ResultsError> {
    let names = studies(out)?;
    let claims = claims::claims();
    let tables: BTreeSet<&str> = claims.iter().map(|claim| claim.table.as_str()).collect();
    let scales: BTreeSet<String> = names
        .iter()
        .flat_map(|name| tables.iter().filter_map(|table| scale(name, table)))
        .collect();
    let mut found: BTreeMap<String, Vec<Finding>> = BTreeMap::new();
    for scale in &scales {
        let studies = of_scale(out, scale, &names, &claims)?;
        for claim in claims.iter().filter(|claim| studies.contains_key(&claim.table)) {
            let finding = decide(out, claim, &studies)?;
            found.entry(claim.id.clone()).or_default().push(finding);
        }
    }
    let of = |claim: Claim| found.remove(&claim.id).unwrap_or_else(|| vec![no_runs(claim)]);
    Ok(claims.into_iter().flat_map(of).collect())
}

/// The findings that belong to the study `name`: none where it is named after no table of the paper.
pub(crate) fn of_study(out: &Path, name: &str) -> Result<Vec<Finding>, ResultsError> {
    let claims: Vec<Claim> =
        claims::claims().into_iter().filter(|claim| scale(name, &claim.table).is_some()).collect();
    let Some(scale) = claims.first().and_then(|claim| scale(name, &claim.table)) else {
        return Ok(Vec::new());
    };
    let studies = of_scale(out, &scale, &studies(out)?, &claims)?;
    claims.iter().map(|claim| decide(out, claim, &studies)).collect()
}

/// What a study's name has before the name of its table: `mini-` of `mini-fusion`.
fn scale(study: &str, table: &str) -> Option<String> {
    let rest = study.strip_suffix(table)?;
    (rest.is_empty() || rest.ends_with('-')).then(|| rest.to_owned())
}

/// The names of all studies with a finished run, sorted; none where nothing has run.
///
/// # Errors
/// What [`crate::query`] returns.
pub fn studies(out: &Path) -> Result<Vec<String>, ResultsError> {
    let sql = "SELECT DISTINCT study FROM runs WHERE status = 'done' ORDER BY study";
    let frame = match query(out, sql) {
        Err(ResultsError::NoRuns { .. }) => return Ok(Vec::new()),
        frame => frame?,
    };
    // Runs of no study have a null there.
    let name = |row: Vec<Cell>| match row.into_iter().next() {
        Some(Cell::Text(name)) => Some(name),
        _ => None,
    };
    Ok(frame.rows().filter_map(name).collect())
}

/// The studies of one scale that the claims need.
fn of_scale(
    out: &Path,
    scale: &str,
    names: &[String],
    claims: &[Claim],
) -> Result<Studies, ResultsError> {
    let others = |claim: &Claim| -> Vec<String> {
        let rows = claim.more.iter().chain(&claim.less);
        rows.filter_map(|rows| rows.of.clone()).chain([claim.table.clone()]).collect()
    };
    let tables: BTreeSet<String> = claims.iter().flat_map(others).collect();
    let mut studies = Studies::new();
    for table in tables {
        let name = format!("{scale}{table}");
        if names.contains(&name) {
            studies.insert(table, select(out, &name)?);
        }
    }
    Ok(studies)
}

fn no_runs(claim: Claim) -> Finding {
    let command = command(&claim.table);
    Finding { claim, study: None, outcome: Outcome::NoRuns { command } }
}

fn command(table: &str) -> String {
    format!("eagle-lab run experiments/mini/studies/{table}.ron")
}

fn decide(out: &Path, claim: &Claim, studies: &Studies) -> Result<Finding, ResultsError> {
    let study = studies.get(&claim.table).map(|selected| selected.name.clone());
    let outcome = outcome(out, claim, studies)?;
    Ok(Finding { claim: claim.clone(), study, outcome })
}

fn outcome(out: &Path, claim: &Claim, studies: &Studies) -> Result<Outcome, ResultsError> {
    let rows = claim.more.iter().chain(&claim.less);
    let needed = rows.map(|rows| rows.of.as_ref().unwrap_or(&claim.table));
    if let Some(table) = needed.clone().find(|table| !studies.contains_key(*table)) {
        return Ok(Outcome::NoRuns { command: command(table) });
    }
    let trials: Vec<&Trial> =
        needed.collect::<BTreeSet<_>>().iter().flat_map(|table| &studies[*table].trials).collect();
    let columns = spoken_of(claim, &trials);
    let columns: Vec<&TableColumn> = columns.iter().collect();
    let compared = match compared(claim, studies, &|trial| mean_over(trial, &columns)) {
        Ok(compared) => compared,
        Err(what) => return Ok(Outcome::Missing { what }),
    };
    let all_have =
        |column: &&&TableColumn| compared.contrast.iter().all(|(_, trial)| has(trial, column));
    let columns: Vec<&TableColumn> = columns.iter().filter(all_have).copied().collect();
    if columns.is_empty() {
        let of =
            if claim.benchmarks.is_empty() { "any benchmark" } else { "one of its benchmarks" };
        let named = claim.benchmarks.join(", ");
        let what = format!("its rows have no score of {of} ({named})").replace(" ()", "");
        return Ok(Outcome::Missing { what });
    }
    let samples = samples(out, compared.contrast.iter().map(|(_, trial)| *trial))?;
    let Some(found) = difference(&compared.contrast, &columns, &samples, -claim.margin) else {
        let what = "no seed that all of its rows have run on all of its benchmarks".to_owned();
        return Ok(Outcome::Missing { what });
    };
    Ok(Outcome::Tested(Evidence {
        difference: found.value,
        verdict: Verdict::of(found.significance.as_ref(), claim.margin),
        significance: found.significance,
        seeds: found.seeds,
        samples: found.samples,
        benchmarks: columns.iter().map(|column| column.benchmark.clone()).collect(),
        more: compared.more,
        less: compared.less,
    }))
}

/// The columns of a claim: fractions of what is right, on the benchmarks that it names.
fn spoken_of(claim: &Claim, trials: &[&Trial]) -> Vec<TableColumn> {
    let named = |column: &TableColumn| {
        let same = |name: &String| crate::paper::same_name(name, &column.benchmark);
        claim.benchmarks.is_empty() || claim.benchmarks.iter().any(same)
    };
    let columns = columns(trials.iter().copied()).into_iter();
    columns
        .filter(|column| column.maximum.is_some() && column.of_benchmark() && named(column))
        .collect()
}
