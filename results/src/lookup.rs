//! A run by what a person calls it: its id or the beginning of it, its folder's name, or the name of
//! its trial, experiment or study where only one run has it.

use std::path::{Path, PathBuf};

use crate::ResultsError;
use crate::error::nearest;
use crate::runs::{Manifest, Status, read_manifest};
use crate::store::list;

/// A run that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRef {
    /// Its id.
    pub run: String,
    /// Its folder.
    pub folder: PathBuf,
    /// Its experiment.
    pub experiment: String,
    /// Its study, if it is a trial of one.
    pub study: Option<String>,
    /// Its trial.
    pub trial: String,
    /// Its seed.
    pub seed: i64,
    /// running, done, failed or interrupted.
    pub status: &'static str,
    /// When it was started.
    pub started: Option<String>,
}

impl std::fmt::Display for RunRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let id = &self.run[..12.min(self.run.len())];
        if let Some(study) = &self.study {
            write!(f, "{id}  {study}, trial {}, seed {}", self.trial, self.seed)?;
        } else {
            write!(f, "{id}  {}, seed {}", self.experiment, self.seed)?;
        }
        write!(f, ", {}", self.status)?;
        self.started.as_ref().map_or(Ok(()), |started| write!(f, ", started {started}"))
    }
}

/// Every run in `out`, in the order of their folders.
///
/// # Errors
/// A manifest that can't be read.
pub fn runs(out: &Path) -> Result<Vec<RunRef>, ResultsError> {
    let mut runs = Vec::new();
    for folder in list(&out.join("runs"))? {
        runs.extend(run_in(&folder)?);
    }
    Ok(runs)
}

/// The run in a folder; None if it holds none.
///
/// # Errors
/// A manifest that can't be read.
pub fn run_in(folder: &Path) -> Result<Option<RunRef>, ResultsError> {
    Ok(read_manifest(folder)?.map(|manifest| RunRef::of(manifest, folder)))
}

/// The run in `out` that `name` means.
///
/// # Errors
/// No run is called so, or several are: they are listed.
pub fn find_run(out: &Path, name: &str) -> Result<RunRef, ResultsError> {
    let runs = runs(out)?;
    if runs.is_empty() {
        return Err(ResultsError::NoRuns { out: out.to_owned(), runs: out.join("runs") });
    }
    // The more a name says, the sooner it counts: a trial may be called like the beginning of an id.
    let meanings: [&dyn Fn(&RunRef) -> bool; 4] = [
        &|run| run.run == name || run.folder_name() == name,
        &|run| run.trial == name || run.study.is_none() && run.experiment == name,
        &|run| run.study.as_deref() == Some(name) || run.experiment == name,
        &|run| {
            !name.is_empty() && (run.run.starts_with(name) || run.folder_name().starts_with(name))
        },
    ];
    for meant in meanings {
        let mut found: Vec<&RunRef> = runs.iter().filter(|run| meant(run)).collect();
        // What failed before it went right, and what is under way, is seldom meant.
        if found.len() > 1 && found.iter().filter(|run| run.status == "done").count() == 1 {
            found.retain(|run| run.status == "done");
        }
        match found[..] {
            [] => {}
            [only] => return Ok(only.clone()),
            ref many => {
                let runs = many.iter().map(ToString::to_string).collect();
                return Err(ResultsError::AmbiguousRun { name: name.to_owned(), runs });
            }
        }
    }
    let names = runs.iter().flat_map(|run| [run.folder_name(), run.trial.clone()]);
    let mut names: Vec<String> = names.collect();
    names.dedup();
    let nearest = nearest(name, names.iter().map(String::as_str));
    let known = runs.iter().map(RunRef::folder_name).collect();
    Err(ResultsError::UnknownName { kind: "run", name: name.to_owned(), known, nearest })
}

impl RunRef {
    fn of(manifest: Manifest, folder: &Path) -> RunRef {
        let Manifest { run, experiment, study, trial, seed, status, started, .. } = manifest;
        let (folder, status) = (folder.to_owned(), Status::name(status));
        RunRef { run, folder, experiment, study, trial, seed, status, started }
    }

    fn folder_name(&self) -> String {
        self.folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}
