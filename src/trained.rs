//! A run by what a person calls it, and what it has trained.

use std::path::{Path, PathBuf};

use eagle_core::graph::{self, Context, Graph};
use eagle_core::lab::Trained;
use eagle_core::record::Status;
use eagle_core::registry::Registry;
use eagle_core::spec;
use eagle_results::{ResultsError, RunRef};

use crate::Failure;

/// The run that `name` means: a folder, an id or its beginning, a trial's or experiment's name that
/// only one run has, or an experiment's file that was run once.
pub fn find(name: &Path, out: &Path) -> Result<Trained, Failure> {
    let folder = folder(name, out)?;
    Trained::open(&folder).map_err(Failure::running)
}

/// The same, of a run that may be damaged or unfinished: its folder.
pub fn folder(name: &Path, out: &Path) -> Result<PathBuf, Failure> {
    if name.join("manifest.json").is_file() {
        return Ok(name.to_owned());
    }
    if name.is_file() {
        return of_experiment(name, out);
    }
    match eagle_results::find_run(out, &name.to_string_lossy()) {
        Ok(run) => Ok(run.folder),
        Err(ResultsError::UnknownName { .. }) if name.components().count() > 1 => {
            let name = name.display();
            Err(Failure::input(format!(
                "{name} is neither a run's folder nor a file; a run can be named by its id, its \
                 trial, or an experiment's file"
            )))
        }
        Err(error) => Err(Failure::input(error)),
    }
}

/// Fails unless the run is done, and says how to finish it.
pub fn finished(run: &Trained) -> Result<(), Failure> {
    let manifest = &run.manifest;
    let id = &manifest.run[..12.min(manifest.run.len())];
    let (title, command) = (&manifest.trial, &manifest.command);
    let what = match manifest.status {
        Status::Done => return Ok(()),
        Status::Running => format!("is not finished; if nothing works on it, go on: {command}"),
        Status::Interrupted => format!("was interrupted; to go on: {command}"),
        Status::Failed => {
            let error = manifest.error.as_deref().unwrap_or("nobody knows why");
            format!("failed: {error}\nonce that is put right, run it again: {command}")
        }
    };
    Err(Failure::input(format!("the run {id} ({title}) {what}")))
}

/// A run's experiment, linked again, and the folder at which its relative paths start. Where that is
/// gone, so is what it names there: tokenizers and checkpoints.
pub fn experiment(run: &Trained, registry: &Registry) -> Result<(Graph, PathBuf), Failure> {
    let path = run.folder.join("experiment.ron");
    let source = std::fs::read_to_string(&path)
        .map_err(|error| Failure::running(format!("{}: {error}", path.display())))?;
    let base = run.base.clone().unwrap_or_else(|| run.folder.clone());
    let context = Context { base: &base, file: None };
    let graph = graph::check(&source, registry, &context).map_err(|problems| {
        let name = path.display().to_string();
        Failure::Input(spec::render(&problems, &source, &name, crate::colour()))
    })?;
    Ok((graph, base))
}

/// The only run of an experiment.
fn of_experiment(file: &Path, out: &Path) -> Result<PathBuf, Failure> {
    let source = std::fs::read_to_string(file).map_err(Failure::input)?;
    let Ok(spec::File::Experiment(experiment)) = spec::parse(&source) else {
        let file = file.display();
        return Err(Failure::input(format!(
            "{file} is no experiment; see `eagle-lab check {file}`"
        )));
    };
    let wanted = &experiment.name.value;
    let mut found = eagle_results::runs(out).map_err(Failure::input)?;
    found.retain(|run| run.experiment == *wanted && run.study.is_none());
    match &found[..] {
        [only] => Ok(only.folder.clone()),
        [] => Err(Failure::input(format!(
            "`{wanted}` has no run in {}; run it first: eagle-lab run {}",
            out.display(),
            file.display()
        ))),
        many => {
            let runs = many.iter().map(RunRef::to_string).collect();
            Err(Failure::input(ResultsError::AmbiguousRun { name: wanted.clone(), runs }))
        }
    }
}
