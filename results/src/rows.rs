//! The rows of the four tables, from what the runs left, sorted.

use std::collections::{BTreeMap, BTreeSet};

use polars::error::PolarsError;
use polars::prelude::{Column, DataFrame};

use crate::ResultsError;
use crate::cell::Cell;
use crate::runs::{Predictions, Run, Sample, Status};
use crate::schema::{AXIS_PREFIX, ColumnSchema, Kind, TableSchema};

/// The names of all axes that a run varies, sorted.
pub fn axes(runs: &[Run]) -> Vec<String> {
    let names: BTreeSet<&String> = runs.iter().flat_map(|run| run.manifest.axes.keys()).collect();
    names.into_iter().cloned().collect()
}

pub type Rows = Vec<Vec<Cell>>;

/// The rows of every table, in the order of [`schema`].
pub fn all_rows(runs: &[Run]) -> Result<[Rows; 4], ResultsError> {
    let axes = axes(runs);
    let mut samples = Vec::new();
    for run in runs {
        let mut files: Vec<&Predictions> = run.predictions.iter().collect();
        files.sort_by_key(|file| (&file.benchmark, file.blind));
        for predictions in files {
            samples.extend(sample_rows(run, predictions)?);
        }
    }
    Ok([
        runs.iter().map(|run| run_row(run, &axes)).collect(),
        runs.iter().flat_map(metric_rows).collect(),
        runs.iter().flat_map(score_rows).collect(),
        samples,
    ])
}

fn text(value: &str) -> Cell {
    Cell::Text(value.to_owned())
}

fn maybe_text(value: &Option<String>) -> Cell {
    value.as_deref().map_or(Cell::Null, text)
}

fn int(value: Option<i64>) -> Cell {
    value.map_or(Cell::Null, Cell::Int)
}

fn float(value: Option<f64>) -> Cell {
    value.map_or(Cell::Null, Cell::Float)
}

fn run_row(run: &Run, axes: &[String]) -> Vec<Cell> {
    let m = &run.manifest;
    let fixed = [
        text(&m.run),
        text(&m.experiment),
        maybe_text(&m.study),
        text(&m.trial),
        int(m.position),
        Cell::Int(m.seed),
        text(m.status.name()),
        maybe_text(&m.error),
        maybe_text(&m.started),
        maybe_text(&m.finished),
        float(m.seconds),
        int(m.peak_bytes),
        int(m.parameters_trained),
        int(m.parameters_frozen),
        int(m.visual_tokens),
        int(m.forward_flops.filter(|flops| *flops > 0)),
        Cell::Int(m.steps().0),
        Cell::Int(m.steps().1),
        float(m.samples_per_second),
        maybe_text(&m.commit),
        maybe_text(&m.version),
        maybe_text(&m.command),
        maybe_text(&m.machine.os),
        maybe_text(&m.machine.arch),
        int(m.machine.threads),
    ];
    let varied = axes.iter().map(|axis| m.axes.get(axis).map_or(Cell::Null, |value| text(value)));
    fixed.into_iter().chain(varied).collect()
}

fn metric_rows(run: &Run) -> Rows {
    let sorted: BTreeMap<_, _> =
        run.metrics.iter().map(|m| ((&m.stage, m.step, &m.name), m.value)).collect();
    sorted
        .into_iter()
        .map(|((stage, step, name), value)| {
            vec![text(&run.manifest.run), text(stage), Cell::Int(step), text(name), float(value)]
        })
        .collect()
}

fn score_rows(run: &Run) -> Rows {
    let mut scores: Vec<_> = run.manifest.scores.iter().collect();
    scores.sort_by_key(|s| (&s.benchmark, &s.metric, s.blind));
    scores
        .into_iter()
        .map(|s| {
            vec![
                text(&run.manifest.run),
                text(&s.benchmark),
                text(&s.metric),
                Cell::Bool(s.blind),
                float(s.value),
                Cell::Int(s.n),
                float(s.standard_error),
                Cell::Bool(s.main),
                float(s.low),
                float(s.high),
                Cell::Int(s.undecided),
                float(s.chance),
                float(s.maximum),
            ]
        })
        .collect()
}

fn sample_rows(run: &Run, predictions: &Predictions) -> Result<Rows, ResultsError> {
    let mut by_id: BTreeMap<&str, &Sample> = BTreeMap::new();
    for (index, sample) in predictions.samples.iter().enumerate() {
        let repeated = by_id.insert(&sample.sample, sample).is_some();
        // A run that was killed and resumed may answer a question again; a finished one may not.
        if repeated && run.manifest.status == Status::Done {
            return Err(ResultsError::Malformed {
                path: predictions.path.clone(),
                line: index + 1,
                problem: format!("sample `{}` is answered twice", sample.sample),
                expected: "each sample once in a run that is done",
            });
        }
    }
    Ok(by_id
        .into_values()
        .map(|s| {
            vec![
                text(&run.manifest.run),
                text(&predictions.benchmark),
                Cell::Bool(predictions.blind),
                text(&s.sample),
                maybe_text(&s.question),
                maybe_text(&s.prediction),
                s.answer.as_ref().map_or(Cell::Null, answer),
                float(s.score),
                s.correct.map_or(Cell::Null, Cell::Bool),
                maybe_text(&s.parsed),
                Cell::Bool(s.undecided),
                maybe_text(&s.category),
                maybe_text(&s.group),
            ]
        })
        .collect())
}

fn answer(value: &serde_json::Value) -> Cell {
    match value {
        serde_json::Value::Null => Cell::Null,
        serde_json::Value::String(value) => text(value),
        other => Cell::Text(other.to_string()),
    }
}

/// Rows as typed columns; `axes` add text columns behind the table's own.
pub fn to_frame(
    table: &TableSchema,
    axes: &[String],
    rows: &[Vec<Cell>],
) -> Result<DataFrame, PolarsError> {
    let fixed = table.columns.iter().map(|ColumnSchema { name, kind, .. }| ((*name).into(), *kind));
    let varied = axes.iter().map(|axis| (format!("{AXIS_PREFIX}{axis}").into(), Kind::Text));
    let columns = fixed.chain(varied).enumerate().map(|(index, (name, kind))| {
        let cells = || rows.iter().map(move |row| &row[index]);
        match kind {
            Kind::Text => Column::new(name, cells().map(as_text).collect::<Vec<_>>()),
            Kind::Int => Column::new(name, cells().map(as_int).collect::<Vec<_>>()),
            Kind::Float => Column::new(name, cells().map(as_float).collect::<Vec<_>>()),
            Kind::Bool => Column::new(name, cells().map(as_bool).collect::<Vec<_>>()),
        }
    });
    DataFrame::new(rows.len(), columns.collect())
}

fn as_text(cell: &Cell) -> Option<&str> {
    if let Cell::Text(value) = cell { Some(value) } else { None }
}

fn as_int(cell: &Cell) -> Option<i64> {
    if let Cell::Int(value) = cell { Some(*value) } else { None }
}

fn as_float(cell: &Cell) -> Option<f64> {
    if let Cell::Float(value) = cell { Some(*value) } else { None }
}

fn as_bool(cell: &Cell) -> Option<bool> {
    if let Cell::Bool(value) = cell { Some(*value) } else { None }
}
