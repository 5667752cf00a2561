//! The table of a study: what its rows and cells are, and how they come from SQL.

mod cells;
mod normalised;
mod notes;
mod paired;
mod published;
mod runs;
mod text;

use std::path::Path;

pub(crate) use cells::{columns, has, mean_over};
pub(crate) use paired::{difference, samples};
pub(crate) use runs::{Selected, Trial, select};
pub(crate) use text::{p_text, tex};

use crate::ResultsError;
use crate::findings::{Finding, of_study};
use crate::stats::{LEVEL, Test};

/// What a table can be asked for beyond its selection.
#[derive(Debug, Clone, Default)]
pub struct TableOptions {
    /// The trial that the others are compared with; by default the first one of the
    /// study, or of the experiment the one that was started first.
    pub baseline: Option<String>,
    /// The published table to stand beside ours ("fusion", "released_models", …); by default the
    /// one that the selection is named after, else any with a row of a trial's name.
    pub published: Option<String>,
    /// Whether to show what a trial costs: its parameters and its training samples a second. The
    /// last differs from run to run, and so does the table then.
    pub costs: bool,
    /// Whether to show the normalised average: see docs/results.md.
    pub normalised: bool,
}

/// Rows: the trials of a study or experiment. Columns: its benchmarks.
#[derive(Debug, Clone)]
pub struct Table {
    /// The study or experiment.
    pub selection: String,
    /// The trial that others are compared with; None without trials that are done.
    pub baseline: Option<String>,
    /// One a benchmark and metric, then `mean` where there are several comparable benchmarks.
    pub columns: Vec<TableColumn>,
    /// A trial's rows follow each other, its scores first.
    pub rows: Vec<TableRow>,
    /// What a reader must know: how to read the numbers, and which runs are missing.
    pub notes: Vec<String>,
    /// What this study says of the paper's findings.
    pub findings: Vec<Finding>,
    /// The SQL that the scores come from.
    pub sql: String,
    /// Whether costs are shown.
    pub costs: bool,
}

/// One column.
#[derive(Debug, Clone, PartialEq)]
pub struct TableColumn {
    /// The benchmark, or `mean`.
    pub benchmark: String,
    /// Its metric.
    pub metric: String,
    /// Whether the best score is 1, so that it reads as percent.
    pub percent: bool,
    /// The best score: 1 where the benchmark tells none and all lie in -1..1; None where nothing is
    /// known of the scale, so that no mean over columns can be had.
    pub maximum: Option<f64>,
    /// What a guess is expected to score, where the benchmark tells.
    pub chance: Option<f64>,
    /// Whether this is the mean over the benchmarks.
    pub is_mean: bool,
    /// Whether this is the normalised average over the benchmarks.
    pub is_normalised: bool,
}

impl TableColumn {
    /// Whether this is a benchmark's own column.
    #[must_use]
    pub fn of_benchmark(&self) -> bool {
        !self.is_mean && !self.is_normalised
    }
}

/// What a row says of its trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowKind {
    /// Its scores.
    Model,
    /// Its scores with the image withheld.
    Blind,
    /// Its scores minus the baseline's, on the seeds that both have run.
    Difference,
    /// What was published for it.
    Published,
    /// Of no trial: what a guess is expected to score.
    Chance,
}

/// One row.
#[derive(Debug, Clone)]
pub struct TableRow {
    /// The trial.
    pub trial: String,
    /// What the row says.
    pub kind: RowKind,
    /// Seeds behind it; 0 for what is published.
    pub seeds: usize,
    /// Visual tokens that the LLM reads.
    pub visual_tokens: Option<f64>,
    /// Parameters, those that are frozen included.
    pub parameters: Option<f64>,
    /// Parameters that a stage trains.
    pub trained: Option<f64>,
    /// Training samples a second, over all stages.
    pub speed: Option<f64>,
    /// One a column; None where there is nothing to say.
    pub cells: Vec<Option<TableCell>>,
}

/// What `±` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpreadOver {
    /// The sample standard deviation over seeds.
    Seeds,
    /// The standard error over a benchmark's samples: one seed.
    Samples,
}

/// One number. In the benchmark's own scale, except what is published: as it was published.
#[derive(Debug, Clone, PartialEq)]
pub struct TableCell {
    /// The number.
    pub value: f64,
    /// Its `±`, where known.
    pub spread: Option<(f64, SpreadOver)>,
    /// Seeds behind this cell.
    pub seeds: usize,
    /// Samples behind it, in one seed.
    pub samples: usize,
    /// Of a difference: how sure it is.
    pub test: Option<Significance>,
    /// Of a published number: its source and confidence.
    pub source: Option<(String, String)>,
}

/// How sure a difference is.
#[derive(Debug, Clone, PartialEq)]
pub struct Significance {
    /// The two-sided p-value of this comparison alone.
    pub p: f64,
    /// The same corrected by Holm for all rows that a column compares with the baseline.
    pub adjusted: f64,
    /// How it was found.
    pub test: Test,
    /// The 95 % interval; None where nothing spreads.
    pub interval: Option<(f64, f64)>,
}

impl Significance {
    /// Whether the difference is more than chance at the level of 5 %, all rows of its column
    /// considered.
    #[must_use]
    pub fn is_significant(&self) -> bool {
        self.adjusted < LEVEL
    }
}

/// How a table is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableFormat {
    /// Markdown with notes below.
    Md,
    /// One line a cell, exact values, for programs.
    Csv,
    /// LaTeX with booktabs, notes below.
    Tex,
}

/// The table of the study `selection`, else of the experiment of that name, else of the only study that is
/// named after that table ("fusion": mini-fusion), from the runs in `out` that are done.
///
/// # Errors
/// What [`crate::query`] returns, and a study, baseline or published table that does not exist.
pub fn table(out: &Path, selection: &str, options: &TableOptions) -> Result<Table, ResultsError> {
    let selected = runs::select(out, selection)?;
    let mut table = cells::fill(out, selected, options)?;
    table.findings = of_study(out, &table.selection)?;
    Ok(table)
}

impl Table {
    /// The table as text, notes included.
    #[must_use]
    pub fn render(&self, format: TableFormat) -> String {
        match format {
            TableFormat::Md => text::markdown(self),
            TableFormat::Csv => text::csv(self),
            TableFormat::Tex => text::latex(self),
        }
    }
}
