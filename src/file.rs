//! From a path on the command line to linked graphs: one for an experiment, one per trial of a study,
//! those of a search as it comes to them.

use std::path::{Path, PathBuf};

use eagle_core::graph::{self, Context, Graph};
use eagle_core::registry::Registry;
use eagle_core::spec::{self, File, Problem, Search, Study, Trial};

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
    /// Its place among the study's trials.
    pub position: Option<u64>,
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
        let mut absent = [&self.graph.absent[..], &self.graph.missing].concat();
        absent.sort_by_key(|problem| problem.primary.span.start);
        spec::render_warnings(&absent, &self.source, &self.name, crate::colour())
    }

    /// The study or experiment whose table it is a row of.
    pub fn table(&self) -> &str {
        self.study.as_ref().map_or(&self.graph.name, |(study, _)| study)
    }

    /// What it is called in messages.
    pub fn title(&self) -> String {
        match &self.study {
            Some((study, trial)) => format!("{study}, trial {trial}"),
            None => self.graph.name.clone(),
        }
    }
}

/// What a file holds.
#[derive(Default)]
pub struct Opened {
    /// Its experiments; of a search the first ones, which show that it can run.
    pub ready: Vec<Ready>,
    /// Its searches: one for every combination of what the study varies besides.
    pub searches: Vec<Searched>,
}

/// A search over the experts of an experiment.
#[derive(Clone)]
pub struct Searched {
    /// The study's name.
    pub study: String,
    /// The search.
    pub search: Search,
    /// The experiment with all experts, once a seed.
    pub group: Vec<Trial>,
    /// The study's base.
    file: PathBuf,
    /// The places among the study's trials begin here.
    first: usize,
}

impl Searched {
    /// The most trials that it runs.
    pub fn most(&self) -> usize {
        self.search.most() * self.group.len()
    }

    /// The trials of a set of experts, number `at` of those that are tried.
    ///
    /// # Errors
    /// Why they can't run.
    pub fn ready(
        &self,
        round: usize,
        set: &[usize],
        at: usize,
        registry: &Registry,
    ) -> Result<Vec<Ready>, Failure> {
        let base = folder(&self.file);
        let context = Context { base: &base, file: Some(&self.file) };
        let mut ready = Vec::new();
        for (seed, trial) in self.group.iter().enumerate() {
            let name = self.search.name(set);
            let trial = self.search.trial(trial, round, set);
            let trial = trial.map_err(|problem| drawn(&[problem], "", &name))?;
            let graph = graph::check(&trial.source, registry, &context)
                .map_err(|problems| drawn(&problems, &trial.source, &trial.name))?;
            ready.push(Ready {
                graph,
                source: trial.source.clone(),
                base: base.clone(),
                study: Some((self.study.clone(), trial)),
                position: Some((self.first + at * self.group.len() + seed) as u64),
                name: self.file.display().to_string(),
            });
        }
        Ok(ready)
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
    /// A study at one of its `budgets`; its results are another study's, BUDGET-NAME.
    #[arg(long, value_name = "NAME")]
    pub budget: Option<String>,
}

/// Reads, checks and links a file.
///
/// # Errors
/// Every problem of the file, rendered.
pub fn open(path: &Path, overrides: &Overrides, registry: &Registry) -> Result<Opened, Failure> {
    let source = read(path)?;
    let name = path.display().to_string();
    let changes = overrides.changes()?;
    match spec::read(&source) {
        (Some(File::Study(study)), form) => {
            let budget = overrides.budget.as_deref().unwrap_or(spec::STANDARD);
            let study = study.at(budget).map_err(Failure::Input)?;
            trials(path, &source, &study, form, &changes, registry)
        }
        // `check` finds the problems of the form, too, and those of the content with them.
        (file, _) => {
            if let (Some(File::Experiment(_)), Some(budget)) = (file, &overrides.budget) {
                return Err(Failure::input(format!(
                    "--budget {budget}: {name} is an experiment; only studies have budgets"
                )));
            }
            let source = edited(source.clone(), &changes)
                .map_err(|problem| drawn(&[problem], &source, &name))?;
            let ready = vec![link(source, &name, path, registry)?];
            Ok(Opened { ready, searches: Vec::new() })
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
) -> Result<Opened, Failure> {
    let context = Context { base: &folder(path), file: Some(path) };
    let base_path = folder(path).join(&study.base.value);
    refuse_overruled(study, &base_path, changes)?;
    let linked = graph::link_study(study, form, registry, &context, |base| edited(base, changes))
        .map_err(|problems| drawn(&problems, source, &path.display().to_string()))?;
    let ready = |(at, (trial, graph)): (usize, (Trial, Graph))| Ready {
        graph,
        source: trial.source.clone(),
        base: folder(&base_path),
        study: Some((study.name.value.clone(), trial)),
        position: Some(at as u64),
        name: base_path.display().to_string(),
    };
    let ready = linked.trials.into_iter().enumerate().map(ready).collect();
    let mut searches: Vec<Searched> = Vec::new();
    for group in linked.searched {
        let Some(search) = study.search.clone() else { break };
        let first = searches.iter().map(Searched::most).sum();
        let (study, file) = (study.name.value.clone(), base_path.clone());
        searches.push(Searched { study, search, group, file, first });
    }
    Ok(Opened { ready, searches })
}

/// The names of a study's budgets; none of an experiment, or of what can't be read.
pub fn budgets(path: &Path) -> Vec<String> {
    match std::fs::read_to_string(path).map(|source| spec::read(&source).0) {
        Ok(Some(File::Study(study))) => {
            study.budgets.into_iter().map(|budget| budget.name.value).collect()
        }
        _ => Vec::new(),
    }
}

/// How much a file's searches may come to.
pub fn most(opened: &Opened) -> Option<String> {
    let [first, ..] = &opened.searches[..] else { return None };
    let searches = match opened.searches.len() {
        1 => "a search".to_owned(),
        count => format!("{count} searches"),
    };
    let sets: usize = opened.searches.iter().map(|one| one.search.most()).sum();
    let trials: usize = opened.searches.iter().map(Searched::most).sum();
    let experts = first.search.experts.len();
    Some(format!("{searches} over {experts} experts: at most {sets} sets, {trials} trials"))
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
        let choices = study.vary.iter().flat_map(|axis| axis.choices());
        for choice in choices {
            // One value is for each edit, but for cases, which have one for all.
            let columns = choice.values.iter().map(|(column, _)| column).cycle();
            for ((varied, _), column) in choice.edits.iter().zip(columns) {
                if spec::includes(&base, &varied.value, path) {
                    return Err(Failure::input(format!(
                        "--set {path}={value}: the study {name} varies `{column}`; change it there"
                    )));
                }
            }
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
    Ok(Ready { graph, source, base, study: None, position: None, name: name.to_owned() })
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
