//! A stage's checkpoint: trained parameters, optimiser moments, the step (which is the data cursor:
//! the order of samples depends on the seed alone), and the totals so far. Nothing else changes
//! between two steps, so a resumed run ends with the same bytes as one that was never stopped.

use std::path::{Path, PathBuf};

use super::Totals;
use super::optimizer::Optimizer;
use crate::weights::{Bundle, WeightsError};

/// The checkpoint file of a stage.
pub struct Checkpoint {
    path: PathBuf,
}

impl Checkpoint {
    /// The checkpoint in a stage's folder, whether it exists or not.
    pub fn at(folder: &Path) -> Checkpoint {
        Checkpoint { path: folder.join("checkpoint.safetensors") }
    }

    /// Restores the optimiser, its parameters included; all zero if there is no checkpoint.
    ///
    /// # Errors
    /// The file is damaged or belongs to another model.
    pub fn resume(&self, optimizer: &mut Optimizer) -> Result<Totals, WeightsError> {
        if !self.path.exists() {
            return Ok(Totals::default());
        }
        let bundle = Bundle::read(&self.path)?;
        let damaged = |detail: String| WeightsError::Format { path: self.path.clone(), detail };
        let totals = bundle.notes.get("totals").map(|text| serde_json::from_str(text));
        let Some(Ok(totals)) = totals else {
            return Err(damaged("no totals; delete the file to start the stage again".into()));
        };
        optimizer
            .restore(&bundle.tensors)
            .map_err(|name| damaged(format!("`{name}` is missing or has another shape")))?;
        Ok(totals)
    }

    /// Writes the state after a step; a kill at any instant leaves the old file or the new one.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn write(&mut self, optimizer: &Optimizer, totals: &Totals) -> Result<(), WeightsError> {
        let mut bundle = Bundle { tensors: optimizer.state(), ..Bundle::default() };
        let totals = serde_json::to_string(totals).map_err(|error| WeightsError::Format {
            path: self.path.clone(),
            detail: error.to_string(),
        })?;
        bundle.notes.insert("totals".into(), totals);
        bundle.write(&self.path)
    }

    /// Removes the file, once the stage's weights are saved.
    ///
    /// # Errors
    /// What the system says.
    pub fn remove(&self) -> Result<(), WeightsError> {
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(WeightsError::Io { path: self.path.clone(), error })
            }
            _ => Ok(()),
        }
    }
}
