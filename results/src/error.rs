//! What can go wrong between the runs on disk and a table, as data: the program draws it.

use std::path::PathBuf;

/// Every error of this crate. Each names the file, table or column, and what would be right.
#[derive(Debug, thiserror::Error)]
pub enum ResultsError {
    /// There is nothing to build frames from.
    #[error(
        "no runs under {runs}\nhelp: `eagle-lab run FILE.ron --out {out}` makes some; \
         `--out DIR` reads another folder"
    )]
    NoRuns {
        /// The output folder that was asked for.
        out: PathBuf,
        /// Where its runs would lie.
        runs: PathBuf,
    },

    /// The operating system refused a file.
    #[error("cannot {doing} {path}: {source}")]
    Io {
        /// What was attempted, as a verb: "read", "write".
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why it was refused.
        source: std::io::Error,
    },

    /// A file of a run is not what its format says.
    #[error("{path}:{line}: {problem}\nhelp: expected {expected}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong there.
        problem: String,
        /// What such a line looks like.
        expected: &'static str,
    },

    /// A run was recorded by a newer eagle-lab.
    #[error(
        "{path}: manifest schema {found}, but this eagle-lab reads schema {known}\n\
         help: update eagle-lab, or move that run out of the folder"
    )]
    ManifestSchema {
        /// The manifest.
        path: PathBuf,
        /// Its schema number.
        found: i64,
        /// The number that this version reads.
        known: i64,
    },

    /// Two folders claim the same run id.
    #[error("run `{run}` is recorded twice: {first} and {second}\nhelp: remove one of them")]
    DuplicateRun {
        /// The id.
        run: String,
        /// The folder that sorts first.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },

    /// A frame on disk cannot be read.
    #[error("{path}: {problem}\nhelp: delete it; frames are rebuilt from the runs")]
    Frame {
        /// The Parquet file.
        path: PathBuf,
        /// What the reader said.
        problem: String,
    },

    /// SQL names a table that does not exist.
    #[error("no table `{table}`{}\nhelp: tables are {}", did_you_mean(.nearest), .tables.join(", "))]
    UnknownTable {
        /// As written in the SQL.
        table: String,
        /// All tables.
        tables: Vec<String>,
        /// The table whose name is closest, if one is close.
        nearest: Option<String>,
    },

    /// SQL names a column that no table in the query has.
    #[error("no column `{column}`{}\nhelp: {}", did_you_mean(.nearest), list_columns(.columns))]
    UnknownColumn {
        /// As written in the SQL.
        column: String,
        /// The columns of each table.
        columns: Vec<(String, Vec<String>)>,
        /// The column whose name is closest, if one is close.
        nearest: Option<String>,
    },

    /// Polars could not read or run the SQL for another reason.
    #[error(
        "SQL: {problem}\nhelp: tables are {}; `eagle-lab query --schema` lists their columns",
        .tables.join(", ")
    )]
    Sql {
        /// What Polars said.
        problem: String,
        /// All tables.
        tables: Vec<String>,
    },

    /// Several runs are called so.
    #[error("`{name}` means several runs; name one by its id:\n  {}", .runs.join("\n  "))]
    AmbiguousRun {
        /// What was asked for.
        name: String,
        /// The runs, each in a line.
        runs: Vec<String>,
    },

    /// A value asked for by name (a study, a baseline, a published table) does not exist.
    #[error("no {kind} `{name}`{}\nhelp: there are {}", did_you_mean(.nearest), or_none(.known))]
    UnknownName {
        /// What kind of name: "study or experiment", "trial", "published table".
        kind: &'static str,
        /// What was asked for.
        name: String,
        /// What exists.
        known: Vec<String>,
        /// The closest, if one is close.
        nearest: Option<String>,
    },
}

/// The candidate closest to `name`, if it is close enough to be a slip.
pub(crate) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    candidates
        .into_iter()
        .map(|c| (strsim::normalized_damerau_levenshtein(&name.to_lowercase(), c), c))
        .filter(|(score, _)| *score >= 0.5)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, c)| c.to_owned())
}

fn did_you_mean(nearest: &Option<String>) -> String {
    nearest.as_ref().map_or_else(String::new, |n| format!("; did you mean `{n}`?"))
}

fn list_columns(tables: &[(String, Vec<String>)]) -> String {
    let lines = tables.iter().map(|(table, columns)| format!("{table}({})", columns.join(", ")));
    format!("columns are {}", lines.collect::<Vec<_>>().join("; "))
}

fn or_none(known: &[String]) -> String {
    if known.is_empty() { "none".to_owned() } else { known.join(", ") }
}
