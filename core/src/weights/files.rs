//! A checkpoint on disk: one `.safetensors` file, or a model in shards with their index, as Hugging
//! Face splits what is large.
//!
//! Only headers are read when it is opened, and a tensor when it is asked for, a piece at a time
//! straight into the parameter: a 13B model in 16 bits never lies in memory beside the one in f32.
//! It is not mapped: every tensor is read once, so a map would save nothing, it would need `unsafe`,
//! and a mapped file that another process cuts short ends the program instead of being an error.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use safetensors::{Dtype, tensor::Metadata};

use super::WeightsError;

/// The name that Hugging Face gives the index of a model in shards.
const INDEX: &str = "model.safetensors.index.json";
const WHOLE: &str = "model.safetensors";

/// Where a tensor lies.
#[derive(Debug, Clone)]
struct Entry {
    shard: usize,
    dtype: Dtype,
    shape: Vec<usize>,
    /// The first byte in the file, and how many there are.
    at: u64,
    bytes: u64,
}

/// An open checkpoint: the names, shapes and places of its tensors.
#[derive(Debug)]
pub struct Files {
    path: PathBuf,
    shards: Vec<(PathBuf, File)>,
    entries: BTreeMap<String, Entry>,
    notes: BTreeMap<String, String>,
}

impl Files {
    /// Opens a `.safetensors` file, an index (`….index.json`) with its shards, or a folder that
    /// holds either.
    ///
    /// # Errors
    /// A file is not there, can't be read, or is no safetensors file.
    pub fn open(path: &Path) -> Result<Files, WeightsError> {
        let mut files = Files {
            path: path.to_owned(),
            shards: Vec::new(),
            entries: BTreeMap::new(),
            notes: BTreeMap::new(),
        };
        let found = locate(path)?;
        if found.extension().is_some_and(|extension| extension == "json") {
            files.index(&found)?;
        } else {
            files.notes = files.shard(&found, |_| true)?;
        }
        Ok(files)
    }

    /// Every file that a checkpoint consists of, in order: what its identity hashes.
    ///
    /// # Errors
    /// As for [`Files::open`].
    pub fn parts(path: &Path) -> Result<Vec<PathBuf>, WeightsError> {
        Ok(Files::open(path)?.shards.into_iter().map(|(path, _)| path).collect())
    }

    /// The path as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The names of all tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.entries.keys().map(String::as_str)
    }

    /// The text of a single file's metadata.
    pub fn notes(&self) -> &BTreeMap<String, String> {
        &self.notes
    }

    /// A tensor's shape, if there is one of that name.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.entries.get(name).map(|entry| entry.shape.as_slice())
    }

    /// What a tensor's numbers are, if they aren't floats that a parameter can take: `I64`.
    pub(super) fn not_floats(&self, name: &str) -> Option<String> {
        let dtype = self.entries.get(name)?.dtype;
        let known = matches!(dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16);
        (!known).then(|| format!("{dtype:?}"))
    }

    /// A tensor's values; 16-bit floats and whole numbers become f32.
    ///
    /// # Errors
    /// There is no such tensor, it holds other numbers, or the file can't be read.
    pub fn values(&self, name: &str) -> Result<Vec<f32>, WeightsError> {
        let entry = self.entry(name)?;
        let mut values = vec![0.0; entry.shape.iter().product()];
        self.read_into(name, &mut values)?;
        Ok(values)
    }

    /// The same into values that are there.
    ///
    /// # Errors
    /// As for [`Files::values`]; another number of values.
    pub fn read_into(&self, name: &str, values: &mut [f32]) -> Result<(), WeightsError> {
        let entry = self.entry(name)?;
        let (path, mut file) = (&self.shards[entry.shard].0, &self.shards[entry.shard].1);
        let size = (entry.dtype.bitsize() / 8).max(1);
        if values.len() as u64 * size as u64 != entry.bytes {
            return Err(format(path, format!("`{name}` has {} values", entry.bytes / size as u64)));
        }
        let Some(convert) = converter(entry.dtype) else {
            let detail = format!("`{name}` is {:?}, not f32, f16 or bf16", entry.dtype);
            return Err(format(path, detail));
        };
        let io = |error| WeightsError::Io { path: path.clone(), error };
        file.seek(SeekFrom::Start(entry.at)).map_err(io)?;
        const PIECE: usize = 1 << 18;
        let mut bytes = vec![0; PIECE.min(values.len()) * size];
        for values in values.chunks_mut(PIECE) {
            let bytes = &mut bytes[..values.len() * size];
            file.read_exact(bytes).map_err(io)?;
            for (value, bytes) in values.iter_mut().zip(bytes.chunks_exact(size)) {
                *value = convert(bytes);
            }
        }
        Ok(())
    }

    fn entry(&self, name: &str) -> Result<&Entry, WeightsError> {
        let missing = || {
            let detail = format!("it has no tensor `{name}`");
            format(&self.path, detail)
        };
        self.entries.get(name).ok_or_else(missing)
    }

    /// The shards that an index names, each tensor from where the index says.
    fn index(&mut self, path: &Path) -> Result<(), WeightsError> {
        let io = |error| WeightsError::Io { path: path.to_owned(), error };
        let text = std::fs::read_to_string(path).map_err(io)?;
        let index: Index = serde_json::from_str(&text).map_err(|error| {
            format(path, format!("no `weight_map` from tensors to files: {error}"))
        })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let shards: BTreeSet<&String> = index.weight_map.values().collect();
        for shard in shards {
            let named = |name: &str| index.weight_map.get(name) == Some(shard);
            self.shard(&folder.join(shard), named)?;
        }
        let lost: Vec<&str> = index
            .weight_map
            .keys()
            .map(String::as_str)
            .filter(|name| !self.entries.contains_key(*name))
            .collect();
        match lost.first() {
            None => Ok(()),
            Some(first) => {
                let shard = index.weight_map.get(*first).map_or("", String::as_str);
                let count = lost.len();
                let detail =
                    format!("{count} tensors are not where it says: `{first}` not in {shard}");
                Err(format(path, detail))
            }
        }
    }

    /// The tensors of one file that are `wanted`; its metadata.
    fn shard(
        &mut self,
        path: &Path,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<BTreeMap<String, String>, WeightsError> {
        let io = |error| WeightsError::Io { path: path.to_owned(), error };
        let mut file = File::open(path).map_err(io)?;
        let size = file.metadata().map_err(io)?.len();
        let header = header(path, &mut file, size)?;
        // Not `SafeTensors::read_metadata`: that wants the whole file.
        let start = header.len() as u64;
        let header: Metadata = serde_json::from_slice(header.get(8..).unwrap_or(&[]))
            .map_err(|error| format(path, error.to_string()))?;
        let whole = start + header.data_len() as u64;
        if whole != size {
            let detail = format!(
                "it has {size} bytes where its header tells of {whole}: it was not copied whole"
            );
            return Err(format(path, detail));
        }
        for (name, info) in header.tensors() {
            if wanted(&name) {
                let (from, to) = info.data_offsets;
                let numbers = info.shape.iter().try_fold(1, |n: usize, side| n.checked_mul(*side));
                let bits = numbers.and_then(|numbers| numbers.checked_mul(info.dtype.bitsize()));
                if bits.map(|bits| bits / 8) != to.checked_sub(from) {
                    let detail = format!("`{name}` is {:?} in bytes {from} to {to}", info.shape);
                    return Err(format(path, detail));
                }
                let (at, bytes) = (start + from as u64, (to - from) as u64);
                let (shard, shape) = (self.shards.len(), info.shape.clone());
                self.entries.insert(name, Entry { shard, dtype: info.dtype, shape, at, bytes });
            }
        }
        self.shards.push((path.to_owned(), file));
        Ok(header.metadata().clone().unwrap_or_default().into_iter().collect())
    }
}

#[derive(serde::Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// The length of the header and the header itself.
fn header(path: &Path, file: &mut File, size: u64) -> Result<Vec<u8>, WeightsError> {
    let io = |error| WeightsError::Io { path: path.to_owned(), error };
    let mut start = Vec::new();
    file.by_ref().take(8).read_to_end(&mut start).map_err(io)?;
    let length = match <[u8; 8]>::try_from(start.as_slice()) {
        Ok(length) => u64::from_le_bytes(length),
        Err(_) => return Err(format(path, format!("it has {} bytes", start.len()))),
    };
    if length > size.saturating_sub(8) {
        return Err(format(path, not_a_header(&start, length, size)));
    }
    file.by_ref().take(length).read_to_end(&mut start).map_err(io)?;
    Ok(start)
}

/// What a file is whose first eight bytes are no header's length. A length may begin like another
/// format, but then it is not longer than the file.
fn not_a_header(start: &[u8], length: u64, size: u64) -> String {
    const CONVERT: &str = "write it as safetensors: \
        `python -c \"import sys, torch, safetensors.torch as s; s.save_file({k: v.contiguous() for k, v in torch.load(sys.argv[1], map_location='cpu').items()}, sys.argv[2])\" IN OUT`";
    if start.starts_with(b"PK") || start.starts_with(&[0x80]) {
        format!("it is a pickle of PyTorch's; {CONVERT}")
    } else if start.starts_with(b"version ") {
        "it is a pointer of Git LFS; fetch it with `git lfs pull`".into()
    } else {
        format!("a header of {length} bytes in a file of {size}")
    }
}

/// The file or index that a path means.
fn locate(path: &Path) -> Result<PathBuf, WeightsError> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let named = [INDEX, WHOLE].map(|name| path.join(name)).into_iter().find(|path| path.is_file());
    if let Some(found) = named {
        return Ok(found);
    }
    let io = |error| WeightsError::Io { path: path.to_owned(), error };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).map_err(io)? {
        found.push(entry.map_err(io)?.path());
    }
    found.retain(|path| path.extension().is_some_and(|extension| extension == "safetensors"));
    match &found[..] {
        [only] => Ok(only.clone()),
        _ => {
            let count = found.len();
            let detail = format!(
                "a folder with {count} `.safetensors` files and no `{INDEX}`; name the one file"
            );
            Err(format(path, detail))
        }
    }
}

/// How the bytes of one number become an f32.
fn converter(dtype: Dtype) -> Option<fn(&[u8]) -> f32> {
    Some(match dtype {
        Dtype::F32 => |b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]),
        Dtype::BF16 => |b| f32::from_bits(u32::from(u16::from_le_bytes([b[0], b[1]])) << 16),
        Dtype::F16 => |b| half::f16::from_le_bytes([b[0], b[1]]).to_f32(),
        Dtype::I64 => {
            |b| i64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]) as f32
        }
        Dtype::I32 => |b| i32::from_le_bytes([b[0], b[1], b[2], b[3]]) as f32,
        Dtype::U8 => |b| f32::from(b[0]),
        _ => return None,
    })
}

fn format(path: &Path, detail: String) -> WeightsError {
    WeightsError::Format { path: path.to_owned(), detail }
}
