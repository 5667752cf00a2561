//! Who works in a folder.

use std::fs::{File, TryLockError};
use std::path::Path;

use super::RecordError;
use crate::weights::TEMPORARY;

/// Locks a folder of results for as long as the result lives (the system unlocks it if we die), and
/// removes the half-written files of a process that died in it. Waits for whoever has it.
///
/// # Errors
/// What the system says.
pub fn claim(folder: &Path) -> Result<File, RecordError> {
    if let Some(file) = try_claim(folder)? {
        return Ok(file);
    }
    tracing::info!(folder = %folder.display(), "waiting for another process");
    let path = folder.join(LOCK);
    let fail = |error: std::io::Error| RecordError::new(&path, error);
    let file = File::create(&path).map_err(fail)?;
    file.lock().map_err(fail)?;
    remove(folder, &|name| name.ends_with(TEMPORARY))?;
    Ok(file)
}

/// Like [`claim`], but `None` if another process, or another worker of this one, has the folder.
///
/// # Errors
/// What the system says.
pub fn try_claim(folder: &Path) -> Result<Option<File>, RecordError> {
    let path = folder.join(LOCK);
    let fail = |error: std::io::Error| RecordError::new(&path, error);
    std::fs::create_dir_all(folder).map_err(fail)?;
    let file = File::create(&path).map_err(fail)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(fail(error)),
    }
    remove(folder, &|name| name.ends_with(TEMPORARY))?;
    Ok(Some(file))
}

/// Removes the files in a claimed folder and in those within it, but not its lock.
///
/// # Errors
/// What the system says.
pub fn remove_contents(folder: &Path) -> Result<(), RecordError> {
    remove(folder, &|name| name != LOCK)
}

const LOCK: &str = "lock";

fn remove(folder: &Path, which: &dyn Fn(&str) -> bool) -> Result<(), RecordError> {
    let fail = |error: std::io::Error| RecordError::new(folder, error);
    for entry in std::fs::read_dir(folder).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        if entry.file_type().map_err(fail)?.is_dir() {
            remove(&entry.path(), which)?;
        } else if which(&entry.file_name().to_string_lossy()) {
            std::fs::remove_file(entry.path()).map_err(fail)?;
        }
    }
    Ok(())
}
