//! From a path on the command line to linked graphs: one for an experiment, one per trial of a study.

use std::path::{Path, PathBuf};

use eagle_core::graph::{self, Context, Graph};
use eagle_core::registry::Registry;
use eagle_core::spec::{self, Axis, File, Problem, Study, Trial};

use crate::Failure;

/// An experiment that can run, and where it comes from.
pub struct Ready {
    /// The linked graph.
    pub graph: Graph,
    /// Its resolved text.
    pub source: String,
    /// The folder at which its relative paths start.
    pub base: PathBuf,
    /// The study that it is a trial of.
    pub study: Option<(String, Trial)>,
    /// What messages call its text: the file, or a study's base.
    name: String,
}

impl Ready {
    /// Everything that it names and that is not there.
    ///
    /// # Errors
    /// Every file that is not there, rendered: it can't run.
    pub fn complete(&self) -> Result<(), Failure> {
        match &self.graph.absent[..] {
            [] => Ok(()),
            absent => Err(drawn(absent, &self.source, &self.name)),
        }
    }

    /// The same as a warning; empty if nothing is missing.
    pub fn warnings(&self) -> String {
        spec::render_warnings(&self.graph.absent, &self.source, &self.name, crate::colour())
    }
}

/// What is asked of a file before it is linked.
#[derive(clap::Args, Clone, Default)]
pub struct Overrides {
    /// Change a value of the file: `nodes.clip.plugin.image_size=96`, `stages.fine-tuning.lr=1e-4`,
    /// `stages.0.data.path=train.json`.
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub set: Vec<String>,
    /// The seed, in place of the file's.
    #[arg(long)]
    pub seed: Option<u64>,
}

/// Reads, checks and links a file.
///
/// # Errors
/// Every problem of the file, rendered.
pub fn open(
    path: &Path,
    overrides: &Overrides,
    registry: &Registry,
) -> Result<Vec<Ready>, Failure> {
    let source = read(path)?;
    let name = path.display().to_string();
    let changes = overrides.changes()?;
    match spec::read(&source) {
        (Some(File::Study(study)), form) => trials(path, &source, &study, form, &changes, registry),
        // `check` finds the problems of the form, too, and those of the content with them.
        _ => {
            let source = edited(source.clone(), &changes)
                .map_err(|problem| drawn(&[problem], &source, &name))?;
            Ok(vec![link(source, &name, path, registry)?])
        }
    }
}

fn trials(
    path: &Path,
    source: &str,
    study: &Study,
    form: Vec<Problem>,
    changes: &[(String, String)],
    registry: &Registry,
) -> Result<Vec<Ready>, Failure> {
    let context = Context { base: &folder(path), file: Some(path) };
    let base_path = folder(path).join(&study.base.value);
    refuse_overruled(study, &base_path, changes)?;
    let trials = graph::link_study(study, form, registry, &context, |base| edited(base, changes))
        .map_err(|problems| drawn(&problems, source, &path.display().to_string()))?;
    let ready = |(trial, graph): (Trial, Graph)| Ready {
        graph,
        source: trial.source.clone(),
        base: folder(&base_path),
        study: Some((study.name.value.clone(), trial)),
        name: base_path.display().to_string(),
    };
    Ok(trials.trials.into_iter().map(ready).collect())
}

/// A change of what the study itself sets would be lost without a word.
fn refuse_overruled(
    study: &Study,
    base: &Path,
    changes: &[(String, String)],
) -> Result<(), Failure> {
    let name = &study.name.value;
    // A base that can't be read is reported at its place in the study.
    let base = std::fs::read_to_string(base).unwrap_or_default();
    for (path, value) in changes {
        if path == "seed" && !study.seeds.is_empty() {
            let seeds: Vec<String> = study.seeds.iter().map(u64::to_string).collect();
            return Err(Failure::input(format!(
                "seed={value}: the study {name} has seeds of its own ({}); change its `seeds`",
                seeds.join(", ")
            )));
        }
        let overruled = |axis: &&Axis| {
            let edits = axis.choices().into_iter().flat_map(|choice| choice.edits);
            edits.into_iter().any(|(edit, _)| spec::includes(&base, &edit.value, path))
        };
        if let Some(axis) = study.vary.iter().find(overruled) {
            let columns: Vec<String> = axis.columns().into_iter().map(|c| c.value).collect();
            return Err(Failure::input(format!(
                "--set {path}={value}: the study {name} varies `{}`; change it there",
                columns.join(", ")
            )));
        }
    }
    Ok(())
}

impl Overrides {
    /// The paths and values, in order.
    fn changes(&self) -> Result<Vec<(String, String)>, Failure> {
        let pair = |change: &String| match change.split_once('=') {
            Some((path, value)) => Ok((path.trim().to_owned(), value.trim().to_owned())),
            None => Err(Failure::input(format!(
                "--set {change}: write PATH=VALUE, as in --set stages.0.lr=1e-4"
            ))),
        };
        let mut changes = self.set.iter().map(pair).collect::<Result<Vec<_>, _>>()?;
        changes.extend(self.seed.map(|seed| ("seed".to_owned(), seed.to_string())));
        Ok(changes)
    }
}

fn edited(source: String, changes: &[(String, String)]) -> Result<String, Problem> {
    changes.iter().try_fold(source, |source, (path, value)| spec::set(&source, path, value))
}

fn link(source: String, name: &str, path: &Path, registry: &Registry) -> Result<Ready, Failure> {
    let base = folder(path);
    let context = Context { base: &base, file: Some(path) };
    let graph = graph::check(&source, registry, &context)
        .map_err(|problems| drawn(&problems, &source, name))?;
    Ok(Ready { graph, source, base, study: None, name: name.to_owned() })
}

fn drawn(problems: &[Problem], source: &str, name: &str) -> Failure {
    Failure::Input(spec::render(problems, source, name, crate::colour()))
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path)
        .map_err(|error| Failure::input(format!("can't read {}: {error}", path.display())))
}

fn folder(path: &Path) -> PathBuf {
    path.parent().map(Path::to_owned).unwrap_or_default()
}
