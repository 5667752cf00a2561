//! SQL over the frames, by Polars, with errors that say what exists.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use polars::error::PolarsError;
use polars::prelude::{DataFrame, IntoLazy, SortMultipleOptions};
use polars::sql::{SQLContext, extract_table_identifiers};

use crate::error::nearest;
use crate::frame::Frame;
use crate::frames::{empty, load, refresh};
use crate::schema::schema;
use crate::store::Lock;
use crate::{ResultsError, frames};

/// Runs one SQL statement over `runs`, `metrics`, `scores` and `samples` of the folder `out`.
///
/// Frames are rebuilt first if a run has changed since. Only the tables that the SQL names are
/// read. Grouped rows without `ORDER BY` are sorted by their columns, so that the same runs give the
/// same text.
///
/// # Errors
/// What [`crate::build_frames`] returns, and SQL that is wrong or names what does not exist.
pub fn query(out: &Path, sql: &str) -> Result<Frame, ResultsError> {
    refresh(out)?;
    let (tables, columns) = load_tables(out, sql)?;
    // Polars panics where SQL reaches a part of it that is not built in (see Cargo.toml).
    let result = catch_unwind(AssertUnwindSafe(|| {
        let mut context = SQLContext::new();
        for (name, table) in tables {
            context.register(name, table.lazy());
        }
        context.execute(sql)?.collect()
    }));
    match result {
        Ok(Ok(data)) => Ok(Frame::new(if orders_rows(sql) { data } else { sorted(data) })),
        Ok(Err(error)) => Err(translate(&error, &columns)),
        Err(panic) => Err(wrong_sql(panic_message(panic.as_ref()))),
    }
}

/// Whether rows come in an order that is the same every time: the tables' own, or one asked for.
/// Polars groups by hashing with a random seed.
fn orders_rows(sql: &str) -> bool {
    let sql = sql.to_lowercase();
    let words: Vec<&str> = sql.split_whitespace().collect();
    let has = |phrase: &[&str]| words.windows(phrase.len()).any(|window| window == phrase);
    let hashed = [&["group", "by"][..], &["union"], &["except"], &["intersect"]];
    has(&["order", "by"]) || !hashed.into_iter().any(has)
}

/// By the first column, then the second, and so on.
fn sorted(data: DataFrame) -> DataFrame {
    let columns: Vec<_> = data.columns().iter().map(|column| column.name().clone()).collect();
    // A column of a type without an order leaves the rows as they are.
    data.sort(columns, SortMultipleOptions::default()).unwrap_or(data)
}

type Tables = Vec<(&'static str, DataFrame)>;
type Columns = Vec<(String, Vec<String>)>;

/// Every table, without rows where the SQL does not name it, and every table's columns.
fn load_tables(out: &Path, sql: &str) -> Result<(Tables, Columns), ResultsError> {
    let _lock = Lock::shared(&frames::folder(out))?;
    // SQL that does not parse names nothing; executing it says what is wrong.
    let used = extract_table_identifiers(sql, false, true).unwrap_or_default();
    let mut tables = Vec::new();
    let mut columns = Vec::new();
    for table in schema() {
        // The axis columns of `runs` are known only from its file.
        let data = if table.name == "runs" || used.iter().any(|name| name == table.name) {
            load(out, table.name)?
        } else {
            empty(&table).map_err(|e| wrong_sql(e.to_string()))?
        };
        let names = data.columns().iter().map(|column| column.name().to_string()).collect();
        columns.push((table.name.to_owned(), names));
        tables.push((table.name, data));
    }
    Ok((tables, columns))
}

fn translate(error: &PolarsError, columns: &Columns) -> ResultsError {
    let mut innermost = error;
    while let PolarsError::Context { error, .. } | PolarsError::ExprContext { error, .. } =
        innermost
    {
        innermost = error;
    }
    let message = innermost.to_string();
    // Planning and running name a missing column differently.
    if let Some(column) = between(&message, "unable to find column \"", "\"")
        .or_else(|| between(&message, "no column named '", "'"))
    {
        let names = columns.iter().flat_map(|(_, names)| names).map(String::as_str);
        let nearest = nearest(column, names.filter(|name| *name != column));
        return ResultsError::UnknownColumn {
            column: column.to_owned(),
            columns: columns.clone(),
            nearest,
        };
    }
    if let Some(table) = between(&message, "relation '", "' was not found") {
        let tables: Vec<String> = columns.iter().map(|(name, _)| name.clone()).collect();
        let nearest = nearest(table, tables.iter().map(String::as_str));
        return ResultsError::UnknownTable { table: table.to_owned(), tables, nearest };
    }
    wrong_sql(message)
}

fn wrong_sql(problem: String) -> ResultsError {
    // Below the first line Polars prints its syntax tree or plan.
    let problem =
        problem.lines().next().unwrap_or_default().trim_end_matches("; found:").to_owned();
    let tables = schema().iter().map(|table| table.name.to_owned()).collect();
    ResultsError::Sql { problem, tables }
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(start)?;
    rest.split_once(end).map(|(found, _)| found)
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("unknown");
    format!("Polars cannot run this: {text}")
}
