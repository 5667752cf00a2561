//! From a path on the command line to linked graphs: one for an experiment, one per trial of a study.

use std::path::{Path, PathBuf};

use eagle_core::graph::{self, Context, Graph};
use eagle_core::registry::Registry;
use eagle_core::spec::{self, File, Problem, Trial};

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
    match spec::parse(&source) {
        Ok(File::Study(study)) => {
            let base_path = folder(path).join(&study.base.value);
            let base_source =
                overridden(read(&base_path)?, &base_path.display().to_string(), overrides)?;
            let trials =
                study.trials(&base_source).map_err(|problems| drawn(&problems, &source, &name))?;
            let study_name = study.name.value.clone();
            trials
                .into_iter()
                .map(|trial| {
                    let title = format!("{} ({})", base_path.display(), trial.name);
                    let text = trial.source.clone();
                    let mut ready = link(text, &title, &base_path, registry)?;
                    ready.study = Some((study_name.clone(), trial));
                    Ok(ready)
                })
                .collect()
        }
        // `check` finds the problems of the form, too, and those of the content with them.
        Ok(File::Experiment(_)) | Err(_) => {
            let source = overridden(source, &name, overrides)?;
            Ok(vec![link(source, &name, path, registry)?])
        }
    }
}

fn overridden(mut source: String, name: &str, overrides: &Overrides) -> Result<String, Failure> {
    let seed = overrides.seed.map(|seed| format!("seed={seed}"));
    for change in overrides.set.iter().chain(&seed) {
        let Some((path, value)) = change.split_once('=') else {
            return Err(Failure::input(format!(
                "--set {change}: write PATH=VALUE, as in --set stages.0.lr=1e-4"
            )));
        };
        source = spec::set(&source, path.trim(), value.trim())
            .map_err(|problem| drawn(&[problem], &source, name))?;
    }
    Ok(source)
}

fn link(source: String, name: &str, path: &Path, registry: &Registry) -> Result<Ready, Failure> {
    let base = folder(path);
    let context = Context { base: &base, file: Some(path) };
    let graph = graph::check(&source, registry, &context)
        .map_err(|problems| drawn(&problems, &source, name))?;
    Ok(Ready { graph, source, base, study: None })
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
