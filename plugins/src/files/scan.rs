//! Where the samples of a file lie: what is put into its index when it is read through once.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use eagle_core::data::DataError;
use rayon::prelude::*;
use serde_json::Value;

use super::collection::{CAPTION, Columns};
use super::conversation::{id, words};
use super::elements::{Element, Elements};
use super::index::{Maker, Record, part};
use super::parquet::Parquet;
use super::tar;

fn fault(path: &Path, detail: impl ToString) -> DataError {
    DataError::File { path: path.to_owned(), detail: detail.to_string() }
}

/// What an index keeps of an entry, apart from places.
fn record(value: &Value, said: &Value, name: &str, pictured: bool) -> Record {
    let words = words(said);
    let id = id(value).unwrap_or_else(|| name.to_owned());
    let id = blake3::hash(id.as_bytes());
    let id = id.as_bytes()[..8].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    Record { words: if pictured { words } else { -words }, id, ..Record::default() }
}

/// Hashes what passes.
struct Hashed<R> {
    from: R,
    hash: blake3::Hasher,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.from.read(buffer)?;
        self.hash.update(&buffer[..read]);
        Ok(read)
    }
}

fn open(path: &Path) -> Result<File, DataError> {
    File::open(path).map_err(|error| DataError::Read { path: path.to_owned(), error })
}

fn hash(path: &Path) -> Result<[u8; 32], DataError> {
    let mut reader = BufReader::with_capacity(1 << 20, open(path)?);
    let mut hasher = blake3::Hasher::new();
    std::io::copy(&mut reader, &mut hasher)
        .map_err(|error| DataError::Read { path: path.to_owned(), error })?;
    Ok(*hasher.finalize().as_bytes())
}

/// Entries of an array, or of lines.
///
/// # Errors
/// The file can't be read or isn't what it should be.
pub(super) fn json(path: &Path, maker: &mut Maker) -> Result<(), DataError> {
    /// Bytes of text that are parsed at once, in parallel.
    const AT_ONCE: usize = 8 << 20;
    let mut hashed = Hashed { from: open(path)?, hash: blake3::Hasher::new() };
    let mut elements = Elements::new(BufReader::with_capacity(1 << 20, &mut hashed));
    loop {
        let (mut some, mut bytes) = (Vec::new(), 0);
        while bytes < AT_ONCE
            && let Some(element) = elements.next().map_err(|error| fault(path, error))?
        {
            bytes += element.text.len();
            some.push(element);
        }
        if some.is_empty() {
            break;
        }
        let first = maker.records.len();
        let read = |(at, element): (usize, &Element)| {
            let value: Value = serde_json::from_slice(&element.text).map_err(|error| {
                let line = element.line + error.line().max(1) - 1;
                let error = error.to_string();
                let what = error.split(" at line ").next().unwrap_or_default();
                fault(path, format!("{what} at line {line}"))
            })?;
            let text_len = u32::try_from(element.text.len())
                .map_err(|_| fault(path, format!("an entry of 4 GB at line {}", element.line)))?;
            let pictured = !value["image"].is_null();
            let name = format!("#{}", first + at);
            let record = record(&value, &value["conversations"], &name, pictured);
            Ok(Record { text: element.offset, text_len, ..record })
        };
        let records: Result<Vec<Record>, DataError> =
            some.par_iter().enumerate().map(read).collect();
        maker.records.append(&mut records?);
    }
    drop(elements);
    maker.hash = *hashed.hash.finalize().as_bytes();
    Ok(())
}

/// Members of one key, each a sample.
///
/// # Errors
/// The file can't be read or isn't what it should be.
pub(super) fn tar_members(path: &Path, maker: &mut Maker) -> Result<(), DataError> {
    let mut groups: Vec<(String, Record)> = Vec::new();
    tar::members(&mut BufReader::new(open(path)?), |member| {
        // WebDataset's rule: the key ends at the first dot of the file's name.
        let at = member.name.rfind('/').map_or(0, |slash| slash + 1);
        let dot = member.name[at..].find('.').map_or(member.name.len(), |dot| at + dot);
        let (key, extension) = member.name.split_at(dot);
        if groups.last().is_none_or(|(known, _)| known != key) {
            groups.push((key.to_owned(), Record::default()));
        }
        let Some((_, record)) = groups.last_mut() else { return Ok(()) };
        let len = u32::try_from(member.len).map_err(|_| std::io::Error::other("4 GB or more"))?;
        match extension.to_ascii_lowercase().as_str() {
            form @ (".json" | ".txt") if record.text_len == 0 || form == ".json" => {
                let form = if form == ".txt" { CAPTION } else { 0 };
                (record.text, record.text_len, record.form) = (member.offset, len, form);
            }
            ".jpg" | ".jpeg" | ".png" => {
                (record.picture, record.picture_len) = (member.offset, len);
            }
            _ => {}
        }
        Ok(())
    })
    .map_err(|error| fault(path, error))?;
    maker.hash = hash(path)?;
    for (key, record) in &mut groups {
        let at = maker.keep(key.as_bytes()).map_err(|error| fault(path, error))?;
        let len = u16::try_from(key.len()).map_err(|_| fault(path, "a name of 65536 bytes"))?;
        record.name = at << 16 | u64::from(len);
    }
    let read = |(key, place): &(String, Record)| {
        if place.text_len == 0 {
            return Err(fault(path, format!("`{key}` has neither a .json nor a .txt")));
        }
        let text = part(path, place.text, place.text_len as usize)
            .map_err(|error| DataError::Read { path: path.to_owned(), error })?;
        let pictured = place.picture_len > 0;
        let found = match place.form {
            CAPTION => {
                let words = eagle_core::data::words(&String::from_utf8_lossy(&text)).max(1) as i32;
                let name = record(&Value::Null, &Value::Null, key, pictured);
                Record { words: if pictured { words } else { -words }, ..name }
            }
            _ => {
                let value: Value = serde_json::from_slice(&text)
                    .map_err(|error| fault(path, format!("`{key}.json`: {error}")))?;
                record(&value, &value["conversations"], key, pictured)
            }
        };
        Ok(Record { words: found.words, id: found.id, ..*place })
    };
    let records: Result<Vec<Record>, DataError> = groups.par_iter().map(read).collect();
    maker.records = records?;
    Ok(())
}

/// Rows, their texts kept.
///
/// # Errors
/// The file can't be read or isn't what it should be.
pub(super) fn rows(
    path: &Path,
    file: &Parquet,
    columns: &Columns,
    maker: &mut Maker,
) -> Result<(), DataError> {
    maker.hash = hash(path)?;
    let pictured = match &columns.image {
        Some(image) => file.filled(image)?,
        None => vec![false; file.len()],
    };
    file.rows(|mut value| {
        let row = maker.records.len();
        // A text of JSON, as some sets have it, becomes what it says.
        let said = &mut value[&columns.conversations];
        if let Some(text) = said.as_str() {
            *said = serde_json::from_str(text)
                .map_err(|error| fault(path, format!("row {row}: {error}")))?;
        }
        let text = serde_json::to_vec(&value).map_err(|error| fault(path, error))?;
        let at = maker.keep(&text).map_err(|error| fault(path, error))?;
        let found =
            record(&value, &value[&columns.conversations], &format!("#{row}"), pictured[row]);
        maker.records.push(Record {
            text: at,
            text_len: u32::try_from(text.len()).map_err(|error| fault(path, error))?,
            picture: row as u64,
            picture_len: u32::from(pictured[row]),
            ..found
        });
        Ok(())
    })
}
