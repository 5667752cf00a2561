//! What a run has trained: its stages' weights, by node.

use std::path::{Path, PathBuf};

use eagle_core::record::Manifest;
use eagle_core::spec;
use eagle_core::weights::Files;

use crate::Failure;

/// A finished run and where its stages lie.
pub struct Trained {
    /// What it says of itself.
    pub manifest: Manifest,
    /// Its folder.
    pub folder: PathBuf,
    /// Its stages' names and weights, in order.
    stages: Vec<(String, PathBuf)>,
}

/// The run that `name` means: its folder, the folder's name in `out/runs`, or an experiment's file
/// that was run once.
pub fn find(name: &Path, out: &Path) -> Result<Trained, Failure> {
    let is_run = |folder: &Path| folder.join("manifest.json").is_file();
    let named = [name.to_owned(), out.join("runs").join(name)];
    match named.into_iter().find(|folder| is_run(folder)) {
        Some(folder) => open(folder),
        None if name.is_file() => open(of_experiment(name, out)?),
        None => {
            let (name, runs) = (name.display(), out.join("runs"));
            let runs = runs.display();
            Err(Failure::input(format!(
                "there is no run {name}: name a run's folder, one of {runs}, or an experiment's file"
            )))
        }
    }
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
    let entries = std::fs::read_dir(out.join("runs")).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    found.retain(|folder| match Manifest::read(folder) {
        Ok(Some(manifest)) => manifest.experiment == *wanted && manifest.study.is_none(),
        _ => false,
    });
    found.sort();
    match &found[..] {
        [only] => Ok(only.clone()),
        [] => Err(Failure::input(format!(
            "`{wanted}` has no run in {}; run it first: eagle-lab run {}",
            out.display(),
            file.display()
        ))),
        many => {
            let names: Vec<String> = many.iter().map(|run| run.display().to_string()).collect();
            Err(Failure::input(format!(
                "`{wanted}` has several runs; name one of {}",
                names.join(", ")
            )))
        }
    }
}

fn open(folder: PathBuf) -> Result<Trained, Failure> {
    let manifest = Manifest::read(&folder).map_err(Failure::running)?;
    let manifest = manifest.ok_or_else(|| Failure::input("the run is gone"))?;
    let out = folder.canonicalize().unwrap_or(folder.clone());
    let out = out.parent().and_then(Path::parent).unwrap_or(Path::new("")).to_owned();
    let weights = |id: &str| out.join("cache/stages").join(id).join("weights.safetensors");
    let stages = manifest.stages.iter();
    let stages = stages.map(|stage| (stage.name.clone(), weights(&stage.id))).collect();
    Ok(Trained { manifest, folder, stages })
}

impl Trained {
    /// The last stage (of those up to the one called `until`) that trained a node, and its weights.
    pub fn weights_of(
        &self,
        node: &str,
        until: Option<&str>,
    ) -> Result<Option<(String, Files)>, Failure> {
        let names: Vec<&str> = self.stages.iter().map(|(name, _)| name.as_str()).collect();
        let count = match until {
            None => names.len(),
            Some(until) => match names.iter().position(|name| *name == until) {
                Some(last) => last + 1,
                None => {
                    let help = spec::problem::did_you_mean(until, "stages", &names);
                    return Err(Failure::input(format!("the run has no stage `{until}`; {help}")));
                }
            },
        };
        let prefix = format!("{node}/");
        for (name, path) in self.stages[..count].iter().rev() {
            let files = Files::open(path).map_err(Failure::running)?;
            if files.names().any(|name| name.starts_with(&prefix)) {
                return Ok(Some((name.clone(), files)));
            }
        }
        Ok(None)
    }

    /// Every node that some stage trained.
    pub fn nodes(&self) -> Result<Vec<String>, Failure> {
        let mut nodes: Vec<String> = Vec::new();
        for (_, path) in &self.stages {
            let files = Files::open(path).map_err(Failure::running)?;
            let ids = files.names().filter_map(|name| name.split_once('/'));
            nodes.extend(ids.map(|(node, _)| node.to_owned()));
        }
        nodes.sort();
        nodes.dedup();
        Ok(nodes)
    }
}
