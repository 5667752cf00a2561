//! Two runs side by side: their losses, their scores, and the answers on which they disagree.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Serialize;

use crate::ResultsError;
use crate::runs::{Predictions, Run, Sample, read_run};
use crate::stats::{Test, mean, over_questions, standard_error};

/// What two runs have in common and what not.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    /// Of each stage that either of them logged, in order.
    pub losses: Vec<LossPair>,
    /// Of each benchmark, metric and way of asking that either has.
    pub scores: Vec<ScorePair>,
    /// Of each benchmark that both answered, the picture shown.
    pub answers: Vec<AnswerPair>,
}

/// The losses of a stage in two runs.
#[derive(Debug, Clone, Serialize)]
pub struct LossPair {
    /// The stage's name.
    pub stage: String,
    /// Of the first run; nothing where it has no such stage.
    #[serde(rename = "a")]
    pub left: Option<Loss>,
    /// Of the second.
    #[serde(rename = "b")]
    pub right: Option<Loss>,
    /// The first step that both made with different losses; none where all are the same.
    pub parts_at: Option<i64>,
}

/// The loss of a stage.
#[derive(Debug, Clone, Serialize)]
pub struct Loss {
    /// Steps and their losses.
    pub curve: Vec<(i64, f64)>,
    /// Of the last step.
    pub last: f64,
    /// The area under the curve by its length.
    pub mean: f64,
}

/// A score of two runs.
#[derive(Debug, Clone, Serialize)]
pub struct ScorePair {
    /// The benchmark.
    pub benchmark: String,
    /// The metric.
    pub metric: String,
    /// Whether the pictures were withheld.
    pub blind: bool,
    /// Whether it is its benchmark's main metric.
    pub main: bool,
    /// Whether it is a share, to be shown in percent.
    pub percent: bool,
    /// Of the first run.
    #[serde(rename = "a")]
    pub left: Option<f64>,
    /// Of the second.
    #[serde(rename = "b")]
    pub right: Option<f64>,
    /// Of the second run less the first, over the samples that both answered; none where the metric
    /// is not the mean of its samples' scores.
    pub difference: Option<Difference>,
}

/// A paired difference.
#[derive(Debug, Clone, Serialize)]
pub struct Difference {
    /// Its mean.
    pub value: f64,
    /// Its standard error.
    pub standard_error: Option<f64>,
    /// The two-sided p-value.
    pub p: f64,
    /// How it was found: `mcnemar-exact`, `sign-flip-permutation`.
    pub test: &'static str,
    /// Samples.
    pub n: usize,
}

/// The answers of two runs to one benchmark's questions.
#[derive(Debug, Clone, Serialize)]
pub struct AnswerPair {
    /// The benchmark.
    pub benchmark: String,
    /// Questions that both answered.
    pub n: usize,
    /// Answered alike, letter by letter.
    pub same: usize,
    /// Both scored fully.
    pub both_right: usize,
    /// Neither did.
    pub both_wrong: usize,
    /// Questions whose score differs: first those that the second run answers better.
    pub flips: Vec<Flip>,
}

/// A question that one run answers better than the other.
#[derive(Debug, Clone, Serialize)]
pub struct Flip {
    /// The sample's id.
    pub sample: String,
    /// What was asked.
    pub question: String,
    /// What is right.
    pub answer: String,
    /// What the first run said, and its score.
    #[serde(rename = "a")]
    pub left: (String, f64),
    /// What the second run said, and its score.
    #[serde(rename = "b")]
    pub right: (String, f64),
}

impl ScorePair {
    /// A value of it as it is shown: shares in percent.
    #[must_use]
    pub fn shown(&self, value: f64) -> f64 {
        if self.percent { value * 100.0 } else { value }
    }
}

impl Flip {
    /// Whether the second run is the better one.
    #[must_use]
    pub fn gained(&self) -> bool {
        self.right.1 > self.left.1
    }
}

/// Compares the runs in two folders.
///
/// # Errors
/// A file of them that can't be read, or a folder without a run.
pub fn compare(left: &Path, right: &Path) -> Result<Comparison, ResultsError> {
    let (left, right) = (opened(left)?, opened(right)?);
    Ok(Comparison {
        losses: losses(&left, &right),
        scores: scores(&left, &right),
        answers: answers(&left, &right),
    })
}

/// The losses of the run in a folder, by stage, in order.
///
/// # Errors
/// A file of it that can't be read, or no run.
pub fn loss_curves(folder: &Path) -> Result<Vec<(String, Loss)>, ResultsError> {
    let run = opened(folder)?;
    let stages = stages(&run).into_iter();
    Ok(stages.filter_map(|stage| Some((stage.to_owned(), loss(&run, stage)?))).collect())
}

fn opened(folder: &Path) -> Result<Run, ResultsError> {
    read_run(folder)?
        .ok_or_else(|| ResultsError::NoRuns { out: folder.to_owned(), runs: folder.to_owned() })
}

/// The stages that logged something, in order.
fn stages(run: &Run) -> Vec<&str> {
    let mut stages: Vec<&str> = Vec::new();
    for metric in &run.metrics {
        if stages.last() != Some(&metric.stage.as_str()) && !stages.contains(&metric.stage.as_str())
        {
            stages.push(&metric.stage);
        }
    }
    stages
}

fn loss(run: &Run, stage: &str) -> Option<Loss> {
    let of_stage = run.metrics.iter().filter(|m| m.stage == stage && m.name == "loss");
    let curve: BTreeMap<i64, f64> = of_stage.filter_map(|m| Some((m.step, m.value?))).collect();
    let last = *curve.values().next_back()?;
    let mean = mean(&curve.values().copied().collect::<Vec<_>>())?;
    Some(Loss { curve: curve.into_iter().collect(), last, mean })
}

fn losses(left: &Run, right: &Run) -> Vec<LossPair> {
    let mut names = stages(left);
    names.extend(stages(right).into_iter().filter(|name| !stages(left).contains(name)));
    let pair = |stage: &str| {
        let (left, right) = (loss(left, stage), loss(right, stage));
        let parts_at = left.as_ref().zip(right.as_ref()).and_then(|(left, right)| {
            let other: BTreeMap<i64, f64> = right.curve.iter().copied().collect();
            let parts = |(step, value): &&(i64, f64)| other.get(step).is_some_and(|o| o != value);
            left.curve.iter().find(parts).map(|(step, _)| *step)
        });
        LossPair { stage: stage.to_owned(), left, right, parts_at }
    };
    names.into_iter().map(pair).collect()
}

fn scores(left: &Run, right: &Run) -> Vec<ScorePair> {
    let mut keys: Vec<(&str, &str, bool)> = Vec::new();
    for score in left.manifest.scores.iter().chain(&right.manifest.scores) {
        let key = (score.benchmark.as_str(), score.metric.as_str(), score.blind);
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys.sort_by_key(|(_, _, blind)| *blind);
    let pair = |(benchmark, metric, blind): (&str, &str, bool)| {
        let wanted = |s: &&crate::runs::Score| {
            (s.benchmark.as_str(), s.metric.as_str(), s.blind) == (benchmark, metric, blind)
        };
        let all = || left.manifest.scores.iter().chain(&right.manifest.scores);
        let of = |run: &Run| run.manifest.scores.iter().find(wanted).and_then(|score| score.value);
        ScorePair {
            benchmark: benchmark.to_owned(),
            metric: metric.to_owned(),
            blind,
            main: all().any(|s| wanted(&s) && s.main),
            percent: all().filter(wanted).all(|s| s.maximum.is_none_or(|most| most <= 1.0)),
            left: of(left),
            right: of(right),
            difference: difference((left, of(left)), (right, of(right)), benchmark, blind),
        }
    };
    keys.into_iter().map(pair).collect()
}

fn difference(
    (left, ours): (&Run, Option<f64>),
    (right, theirs): (&Run, Option<f64>),
    benchmark: &str,
    blind: bool,
) -> Option<Difference> {
    let (left, right) = (samples(left, benchmark, blind)?, samples(right, benchmark, blind)?);
    for (samples, score) in [(&left, ours?), (&right, theirs?)] {
        let scores: Option<Vec<f64>> = samples.values().map(|sample| sample.score).collect();
        if (mean(&scores?)? - score).abs() > 1e-4 {
            return None;
        }
    }
    let both = left.iter().filter_map(|(id, sample)| Some((*sample, *right.get(id)?)));
    let values: Option<Vec<f64>> =
        both.map(|(left, right)| Some(right.score? - left.score?)).collect();
    let values = values.filter(|values| !values.is_empty())?;
    let (p, test) = over_questions(&values);
    Some(Difference {
        value: mean(&values)?,
        standard_error: standard_error(&values),
        p,
        test: Test::name(test),
        n: values.len(),
    })
}

/// The samples of a benchmark by their ids, in the order of the benchmark.
fn samples<'r>(
    run: &'r Run,
    benchmark: &str,
    blind: bool,
) -> Option<BTreeMap<&'r str, &'r Sample>> {
    let of = predictions(run, benchmark, blind)?;
    Some(of.samples.iter().map(|sample| (sample.sample.as_str(), sample)).collect())
}

fn predictions<'r>(run: &'r Run, benchmark: &str, blind: bool) -> Option<&'r Predictions> {
    run.predictions.iter().find(|of| of.benchmark == benchmark && of.blind == blind)
}

fn answers(left: &Run, right: &Run) -> Vec<AnswerPair> {
    let names: BTreeSet<&str> =
        left.predictions.iter().map(|predictions| predictions.benchmark.as_str()).collect();
    names.into_iter().filter_map(|benchmark| answered(left, right, benchmark)).collect()
}

fn answered(left: &Run, right: &Run, benchmark: &str) -> Option<AnswerPair> {
    let ours = predictions(left, benchmark, false)?;
    let theirs = samples(right, benchmark, false)?;
    let mut found = AnswerPair {
        benchmark: benchmark.to_owned(),
        n: 0,
        same: 0,
        both_right: 0,
        both_wrong: 0,
        flips: Vec::new(),
    };
    for one in &ours.samples {
        let Some(other) = theirs.get(one.sample.as_str()) else { continue };
        let (Some(before), Some(after)) = (one.score, other.score) else { continue };
        let said = |sample: &Sample| sample.prediction.clone().unwrap_or_default();
        found.n += 1;
        found.same += usize::from(said(one) == said(other));
        found.both_right += usize::from(before >= 1.0 && after >= 1.0);
        found.both_wrong += usize::from(before < 1.0 && after < 1.0);
        if before != after {
            found.flips.push(Flip {
                sample: one.sample.clone(),
                question: one.question.clone().unwrap_or_default(),
                answer: one.answer.as_ref().map(text).unwrap_or_default(),
                left: (said(one), before),
                right: (said(other), after),
            });
        }
    }
    found.flips.sort_by_key(|flip| !flip.gained());
    Some(found)
}

fn text(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
