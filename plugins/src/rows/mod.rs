//! Benchmarks that are a file of rows: JSON, JSON lines, TSV or Parquet, with pictures in a folder,
//! as base64 or as bytes beside the texts.
//!
//! A benchmark's plugin says what a row is ([`FromRows`]); reading, ids, pictures and the
//! fingerprint are here.

mod base64;
mod questions;
mod read;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use eagle_core::data::{AnswerKey, DataError, Dataset, Sample, Turn};
use eagle_core::registry::Misfit;
use eagle_core::score::literal;
use serde_json::Value;

/// What short answers are asked for with: LLaVA-1.5's words, EAGLE's and lmms-eval's.
pub(crate) const SHORT: &str = "\nAnswer the question using a single word or phrase.";
/// And letters.
pub(crate) const LETTER: &str =
    "\nAnswer with the option's letter from the given choices directly.";

/// A benchmark whose questions are rows.
pub(crate) trait FromRows {
    /// Its files, and the category of the rows of each that name none.
    fn files(&self) -> Vec<(&Path, Option<&str>)>;
    /// The folder that its pictures' paths start from; none: the first file's own.
    fn images(&self) -> Option<&PathBuf>;
    /// Files beside the rows whose content is looked up in them; they count for the identity.
    fn aside(&self) -> Vec<&PathBuf> {
        Vec::new()
    }
    /// What a row is: nothing if it doesn't belong to the benchmark.
    ///
    /// # Errors
    /// What is wrong with it.
    fn item(&self, row: &Row<'_>) -> Result<Option<Item>, String>;
    /// Reads what is aside and adds it to the rows.
    ///
    /// # Errors
    /// A file that can't be read or isn't what it should be.
    fn join(&self, _base: &Path, _rows: &mut Vec<Value>) -> Result<(), DataError> {
        Ok(())
    }
}

/// A question as a row has it.
pub(crate) struct Item {
    /// The sample, without its picture.
    pub sample: Sample,
    /// Where its picture is; none: it has none.
    pub picture: Option<Shown>,
}

/// A question as a sample, without its picture.
pub(crate) fn sample(id: String, question: String, answer: String, key: AnswerKey) -> Sample {
    let turns = vec![Turn { question, answer }];
    Sample { id, turns, key: Some(Arc::new(key)), ..Sample::default() }
}

/// Where a row's picture is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shown {
    /// A file below the folder of pictures.
    File(String),
    /// Encoded bytes as base64.
    Base64(String),
    /// Bytes in a column of the row's Parquet file.
    Column(String),
}

/// A row, with what to call it.
pub(crate) struct Row<'a> {
    /// Its fields.
    pub value: &'a Value,
    /// Its place among the rows, from 0.
    pub index: usize,
    /// The category of its file.
    pub file_category: Option<&'a str>,
    /// Columns of bytes that its file has.
    pub columns: &'a [String],
    /// Another tool wrote it down, without its picture.
    pub bare: bool,
}

impl Row<'_> {
    /// The first of some fields that is there, as text.
    ///
    /// # Errors
    /// None is.
    pub fn text(&self, names: &[&str]) -> Result<String, String> {
        self.maybe(names).ok_or_else(|| {
            let has: Vec<&String> =
                self.value.as_object().into_iter().flat_map(|o| o.keys()).collect();
            format!("it has no `{}`, but {has:?}", names.join("` or `"))
        })
    }

    /// The same; none where none is there, or it is empty (`nan` in a TSV).
    pub fn maybe(&self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| match &self.value[*name] {
            Value::String(text) if !text.is_empty() && text != "nan" => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(value) => Some(value.to_string()),
            _ => None,
        })
    }

    /// The texts of a list, of objects with an `answer`, of a Python list as text, or a single one.
    pub fn texts(&self, names: &[&str]) -> Vec<String> {
        let text = |value: &Value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Object(fields) => fields.get("answer")?.as_str().map(str::to_owned),
            _ => None,
        };
        let found = names.iter().map(|name| &self.value[*name]).find(|value| !value.is_null());
        match found {
            Some(Value::Array(items)) => items.iter().filter_map(text).collect(),
            Some(Value::String(list)) if list.starts_with('[') => {
                literal::list(list).unwrap_or_else(|| vec![list.clone()])
            }
            Some(one) => text(one).into_iter().collect(),
            None => Vec::new(),
        }
    }

    /// Where its picture is, by the first of some fields that is there; a text is a file's name.
    ///
    /// # Errors
    /// None is there.
    pub fn picture(&self, names: &[&str]) -> Result<Shown, String> {
        if self.bare {
            return Ok(Shown::File(String::new()));
        }
        let column = |name: &&&str| self.columns.iter().any(|column| column == **name);
        if let Some(column) = names.iter().find(column) {
            return Ok(Shown::Column((*column).to_string()));
        }
        let text = self.text(names)?;
        // A file's name has a period or is short; an encoded picture is neither.
        let encoded = text.len() > 64 && !text.contains('.');
        Ok(if encoded { Shown::Base64(text) } else { Shown::File(text) })
    }
}

/// The benchmark's questions.
///
/// # Errors
/// A file that can't be read or isn't what it should be.
pub(crate) fn open(of: &dyn FromRows, base: &Path) -> Result<Arc<dyn Dataset>, DataError> {
    questions::open(of, base)
}

/// The question of one row, without its picture: a row that another tool has written down.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn question(of: &dyn FromRows, value: &Value) -> Result<Sample, DataError> {
    let row = Row { value, index: 0, file_category: None, columns: &[], bare: true };
    let id = || row.maybe(&["id", "question_id", "index"]).unwrap_or_else(|| "row".into());
    match of.item(&row) {
        Ok(Some(item)) => Ok(item.sample),
        Ok(None) => {
            let detail = "this row is no part of the benchmark".to_owned();
            Err(DataError::Sample { sample: id(), detail })
        }
        Err(detail) => Err(DataError::Sample { sample: id(), detail }),
    }
}

/// Copies fields of another file's rows into these, by a field that both have.
///
/// # Errors
/// The file can't be read; a row that it lacks.
pub(crate) fn look_up(
    rows: &mut [Value],
    path: &Path,
    by: &str,
    fields: &[&str],
) -> Result<(), DataError> {
    let others = read::rows(path)?;
    let name = |row: &Value| match &row[by] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let others: BTreeMap<String, Value> = others.into_iter().map(|row| (name(&row), row)).collect();
    for row in rows {
        let name = name(row);
        let Some(other) = others.get(&name) else {
            let detail = format!("it has no row whose `{by}` is {name}");
            return Err(DataError::File { path: path.to_owned(), detail });
        };
        for field in fields.iter().filter(|field| !other[**field].is_null()) {
            row[*field] = other[*field].clone();
        }
    }
    Ok(())
}

/// Whether a benchmark's file is named.
///
/// # Errors
/// It isn't.
pub(crate) fn named(path: &Path) -> Result<(), Misfit> {
    match path.as_os_str().is_empty() {
        true => Err(Misfit::field("path", "is missing")
            .help("name the benchmark's file: .json, .jsonl, .tsv or .parquet")),
        false => Ok(()),
    }
}
