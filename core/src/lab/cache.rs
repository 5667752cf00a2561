//! What the cache of a results folder holds: finished stages and frozen features; whether their
//! bytes are still those that were written; and what no run needs any more.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::stages::{Finished, TOTALS};
use super::why;
use crate::features;
use crate::record::{self, Manifest, RecordError};

/// What kind of thing an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A finished stage.
    Stage,
    /// A stage that is begun.
    Unfinished,
    /// The features of one encoder for one data set.
    Features,
}

/// One thing in the cache.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// Its identity.
    pub id: String,
    /// What a person calls it: `fine-tuning of quickstart`, `ClipVit`.
    pub name: String,
    /// Bytes on disk.
    pub bytes: u64,
    /// Runs that need it; features are needed by none, they only save time.
    pub runs: usize,
    /// Its folder.
    pub folder: PathBuf,
}

/// Everything in the cache of the results folder `out`.
///
/// # Errors
/// Something can't be read.
pub fn list(out: &Path) -> Result<Vec<Entry>, RecordError> {
    let needed = needed(out)?;
    let notes = why::notes(out)?;
    let mut entries = Vec::new();
    for (id, folder) in folders(&out.join("cache").join("stages"))? {
        let name = notes.get(&id).map(|note| format!("{} of {}", note.stage, note.experiment));
        let kind = if folder.join(TOTALS).exists() { Kind::Stage } else { Kind::Unfinished };
        let runs = needed.iter().filter(|stages| stages.contains(&id)).count();
        let name = name.unwrap_or_default();
        entries.push(Entry { kind, name, bytes: bytes(&folder), runs, id, folder });
    }
    for (id, folder) in folders(&out.join("cache").join("features"))? {
        let note: Option<serde_json::Value> = record::read_json(&folder.join("shelf.json"))?;
        let plugin = note.as_ref().map(|note| &note["what"]["encoder"]["plugin"]);
        let name = plugin.and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
        let bytes = features::size(&folder);
        entries.push(Entry { kind: Kind::Features, name, bytes, runs: 0, id, folder });
    }
    entries.sort();
    Ok(entries)
}

/// What is wrong with an entry's bytes; `None` if nothing is. A stage under way is not looked at.
///
/// # Errors
/// Something can't be read.
pub fn damage(entry: &Entry) -> Result<Option<String>, RecordError> {
    match entry.kind {
        Kind::Unfinished => Ok(None),
        Kind::Stage => {
            let path = entry.folder.join(TOTALS);
            let finished = match record::read_json::<Finished>(&path) {
                Ok(finished) => finished.unwrap_or_default(),
                Err(error) => return Ok(Some(error.to_string())),
            };
            Ok(finished.hold(&entry.folder).err().map(|error| error.to_string()))
        }
        Kind::Features => {
            let (whole, damaged) = match features::check(&entry.folder) {
                Ok(found) => found,
                Err(error) => return Ok(Some(error.to_string())),
            };
            Ok((!damaged.is_empty()).then(|| {
                let count = whole + damaged.len();
                format!("{} of {count} records are damaged; they count as absent", damaged.len())
            }))
        }
    }
}

/// Removes an entry, unless somebody is at it.
///
/// # Errors
/// What the system says.
pub fn remove(entry: &Entry) -> Result<bool, RecordError> {
    let Some(_claim) = record::try_claim(&entry.folder)? else { return Ok(false) };
    std::fs::remove_dir_all(&entry.folder)
        .map(|()| true)
        .map_err(|error| RecordError::new(&entry.folder, error))
}

/// Whether no run needs an entry: a finished stage of no run that there is. What is unfinished can
/// go on, and features are bounded by a limit of their own.
pub fn is_garbage(entry: &Entry) -> bool {
    entry.kind == Kind::Stage && entry.runs == 0
}

/// The stages that each run needs.
fn needed(out: &Path) -> Result<Vec<BTreeSet<String>>, RecordError> {
    let mut needed = Vec::new();
    for (_, folder) in folders(&out.join("runs"))? {
        if let Some(manifest) = Manifest::read(&folder)? {
            let stages = manifest.stages.into_iter().chain(manifest.sources);
            needed.push(stages.map(|stage| stage.id).collect());
        }
    }
    Ok(needed)
}

/// The folders in a folder, with their names, sorted; none if it is not there.
fn folders(folder: &Path) -> Result<Vec<(String, PathBuf)>, RecordError> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| RecordError::new(folder, error))?.path();
        if path.is_dir() {
            found.push((path.file_name().unwrap_or_default().to_string_lossy().into_owned(), path));
        }
    }
    found.sort();
    Ok(found)
}

fn bytes(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).map(|file| file.len()).sum()
}
