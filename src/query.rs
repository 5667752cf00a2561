//! `eagle-lab query`: SQL over every run ever made.

use std::path::PathBuf;

use eagle_results::Format;

use crate::{Failure, print};

/// Ask the results with SQL: tables runs, metrics, scores, samples
#[derive(clap::Args)]
pub struct Arguments {
    /// A SELECT statement.
    #[arg(required_unless_present = "schema")]
    sql: Option<String>,
    /// Show the tables and their columns, and what the runs vary, instead.
    #[arg(long)]
    schema: bool,
    /// table, csv, json, or parquet (with --to).
    #[arg(long, value_enum, default_value_t = Form::Table)]
    format: Form,
    /// The Parquet file to write.
    #[arg(long, value_name = "FILE", required_if_eq("format", "parquet"))]
    to: Option<PathBuf>,
    /// The results folder.
    #[arg(long, default_value = "results", value_name = "DIR")]
    out: PathBuf,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Form {
    Table,
    Csv,
    Json,
    Parquet,
}

/// Runs the statement and prints its rows.
pub fn main(arguments: &Arguments) -> Result<(), Failure> {
    let Some(sql) = arguments.sql.as_ref().filter(|_| !arguments.schema) else {
        print(&eagle_results::describe(&arguments.out).map_err(Failure::input)?);
        return Ok(());
    };
    let format = match (arguments.format, &arguments.to) {
        (Form::Table, _) => Format::Table,
        (Form::Csv, _) => Format::Csv,
        (Form::Json, _) => Format::Json,
        (Form::Parquet, to) => Format::Parquet(to.clone().unwrap_or_default()),
    };
    let frame = eagle_results::query(&arguments.out, sql).map_err(Failure::input)?;
    let text = frame.render(&format).map_err(Failure::running)?;
    print(&(text.trim_end().to_owned() + "\n"));
    Ok(())
}
