//! What a command is going to run, in `OUT/studies/NAME.json`: written before its first trial, so
//! that those who watch know of the trials that wait.

use std::path::Path;

use eagle_core::record::{self, RecordError};
use serde::{Deserialize, Serialize};

use crate::file::Opened;

/// The trials of a study, or an experiment alone.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Planned {
    /// The study's or the experiment's name.
    pub name: String,
    /// When it was planned, RFC 3339, UTC.
    pub planned: String,
    /// Its trials, in order; of a search none, since they are known only as it goes on.
    pub trials: Vec<PlannedTrial>,
    /// The most trials that its searches come to; 0 without a search.
    #[serde(default)]
    pub at_most: usize,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedTrial {
    /// The trial's name.
    pub trial: String,
    /// Its seed.
    pub seed: u64,
}

/// Writes what a file is going to run.
pub fn write(opened: &Opened, out: &Path) -> Result<(), RecordError> {
    let Some(first) = opened.ready.first() else { return Ok(()) };
    let name = first.table().to_owned();
    let trials = opened.ready.iter().filter(|_| opened.searches.is_empty()).map(|ready| {
        let trial = ready.study.as_ref().map_or(&ready.graph.name, |(_, trial)| &trial.name);
        PlannedTrial { trial: trial.clone(), seed: ready.graph.seed }
    });
    let planned = Planned {
        planned: record::now(),
        trials: trials.collect(),
        at_most: opened.searches.iter().map(crate::file::Searched::most).sum(),
        name: name.clone(),
    };
    let safe = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let slug: String = name.chars().map(safe).collect();
    let folder = out.join("studies");
    std::fs::create_dir_all(&folder).map_err(|error| RecordError::new(&folder, error))?;
    record::write_json(&folder.join(format!("{slug}.json")), &planned)
}

/// What was planned in a results folder, by name.
pub fn read(out: &Path) -> Result<Vec<Planned>, RecordError> {
    let entries = std::fs::read_dir(out.join("studies")).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "json"));
    paths.sort();
    let planned = paths.iter().map(|path| record::read_json(path));
    planned.filter_map(Result::transpose).collect()
}
