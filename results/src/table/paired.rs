//! The paired difference between two trials: sample by sample, on the samples and seeds that both
//! have.

use std::collections::BTreeMap;
use std::path::Path;

use super::cells::{cell, of_column};
use super::runs::{Rows, Score, Selected, Trial, quoted};
use super::{SpreadOver, TableCell, TableColumn};
use crate::stats::{Test, mean, paired_test, sign_flip, standard_error};
use crate::{ResultsError, query};

/// Each run's sample scores by benchmark and sample id, the image shown.
pub type Samples = BTreeMap<String, BTreeMap<String, BTreeMap<String, f64>>>;

/// Every sample score that a difference may need.
pub fn samples(out: &Path, selected: &Selected) -> Result<Samples, ResultsError> {
    let runs: Vec<String> = selected
        .trials
        .iter()
        .flat_map(|trial| trial.runs.values())
        .map(|run| quoted(run))
        .collect();
    let mut samples = Samples::new();
    if runs.is_empty() {
        return Ok(samples);
    }
    let sql = format!(
        "SELECT run, benchmark, sample, score FROM samples WHERE NOT blind AND run IN ({})",
        runs.join(", ")
    );
    let frame = query(out, &sql)?;
    let table = Rows::new(&frame);
    for row in &table.rows {
        if let (Some(run), Some(benchmark), Some(sample), Some(score)) = (
            table.text(row, "run"),
            table.text(row, "benchmark"),
            table.text(row, "sample"),
            table.float(row, "score"),
        ) {
            samples.entry(run).or_default().entry(benchmark).or_default().insert(sample, score);
        }
    }
    Ok(samples)
}

/// Trial minus baseline, a cell a column.
pub fn difference_cells(
    trial: &Trial,
    baseline: &Trial,
    columns: &[TableColumn],
    samples: &Samples,
) -> Vec<Option<TableCell>> {
    let single: Vec<Option<(Vec<f64>, usize)>> = columns
        .iter()
        .filter(|c| !c.is_mean)
        .map(|column| differences(trial, baseline, column, samples))
        .collect();
    let mut cells: Vec<Option<TableCell>> = single
        .iter()
        .map(|found| {
            let (values, seeds) = found.as_ref()?;
            let spread = standard_error(values).map(|e| (e, SpreadOver::Samples));
            let test = Some(paired_test(values));
            Some(TableCell { test, ..cell(mean(values)?, spread, *seeds, values.len()) })
        })
        .collect();
    if columns.last().is_some_and(|c| c.is_mean) {
        cells.push(mean_difference(&single));
    }
    cells
}

/// Trial minus baseline, one value a sample that both answered, averaged over the seeds that both
/// ran. None where the metric is not the mean of its samples' scores: then samples say nothing
/// about it.
fn differences(
    trial: &Trial,
    baseline: &Trial,
    column: &TableColumn,
    samples: &Samples,
) -> Option<(Vec<f64>, usize)> {
    let (ours, theirs) = (of_column(trial, column, false), of_column(baseline, column, false));
    let mut by_sample: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let mut seeds = 0;
    for score in ours {
        let Some(other) = theirs.iter().find(|s| s.seed == score.seed) else { continue };
        let mine = of_run(samples, trial, score)?;
        let base = of_run(samples, baseline, other)?;
        seeds += 1;
        for (sample, value) in mine {
            if let Some(other) = base.get(sample) {
                by_sample.entry(sample).or_default().push(value - other);
            }
        }
    }
    // A sample that one of the seeds lacks would weigh more than the others.
    let complete = by_sample.values().filter(|values| values.len() == seeds);
    let values: Vec<f64> = complete.filter_map(|values| mean(values)).collect();
    (!values.is_empty()).then_some((values, seeds))
}

fn of_run<'a>(
    samples: &'a Samples,
    trial: &Trial,
    score: &Score,
) -> Option<&'a BTreeMap<String, f64>> {
    let scores = samples.get(trial.runs.get(&score.seed)?)?.get(&score.benchmark)?;
    let average = mean(&scores.values().copied().collect::<Vec<_>>())?;
    ((average - score.value).abs() < 1e-4).then_some(scores)
}

/// The mean of the benchmarks' differences; each sample weighs 1 / (benchmarks x its benchmark's
/// samples).
fn mean_difference(single: &[Option<(Vec<f64>, usize)>]) -> Option<TableCell> {
    let found: Option<Vec<&(Vec<f64>, usize)>> = single.iter().map(Option::as_ref).collect();
    let found = found?;
    let mut terms = Vec::new();
    let mut squares = Some(0.0);
    for (values, _) in &found {
        let weight = 1.0 / (found.len() * values.len()) as f64;
        terms.extend(values.iter().map(|v| v * weight));
        squares = squares.zip(standard_error(values)).map(|(sum, e)| sum + e * e);
    }
    let spread = squares.map(|s: f64| (s.sqrt() / found.len() as f64, SpreadOver::Samples));
    let test = Some((sign_flip(&terms), Test::Permutation));
    let seeds = found.iter().map(|(_, seeds)| *seeds).min()?;
    Some(TableCell { test, ..cell(terms.iter().sum(), spread, seeds, terms.len()) })
}
