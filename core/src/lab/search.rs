//! A search over sets of experts: what was found, and what is to be tried next, given the scores so
//! far. Nothing is remembered between two calls: the same scores give the same decisions, so that a
//! search that is run again on its results trains nothing and ends where it did.

use std::collections::BTreeMap;

use crate::record::Manifest;
use crate::spec::{Search, Strategy};

/// Positions in [`Search::experts`], in order.
pub type Set = Vec<usize>;

/// The scores of the sets that were tried; `None` where a trial of the set failed.
pub type Scores = BTreeMap<Set, Option<f64>>;

/// Scores that differ by less are equal: they are sums, whose last bits say nothing.
const EQUAL: f64 = 1e-9;

/// A round that is over.
#[derive(Debug, Clone, PartialEq)]
pub struct Round {
    /// Its number; that of the set that a greedy search starts from is 0.
    pub number: usize,
    /// What was tried, with the scores, in the order of the experts.
    pub tried: Vec<(Set, Option<f64>)>,
    /// The best of them; of equal ones the first.
    pub best: Option<(Set, f64)>,
    /// What the best one adds to the best score of the rounds before, if there is one.
    pub gain: Option<f64>,
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// Try these sets, in this round.
    Try(usize, Vec<Set>),
    /// Nothing.
    Stop(Why),
}

/// Why a search is over.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Why {
    /// All rounds were made.
    Rounds,
    /// No candidate added more than this.
    Gain(f64),
    /// All experts are in the best set.
    Everything,
    /// All sets were tried.
    Tried,
    /// Every trial of the round failed.
    Failed,
}

/// A search as far as its scores go.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// The rounds that are over.
    pub rounds: Vec<Round>,
    /// The best set of all, with its score.
    pub best: Option<(Set, f64)>,
    /// What is to be done next.
    pub next: Next,
}

/// How far a search is, and what is next.
pub fn progress(search: &Search, scores: &Scores) -> Progress {
    match &search.strategy {
        Strategy::Greedy { start, rounds, min_gain } => {
            greedy(search.experts.len(), start, *rounds, *min_gain, scores)
        }
        Strategy::Exhaustive { at_least, at_most } => {
            let sets = (*at_least..=*at_most).flat_map(|size| sets(search.experts.len(), size));
            let mut progress = Progress::begin();
            let round = progress.round(1, sets.collect(), scores);
            progress.end(round.err().unwrap_or(Next::Stop(Why::Tried)))
        }
    }
}

fn greedy(
    count: usize,
    start: &[usize],
    rounds: usize,
    min_gain: Option<f64>,
    scores: &Scores,
) -> Progress {
    let mut progress = Progress::begin();
    if !start.is_empty()
        && let Err(next) = progress.round(0, vec![start.to_vec()], scores)
    {
        return progress.end(next);
    }
    for number in 1..=rounds {
        let best = progress.best.clone();
        let set = best.as_ref().map_or(&[][..], |(set, _)| set);
        let candidates: Vec<Set> =
            (0..count).filter(|at| !set.contains(at)).map(|at| with(set, at)).collect();
        if candidates.is_empty() {
            return progress.over(Why::Everything);
        }
        if let Err(next) = progress.round(number, candidates, scores) {
            return progress.end(next);
        }
        let gain = progress.rounds.last().and_then(|round| round.gain);
        if let Some(min_gain) = min_gain
            && gain.is_some_and(|gain| gain <= min_gain + EQUAL)
        {
            // What didn't help enough is not kept.
            progress.best = best;
            return progress.end(Next::Stop(Why::Gain(min_gain)));
        }
    }
    progress.over(Why::Rounds)
}

fn with(set: &[usize], at: usize) -> Set {
    let mut set = [set, &[at]].concat();
    set.sort_unstable();
    set
}

/// All sets of a size, in the order of the experts.
fn sets(count: usize, size: usize) -> Vec<Set> {
    if size == 0 {
        return vec![Set::new()];
    }
    let longer = |set: Set| {
        let first = set.last().map_or(0, |last| last + 1);
        (first..count).map(move |at| with(&set, at))
    };
    sets(count, size - 1).into_iter().flat_map(longer).collect()
}

impl Progress {
    fn begin() -> Progress {
        Progress { rounds: Vec::new(), best: None, next: Next::Stop(Why::Tried) }
    }

    fn end(self, next: Next) -> Progress {
        Progress { next, ..self }
    }

    /// The end of all rounds. Where an expert may take away, the best set need not be the last.
    fn over(mut self, why: Why) -> Progress {
        let of_rounds = self.rounds.iter().filter_map(|round| round.best.clone());
        let better = |best: (Set, f64), next: (Set, f64)| {
            if next.1 > best.1 + EQUAL { next } else { best }
        };
        self.best = of_rounds.reduce(better);
        self.end(Next::Stop(why))
    }

    /// Adds a round that tries `sets`; what is next if it isn't over, or found nothing.
    fn round(&mut self, number: usize, sets: Vec<Set>, scores: &Scores) -> Result<(), Next> {
        let open: Vec<Set> =
            sets.iter().filter(|set| !scores.contains_key(*set)).cloned().collect();
        if !open.is_empty() {
            return Err(Next::Try(number, open));
        }
        let tried: Vec<(Set, Option<f64>)> = sets
            .into_iter()
            .map(|set| (set.clone(), scores.get(&set).copied().flatten()))
            .collect();
        let mut best: Option<(Set, f64)> = None;
        for (set, score) in &tried {
            let Some(score) = *score else { continue };
            if best.as_ref().is_none_or(|(_, highest)| score > *highest + EQUAL) {
                best = Some((set.clone(), score));
            }
        }
        let before = self.best.as_ref().map(|(_, score)| *score);
        let gain = best.as_ref().zip(before).map(|((_, score), before)| score - before);
        let failed = best.is_none();
        self.rounds.push(Round { number, tried, best: best.clone(), gain });
        if failed {
            return Err(Next::Stop(Why::Failed));
        }
        self.best = best;
        Ok(())
    }
}

/// A set's score: over the seeds, the mean of the mean over the search's benchmarks, as they are
/// asked with the picture. `None` without runs, or if one of them lacks a benchmark.
pub fn score(search: &Search, runs: &[Manifest]) -> Option<f64> {
    let mean = |values: Vec<f64>| match values.len() {
        0 => None,
        count => Some(values.iter().sum::<f64>() / count as f64),
    };
    let of_run = |run: &Manifest| {
        let value = |name: &str| {
            let seen = run.scores.iter().find(|s| s.benchmark == name && !s.blind && s.main)?;
            Some(seen.value).filter(|value| value.is_finite())
        };
        mean(search.score.iter().map(|name| value(&name.value)).collect::<Option<Vec<f64>>>()?)
    };
    mean(runs.iter().map(of_run).collect::<Option<Vec<f64>>>()?)
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Why::Rounds => f.write_str("all its rounds are made"),
            Why::Gain(min) if *min == 0.0 => f.write_str("no further expert helps"),
            Why::Gain(min) => write!(f, "no further expert adds more than {:.1}", min * 100.0),
            Why::Everything => f.write_str("all experts are in"),
            Why::Tried => f.write_str("all sets are tried"),
            Why::Failed => f.write_str("every trial of its last round failed"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic)]

    use super::*;
    use crate::seed::Rng;
    use crate::spec::Spanned;

    fn search(count: usize, strategy: Strategy) -> Search {
        let name = |at: usize| Spanned::new(format!("e{at}"), 0..0);
        let score = vec![Spanned::new("a".to_owned(), 0..0), Spanned::new("b".to_owned(), 0..0)];
        Search { experts: (0..count).map(name).collect(), strategy, score, span: 0..0 }
    }

    /// Scores what is asked for until it stops; the sets in the order in which they were asked for.
    fn run(search: &Search, truth: &dyn Fn(&Set) -> Option<f64>) -> (Progress, Vec<Set>) {
        let (mut scores, mut asked) = (Scores::new(), Vec::new());
        loop {
            let progress = progress(search, &scores);
            let Next::Try(_, sets) = &progress.next else {
                assert_eq!(progress, super::progress(search, &scores));
                return (progress, asked);
            };
            assert!(!sets.is_empty());
            for set in sets {
                assert!(scores.insert(set.clone(), truth(set)).is_none(), "{set:?} again");
                asked.push(set.clone());
            }
        }
    }

    fn greedy_of(start: &[usize], rounds: usize, min_gain: impl Into<Option<f64>>) -> Strategy {
        Strategy::Greedy { start: start.to_vec(), rounds, min_gain: min_gain.into() }
    }

    #[test]
    fn each_round_adds_the_expert_that_helps_most_until_none_does() {
        let worth = [0.2, 0.5, 0.1, -0.1];
        let truth = |set: &Set| Some(set.iter().map(|&at| worth[at]).sum::<f64>());
        let (found, asked) = run(&search(4, greedy_of(&[0], 9, 0.0)), &truth);
        assert_eq!(
            asked,
            [
                vec![0],
                vec![0, 1],
                vec![0, 2],
                vec![0, 3],
                vec![0, 1, 2],
                vec![0, 1, 3],
                vec![0, 1, 2, 3]
            ]
        );
        let winners: Vec<&Set> =
            found.rounds.iter().filter_map(|round| Some(&round.best.as_ref()?.0)).collect();
        assert_eq!(winners, [&vec![0], &vec![0, 1], &vec![0, 1, 2], &vec![0, 1, 2, 3]]);
        assert_eq!(found.best.map(|(set, _)| set), Some(vec![0, 1, 2]));
        assert_eq!(found.next, Next::Stop(Why::Gain(0.0)));
    }

    #[test]
    fn without_a_least_gain_it_goes_on_to_the_last_expert_and_names_the_best_set() {
        let worth = [0.2, 0.5, -0.3, -0.1];
        let truth = |set: &Set| Some(set.iter().map(|&at| worth[at]).sum::<f64>());
        let (found, asked) = run(&search(4, greedy_of(&[0], 9, None)), &truth);
        assert_eq!(asked.last(), Some(&vec![0, 1, 2, 3]));
        assert_eq!(found.next, Next::Stop(Why::Everything));
        assert_eq!(found.best.map(|(set, _)| set), Some(vec![0, 1]));
    }

    #[test]
    fn an_empty_start_begins_with_the_best_single_expert() {
        let truth = |set: &Set| Some(if *set == [2] { 0.9 } else { 0.1 });
        let (found, asked) = run(&search(3, greedy_of(&[], 5, 0.0)), &truth);
        assert_eq!(asked[..3], [vec![0], vec![1], vec![2]]);
        assert_eq!(found.best, Some((vec![2], 0.9)));
        assert_eq!(found.rounds[0].gain, None);
        assert_eq!(found.rounds.len(), 2);
    }

    #[test]
    fn a_gain_must_be_more_than_the_least_one_and_ties_go_to_the_first() {
        let truth = |set: &Set| Some(set.len() as f64 * 0.25);
        let (found, _) = run(&search(3, greedy_of(&[1], 5, 0.25)), &truth);
        assert_eq!((found.next, found.best), (Next::Stop(Why::Gain(0.25)), Some((vec![1], 0.25))));
        let (found, _) = run(&search(3, greedy_of(&[1], 1, 0.125)), &truth);
        assert_eq!((found.next, found.best), (Next::Stop(Why::Rounds), Some((vec![0, 1], 0.5))));
        let (found, _) = run(&search(3, greedy_of(&[1], 9, 0.0)), &truth);
        assert_eq!(found.next, Next::Stop(Why::Everything));
    }

    #[test]
    fn a_failed_set_is_out_and_a_round_of_them_ends_the_search() {
        let truth = |set: &Set| (!set.contains(&1)).then_some(set.len() as f64);
        let (found, _) = run(&search(3, greedy_of(&[0], 5, 0.0)), &truth);
        assert_eq!(found.best, Some((vec![0, 2], 2.0)));
        assert_eq!(found.next, Next::Stop(Why::Failed));
        let (found, asked) = run(&search(3, greedy_of(&[0], 5, 0.0)), &|_| None);
        assert_eq!((found.best, asked.len()), (None, 1));
    }

    #[test]
    fn an_exhaustive_search_tries_every_set_once_and_finds_the_best() {
        let mut rng = Rng::of(1, "sets");
        for (at_least, at_most) in [(1, 5), (2, 3), (5, 5), (1, 1)] {
            let search = search(5, Strategy::Exhaustive { at_least, at_most });
            let mut truth = Scores::new();
            for bits in 1..32usize {
                let set: Set = (0..5).filter(|at| bits >> at & 1 == 1).collect();
                truth.insert(set, Some(rng.bits() as f64));
            }
            truth.retain(|set, _| (at_least..=at_most).contains(&set.len()));
            let (found, mut asked) = run(&search, &|set| truth.get(set).copied().flatten());
            assert_eq!(asked.len(), search.most());
            asked.sort();
            assert_eq!(asked, truth.keys().cloned().collect::<Vec<_>>());
            let best = truth.values().flatten().copied().fold(f64::MIN, f64::max);
            assert_eq!(found.best.map(|(_, score)| score), Some(best));
            assert_eq!(found.next, Next::Stop(Why::Tried));
        }
    }

    #[test]
    fn a_greedy_search_never_tries_more_than_it_says_and_its_best_set_never_gets_worse() {
        let mut rng = Rng::of(2, "greedy");
        for case in 0..200 {
            let count = 2 + case % 5;
            let start: Set = (0..count).filter(|_| rng.below(3) == 0).collect();
            let search = search(count, greedy_of(&start, 1 + case % 7, 0.01));
            let salt = rng.bits();
            let truth = |set: &Set| {
                let bits = Rng::of(salt, &format!("{set:?}")).bits();
                (!bits.is_multiple_of(10)).then_some((bits >> 11) as f64 / (1u64 << 53) as f64)
            };
            let (found, asked) = run(&search, &truth);
            assert!(asked.len() <= search.most(), "{} > {}", asked.len(), search.most());
            assert!(search.probes().iter().all(|(round, set)| {
                // What `check` looks at is what is tried first, as far as the search comes.
                *round > found.rounds.len().saturating_sub(1) || asked.contains(set)
            }));
            let best: Vec<f64> =
                found.rounds.iter().filter_map(|r| r.best.as_ref()).map(|(_, s)| *s).collect();
            let highest = found.best.as_ref().map(|(_, score)| *score);
            assert!(best.iter().take(best.len().saturating_sub(1)).all(|s| Some(*s) <= highest));
            if let Some((set, score)) = &found.best {
                assert_eq!(truth(set), Some(*score));
                assert!(start.iter().all(|at| set.contains(at)));
            }
        }
    }
}
