//! Questions that are answered yes or no: POPE's metrics.
//!
//! Source: RUCAIBox/POPE `evaluate.py`, lmms-eval `tasks/pope/utils.py`. `yes` is positive. An
//! answer that was understood as neither is wrong, and counts for no class: it lowers accuracy and
//! leaves precision and recall alone, as in lmms-eval.

use super::{Judged, Scale, Statistic, by_category, mean, python};

/// What is right, and what was said.
type Pair = (bool, Option<bool>);

/// F1 first, then accuracy, precision, recall and the share of answers that are yes; then F1 and
/// accuracy of each category. Answers are read from [`super::Verdict::parsed`].
#[must_use]
pub fn summary(answers: &[Judged<'_>]) -> Vec<Statistic> {
    let mut all = vec![
        statistic("f1", answers, &f1),
        mean("accuracy", answers),
        statistic("precision", answers, &precision),
        statistic("recall", answers, &recall),
        statistic("yes-ratio", answers, &yes_ratio),
    ];
    all[1].scale.chance = Some(0.5);
    for (category, part) in by_category(answers) {
        all.push(statistic(&format!("f1/{category}"), &part, &f1));
        let mut accuracy = mean(&format!("accuracy/{category}"), &part);
        accuracy.scale.chance = Some(0.5);
        all.push(accuracy);
    }
    all
}

/// `yes` or `no`, in any case.
#[must_use]
pub fn read(text: &str) -> Option<bool> {
    match python::strip(&text.to_lowercase()) {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

/// MME's reading (lmms-eval `tasks/mme/utils.py`): `yes` or `no` within the first four characters,
/// periods aside; `y` or `n` alone.
#[must_use]
pub fn read_beginning(text: &str) -> Option<bool> {
    let text = python::strip(&text.to_lowercase()).replace('.', "");
    let beginning: String = text.chars().take(4).collect();
    match text.as_str() {
        "y" => Some(true),
        "n" => Some(false),
        _ if beginning.contains("yes") => Some(true),
        _ if beginning.contains("no") => Some(false),
        _ => None,
    }
}

/// POPE's own reading, which LLaVA uses: `no` where the first sentence has the word "no", "No" or
/// "not", `yes` elsewhere (RUCAIBox/POPE `evaluate.py`).
#[must_use]
pub fn read_sentence(text: &str) -> bool {
    let sentence = text.split('.').next().unwrap_or_default().replace(',', "");
    !sentence.split(' ').any(|word| ["No", "not", "no"].contains(&word))
}

/// As [`super::Verdict::parsed`] holds it.
#[must_use]
pub fn word(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}

fn statistic(name: &str, answers: &[Judged<'_>], of: &dyn Fn(&[Pair]) -> f64) -> Statistic {
    let pair = |judged: &Judged<'_>| -> Pair {
        let said = judged.verdict.parsed.as_deref().and_then(read);
        (read(judged.question.answer) == Some(true), said)
    };
    let pairs: Vec<Pair> = answers.iter().map(pair).collect();
    let yes = pairs.iter().filter(|(truth, _)| *truth).count() as f64 / pairs.len().max(1) as f64;
    // A coin that says yes half of the time: its precision is the share of what is yes, its recall
    // one half.
    let chance = match name.split('/').next() {
        Some("f1") if yes > 0.0 => Some(yes / (yes + 0.5)),
        Some("precision") => Some(yes),
        Some("f1") => Some(0.0),
        _ => Some(0.5),
    };
    let scale = Scale { chance, maximum: 1.0 };
    Statistic::bootstrapped(name, &[pairs], &|strata| Some(of(&strata[0])), scale)
}

fn count(pairs: &[Pair], which: Pair) -> f64 {
    pairs.iter().filter(|pair| **pair == which).count() as f64
}

fn share(part: f64, rest: f64) -> f64 {
    if part + rest > 0.0 { part / (part + rest) } else { 0.0 }
}

fn precision(pairs: &[Pair]) -> f64 {
    share(count(pairs, (true, Some(true))), count(pairs, (false, Some(true))))
}

fn recall(pairs: &[Pair]) -> f64 {
    share(count(pairs, (true, Some(true))), count(pairs, (true, Some(false))))
}

fn f1(pairs: &[Pair]) -> f64 {
    let (precision, recall) = (precision(pairs), recall(pairs));
    if precision + recall > 0.0 { 2.0 * (precision * recall) / (precision + recall) } else { 0.0 }
}

fn yes_ratio(pairs: &[Pair]) -> f64 {
    let yes = pairs.iter().filter(|(_, said)| *said == Some(true)).count();
    yes as f64 / pairs.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_ways_to_read_an_answer() {
        assert_eq!(read(" Yes\n"), Some(true));
        assert_eq!(read("Yes."), None);
        assert_eq!(read_beginning("Yes, it is"), Some(true));
        assert_eq!(read_beginning("Know"), Some(false), "within four characters");
        assert_eq!(read_beginning("N."), Some(false));
        assert_eq!(read_beginning("It is not"), None);
        assert!(!read_sentence("It is not, I think."));
        assert!(read_sentence("There is. No dog"));
        assert!(read_sentence(""));
    }

    #[test]
    fn counts_give_the_textbooks_numbers() {
        // 3 true positives, 1 false positive, 2 false negatives, 1 true negative, 1 neither.
        let mut pairs = vec![(true, Some(true)); 3];
        pairs.extend([(false, Some(true)), (true, Some(false)), (true, Some(false))]);
        pairs.extend([(false, Some(false)), (true, None)]);
        assert_eq!(precision(&pairs), 0.75);
        assert_eq!(recall(&pairs), 0.6);
        assert!((f1(&pairs) - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(yes_ratio(&pairs), 0.5);
        assert_eq!(f1(&[]), 0.0);
    }
}
