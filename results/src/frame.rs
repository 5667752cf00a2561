//! A result of SQL: typed cells in named columns, and its four renderings.

use std::path::PathBuf;

use polars::prelude::DataFrame;
use unicode_width::UnicodeWidthStr;

use crate::cell::{Cell, csv_field};
use crate::store::write_atomically;
use crate::{ResultsError, parquet};

/// Rows and columns, as SQL returned them.
#[derive(Debug, Clone)]
pub struct Frame {
    data: DataFrame,
}

/// How a frame is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// Aligned text for a terminal: every row and column, floats with six significant digits.
    Table,
    /// RFC 4180 with a header, exact values; null is an empty field.
    Csv,
    /// An array with one object a row, exact values.
    Json,
    /// A Parquet file at this path; the text says what was written.
    Parquet(PathBuf),
}

impl Frame {
    pub(crate) fn new(data: DataFrame) -> Self {
        Self { data }
    }

    /// The columns' names, in order.
    #[must_use]
    pub fn columns(&self) -> Vec<&str> {
        self.data.columns().iter().map(|column| column.name().as_str()).collect()
    }

    /// How many rows.
    #[must_use]
    pub fn height(&self) -> usize {
        self.data.height()
    }

    /// Every row, in order.
    pub fn rows(&self) -> impl Iterator<Item = Vec<Cell>> + '_ {
        (0..self.height()).map(|row| {
            let cell =
                |column: &polars::prelude::Column| column.get(row).map_or(Cell::Null, Cell::from);
            self.data.columns().iter().map(cell).collect()
        })
    }

    /// The frame as text, or as a file and a line about it.
    ///
    /// # Errors
    /// Only `Parquet` can fail: when the file cannot be written or a column has a type that Parquet
    /// cannot hold.
    pub fn render(&self, format: &Format) -> Result<String, ResultsError> {
        match format {
            Format::Table => Ok(self.table()),
            Format::Csv => Ok(self.csv()),
            Format::Json => Ok(self.json()),
            Format::Parquet(path) => {
                let bytes = parquet::encode(&self.data).map_err(|e| ResultsError::Frame {
                    path: path.clone(),
                    problem: e.to_string(),
                })?;
                write_atomically(path, &bytes)?;
                let (rows, columns) = (self.height(), self.data.width());
                Ok(format!("{}: {rows} rows, {columns} columns\n", path.display()))
            }
        }
    }

    fn table(&self) -> String {
        let rows: Vec<Vec<Cell>> = self.rows().collect();
        let columns = self.columns();
        let texts: Vec<Vec<String>> =
            rows.iter().map(|row| row.iter().map(Cell::text).collect()).collect();
        let widths: Vec<usize> = (0..columns.len())
            .map(|c| texts.iter().map(|r| r[c].width()).max().unwrap_or(0).max(columns[c].width()))
            .collect();
        let right: Vec<bool> =
            (0..columns.len()).map(|c| rows.iter().any(|row| row[c].is_number())).collect();
        let line = |cells: &mut dyn Iterator<Item = &str>| {
            let padded = cells.zip(widths.iter().zip(&right)).map(|(text, (width, right))| {
                let space = " ".repeat(width - text.width());
                if *right { space + text } else { text.to_owned() + &space }
            });
            padded.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
        };
        let mut out = line(&mut columns.iter().copied());
        let rules: Vec<String> = widths.iter().map(|w| "-".repeat(*w)).collect();
        out += &line(&mut rules.iter().map(String::as_str));
        for row in &texts {
            out += &line(&mut row.iter().map(String::as_str));
        }
        out + &format!("({} {})\n", rows.len(), if rows.len() == 1 { "row" } else { "rows" })
    }

    fn csv(&self) -> String {
        let names: Vec<String> = self.columns().into_iter().map(csv_field).collect();
        let rows = self.rows().map(|row| row.iter().map(Cell::csv).collect());
        std::iter::once(names).chain(rows).map(|line| line.join(",") + "\n").collect()
    }

    fn json(&self) -> String {
        let names: Vec<String> =
            self.columns().iter().map(|name| serde_json::Value::from(*name).to_string()).collect();
        let object = |row: Vec<Cell>| {
            let fields =
                names.iter().zip(&row).map(|(name, cell)| format!("{name}:{}", cell.json()));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
        };
        let objects: Vec<String> = self.rows().map(object).collect();
        if objects.is_empty() {
            "[]\n".to_owned()
        } else {
            format!("[\n{}\n]\n", objects.join(",\n"))
        }
    }
}
