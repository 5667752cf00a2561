//! Files: reading what may not be there, writing so that nobody ever sees half a file, and a lock
//! so that two processes can share a results folder.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::ResultsError;

fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> ResultsError {
    let path = path.to_owned();
    move |source| ResultsError::Io { doing, path, source }
}

/// A file's bytes; None where there is no such file.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, ResultsError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(io("read", path)(e)),
    }
}

/// What lies in a folder, sorted, without hidden names; nothing where there is no such folder.
pub fn list(folder: &Path) -> Result<Vec<PathBuf>, ResultsError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(io("list", folder)(e)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let entry = entry.map_err(io("list", folder))?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

/// Replaces `path` with `bytes`: whoever opens it, whenever, reads the old bytes or the new ones.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), ResultsError> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(io("create", folder))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let temporary = folder.join(format!(".{name}.{}-{count}", std::process::id()));
    let written = (|| {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    })();
    if written.is_err() {
        // The first failure is the one to report.
        let _ = fs::remove_file(&temporary);
    }
    written.map_err(io("write", path))?;
    // The rename itself lasts once the folder is synced; not every system can open a folder.
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
    Ok(())
}

/// What frames are built from, in one word: every file's path, length and time of change.
pub fn fingerprint(runs: &Path, folders: &[PathBuf]) -> Result<String, ResultsError> {
    let mut hash = blake3::Hasher::new();
    hash.update(&crate::schema::FRAMES_VERSION.to_le_bytes());
    // A column that was added since leaves the version alone.
    for table in crate::schema::schema() {
        hash.update(table.to_string().as_bytes());
    }
    for folder in folders {
        let files = [folder.join("manifest.json"), folder.join("metrics.jsonl")];
        for path in files.into_iter().chain(list(&folder.join("predictions"))?) {
            let (length, changed) = match fs::metadata(&path) {
                Ok(data) => (data.len(), data.modified().map_err(io("read", &path))?),
                Err(e) if e.kind() == ErrorKind::NotFound => continue,
                Err(e) => return Err(io("read", &path)(e)),
            };
            let changed = changed.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            // Within the results folder: `results` and `./results` are the same runs.
            let path = path.strip_prefix(runs).unwrap_or(&path).to_string_lossy();
            hash.update(&(path.len() as u64).to_le_bytes()).update(path.as_bytes());
            hash.update(&length.to_le_bytes()).update(&changed.as_nanos().to_le_bytes());
        }
    }
    Ok(hash.finalize().to_hex().to_string())
}

/// Held while frames are built (alone) or read (shared); the system drops it if the holder dies.
pub struct Lock {
    _file: Option<File>,
}

impl Lock {
    /// Waits until no one reads or builds the frames in `folder`.
    pub fn alone(folder: &Path) -> Result<Self, ResultsError> {
        fs::create_dir_all(folder).map_err(io("create", folder))?;
        let path = folder.join(".lock");
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(io("write", &path))?;
        Self::held(file.lock(), file, &path)
    }

    /// Waits until no one builds the frames in `folder`. A folder that was never locked (copied
    /// here, read-only) needs none.
    pub fn shared(folder: &Path) -> Result<Self, ResultsError> {
        let path = folder.join(".lock");
        match File::open(&path) {
            Ok(file) => Self::held(file.lock_shared(), file, &path),
            Err(_) => Ok(Self { _file: None }),
        }
    }

    fn held(result: std::io::Result<()>, file: File, path: &Path) -> Result<Self, ResultsError> {
        match result {
            Ok(()) => Ok(Self { _file: Some(file) }),
            // Some network file systems have no locks: every file is still written whole.
            Err(e) if e.kind() == ErrorKind::Unsupported => Ok(Self { _file: None }),
            Err(e) => Err(io("lock", path)(e)),
        }
    }
}
