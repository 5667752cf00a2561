//! The paired difference between trials: over the seeds that all have run, or, of one seed, over the
//! questions that all have answered.

use std::collections::BTreeMap;
use std::path::Path;

use super::cells::of_column;
use super::runs::{Rows, Score, Trial, quoted};
use super::{Significance, TableColumn};
use crate::stats::{
    Test, mean, over_questions, over_seeds, quantile_975, sign_flip, standard_deviation,
    standard_error,
};
use crate::{ResultsError, query};

/// Each run's sample scores by benchmark and sample id, the image shown.
pub type Samples = BTreeMap<String, BTreeMap<String, BTreeMap<String, f64>>>;

/// What is compared: trials with weights that sum to zero, such as one minus another.
pub type Contrast<'a> = [(f64, &'a Trial)];

/// What a contrast comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    pub value: f64,
    /// The standard deviation over seeds; of one seed the standard error over questions.
    pub spread: Option<f64>,
    /// Seeds that all trials have run.
    pub seeds: usize,
    /// Questions behind it, in one seed.
    pub samples: usize,
    /// None where nothing can be said: one seed, and a metric that is no mean over questions.
    pub significance: Option<Significance>,
}

/// Every sample score that a difference between these trials may need.
pub fn samples<'a>(
    out: &Path,
    trials: impl IntoIterator<Item = &'a Trial>,
) -> Result<Samples, ResultsError> {
    let runs: Vec<String> =
        trials.into_iter().flat_map(|trial| trial.runs.values()).map(|run| quoted(run)).collect();
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

/// What a contrast comes to on the mean over columns, beyond `threshold`: the test is against a
/// difference of that much, which is zero but for claims like "not worse by more than".
pub fn difference(
    contrast: &Contrast<'_>,
    columns: &[&TableColumn],
    samples: &Samples,
    threshold: f64,
) -> Option<Difference> {
    let by_seed = by_seed(contrast, columns);
    let values: Vec<f64> = by_seed.values().copied().collect();
    let value = mean(&values)?;
    let questions = by_question(contrast, columns, samples, &by_seed);
    let beyond: Vec<f64> = values.iter().map(|value| value - threshold).collect();
    let significance = match over_seeds(&beyond) {
        Some(p) => {
            let half = quantile_975((values.len() - 1) as f64) * standard_error(&values)?;
            let interval = Some((value - half, value + half));
            Some(Significance { p, adjusted: p, test: Test::PairedT, interval })
        }
        None => questions.as_ref().map(|found| of_questions(found, threshold)),
    };
    let over_questions = || questions.as_ref().and_then(|found| error_over(found));
    let spread = if values.len() > 1 { standard_deviation(&values) } else { over_questions() };
    Some(Difference {
        value,
        spread,
        seeds: values.len(),
        samples: asked(contrast, columns),
        significance,
    })
}

/// The contrast of each seed in which all trials have all columns.
fn by_seed(contrast: &Contrast<'_>, columns: &[&TableColumn]) -> BTreeMap<i64, f64> {
    let Some((_, first)) = contrast.first() else { return BTreeMap::new() };
    let of_seed = |seed: i64| -> Option<f64> {
        let mut terms = Vec::new();
        for column in columns {
            let best = unit(columns, column);
            let mut sum = 0.0;
            for (weight, trial) in contrast {
                let scores = of_column(trial, column, false);
                sum += weight * scores.iter().find(|score| score.seed == seed)?.value / best;
            }
            terms.push(sum);
        }
        mean(&terms)
    };
    first.runs.keys().filter_map(|&seed| Some((seed, of_seed(seed)?))).collect()
}

/// Questions that a seed asks, over the columns.
fn asked(contrast: &Contrast<'_>, columns: &[&TableColumn]) -> usize {
    let of = |column: &&TableColumn| {
        let least = contrast.iter().filter_map(|(_, trial)| {
            of_column(trial, column, false).iter().map(|score| score.n).min()
        });
        least.min().unwrap_or(0)
    };
    columns.iter().map(of).sum()
}

/// Of each column one value a question that all trials answered in all of those seeds, averaged over
/// the seeds. None where a metric is not the mean of its samples' scores: then samples say nothing
/// about it.
fn by_question(
    contrast: &Contrast<'_>,
    columns: &[&TableColumn],
    samples: &Samples,
    seeds: &BTreeMap<i64, f64>,
) -> Option<Vec<Vec<f64>>> {
    let of = |column: &&TableColumn| {
        of_questions_of(contrast, (column, unit(columns, column)), samples, seeds)
    };
    columns.iter().map(of).collect()
}

/// What a column's scores are divided by: several columns have a mean of shares of their best scores.
fn unit(columns: &[&TableColumn], column: &TableColumn) -> f64 {
    if columns.len() > 1 { column.maximum.unwrap_or(1.0) } else { 1.0 }
}

fn of_questions_of(
    contrast: &Contrast<'_>,
    (column, unit): (&TableColumn, f64),
    samples: &Samples,
    seeds: &BTreeMap<i64, f64>,
) -> Option<Vec<f64>> {
    let mut sums: BTreeMap<&str, (usize, f64)> = BTreeMap::new();
    for (weight, trial) in contrast {
        for score in of_column(trial, column, false) {
            if !seeds.contains_key(&score.seed) {
                continue;
            }
            for (sample, value) in of_run(samples, trial, score)? {
                let (count, sum) = sums.entry(sample).or_default();
                *count += 1;
                *sum += weight * value / unit;
            }
        }
    }
    // A question that one of the runs lacks would weigh more than the others.
    let all = contrast.len() * seeds.len();
    let complete = sums.values().filter(|(count, _)| *count == all);
    let values: Vec<f64> = complete.map(|(_, sum)| sum / seeds.len() as f64).collect();
    (!values.is_empty()).then_some(values)
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

/// The standard error of the mean over columns: their questions are independent, so variances add.
fn error_over(columns: &[Vec<f64>]) -> Option<f64> {
    let squares: Option<f64> =
        columns.iter().map(|values| standard_error(values).map(|error| error * error)).sum();
    squares.map(|sum| sum.sqrt() / columns.len() as f64)
}

/// Each question weighs 1 / (columns x its column's questions).
fn of_questions(columns: &[Vec<f64>], threshold: f64) -> Significance {
    let weight = |values: &[f64]| 1.0 / (columns.len() * values.len()) as f64;
    let value: f64 = columns.iter().map(|v| v.iter().sum::<f64>() * weight(v)).sum();
    let (p, test) = match columns {
        [only] => over_questions(&only.iter().map(|v| v - threshold).collect::<Vec<_>>()),
        _ => {
            let terms = columns
                .iter()
                .flat_map(|values| values.iter().map(|v| (v - threshold) * weight(values)));
            (sign_flip(&terms.collect::<Vec<_>>()), Test::Permutation)
        }
    };
    let degrees = columns.iter().map(Vec::len).sum::<usize>() - columns.len();
    // Without spread there is no interval: five of five better is no certainty.
    let error = error_over(columns).filter(|error| *error > 0.0);
    let half = error.map(|error| quantile_975(degrees as f64) * error);
    let interval = half.map(|half| (value - half, value + half));
    Significance { p, adjusted: p, test, interval }
}
