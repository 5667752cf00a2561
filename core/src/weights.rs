//! Weights on disk: safetensors, strict on both sides, written atomically.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use crate::tensor::Param;

/// What is wrong with a file of weights.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The file can't be read or written.
    #[error("{path}: {error}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// The file is not safetensors, or is damaged.
    #[error("{path} is not a readable safetensors file: {detail}", path = path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What the reader says.
        detail: String,
    },
    /// The file and the model don't have the same tensors.
    #[error("{path} doesn't fit the model:{}", list(.problems), path = path.display())]
    Misfit {
        /// The file.
        path: PathBuf,
        /// Every tensor that is missing, surplus, or of another shape or type.
        problems: Vec<String>,
    },
}

fn list(problems: &[String]) -> String {
    const SHOWN: usize = 20;
    let mut text: String = problems.iter().take(SHOWN).map(|p| format!("\n  {p}")).collect();
    if problems.len() > SHOWN {
        text += &format!("\n  … and {} more", problems.len() - SHOWN);
    }
    text
}

/// Named tensors and text, as one safetensors file holds them.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Bundle {
    /// Shape and values by name.
    pub tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
    /// Text by name.
    pub notes: BTreeMap<String, String>,
}

impl Bundle {
    /// Reads a file; 16-bit floats become f32.
    ///
    /// # Errors
    /// The file can't be read or is damaged.
    pub fn read(path: &Path) -> Result<Bundle, WeightsError> {
        let io = |error| WeightsError::Io { path: path.to_owned(), error };
        let format = |detail: String| WeightsError::Format { path: path.to_owned(), detail };
        let bytes = std::fs::read(path).map_err(io)?;
        let (_, header) =
            SafeTensors::read_metadata(&bytes).map_err(|error| format(error.to_string()))?;
        let notes = header.metadata().clone().unwrap_or_default().into_iter().collect();
        let file = SafeTensors::deserialize(&bytes).map_err(|error| format(error.to_string()))?;
        let mut tensors = BTreeMap::new();
        for (name, view) in file.tensors() {
            let values = floats(&view).ok_or_else(|| {
                format(format!("`{name}` is {:?}, not f32, f16 or bf16", view.dtype()))
            })?;
            tensors.insert(name, (view.shape().to_vec(), values));
        }
        Ok(Bundle { tensors, notes })
    }

    /// Writes the file so that a kill at any instant leaves the old one or the new one.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn write(&self, path: &Path) -> Result<(), WeightsError> {
        let format = |detail: String| WeightsError::Format { path: path.to_owned(), detail };
        let bytes_of = |values: &[f32]| -> Vec<u8> {
            values.iter().flat_map(|value| value.to_le_bytes()).collect()
        };
        let data: Vec<(&String, &Vec<usize>, Vec<u8>)> =
            self.tensors.iter().map(|(name, (shape, v))| (name, shape, bytes_of(v))).collect();
        let views = data
            .iter()
            .map(|(name, shape, bytes)| {
                let view = TensorView::new(Dtype::F32, shape.to_vec(), bytes);
                view.map(|view| (name.as_str(), view)).map_err(|error| format(error.to_string()))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let notes = (!self.notes.is_empty()).then(|| self.notes.clone().into_iter().collect());
        let bytes =
            safetensors::serialize(views, notes).map_err(|error| format(error.to_string()))?;
        write_atomically(path, &bytes)
            .map_err(|error| WeightsError::Io { path: path.to_owned(), error })
    }

    /// Adds parameters under `prefix`.
    pub fn add(&mut self, prefix: &str, params: &[Param]) {
        for param in params {
            let values = param.tensor().host().into_owned();
            let name = format!("{prefix}{}", param.name());
            self.tensors.insert(name, (param.shape().to_vec(), values));
        }
    }
}

fn floats(view: &TensorView<'_>) -> Option<Vec<f32>> {
    let half = |bits: u16| -> f32 {
        let sign = if bits >> 15 == 1 { -1.0f32 } else { 1.0 };
        let (exponent, fraction) = (i32::from(bits >> 10 & 31), f32::from(bits & 1023));
        sign * match exponent {
            0 => fraction * 2f32.powi(-24),
            31 if fraction == 0.0 => f32::INFINITY,
            31 => f32::NAN,
            _ => (1.0 + fraction / 1024.0) * 2f32.powi(exponent - 15),
        }
    };
    let pairs = || view.data().chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]]));
    Some(match view.dtype() {
        Dtype::F32 => view
            .data()
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect(),
        Dtype::BF16 => pairs().map(|bits| f32::from_bits(u32::from(bits) << 16)).collect(),
        Dtype::F16 => pairs().map(half).collect(),
        _ => return None,
    })
}

/// How the name of a temporary file ends; one that is there after its writer died is of no use.
pub const TEMPORARY: &str = ".tmp";

/// Writes a file through a temporary one beside it: synced, then renamed.
///
/// # Errors
/// What the system says.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}{TEMPORARY}", std::process::id()));
    let temporary = path.with_file_name(name);
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    std::fs::rename(&temporary, path)?;
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

/// Sets every parameter from the tensors under `prefix`. Strict on both sides: a tensor that is
/// missing, surplus under the prefix, or of another shape is an error that lists them all, and then
/// nothing was changed.
///
/// # Errors
/// The bundle and the parameters don't match; `path` is the file that the message names.
pub fn load(
    params: &[Param],
    bundle: &Bundle,
    prefix: &str,
    path: &Path,
) -> Result<(), WeightsError> {
    let mut problems = Vec::new();
    for param in params {
        match bundle.tensors.get(&format!("{prefix}{}", param.name())) {
            None => problems.push(format!("missing: {prefix}{} {:?}", param.name(), param.shape())),
            Some((shape, _)) if shape != param.shape() => problems.push(format!(
                "shape: {prefix}{} is {shape:?} in the file, {:?} in the model",
                param.name(),
                param.shape()
            )),
            Some(_) => {}
        }
    }
    let wanted: std::collections::BTreeSet<String> =
        params.iter().map(|param| format!("{prefix}{}", param.name())).collect();
    let surplus =
        bundle.tensors.keys().filter(|name| name.starts_with(prefix) && !wanted.contains(*name));
    problems.extend(surplus.map(|name| format!("surplus: {name}")));
    if !problems.is_empty() {
        return Err(WeightsError::Misfit { path: path.to_owned(), problems });
    }
    for param in params {
        if let Some((_, values)) = bundle.tensors.get(&format!("{prefix}{}", param.name())) {
            param.update(|target| target.copy_from_slice(values));
        }
    }
    Ok(())
}
