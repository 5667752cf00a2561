//! Weights on disk: safetensors, strict on both sides, written atomically.
//!
//! `files` reads checkpoints (also sharded ones) tensor by tensor, `keys` says how a reference's
//! checkpoint and our parameters differ, `load` holds the one against the other, `bundle` is what
//! this program writes.

mod bundle;
mod files;
mod keys;
mod load;

use std::path::PathBuf;

pub use bundle::{Bundle, TEMPORARY, write_atomically};
pub use files::Files;
pub use keys::Keys;
pub use load::{load, load_files, misfit};

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
        /// What the reader says, and what would be right.
        detail: String,
    },
    /// The file and the model don't have the same tensors.
    #[error("{path} doesn't fit the model:{}{}", list(.problems), hint(.help), path = path.display())]
    Misfit {
        /// The file.
        path: PathBuf,
        /// Every tensor that is missing, surplus, or of another shape or type.
        problems: Vec<String>,
        /// What would be right, where that can be told.
        help: Option<String>,
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

fn hint(help: &Option<String>) -> String {
    help.as_ref().map_or(String::new(), |help| format!("\n  help: {help}"))
}
