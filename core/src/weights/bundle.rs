//! Named tensors and text in memory: what this program writes.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use safetensors::{Dtype, View};

use super::{Files, WeightsError};
use crate::tensor::Param;

/// Named tensors and text, as one safetensors file holds them.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Bundle {
    /// Shape and values by name.
    pub tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
    /// Text by name.
    pub notes: BTreeMap<String, String>,
}

impl Bundle {
    /// Reads a checkpoint whole; 16-bit floats become f32.
    ///
    /// # Errors
    /// The file can't be read or is damaged.
    pub fn read(path: &Path) -> Result<Bundle, WeightsError> {
        let files = Files::open(path)?;
        let mut tensors = BTreeMap::new();
        for name in files.names() {
            let shape = files.shape(name).unwrap_or_default().to_vec();
            tensors.insert(name.to_owned(), (shape, files.values(name)?));
        }
        Ok(Bundle { tensors, notes: files.notes().clone() })
    }

    /// Writes the file so that a kill at any instant leaves the old one or the new one.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn write(&self, path: &Path) -> Result<(), WeightsError> {
        let io = |error| WeightsError::Io { path: path.to_owned(), error };
        let tensors =
            self.tensors.iter().map(|(name, (shape, values))| (name, Bytes { shape, values }));
        let notes: HashMap<String, String> = self.notes.clone().into_iter().collect();
        let notes = (!notes.is_empty()).then_some(notes);
        atomically(
            path,
            |temporary| {
                safetensors::serialize_to_file(tensors, notes, temporary).map_err(|error| {
                    WeightsError::Format { path: path.to_owned(), detail: error.to_string() }
                })
            },
            io,
        )
    }

    /// Adds parameters under `prefix`.
    pub fn add(&mut self, prefix: &str, params: &[Param]) {
        for param in params {
            let values = param.host();
            let name = format!("{prefix}{}", param.name());
            self.tensors.insert(name, (param.shape().to_vec(), values));
        }
    }
}

/// A tensor whose bytes are made when they are written, so that there is one copy at a time.
struct Bytes<'a> {
    shape: &'a [usize],
    values: &'a [f32],
}

impl View for Bytes<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        self.values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>().into()
    }

    fn data_len(&self) -> usize {
        4 * self.values.len()
    }
}

/// How the name of a temporary file ends; one that is there after its writer died is of no use.
pub const TEMPORARY: &str = ".tmp";

/// Writes a file through a temporary one beside it: synced, then renamed.
///
/// # Errors
/// What the system says.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    atomically(path, |temporary| File::create(temporary)?.write_all(bytes), |error| error)
}

fn atomically<E>(
    path: &Path,
    write: impl FnOnce(&Path) -> Result<(), E>,
    io: impl Fn(std::io::Error) -> E,
) -> Result<(), E> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(&io)?;
    }
    let temporary = temporary(path);
    write(&temporary)?;
    let renamed = || {
        File::options().write(true).open(&temporary)?.sync_all()?;
        std::fs::rename(&temporary, path)?;
        match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
            _ => Ok(()),
        }
    };
    renamed().map_err(io)
}

fn temporary(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}{TEMPORARY}", std::process::id()));
    path.with_file_name(name)
}
