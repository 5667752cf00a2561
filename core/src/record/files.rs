//! Files, written whole or not at all.

use std::fs::File;
use std::path::Path;

use serde::Serialize;

use super::RecordError;
use crate::weights::write_atomically;

/// Writes a value as indented JSON.
///
/// # Errors
/// The file can't be written.
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<(), RecordError> {
    let text =
        serde_json::to_string_pretty(value).map_err(|error| RecordError::new(path, error))?;
    write_text(path, &(text + "\n"))
}

/// Writes a text file.
///
/// # Errors
/// The file can't be written.
pub fn write_text(path: &Path, text: &str) -> Result<(), RecordError> {
    write_atomically(path, text.as_bytes()).map_err(|error| RecordError::new(path, error))
}

/// Reads a JSON file; `None` if there is none.
///
/// # Errors
/// The file can't be read or is damaged.
pub fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>, RecordError> {
    match std::fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(RecordError::new(path, error)),
        Ok(text) => {
            serde_json::from_str(&text).map(Some).map_err(|error| RecordError::new(path, error))
        }
    }
}

/// The hash of a file's bytes, in hexadecimal digits.
///
/// # Errors
/// The file can't be read.
pub fn hash_file(path: &Path) -> Result<String, RecordError> {
    let fail = |error: std::io::Error| RecordError::new(path, error);
    let mut hasher = blake3::Hasher::new();
    std::io::copy(&mut File::open(path).map_err(fail)?, &mut hasher).map_err(fail)?;
    Ok(hasher.finalize().to_hex().to_string())
}

/// A value as a line of JSON.
pub(super) fn line(value: &impl Serialize) -> String {
    // Strings and finite numbers always have a JSON form.
    serde_json::to_string(value).map(|text| text + "\n").unwrap_or_default()
}
