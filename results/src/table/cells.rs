//! A table's cells: mean and spread over seeds, with the image and without.

use std::collections::BTreeMap;
use std::path::Path;

use super::normalised;
use super::notes::notes;
use super::paired::{Samples, difference, samples};
use super::published::{published_row, published_rows};
use super::runs::{Score, Selected, Trial};
use super::{RowKind, SpreadOver, Table, TableCell, TableColumn, TableOptions, TableRow};
use crate::ResultsError;
use crate::error::nearest;
use crate::stats::{holm, mean, standard_deviation};

/// The table of what was selected.
pub fn fill(out: &Path, selected: Selected, options: &TableOptions) -> Result<Table, ResultsError> {
    let mut columns = columns(&selected.trials);
    if options.normalised && !columns.is_empty() {
        columns.push(normalised::column());
    }
    let baseline = baseline(&selected.trials, options)?;
    let paper = published_rows(&selected, options)?;
    let samples = samples(out, &selected.trials)?;
    let mut rows = Vec::new();
    for trial in &selected.trials {
        let row = |kind, seeds, cells| TableRow {
            trial: trial.name.clone(),
            kind,
            seeds,
            visual_tokens: mean(&trial.visual_tokens),
            parameters: cost(trial, &|(trained, frozen, _)| trained + frozen),
            trained: cost(trial, &|(trained, _, _)| trained),
            speed: cost(trial, &|(_, _, speed)| speed),
            cells,
        };
        rows.push(row(RowKind::Model, trial.runs.len(), score_cells(trial, &columns, false)));
        let blind = score_cells(trial, &columns, true);
        if blind.iter().any(Option::is_some) {
            rows.push(row(RowKind::Blind, trial.runs.len(), blind));
        }
        if let Some(baseline) = baseline.filter(|b| b.name != trial.name) {
            let cells = difference_cells(trial, baseline, &columns, &samples);
            let shared = trial.runs.keys().filter(|seed| baseline.runs.contains_key(seed)).count();
            if cells.iter().any(Option::is_some) {
                rows.push(row(RowKind::Difference, shared, cells));
            }
        }
        rows.extend(published_row(trial, &selected.trials, &paper, &columns));
    }
    correct(&mut rows);
    rows.extend(chance_row(&columns));
    let mut table = Table {
        selection: selected.name,
        baseline: baseline.map(|trial| trial.name.clone()),
        columns,
        rows,
        notes: Vec::new(),
        sql: selected.sql,
        findings: Vec::new(),
        costs: options.costs,
    };
    table.notes = notes(&table);
    table.notes.extend(selected.notes);
    Ok(table)
}

/// Trial minus baseline, a cell a column.
fn difference_cells(
    trial: &Trial,
    baseline: &Trial,
    columns: &[TableColumn],
    samples: &Samples,
) -> Vec<Option<TableCell>> {
    let contrast = [(1.0, trial), (-1.0, baseline)];
    let cell = |column: &TableColumn| {
        if column.is_normalised {
            return None;
        }
        let of: Vec<&TableColumn> = match column.is_mean {
            true => columns.iter().filter(|c| c.of_benchmark()).collect(),
            false => vec![column],
        };
        let found = difference(&contrast, &of, samples, 0.0)?;
        let over = if found.seeds > 1 { SpreadOver::Seeds } else { SpreadOver::Samples };
        let spread = found.spread.map(|spread| (spread, over));
        let test = found.significance;
        Some(TableCell { test, ..cell(found.value, spread, found.seeds, found.samples) })
    };
    columns.iter().map(cell).collect()
}

/// Holm's correction, column by column: the family is all rows compared with the baseline.
fn correct(rows: &mut [TableRow]) {
    let width = rows.iter().map(|row| row.cells.len()).max().unwrap_or(0);
    for column in 0..width {
        let mut tests: Vec<_> = rows
            .iter_mut()
            .filter_map(|row| row.cells.get_mut(column)?.as_mut()?.test.as_mut())
            .collect();
        let corrected = holm(&tests.iter().map(|test| test.p).collect::<Vec<_>>());
        for (test, adjusted) in tests.iter_mut().zip(corrected) {
            test.adjusted = adjusted;
        }
    }
}

/// A cost's mean over the runs of a trial.
fn cost(trial: &Trial, of: &dyn Fn((f64, f64, f64)) -> f64) -> Option<f64> {
    mean(&trial.costs.iter().map(|&costs| of(costs)).collect::<Vec<_>>())
}

/// One a benchmark and metric that some trial has, then the mean over them where it says something.
pub fn columns<'a>(trials: impl IntoIterator<Item = &'a Trial>) -> Vec<TableColumn> {
    let mut scores: BTreeMap<(&str, &str), Vec<&Score>> = BTreeMap::new();
    for score in trials.into_iter().flat_map(|trial| &trial.scores) {
        scores.entry((&score.benchmark, &score.metric)).or_default().push(score);
    }
    let mut columns: Vec<TableColumn> =
        scores.into_iter().map(|((name, metric), scores)| column(name, metric, &scores)).collect();
    // A mean over unknown scales, or over two metrics of one benchmark, would mean nothing.
    let one_metric_each = columns.windows(2).all(|pair| pair[0].benchmark != pair[1].benchmark);
    if columns.len() > 1 && one_metric_each && columns.iter().all(|c| c.maximum.is_some()) {
        let share = |column: &TableColumn| Some(column.chance? / column.maximum?);
        let chances: Option<Vec<f64>> = columns.iter().map(share).collect();
        columns.push(TableColumn {
            benchmark: "mean".to_owned(),
            metric: "mean".to_owned(),
            percent: true,
            maximum: Some(1.0),
            chance: chances.and_then(|chances| mean(&chances)),
            is_mean: true,
            is_normalised: false,
        });
    }
    columns
}

fn column(benchmark: &str, metric: &str, scores: &[&Score]) -> TableColumn {
    let largest = scores.iter().map(|score| score.value.abs()).fold(0.0, f64::max);
    let told = scores.iter().find_map(|score| score.maximum).filter(|best| *best > 0.0);
    let maximum = told.or((largest <= 1.0).then_some(1.0));
    TableColumn {
        benchmark: benchmark.to_owned(),
        metric: metric.to_owned(),
        percent: maximum == Some(1.0),
        maximum,
        chance: scores.iter().find_map(|score| score.chance),
        is_mean: false,
        is_normalised: false,
    }
}

/// What a guess scores, where any benchmark tells.
fn chance_row(columns: &[TableColumn]) -> Option<TableRow> {
    let chance = |column: &TableColumn| column.chance.map(|chance| cell(chance, None, 0, 0));
    let cells: Vec<Option<TableCell>> = columns.iter().map(chance).collect();
    cells.iter().any(Option::is_some).then(|| TableRow {
        trial: "guessing".to_owned(),
        kind: RowKind::Chance,
        seeds: 0,
        visual_tokens: None,
        parameters: None,
        trained: None,
        speed: None,
        cells,
    })
}

fn baseline<'a>(
    trials: &'a [Trial],
    options: &TableOptions,
) -> Result<Option<&'a Trial>, ResultsError> {
    let Some(name) = &options.baseline else {
        return Ok(trials.iter().find(|trial| !trial.runs.is_empty()));
    };
    let known = || trials.iter().map(|trial| trial.name.as_str());
    trials.iter().find(|trial| trial.name == *name).map(Some).ok_or_else(|| {
        ResultsError::UnknownName {
            kind: "trial",
            name: name.clone(),
            known: known().map(str::to_owned).collect(),
            nearest: nearest(name, known()),
        }
    })
}

/// The scores of one column, by seed.
pub fn of_column<'a>(trial: &'a Trial, column: &TableColumn, blind: bool) -> Vec<&'a Score> {
    let wanted = |s: &&Score| {
        s.benchmark == column.benchmark && s.metric == column.metric && s.blind == blind
    };
    trial.scores.iter().filter(wanted).collect()
}

fn score_cells(trial: &Trial, columns: &[TableColumn], blind: bool) -> Vec<Option<TableCell>> {
    let single: Vec<&TableColumn> = columns.iter().filter(|c| c.of_benchmark()).collect();
    let cell = |column: &TableColumn| match (column.is_mean, column.is_normalised) {
        (true, _) => mean_cell(trial, &single, blind),
        (_, true) => normalised::cell(trial, &single, blind),
        _ => score_cell(&of_column(trial, column, blind)),
    };
    columns.iter().map(cell).collect()
}

fn score_cell(scores: &[&Score]) -> Option<TableCell> {
    let values: Vec<f64> = scores.iter().map(|s| s.value).collect();
    let one_seed = || scores[0].standard_error.map(|e| (e, SpreadOver::Samples));
    let spread = if values.len() == 1 { one_seed() } else { over_seeds(&values) };
    let samples = scores.first().map_or(0, |s| s.n);
    Some(cell(mean(&values)?, spread, values.len(), samples))
}

/// Whether a trial has a score of a column.
pub fn has(trial: &Trial, column: &TableColumn) -> bool {
    !of_column(trial, column, false).is_empty()
}

/// A trial's mean over columns, of the seeds that have them all.
pub fn mean_over(trial: &Trial, columns: &[&TableColumn]) -> Option<f64> {
    mean_cell(trial, columns, false).map(|cell| cell.value)
}

/// The mean over benchmarks, each as a share of its best score, of the seeds that have them all.
fn mean_cell(trial: &Trial, columns: &[&TableColumn], blind: bool) -> Option<TableCell> {
    let parts: Vec<(Vec<&Score>, f64)> = columns
        .iter()
        .map(|column| (of_column(trial, column, blind), column.maximum.unwrap_or(1.0)))
        .collect();
    let of_seed = |seed: i64| -> Option<Vec<(&Score, f64)>> {
        let found = parts.iter().map(|(scores, best)| {
            scores.iter().find(|s| s.seed == seed).map(|score| (*score, *best))
        });
        found.collect()
    };
    let complete: Vec<Vec<(&Score, f64)>> =
        trial.runs.keys().filter_map(|seed| of_seed(*seed)).collect();
    let means: Vec<f64> = complete
        .iter()
        .filter_map(|scores| {
            mean(&scores.iter().map(|(s, best)| s.value / best).collect::<Vec<_>>())
        })
        .collect();
    let spread = if let [only] = complete.as_slice() {
        // Independent samples: variances add.
        let square = |(s, best): &(&Score, f64)| s.standard_error.map(|e| (e / best).powi(2));
        let squares: Option<f64> = only.iter().map(square).sum();
        squares.map(|sum| (sum.sqrt() / only.len() as f64, SpreadOver::Samples))
    } else {
        over_seeds(&means)
    };
    let samples = complete.first().map_or(0, |scores| scores.iter().map(|(s, _)| s.n).sum());
    Some(cell(mean(&means)?, spread, means.len(), samples))
}

/// The spread of a value over seeds.
pub fn over_seeds(values: &[f64]) -> Option<(f64, SpreadOver)> {
    standard_deviation(values).map(|sd| (sd, SpreadOver::Seeds))
}

/// A cell without test or source.
pub fn cell(
    value: f64,
    spread: Option<(f64, SpreadOver)>,
    seeds: usize,
    samples: usize,
) -> TableCell {
    TableCell { value, spread, seeds, samples, test: None, source: None }
}
