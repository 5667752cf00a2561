//! How answers are judged, and what a benchmark's answers come to.
//!
//! A benchmark judges one answer at a time ([`Verdict`]) and summarises all of them
//! ([`Statistic`]s, the first of which is its main one). What several benchmarks share is here: the
//! rules that judge, one file each, and the statistics.

pub mod anls;
pub mod choice;
pub mod literal;
pub mod mmmu;
pub mod pairs;
pub mod python;
pub mod relaxed;
pub mod statistic;
pub mod text;
pub mod vqa;
pub mod yes_no;

use serde::{Deserialize, Serialize};

use crate::data::{AnswerKey, Sample};
pub use statistic::{Scale, Statistic};
pub use text::{exact_match, normalise};

/// A question as a scorer sees it.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// What was asked.
    pub text: &'a str,
    /// The answer that is right, or stands for those that are.
    pub answer: &'a str,
    /// What else there is to know.
    pub key: &'a AnswerKey,
}

impl<'a> Question<'a> {
    /// The last turn of a sample. `none` stands in for a key that isn't there.
    #[must_use]
    pub fn of(sample: &'a Sample, none: &'a AnswerKey) -> Question<'a> {
        let (text, answer) = sample
            .turns
            .last()
            .map_or(("", ""), |turn| (turn.question.as_str(), turn.answer.as_str()));
        Question { text, answer, key: sample.key.as_deref().unwrap_or(none) }
    }

    /// All accepted answers.
    #[must_use]
    pub fn answers(&self) -> Vec<&'a str> {
        match self.key.answers.as_slice() {
            [] => vec![self.answer],
            several => several.iter().map(String::as_str).collect(),
        }
    }

    /// How often a guess among its choices is right; 0 of a question without choices.
    #[must_use]
    pub fn chance(&self) -> f64 {
        match self.key.choices.len() {
            0 => 0.0,
            count => 1.0 / count as f64,
        }
    }
}

/// What was found about one answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// From 0 to 1.
    pub score: f64,
    /// What the rules understood: a letter, `yes`, a number; nothing where they compare the text as
    /// a whole or understood nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parsed: Option<String>,
    /// The rules can't tell what was answered (a reference would ask another model, or guess). It
    /// scores 0, and is counted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub undecided: bool,
}

impl Verdict {
    /// An answer with a score from 0 to 1.
    #[must_use]
    pub fn scored(score: f64) -> Verdict {
        Verdict { score, parsed: None, undecided: false }
    }

    /// An answer that is right or wrong.
    #[must_use]
    pub fn right(right: bool) -> Verdict {
        Verdict::scored(f64::from(u8::from(right)))
    }

    /// An answer that the rules can't judge.
    #[must_use]
    pub fn undecided() -> Verdict {
        Verdict { undecided: true, ..Verdict::scored(0.0) }
    }

    /// The same, saying what was understood.
    #[must_use]
    pub fn reading(self, parsed: impl Into<String>) -> Verdict {
        Verdict { parsed: Some(parsed.into()), ..self }
    }

    /// Whether nothing is missing.
    #[must_use]
    pub fn correct(&self) -> bool {
        self.score >= 1.0
    }
}

/// A judged answer.
#[derive(Debug, Clone, Copy)]
pub struct Judged<'a> {
    /// What was asked.
    pub question: Question<'a>,
    /// What was found.
    pub verdict: &'a Verdict,
}

/// The mean score, whose chance is that of a guess among the choices: what most benchmarks are
/// summarised by.
#[must_use]
pub fn mean(name: &str, answers: &[Judged<'_>]) -> Statistic {
    let scores: Vec<f64> = answers.iter().map(|judged| judged.verdict.score).collect();
    let chance = answers.iter().map(|judged| judged.question.chance()).sum::<f64>();
    let chance = Some(chance / answers.len().max(1) as f64);
    Statistic { scale: Scale { chance, maximum: 1.0 }, ..Statistic::mean(name, &scores) }
}

/// The mean score of each category, sorted by its name: `accuracy/count`. None where no answer has
/// a category.
#[must_use]
pub fn mean_by_category(name: &str, answers: &[Judged<'_>]) -> Vec<Statistic> {
    let parts = by_category(answers);
    parts.into_iter().map(|(category, part)| mean(&format!("{name}/{category}"), &part)).collect()
}

/// The answers of each category, sorted by its name; those without a category are left out.
#[must_use]
pub fn by_category<'a>(answers: &[Judged<'a>]) -> Vec<(&'a str, Vec<Judged<'a>>)> {
    let mut parts = std::collections::BTreeMap::<&str, Vec<Judged<'a>>>::new();
    for judged in answers {
        if let Some(category) = &judged.question.key.category {
            parts.entry(category).or_default().push(*judged);
        }
    }
    parts.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chance_of_a_mean_is_that_of_a_guess_among_the_choices() {
        let choices =
            |n: usize| AnswerKey { choices: vec![String::new(); n], ..AnswerKey::default() };
        let (two, four, none) = (choices(2), choices(4), AnswerKey::default());
        let verdict = Verdict::right(true);
        let judged =
            |key| Judged { question: Question { text: "", answer: "A", key }, verdict: &verdict };
        let mean = mean("accuracy", &[judged(&two), judged(&four), judged(&none)]);
        assert_eq!(mean.scale.chance, Some((0.5 + 0.25) / 3.0));
    }
}
