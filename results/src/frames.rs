//! From the runs' folders to four Parquet files, and back.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use polars::prelude::{Column, DataFrame};

use crate::cell::Cell;
use crate::runs::{Predictions, Run, Sample, Status, read_run};
use crate::schema::{AXIS_PREFIX, ColumnSchema, Kind, TableSchema, schema};
use crate::store::{Lock, fingerprint, list, read, write_atomically};
use crate::{ResultsError, parquet};

/// What was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FramesSummary {
    /// Each table's file and number of rows, in the order of [`schema`].
    pub tables: Vec<(PathBuf, usize)>,
    /// Folders under `runs/` without a manifest yet: left out.
    pub unstarted: Vec<PathBuf>,
    /// Files of unfinished runs whose last line was cut short by a kill: that line is left out.
    pub truncated: Vec<PathBuf>,
}

/// Reads every run under `out/runs` and writes `out/frames/*.parquet`.
///
/// Rows are sorted, so that the same runs give the same bytes. Where a metric was logged twice for
/// a step (a resumed run), the later value counts.
///
/// # Errors
/// [`ResultsError::NoRuns`], a file of a run that is malformed or recorded twice, or one that the
/// system refuses to read or write.
pub fn build_frames(out: &Path) -> Result<FramesSummary, ResultsError> {
    let folders = list(&out.join("runs"))?;
    if folders.is_empty() {
        return Err(no_runs(out));
    }
    let _lock = Lock::alone(&folder(out))?;
    // Taken before reading: what a run writes meanwhile is seen by the next query.
    let state = fingerprint(&folders)?;
    let (runs, unstarted) = read_runs(&folders)?;
    if runs.is_empty() {
        return Err(no_runs(out));
    }
    let mut tables = Vec::new();
    for (table, rows) in schema().iter().zip(all_rows(&runs)?) {
        let axes = if table.name == "runs" { axes(&runs) } else { Vec::new() };
        let path = table_path(out, table.name);
        let unwritable = |e: polars::error::PolarsError| ResultsError::Frame {
            path: path.clone(),
            problem: e.to_string(),
        };
        let frame = to_frame(table, &axes, &rows).map_err(unwritable)?;
        write_atomically(&path, &parquet::encode(&frame).map_err(unwritable)?)?;
        tables.push((path, rows.len()));
    }
    write_atomically(&state_path(out), state.as_bytes())?;
    let truncated = runs.iter().flat_map(|run| run.truncated.iter().cloned()).collect();
    Ok(FramesSummary { tables, unstarted, truncated })
}

/// Builds the frames if the runs have changed since. A folder that holds frames and no runs (a
/// published one) is taken as it is.
pub(crate) fn refresh(out: &Path) -> Result<(), ResultsError> {
    let folders = list(&out.join("runs"))?;
    let built = schema().iter().all(|table| table_path(out, table.name).exists());
    if folders.is_empty() && built {
        return Ok(());
    }
    let state = read(&state_path(out))?;
    if built && state.as_deref() == Some(fingerprint(&folders)?.as_bytes()) {
        return Ok(());
    }
    build_frames(out).map(drop)
}

/// One table as it lies on disk.
pub(crate) fn load(out: &Path, table: &str) -> Result<DataFrame, ResultsError> {
    let path = table_path(out, table);
    let Some(bytes) = read(&path)? else { return Err(no_runs(out)) };
    parquet::decode(bytes)
        .map_err(|e| ResultsError::Frame { path, problem: e.to_string() })
}

/// A table's columns without rows, for SQL that does not read it.
pub(crate) fn empty(table: &TableSchema) -> Result<DataFrame, polars::error::PolarsError> {
    to_frame(table, &[], &[])
}

/// Where the frames of `out` lie.
pub(crate) fn folder(out: &Path) -> PathBuf {
    out.join("frames")
}

fn no_runs(out: &Path) -> ResultsError {
    ResultsError::NoRuns { out: out.to_owned(), runs: out.join("runs") }
}

fn table_path(out: &Path, table: &str) -> PathBuf {
    folder(out).join(format!("{table}.parquet"))
}

fn state_path(out: &Path) -> PathBuf {
    folder(out).join("built-from")
}

fn read_runs(folders: &[PathBuf]) -> Result<(Vec<Run>, Vec<PathBuf>), ResultsError> {
    let mut runs: BTreeMap<String, Run> = BTreeMap::new();
    let mut unstarted = Vec::new();
    for folder in folders.iter().filter(|folder| folder.is_dir()) {
        let Some(run) = read_run(folder)? else {
            unstarted.push(folder.clone());
            continue;
        };
        if let Some(first) = runs.get(&run.manifest.run) {
            let (first, second) = (first.folder.clone(), run.folder);
            return Err(ResultsError::DuplicateRun { run: run.manifest.run, first, second });
        }
        runs.insert(run.manifest.run.clone(), run);
    }
    Ok((runs.into_values().collect(), unstarted))
}

fn axes(runs: &[Run]) -> Vec<String> {
    let names: BTreeSet<&String> = runs.iter().flat_map(|run| run.manifest.axes.keys()).collect();
    names.into_iter().cloned().collect()
}

type Rows = Vec<Vec<Cell>>;

/// The rows of every table, in the order of [`schema`].
fn all_rows(runs: &[Run]) -> Result<[Rows; 4], ResultsError> {
    let axes = axes(runs);
    let mut samples = Vec::new();
    for run in runs {
        for predictions in &run.predictions {
            samples.extend(sample_rows(run, predictions)?);
        }
    }
    samples.sort_by(|a, b| sort_key(a, 4).cmp(&sort_key(b, 4)));
    Ok([
        runs.iter().map(|run| run_row(run, &axes)).collect(),
        runs.iter().flat_map(metric_rows).collect(),
        runs.iter().flat_map(score_rows).collect(),
        samples,
    ])
}

/// The leading cells of a row, which identify it, as something that sorts.
fn sort_key(row: &[Cell], cells: usize) -> Vec<String> {
    row.iter().take(cells).map(Cell::csv).collect()
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

fn to_frame(
    table: &TableSchema,
    axes: &[String],
    rows: &[Vec<Cell>],
) -> Result<DataFrame, polars::error::PolarsError> {
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
