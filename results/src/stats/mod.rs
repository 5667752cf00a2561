//! The statistics of a table: mean, spread, and paired tests, over seeds and over questions. Sums
//! run in the order given: same runs, same digits.

mod holm;
mod questions;
mod student;

pub use holm::holm;
pub use questions::{DRAWS, over_questions, sign_flip};
pub use student::{over_seeds, quantile_975};

/// How a p-value was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Test {
    /// Student's paired t-test over seeds.
    PairedT,
    /// McNemar's exact test over questions: every difference is -1, 0 or 1.
    McNemar,
    /// Signs of the questions' differences flipped at random, 10,000 times.
    Permutation,
}

impl Test {
    /// As it is written in a CSV table.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Test::PairedT => "paired-t-over-seeds",
            Test::McNemar => "mcnemar-exact",
            Test::Permutation => "sign-flip-permutation",
        }
    }
}

/// Below this a p-value is called significant.
pub const LEVEL: f64 = 0.05;

/// Summed as distances from the first value, so that equal values have exactly themselves as mean.
pub fn mean(values: &[f64]) -> Option<f64> {
    let first = *values.first()?;
    Some(first + values.iter().map(|v| v - first).sum::<f64>() / values.len() as f64)
}

/// With `n - 1` below; None for fewer than two values.
pub fn standard_deviation(values: &[f64]) -> Option<f64> {
    let centre = mean(values).filter(|_| values.len() > 1)?;
    let squares: f64 = values.iter().map(|v| (v - centre).powi(2)).sum();
    Some((squares / (values.len() - 1) as f64).sqrt())
}

/// Of the mean of `values`.
pub fn standard_error(values: &[f64]) -> Option<f64> {
    standard_deviation(values).map(|sd| sd / (values.len() as f64).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_is_the_sample_standard_deviation() {
        // Deviations -2, 0, 2: variance 8 / 2 = 4.
        let spread = standard_deviation(&[1.0, 3.0, 5.0]).unwrap_or(0.0);
        assert!((spread - 2.0).abs() < 1e-9);
        assert_eq!(standard_deviation(&[0.2, 0.2, 0.2]), Some(0.0));
        assert_eq!(standard_deviation(&[1.0]), None);
        assert_eq!(mean(&[]), None);
    }
}
