//! Scores of predictions against answers.

use serde::{Deserialize, Serialize};

/// A share of right answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Accuracy {
    /// Right answers.
    pub correct: usize,
    /// All answers.
    pub n: usize,
}

impl Accuracy {
    /// Counts one more answer.
    pub fn count(&mut self, correct: bool) {
        self.correct += usize::from(correct);
        self.n += 1;
    }

    /// The share, from 0 to 1; `None` of nothing.
    #[must_use]
    pub fn value(self) -> Option<f64> {
        (self.n > 0).then(|| self.correct as f64 / self.n as f64)
    }

    /// Standard error of the share, of a sample of a larger set: `sqrt(p (1 - p) / (n - 1))`.
    /// `None` below two answers.
    #[must_use]
    pub fn standard_error(self) -> Option<f64> {
        let p = self.value()?;
        (self.n > 1).then(|| (p * (1.0 - p) / (self.n - 1) as f64).sqrt())
    }
}

impl FromIterator<bool> for Accuracy {
    fn from_iter<I: IntoIterator<Item = bool>>(answers: I) -> Self {
        let mut accuracy = Self::default();
        answers.into_iter().for_each(|correct| accuracy.count(correct));
        accuracy
    }
}

/// Whether a prediction says the answer, case, outer white space and outer punctuation aside.
#[must_use]
pub fn exact_match(prediction: &str, answer: &str) -> bool {
    normalise(prediction) == normalise(answer)
}

/// Lower case, without white space and ASCII punctuation at the ends. What is nothing but
/// punctuation keeps it.
#[must_use]
pub fn normalise(text: &str) -> String {
    let text = text.trim();
    let bare = text.trim_matches(|c: char| c.is_whitespace() || c.is_ascii_punctuation());
    if bare.is_empty() { text } else { bare }.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_space_and_outer_punctuation_do_not_matter() {
        assert!(exact_match(" Top left.\n", "top left"));
        assert!(exact_match("\"T-shirt\"", "t-shirt"));
        assert!(!exact_match("tshirt", "t-shirt"), "inner punctuation matters");
        assert!(!exact_match("", "red"));
        assert!(!exact_match("?", ""), "punctuation alone is not nothing");
    }

    #[test]
    fn standard_error_is_that_of_a_mean() {
        let accuracy: Accuracy = [true, true, true, false, false].into_iter().collect();
        assert_eq!(accuracy.value(), Some(0.6));
        // The sample standard deviation of 1, 1, 1, 0, 0 is sqrt(0.3); divided by sqrt(5).
        let error = accuracy.standard_error().unwrap_or_default();
        assert!((error - (0.3f64 / 5.0).sqrt()).abs() < 1e-12);
        assert_eq!(Accuracy::default().value(), None);
    }
}
