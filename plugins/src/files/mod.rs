//! What data sets and benchmarks share: readers of JSON, tar shards and Parquet, and the index that
//! is made of a large file once.

pub(crate) mod collection;
mod conversation;
mod elements;
mod index;
pub(crate) mod parquet;
mod pictures;
mod scan;
mod tar;

use std::path::{Path, PathBuf};

use eagle_core::data::DataError;

/// The files that a list of paths means, each a file or a folder of which every file with one of
/// these extensions is taken, in the order of their names.
///
/// # Errors
/// A path that isn't there, or a folder without such a file.
pub(crate) fn shards(
    base: &Path,
    paths: &[PathBuf],
    extension: &str,
) -> Result<Vec<PathBuf>, DataError> {
    let mut found = Vec::new();
    for path in paths {
        let path = base.join(path);
        let read = |error| DataError::Read { path: path.clone(), error };
        if !std::fs::metadata(&path).map_err(read)?.is_dir() {
            found.push(path);
            continue;
        }
        let entries = std::fs::read_dir(&path).map_err(read)?;
        let entries = entries.map(|entry| Ok(entry.map_err(read)?.path()));
        let mut files = entries.collect::<Result<Vec<PathBuf>, DataError>>()?;
        files.retain(|file| file.extension().is_some_and(|e| e.eq_ignore_ascii_case(extension)));
        if files.is_empty() {
            let detail = format!("the folder has no .{extension} file");
            return Err(DataError::File { path, detail });
        }
        files.sort();
        found.append(&mut files);
    }
    Ok(found)
}
