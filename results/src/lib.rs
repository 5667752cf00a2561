//! eagle-lab's results: data frames on disk, SQL over them, and the paper's tables.
//!
//! Reads what runs leave under `OUT/runs`, keeps four Parquet files under `OUT/frames`, and is the
//! only crate that uses Polars. Nothing here prints or exits.

#![forbid(unsafe_code)]

mod cell;
mod compare;
mod describe;
mod error;
mod findings;
mod frame;
mod frames;
mod lookup;
mod paper;
mod parquet;
mod publish;
mod query;
mod rows;
mod runs;
mod schema;
mod stats;
mod store;
mod table;

pub use cell::Cell;
pub use compare::{
    AnswerPair, Comparison, Difference, Flip, Loss, LossPair, ScorePair, compare, loss_curves,
};
pub use describe::describe;
pub use error::ResultsError;
pub use findings::{
    Claim, Evidence, Finding, FindingsFormat, Outcome, Verdict, findings, findings_notes,
    render_findings, studies,
};
pub use frame::{Format, Frame};
pub use frames::{FramesSummary, build_frames, digest};
pub use lookup::{RunRef, find_run, run_in, runs};
pub use paper::{Published, published};
pub use publish::{Publication, publication, publish};
pub use query::query;
pub use schema::{AXIS_PREFIX, ColumnSchema, FRAMES_VERSION, Kind, TableSchema, schema};
pub use stats::{Test, mean, over_questions, standard_error};
pub use table::{
    RowKind, Significance, SpreadOver, Table, TableCell, TableColumn, TableFormat, TableOptions,
    TableRow, table,
};
