//! From the runs' folders to four Parquet files, and back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use polars::prelude::DataFrame;

use crate::frame::Frame;
use crate::rows::{all_rows, axes, to_frame};
use crate::runs::{Run, read_run};
use crate::schema::{TableSchema, schema};
use crate::store::{Lock, fingerprint, list, read, write_atomically};
use crate::{Format, ResultsError, parquet};

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
    let state = fingerprint(&out.join("runs"), &folders)?;
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

/// One word for everything that the frames of `out` say, times, memory and machines aside (the
/// columns that [`crate::ColumnSchema::varies`] marks): two folders whose runs computed the same
/// have the same word.
///
/// # Errors
/// What [`build_frames`] returns.
pub fn digest(out: &Path) -> Result<String, ResultsError> {
    refresh(out)?;
    let _lock = Lock::shared(&folder(out))?;
    let mut hash = blake3::Hasher::new();
    for table in schema() {
        let varying = table.columns.iter().filter(|c| c.varies).map(|c| c.name);
        let frame = Frame::new(load(out, table.name)?.drop_many(varying));
        let text = frame.render(&Format::Csv)?;
        hash.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
    }
    Ok(hash.finalize().to_hex().to_string())
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
    if built && state.as_deref() == Some(fingerprint(&out.join("runs"), &folders)?.as_bytes()) {
        return Ok(());
    }
    build_frames(out).map(drop)
}

/// One table as it lies on disk.
pub(crate) fn load(out: &Path, table: &str) -> Result<DataFrame, ResultsError> {
    let path = table_path(out, table);
    let Some(bytes) = read(&path)? else { return Err(no_runs(out)) };
    parquet::decode(bytes).map_err(|e| ResultsError::Frame { path, problem: e.to_string() })
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
