//! A study's searches while they run: from scores to the next round, and to what is told of it.

use eagle_core::lab::search::{self, Next, Progress, Round, Scores, Set};
use eagle_core::record::Manifest;
use eagle_core::registry::Registry;

use crate::Failure;
use crate::file::Searched;
use crate::queue::{Source, Task};

/// All searches of a command.
pub struct Searches<'a> {
    searches: Vec<Running>,
    registry: &'a Registry,
    /// Sets that can't even be linked.
    pub failed: Vec<String>,
}

struct Running {
    searched: Searched,
    scores: Scores,
    /// The sets that were tried, in order: their finished runs, and how many are not through.
    tried: Vec<(Set, Vec<Manifest>, usize)>,
    /// Rounds that were told.
    told: usize,
}

impl<'a> Searches<'a> {
    /// No search yet.
    pub fn new(registry: &'a Registry) -> Searches<'a> {
        Searches { searches: Vec::new(), registry, failed: Vec::new() }
    }

    /// Adds a search; its first trials.
    pub fn begin(&mut self, searched: &Searched) -> Vec<Task> {
        self.searches.push(Running {
            searched: searched.clone(),
            scores: Scores::new(),
            tried: Vec::new(),
            told: 0,
        });
        self.advance(self.searches.len() - 1)
    }

    /// What each search tried and found, as far as it came.
    pub fn told(&self) -> String {
        self.searches.iter().map(Running::all).collect()
    }

    /// The trials of the next round.
    fn advance(&mut self, number: usize) -> Vec<Task> {
        let running = &mut self.searches[number];
        loop {
            let progress = search::progress(&running.searched.search, &running.scores);
            for round in progress.rounds.iter().skip(running.told) {
                eprintln!("{}", running.line(round));
            }
            running.told = progress.rounds.len();
            let Next::Try(round, sets) = &progress.next else {
                eprintln!("{}", running.end(&progress));
                return Vec::new();
            };
            let mut tasks = Vec::new();
            for set in sets {
                let at = running.tried.len();
                match running.searched.ready(*round, set, at, self.registry) {
                    Ok(ready) => {
                        running.tried.push((set.clone(), Vec::new(), ready.len()));
                        let task = |ready| Task { ready, of: Some((number, at)) };
                        tasks.extend(ready.into_iter().map(task));
                    }
                    Err(Failure::Input(message) | Failure::Running(message)) => {
                        let experts = running.searched.search.name(set);
                        let failure = format!("{}, {experts}:\n{message}", running.title());
                        eprintln!("failed: {failure}");
                        self.failed.push(failure);
                        running.tried.push((set.clone(), Vec::new(), 0));
                        running.scores.insert(set.clone(), None);
                    }
                }
            }
            if !tasks.is_empty() {
                return tasks;
            }
        }
    }
}

impl Source for Searches<'_> {
    fn ended(&mut self, (number, at): (usize, usize), manifest: Option<&Manifest>) -> Vec<Task> {
        let running = &mut self.searches[number];
        let (set, runs, open) = &mut running.tried[at];
        runs.extend(manifest.cloned());
        *open -= 1;
        if *open > 0 {
            return Vec::new();
        }
        // Seeds come in any order, and the sum of scores must not depend on it.
        runs.sort_by_key(|run| run.seed);
        let whole = runs.len() == running.searched.group.len();
        let score = search::score(&running.searched.search, runs).filter(|_| whole);
        running.scores.insert(set.clone(), score);
        if running.tried.iter().any(|(_, _, open)| *open > 0) {
            return Vec::new();
        }
        self.advance(number)
    }
}

impl Running {
    /// Its name: the study's, and what the study varies besides.
    fn title(&self) -> String {
        let varied = self.searched.group.first().map(|trial| trial.name.clone());
        match varied.filter(|name| !name.is_empty()) {
            Some(varied) => format!("search {}, {varied}", self.searched.study),
            None => format!("search {}", self.searched.study),
        }
    }

    fn line(&self, round: &Round) -> String {
        let search = &self.searched.search;
        let found = match (&round.best, round.gain) {
            (None, _) => "no score".to_owned(),
            (Some((set, score)), None) => format!("best {} {}", search.name(set), percent(*score)),
            (Some((set, score)), Some(gain)) => {
                let gain = gain * 100.0;
                format!("best {} {}, gain {gain:+.1}", search.name(set), percent(*score))
            }
        };
        let tried = round.tried.iter().map(|(set, score)| {
            let score = score.map_or_else(|| "failed".to_owned(), percent);
            format!("{} {score}", search.name(set))
        });
        let tried = tried.collect::<Vec<_>>().join(", ");
        format!("{}: round {}: {found} (tried {tried})", self.title(), round.number)
    }

    fn end(&self, progress: &Progress) -> String {
        let why = match &progress.next {
            Next::Stop(why) => format!("stopped, {why}"),
            Next::Try(round, _) => format!("unfinished in round {round}"),
        };
        match &progress.best {
            Some((set, score)) => {
                let best = self.searched.search.name(set);
                format!("{}: {why}: {best} {}", self.title(), percent(*score))
            }
            None => format!("{}: {why}: no set has a score", self.title()),
        }
    }

    fn all(&self) -> String {
        let progress = search::progress(&self.searched.search, &self.scores);
        let mut lines: Vec<String> = progress.rounds.iter().map(|round| self.line(round)).collect();
        lines.push(self.end(&progress));
        lines.join("\n") + "\n"
    }
}

/// Scores in 0..1 as tables show them.
fn percent(score: f64) -> String {
    format!("{:.1}", score * 100.0)
}
