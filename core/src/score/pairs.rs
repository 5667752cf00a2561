//! Questions that count together: MME's two about one picture, MMBench's circular passes.
//!
//! Source: lmms-eval `tasks/mme/utils.py`; MMBench's CircularEval.

use std::collections::BTreeMap;

use super::{Judged, Scale, Statistic, by_category};

/// The answers of each group, in order of the groups' names, each with what a guess gives for all.
/// A question without a group is one of its own.
fn groups<'a>(answers: &[Judged<'a>]) -> Vec<Vec<Judged<'a>>> {
    let mut groups = BTreeMap::<&str, Vec<Judged<'a>>>::new();
    let mut alone = Vec::new();
    for judged in answers {
        match &judged.question.key.group {
            Some(group) => groups.entry(group).or_default().push(*judged),
            None => alone.push(vec![*judged]),
        }
    }
    groups.into_values().chain(alone).collect()
}

fn all_right(group: &[Judged<'_>]) -> bool {
    group.iter().all(|judged| judged.verdict.correct())
}

/// The share of groups whose every question is answered rightly: `accuracy+`, and circular
/// accuracy. `chance`: of a guess at one question; none: a guess among its choices.
#[must_use]
pub fn all_of_group(name: &str, answers: &[Judged<'_>], chance: Option<f64>) -> Statistic {
    let groups = groups(answers);
    let right: Vec<f64> =
        groups.iter().map(|group| f64::from(u8::from(all_right(group)))).collect();
    let guess = |group: &Vec<Judged<'_>>| -> f64 {
        group.iter().map(|judged| chance.unwrap_or_else(|| judged.question.chance())).product()
    };
    let chance = groups.iter().map(guess).sum::<f64>() / groups.len().max(1) as f64;
    let scale = Scale { chance: Some(chance), maximum: 1.0 };
    Statistic { scale, ..Statistic::mean(name, &right) }
}

/// The share of groups that would count if every undecided answer in them were right: how far the
/// score of [`all_of_group`] may rise.
#[must_use]
pub fn open_groups(name: &str, answers: &[Judged<'_>]) -> Statistic {
    let open = |group: &Vec<Judged<'_>>| {
        let undecided = group.iter().any(|judged| judged.verdict.undecided);
        undecided && group.iter().all(|j| j.verdict.undecided || j.verdict.correct())
    };
    let open: Vec<f64> =
        groups(answers).iter().map(|group| f64::from(u8::from(open(group)))).collect();
    Statistic { scale: Scale { chance: None, maximum: 1.0 }, ..Statistic::mean(name, &open) }
}

/// MME's score: of each category the accuracy and the share of pictures with both questions right,
/// both in percent, added; summed over the categories, each at most 200. Drawn by picture within a
/// category. Answers without a category count as one.
#[must_use]
pub fn accuracy_and_plus(name: &str, answers: &[Judged<'_>]) -> Statistic {
    let mut parts: Vec<Vec<Judged<'_>>> =
        by_category(answers).into_iter().map(|(_, part)| part).collect();
    let rest: Vec<Judged<'_>> =
        answers.iter().filter(|judged| judged.question.key.category.is_none()).copied().collect();
    if !rest.is_empty() {
        parts.push(rest);
    }
    let strata: Vec<Vec<f64>> = parts
        .iter()
        .map(|part| groups(part).iter().map(|group| of_group(group)).collect())
        .collect();
    let of = |strata: &[Vec<f64>]| {
        let category = |scores: &Vec<f64>| scores.iter().sum::<f64>() / scores.len().max(1) as f64;
        Some(strata.iter().map(category).sum())
    };
    // A coin: half of the questions, a quarter of the pairs.
    let maximum = 200.0 * strata.len() as f64;
    let scale = Scale { chance: Some(maximum * 0.375), maximum };
    Statistic::bootstrapped(name, &strata, &of, scale)
}

fn of_group(group: &[Judged<'_>]) -> f64 {
    let sum: f64 = group.iter().map(|judged| judged.verdict.score).sum();
    f64::from(u8::from(all_right(group))) * 100.0 + sum / group.len() as f64 * 100.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::AnswerKey;
    use crate::score::{Question, Verdict};

    fn key(category: &str, group: &str) -> AnswerKey {
        AnswerKey {
            group: Some(group.into()),
            category: Some(category.into()),
            ..AnswerKey::default()
        }
    }

    #[test]
    fn a_group_is_open_while_nothing_in_it_is_wrong() {
        let (right, wrong) = (Verdict::right(true), Verdict::right(false));
        let undecided = Verdict::undecided();
        let keys = ["1", "2", "3"].map(|group| key("", group));
        let judged = |at: usize, verdict| Judged {
            question: Question { text: "", answer: "A", key: &keys[at] },
            verdict,
        };
        let answers = [
            judged(0, &right),
            judged(0, &undecided),
            judged(1, &wrong),
            judged(1, &undecided),
            judged(2, &right),
        ];
        assert_eq!(all_of_group("circular", &answers, None).value, 1.0 / 3.0);
        assert_eq!(open_groups("undecided", &answers).value, 1.0 / 3.0);
    }

    #[test]
    fn mme_adds_accuracy_and_accuracy_plus() {
        let (right, wrong) = (Verdict::right(true), Verdict::right(false));
        let keys = [key("count", "1"), key("count", "2"), key("scene", "1")];
        let judged = |at: usize, verdict| Judged {
            question: Question { text: "", answer: "yes", key: &keys[at] },
            verdict,
        };
        // count: 3 of 4, 1 of 2 pairs: 75 + 50. scene: all: 200.
        let answers = [
            judged(0, &right),
            judged(0, &right),
            judged(1, &right),
            judged(1, &wrong),
            judged(2, &right),
            judged(2, &right),
        ];
        let score = accuracy_and_plus("perception", &answers);
        assert_eq!((score.value, score.n), (325.0, 3));
        assert_eq!(score.scale, Scale { chance: Some(150.0), maximum: 400.0 });
        let plus = all_of_group("accuracy+", &answers[..4], Some(0.5));
        assert_eq!((plus.value, plus.n, plus.scale.chance), (0.5, 2, Some(0.25)));
    }
}
