//! ANLS, the average normalised Levenshtein similarity: DocVQA, InfoVQA.
//!
//! Source: lmms-eval `api/metrics.py`, after Qwen-VL's. It measures the distance between the texts
//! in lower case with single spaces, and divides it by the length of the texts as they came, in
//! upper case (`ß` counts twice).

use super::python;

/// Below it, an answer is wrong and not misspelt.
const THRESHOLD: f64 = 0.5;

/// From 0 to 1: the similarity to the nearest answer.
#[must_use]
pub fn anls(prediction: &str, answers: &[&str]) -> f64 {
    let distances = answers.iter().map(|answer| {
        let length =
            python::len(&answer.to_uppercase()).max(python::len(&prediction.to_uppercase()));
        let distance = strsim::levenshtein(&plain(answer), &plain(prediction));
        if length == 0 { 0.0 } else { distance as f64 / length as f64 }
    });
    let similarity = 1.0 - distances.fold(1.0, f64::min);
    if similarity < THRESHOLD { 0.0 } else { similarity }
}

fn plain(text: &str) -> String {
    python::split(&text.to_lowercase()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelling_costs_a_share_and_a_wrong_answer_all() {
        assert_eq!(anls("Nestle", &["nestlé"]), 1.0 - 1.0 / 6.0);
        assert_eq!(anls("  NEW   york ", &["new york"]), 1.0);
        assert_eq!(anls("Paris", &["London", "paris"]), 1.0);
        assert_eq!(anls("Paris", &["London"]), 0.0);
        assert_eq!(anls("", &["London"]), 0.0);
    }
}
