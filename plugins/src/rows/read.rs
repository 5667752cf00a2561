//! Rows of JSON, JSON lines, TSV and Parquet.
//!
//! JSON is an array of objects; an object whose `data`, `questions` or `annotations` is one
//! (DocVQA, VQAv2); or an object of objects by id (GQA, MathVista), each of which gets its key as
//! `id`, unless it has one.

use std::path::Path;
use std::sync::Arc;

use eagle_core::data::DataError;
use serde_json::{Map, Value};

use crate::files::parquet::Parquet;

/// The rows of a file, and the pictures that lie in it.
pub(super) struct Table {
    /// In order.
    pub rows: Vec<Value>,
    /// The file, if it holds pictures.
    pub parquet: Option<Arc<Parquet>>,
    /// Its columns of pictures, and which rows have one.
    filled: Vec<(String, Vec<bool>)>,
}

impl Table {
    /// The columns in which a row has a picture.
    pub fn columns(&self, row: usize) -> Vec<String> {
        let has = |(_, filled): &&(String, Vec<bool>)| filled.get(row) == Some(&true);
        self.filled.iter().filter(has).map(|(name, _)| name.clone()).collect()
    }
}

/// The rows of a file.
///
/// # Errors
/// A file that can't be read or isn't what it should be.
pub(super) fn table(path: &Path) -> Result<Table, DataError> {
    if path.extension().is_none_or(|extension| extension != "parquet") {
        return Ok(Table { rows: rows(path)?, parquet: None, filled: Vec::new() });
    }
    let parquet = Parquet::open(path)?;
    let mut rows = Vec::new();
    parquet.rows(|row| {
        rows.push(row);
        Ok(())
    })?;
    // A column that is no picture has no leaf of bytes.
    let filled = |name: &str| Some((name.to_owned(), parquet.filled(name).ok()?));
    let filled = parquet.columns().into_iter().filter_map(filled).collect();
    Ok(Table { rows, parquet: Some(Arc::new(parquet)), filled })
}

/// The rows of a file without pictures, by its extension.
///
/// # Errors
/// A file that can't be read or isn't what it should be.
pub(super) fn rows(path: &Path) -> Result<Vec<Value>, DataError> {
    let fail = |detail: String| DataError::File { path: path.to_owned(), detail };
    let text = std::fs::read_to_string(path)
        .map_err(|error| DataError::Read { path: path.to_owned(), error })?;
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    let rows = match extension {
        "tsv" => tsv(&text),
        "json" | "jsonl" => json(&text),
        _ => Err(format!(
            "can't tell what a .{extension} file holds; it may be .json, .jsonl, .tsv, .parquet"
        )),
    };
    let rows = rows.map_err(fail)?;
    if rows.is_empty() {
        return Err(fail("it has no rows".into()));
    }
    Ok(rows)
}

fn json(text: &str) -> Result<Vec<Value>, String> {
    let values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let mut values: Vec<Value> = values.collect::<Result<_, _>>().map_err(|e| e.to_string())?;
    if values.len() != 1 {
        return Ok(values);
    }
    match values.remove(0) {
        Value::Array(rows) => Ok(rows),
        Value::Object(mut fields) => {
            for name in ["data", "questions", "annotations"] {
                if let Some(Value::Array(rows)) = fields.remove(name) {
                    return Ok(rows);
                }
            }
            match fields.values().all(Value::is_object) {
                true => Ok(fields.into_iter().map(by_id).collect()),
                // A single line of a .jsonl.
                false => Ok(vec![Value::Object(fields)]),
            }
        }
        other => Err(format!("expected an array of objects, found {other}")),
    }
}

fn by_id((id, mut row): (String, Value)) -> Value {
    if row["id"].is_null() {
        row["id"] = Value::String(id);
    }
    row
}

/// The first line names the columns; a field in double quotes may hold tabs, line breaks and
/// doubled quotes.
fn tsv(text: &str) -> Result<Vec<Value>, String> {
    let mut lines = records(text).into_iter();
    let header = lines.next().ok_or("it is empty")?;
    let row = |(at, fields): (usize, Vec<String>)| {
        if fields.len() != header.len() {
            let (found, expected) = (fields.len(), header.len());
            return Err(format!("row {at} has {found} fields, the header {expected}"));
        }
        let fields = header.iter().cloned().zip(fields.into_iter().map(Value::String));
        Ok(Value::Object(fields.collect::<Map<_, _>>()))
    };
    lines.enumerate().map(row).collect()
}

fn records(text: &str) -> Vec<Vec<String>> {
    let mut records = Vec::new();
    let (mut fields, mut field) = (Vec::new(), String::new());
    let mut quoted = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.next_if_eq(&'"').is_some() => field.push('"'),
            '"' if quoted => quoted = false,
            '"' if field.is_empty() => quoted = true,
            '\t' if !quoted => fields.push(std::mem::take(&mut field)),
            '\r' if !quoted && chars.peek() == Some(&'\n') => {}
            '\n' if !quoted => {
                fields.push(std::mem::take(&mut field));
                records.push(std::mem::take(&mut fields));
            }
            c => field.push(c),
        }
    }
    if !field.is_empty() || !fields.is_empty() {
        fields.push(field);
        records.push(fields);
    }
    records.retain(|record| record.len() > 1 || !record[0].is_empty());
    records
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tsv_fields_may_be_quoted() {
        let rows = tsv("a\tb\r\n1\t\"x\ty \"\"z\"\"\nw\"\n").unwrap_or_default();
        assert_eq!(rows, [serde_json::json!({"a": "1", "b": "x\ty \"z\"\nw"})]);
        assert_eq!(tsv("a\tb\n1\n"), Err("row 0 has 1 fields, the header 2".into()));
    }

    #[test]
    fn json_comes_in_four_forms() {
        let of = |text: &str| json(text).map(|rows| rows.len());
        assert_eq!(of("[{}, {}]"), Ok(2));
        assert_eq!(of("{\"q\": 1}\n{\"q\": 2}\n{\"q\": 3}"), Ok(3));
        assert_eq!(of("{\"info\": {}, \"data\": [{}]}"), Ok(1));
        let rows = json("{\"7\": {\"a\": 1}, \"8\": {\"id\": \"x\"}}").unwrap_or_default();
        assert_eq!((&rows[0]["id"], &rows[1]["id"]), (&Value::from("7"), &Value::from("x")));
    }
}
