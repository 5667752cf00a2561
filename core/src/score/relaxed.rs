//! Relaxed correctness: a number may be 5 % off. ChartQA's rule.
//!
//! Source: lmms-eval `tasks/chartqa/utils.py`, after Qwen-VL's; Masry et al. 2022, section 5.1.

use super::python;

/// How far a number may be off, as a share of the right one.
const TOLERANCE: f64 = 0.05;

/// Whether a prediction is right: within 5 % where both are numbers and the right one isn't 0, the
/// same text in lower case elsewhere. A percentage is divided by 100.
#[must_use]
pub fn relaxed_correctness(prediction: &str, target: &str) -> bool {
    match (number(prediction), number(target)) {
        (Some(said), Some(truth)) if truth != 0.0 => {
            (said - truth).abs() / truth.abs() <= TOLERANCE
        }
        _ => prediction.to_lowercase() == target.to_lowercase(),
    }
}

fn number(text: &str) -> Option<f64> {
    match text.ends_with('%') {
        true => Some(python::float(text.trim_end_matches('%'))? / 100.0),
        false => python::float(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_percent_are_tolerated_of_numbers_only() {
        assert!(relaxed_correctness("105", "100"));
        assert!(!relaxed_correctness("105.1", "100"));
        assert!(relaxed_correctness("12%", "0.12"));
        assert!(!relaxed_correctness("12", "12%"));
        assert!(relaxed_correctness("0", "0"), "compared as texts");
        assert!(!relaxed_correctness("0.0", "0"), "compared as texts");
        assert!(relaxed_correctness("Blue", "blue"));
        assert!(!relaxed_correctness("Blue.", "blue"));
    }
}
