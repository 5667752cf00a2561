//! What is going on in a results folder.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use eagle_core::lab::Doing;
use eagle_core::lab::plan::RunPlan;
use eagle_core::record::{self, Manifest, Metric, Score, Status};

use crate::Failure;
use crate::studies::{self, Planned};

/// A study, or an experiment that is of none.
#[derive(Debug, Clone, PartialEq)]
pub struct Study {
    /// Its name.
    pub name: String,
    /// Its trials, in order.
    pub trials: Vec<Trial>,
    /// The most trials that it may come to, if it searches.
    pub at_most: usize,
}

/// A trial.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// What it is called.
    pub name: String,
    /// Its seed.
    pub seed: u64,
    /// Its place in the study.
    position: Option<u64>,
    /// What became of it so far.
    pub state: State,
    /// The run's folder; none while it waits.
    pub folder: Option<PathBuf>,
    /// What it is at.
    pub doing: Option<Doing>,
    /// Which of its stages that is, and of how many.
    pub stage: (usize, usize),
    /// Scores so far, as they were asked with the picture: the benchmarks' main metrics.
    pub scores: Vec<Score>,
    /// Why it failed.
    pub error: Option<String>,
    /// Seconds that it took, of one that ended.
    pub seconds: f64,
}

/// What became of a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// It is planned, and not begun.
    Queued,
    /// Somebody works on it.
    Running,
    /// It is begun, and nobody works on it: killed, or it waits for a stage that another one trains.
    Idle,
    /// Its user stopped it.
    Interrupted,
    /// It is done.
    Done,
    /// It failed.
    Failed,
}

impl State {
    /// As it is shown.
    pub fn name(self) -> &'static str {
        match self {
            State::Queued => "queued",
            State::Running => "running",
            State::Idle => "idle",
            State::Interrupted => "interrupted",
            State::Done => "done",
            State::Failed => "failed",
        }
    }
}

/// Looks at all studies in a results folder, or at those that are named.
pub fn look(out: &Path, names: &[String]) -> Result<Vec<Study>, Failure> {
    let planned = studies::read(out).map_err(Failure::running)?;
    let mut found: BTreeMap<String, Study> = BTreeMap::new();
    let entries = std::fs::read_dir(out.join("runs")).into_iter().flatten().flatten();
    let mut runs = Vec::new();
    for folder in entries.map(|entry| entry.path()) {
        let manifest = Manifest::read(&folder).map_err(Failure::running)?;
        runs.extend(manifest.map(|manifest| (manifest, folder)));
    }
    runs.sort_by(|a, b| (&a.0.started, &a.1).cmp(&(&b.0.started, &b.1)));
    for (manifest, folder) in runs {
        let name = manifest.study.clone().unwrap_or_else(|| manifest.experiment.clone());
        let trial = Trial::of(manifest, folder, out).map_err(Failure::running)?;
        found.entry(name.clone()).or_insert_with(|| Study::new(name)).add(trial);
    }
    for plan in planned {
        let name = plan.name.clone();
        found.entry(name.clone()).or_insert_with(|| Study::new(name)).expect(&plan);
    }
    let mut found: Vec<Study> = found.into_values().collect();
    if let Some(unknown) = names.iter().find(|name| found.iter().all(|one| one.name != **name)) {
        let known: Vec<&str> = found.iter().map(|one| one.name.as_str()).collect();
        let help = eagle_core::spec::problem::did_you_mean(unknown, "studies", &known);
        return Err(Failure::input(format!("there is no study `{unknown}` here; {help}")));
    }
    found.retain(|one| names.is_empty() || names.contains(&one.name));
    found.iter_mut().for_each(|one| {
        one.trials.sort_by_key(|trial| {
            (trial.position.unwrap_or(u64::MAX), trial.name.clone(), trial.seed)
        })
    });
    Ok(found)
}

impl Study {
    fn new(name: String) -> Study {
        Study { name, trials: Vec::new(), at_most: 0 }
    }

    /// Adds a trial that was started later than those that are there. One that is done stays in
    /// sight until another one of its name and seed runs or is done, too.
    fn add(&mut self, trial: Trial) {
        let same = |known: &&mut Trial| known.name == trial.name && known.seed == trial.seed;
        let counts = matches!(trial.state, State::Done | State::Running);
        match self.trials.iter_mut().find(same) {
            Some(known) if known.state == State::Done && !counts => {}
            Some(known) => *known = trial,
            None => self.trials.push(trial),
        }
    }

    /// Adds the trials that are planned and not begun, and puts all in order.
    fn expect(&mut self, plan: &Planned) {
        self.at_most = plan.at_most;
        for (at, one) in plan.trials.iter().enumerate() {
            let position = Some(at as u64);
            let same = |known: &&mut Trial| known.name == one.trial && known.seed == one.seed;
            match self.trials.iter_mut().find(same) {
                Some(known) => known.position = position,
                None => self.trials.push(Trial {
                    name: one.trial.clone(),
                    seed: one.seed,
                    position,
                    state: State::Queued,
                    folder: None,
                    doing: None,
                    stage: (0, 0),
                    scores: Vec::new(),
                    error: None,
                    seconds: 0.0,
                }),
            }
        }
    }

    /// How many trials are in a state.
    pub fn count(&self, state: State) -> usize {
        self.trials.iter().filter(|trial| trial.state == state).count()
    }

    /// Trials in each state in which there are some: `3 done, 1 running`.
    pub fn summary(&self) -> String {
        let states = [
            State::Running,
            State::Idle,
            State::Queued,
            State::Interrupted,
            State::Failed,
            State::Done,
        ];
        let counts = states.into_iter().map(|state| (self.count(state), state.name()));
        let mut text: Vec<String> =
            counts.filter(|(n, _)| *n > 0).map(|(n, name)| format!("{n} {name}")).collect();
        if self.at_most > 0 {
            text.push(format!("a search of at most {} trials", self.at_most));
        }
        text.join(", ")
    }
}

impl Trial {
    fn of(manifest: Manifest, folder: PathBuf, out: &Path) -> Result<Trial, record::RecordError> {
        let state = match manifest.status {
            Status::Done => State::Done,
            Status::Failed => State::Failed,
            Status::Interrupted => State::Interrupted,
            Status::Running if is_held(&folder) => State::Running,
            Status::Running => State::Idle,
        };
        let (mut doing, mut stage) = (None, (0, 0));
        if state == State::Running {
            doing = Doing::read(&folder)?;
            if let Some(plan) = RunPlan::read(&folder)? {
                let done = |id: &str| out.join("cache/stages").join(id).join("stage.json").exists();
                let through = plan.stages.iter().filter(|stage| done(&stage.id)).count();
                stage = ((through + 1).min(plan.stages.len()), plan.stages.len());
            }
        }
        Ok(Trial {
            name: manifest.trial,
            seed: manifest.seed,
            position: manifest.position,
            state,
            folder: Some(folder),
            doing,
            stage,
            scores: manifest.scores.into_iter().filter(|one| one.main && !one.blind).collect(),
            error: manifest.error,
            seconds: manifest.seconds,
        })
    }

    /// The losses of the stage that it trains; of one that trains nothing now those of its last one.
    pub fn losses(&self, out: &Path) -> Vec<f64> {
        let Some(folder) = &self.folder else { return Vec::new() };
        let stages = RunPlan::read(folder).ok().flatten().map(|plan| plan.stages);
        let stages = stages.unwrap_or_default();
        let metrics = match &self.doing {
            Some(Doing::Training { experiment, stage, .. }) => {
                let at =
                    stages.iter().find(|one| one.experiment == *experiment && one.name == *stage);
                at.map(|one| out.join("cache/stages").join(&one.id))
            }
            _ => stages.last().map(|one| out.join("cache/stages").join(&one.id)),
        };
        let folder = metrics.unwrap_or_else(|| folder.clone());
        let text = std::fs::read_to_string(folder.join("metrics.jsonl")).unwrap_or_default();
        // The last line may be half a line yet.
        let metrics = text.lines().filter_map(|line| serde_json::from_str::<Metric>(line).ok());
        metrics.filter(|metric| metric.name == "loss").map(|metric| metric.value).collect()
    }

    /// What it is at, in a few words.
    pub fn at(&self) -> String {
        let (stage, of) = self.stage;
        match (&self.doing, &self.error) {
            (Some(Doing::Training { stage: name, step, steps, .. }), _) => {
                format!("{name} ({stage}/{of}) {step}/{steps}")
            }
            (Some(Doing::Answering { benchmark, blind, done, of, .. }), _) => {
                let blind = if *blind { ", blind" } else { "" };
                format!("{benchmark}{blind} {done}/{of}")
            }
            (None, Some(error)) => error.lines().next().unwrap_or_default().to_owned(),
            (None, None) if self.state == State::Running => "opening its data".to_owned(),
            (None, None) if self.seconds > 0.0 => format!("took {}", time(self.seconds)),
            (None, None) => String::new(),
        }
    }

    /// Training samples a second and the stage's time to go, while it trains.
    pub fn speed(&self) -> Option<(f64, Option<f64>)> {
        match &self.doing {
            Some(Doing::Training { samples_per_second, seconds_left, .. }) => {
                Some((*samples_per_second, *seconds_left))
            }
            _ => None,
        }
    }

    /// Its scores: `mini-colour 84.0`.
    pub fn told(&self) -> String {
        let told = self.scores.iter().map(|score| {
            let value = if score.maximum <= 1.0 { score.value * 100.0 } else { score.value };
            format!("{} {value:.1}", score.benchmark)
        });
        told.collect::<Vec<_>>().join("  ")
    }
}

/// Whether a process works in a run's folder: it holds the folder's lock. Looking takes the lock
/// shared, for an instant.
fn is_held(folder: &Path) -> bool {
    File::open(folder.join("lock")).is_ok_and(|file| file.try_lock_shared().is_err())
}

/// Seconds as a person says them: `1:05:09`, `2:10`, `48 s`.
pub fn time(seconds: f64) -> String {
    let whole = seconds.round().max(0.0) as u64;
    match (whole / 3600, whole / 60 % 60, whole % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes}:{seconds:02}"),
        (hours, minutes, seconds) => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}
