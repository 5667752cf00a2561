//! The runs that a report speaks of, by study, trial and seed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use eagle_core::lab::plan::RunPlan;
use eagle_core::record::{Manifest, Status};
use eagle_core::spec::problem::did_you_mean;

use crate::Failure;

/// A study, or an experiment that is of none.
pub struct Study {
    /// Its name.
    pub name: String,
    /// Its trials with runs that are done, in order.
    pub trials: Vec<Trial>,
    /// All its runs, in the order in which they were started.
    pub all: Vec<Run>,
}

/// A trial with the run that counts of each seed: the latest one that is done.
pub struct Trial {
    /// Its name.
    pub name: String,
    /// By seed, positions in [`Study::all`].
    runs: BTreeMap<u64, usize>,
}

/// A run.
pub struct Run {
    /// What it says of itself.
    pub manifest: Manifest,
    /// Its folder.
    pub folder: PathBuf,
    /// What it was going to do, if it left that.
    pub plan: Option<RunPlan>,
}

impl Run {
    /// Whether it is done.
    pub fn is_done(&self) -> bool {
        self.manifest.status == Status::Done
    }

    /// The mean of its benchmarks' main metrics, seeing, in percent of the most that each can be.
    pub fn score(&self) -> Option<f64> {
        let scores = self.manifest.scores.iter().filter(|score| score.main && !score.blind);
        let shares: Vec<f64> =
            scores.map(|score| 100.0 * score.value / score.maximum.max(1e-9)).collect();
        (!shares.is_empty()).then(|| shares.iter().sum::<f64>() / shares.len() as f64)
    }
}

impl Study {
    /// The runs of a trial that count, by seed.
    pub fn runs<'a>(&'a self, trial: &'a Trial) -> impl Iterator<Item = &'a Run> {
        trial.runs.values().filter_map(|at| self.all.get(*at))
    }

    /// Whether it is no study, but an experiment by itself.
    pub fn is_experiment(&self) -> bool {
        self.all.iter().all(|run| run.manifest.study.is_none())
    }

    /// How much of it is there.
    pub fn summary(&self) -> String {
        let of = |status| self.all.iter().filter(|run| run.manifest.status == status).count();
        let seeds: std::collections::BTreeSet<u64> =
            self.trials.iter().flat_map(|trial| trial.runs.keys().copied()).collect();
        let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        let mut text =
            format!("{}, {}", count(self.trials.len(), "trial"), count(seeds.len(), "seed"));
        for (status, name) in [
            (Status::Failed, "failed"),
            (Status::Running, "not finished"),
            (Status::Interrupted, "interrupted"),
        ] {
            if of(status) > 0 {
                text += &format!("; {} {name}", count(of(status), "run"));
            }
        }
        text + "."
    }
}

/// The studies and experiments of a results folder, or those that are named, in their order.
pub fn studies(out: &Path, names: &[String]) -> Result<Vec<Study>, Failure> {
    let found = eagle_results::runs(out).map_err(Failure::input)?;
    let mut all: BTreeMap<String, Vec<Run>> = BTreeMap::new();
    for run in &found {
        let manifest = Manifest::read(&run.folder).map_err(Failure::running)?;
        let Some(manifest) = manifest else { continue };
        let plan = RunPlan::read(&run.folder).map_err(Failure::running)?;
        let name = manifest.study.clone().unwrap_or_else(|| manifest.experiment.clone());
        all.entry(name).or_default().push(Run { manifest, folder: run.folder.clone(), plan });
    }
    if all.is_empty() {
        let (out, runs) = (out.to_owned(), out.join("runs"));
        return Err(Failure::input(eagle_results::ResultsError::NoRuns { out, runs }));
    }
    let known: Vec<String> = all.keys().cloned().collect();
    let wanted = if names.is_empty() { ordered(&all) } else { names.to_vec() };
    let mut studies = Vec::new();
    for name in wanted {
        let runs = all.remove(&name).ok_or_else(|| {
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            let help = did_you_mean(&name, "studies and experiments", &known);
            Failure::input(format!("there is no study `{name}` here; {help}"))
        })?;
        studies.push(Study::of(name, runs));
    }
    Ok(studies)
}

/// Studies before experiments, each by name.
fn ordered(all: &BTreeMap<String, Vec<Run>>) -> Vec<String> {
    let alone = |name: &String| all[name].iter().all(|run| run.manifest.study.is_none());
    let mut names: Vec<String> = all.keys().cloned().collect();
    names.sort_by_key(|name| alone(name));
    names
}

impl Study {
    fn of(name: String, mut all: Vec<Run>) -> Study {
        all.sort_by(|a, b| {
            let key = |run: &Run| (run.manifest.started.clone(), run.manifest.run.clone());
            key(a).cmp(&key(b))
        });
        let mut trials: Vec<(Option<u64>, Trial)> = Vec::new();
        for (at, run) in all.iter().enumerate().filter(|(_, run)| run.is_done()) {
            let Manifest { trial, seed, position, .. } = &run.manifest;
            let known = trials.iter_mut().find(|(_, known)| known.name == *trial);
            match known {
                Some((_, known)) => drop(known.runs.insert(*seed, at)),
                None => {
                    let runs = BTreeMap::from([(*seed, at)]);
                    trials.push((*position, Trial { name: trial.clone(), runs }));
                }
            }
        }
        trials.sort_by_key(|(position, _)| (position.is_none(), *position));
        Study { name, trials: trials.into_iter().map(|(_, trial)| trial).collect(), all }
    }
}
