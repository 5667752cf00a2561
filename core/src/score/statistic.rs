//! A number over a benchmark's answers, with what is known of its error.
//!
//! - A mean has the standard error `s / sqrt(n)`; its 95 % confidence interval is Wilson's where
//!   every score is 0 or 1, and the mean ± 1.96 standard errors, cut to 0..1, elsewhere.
//! - What is no mean (F1, MME's sums) is computed again on [`DRAWS`] bootstrap samples, drawn with a
//!   fixed seed: the standard error is their standard deviation, the interval their 2.5th and 97.5th
//!   percentile. What belongs together (MME's two questions about one picture) is drawn together,
//!   and a category keeps its size.

use crate::seed::Rng;

/// Bootstrap samples of a number that is no mean.
pub const DRAWS: usize = 1_000;

/// The quantile of the normal distribution that 95 % lie within.
const Z: f64 = 1.959_963_984_540_054;

/// One number over a benchmark's answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Statistic {
    /// `accuracy`, `f1/adversarial`.
    pub name: String,
    /// The number, in its own scale.
    pub value: f64,
    /// What it is over: questions, or groups of them.
    pub n: usize,
    /// Over samples of the same size; none where too few were asked.
    pub standard_error: Option<f64>,
    /// The 95 % confidence interval; none where too few were asked.
    pub interval: Option<(f64, f64)>,
    /// What it would be by guessing, and at best.
    pub scale: Scale,
}

/// Where a number lies between knowing nothing and knowing everything.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    /// Expected of a guess among the permitted answers; none where that is not known.
    pub chance: Option<f64>,
    /// The best value.
    pub maximum: f64,
}

impl Default for Scale {
    fn default() -> Self {
        Scale { chance: Some(0.0), maximum: 1.0 }
    }
}

impl Statistic {
    /// The mean of scores from 0 to 1, for which a guess gives 0.
    #[must_use]
    pub fn mean(name: &str, scores: &[f64]) -> Statistic {
        let n = scores.len();
        let mean = scores.iter().sum::<f64>() / n.max(1) as f64;
        let squares: f64 = scores.iter().map(|score| (score - mean).powi(2)).sum();
        let standard_error = (n > 1).then(|| (squares / (n - 1) as f64 / n as f64).sqrt());
        let shares = scores.iter().all(|score| *score == 0.0 || *score == 1.0);
        let interval = match shares {
            true => wilson(mean, n),
            false => standard_error.map(|error| (mean - Z * error, mean + Z * error)),
        };
        Statistic {
            name: name.into(),
            value: mean,
            n,
            standard_error,
            interval: interval.map(|(low, high)| (low.max(0.0), high.min(1.0))),
            scale: Scale::default(),
        }
    }

    /// A number `of` items that is not the mean of their scores. `strata`: the items, cut where the
    /// number of items is part of the benchmark's design. A draw that `of` gives nothing for is left
    /// out.
    #[must_use]
    pub fn bootstrapped<T: Copy>(
        name: &str,
        strata: &[Vec<T>],
        of: &dyn Fn(&[Vec<T>]) -> Option<f64>,
        scale: Scale,
    ) -> Statistic {
        let n = strata.iter().map(Vec::len).sum();
        let mut rng = Rng::of(0, "bootstrap");
        let mut draw = || -> Vec<Vec<T>> {
            let again =
                |items: &Vec<T>| items.iter().map(|_| items[rng.below(items.len())]).collect();
            strata.iter().map(again).collect()
        };
        let draws = if n > 1 { DRAWS } else { 0 };
        let mut values: Vec<f64> = (0..draws).filter_map(|_| of(&draw())).collect();
        values.sort_by(f64::total_cmp);
        let value = of(strata).unwrap_or(0.0);
        let (standard_error, interval) = (deviation(&values), percentiles(&values));
        Statistic { name: name.into(), value, n, standard_error, interval, scale }
    }
}

/// Wilson's interval of a share; none of nothing.
fn wilson(share: f64, n: usize) -> Option<(f64, f64)> {
    if n == 0 {
        return None;
    }
    let (n, squared) = (n as f64, Z * Z);
    let centre = (share + squared / (2.0 * n)) / (1.0 + squared / n);
    let spread = (share * (1.0 - share) / n + squared / (4.0 * n * n)).sqrt();
    let half = Z * spread / (1.0 + squared / n);
    Some((centre - half, centre + half))
}

fn deviation(values: &[f64]) -> Option<f64> {
    let n = values.len();
    let mean = values.iter().sum::<f64>() / n.max(1) as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (n > 1).then(|| (squares / (n - 1) as f64).sqrt())
}

/// The 2.5th and the 97.5th percentile of sorted values, between neighbours interpolated.
fn percentiles(sorted: &[f64]) -> Option<(f64, f64)> {
    let last = sorted.len().checked_sub(1).filter(|last| *last > 0)?;
    let at = |share: f64| {
        let place = share * last as f64;
        let below = (place as usize).min(last - 1);
        sorted[below] + (sorted[below + 1] - sorted[below]) * (place - below as f64)
    };
    Some((at(0.025), at(0.975)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn the_standard_error_is_that_of_a_mean() {
        let mean = Statistic::mean("accuracy", &[1.0, 1.0, 1.0, 0.0, 0.0]);
        assert!(near(mean.value, 0.6));
        // The sample standard deviation of 1, 1, 1, 0, 0 is sqrt(0.3); divided by sqrt(5).
        assert!(near(mean.standard_error.unwrap_or(0.0), (0.3f64 / 5.0).sqrt()));
        let nothing = Statistic::mean("accuracy", &[]);
        assert_eq!((nothing.value, nothing.n, nothing.interval), (0.0, 0, None));
    }

    #[test]
    fn the_interval_of_a_share_is_wilsons() {
        // statsmodels.stats.proportion.proportion_confint(3, 5, method="wilson")
        let (low, high) =
            Statistic::mean("", &[1.0, 1.0, 1.0, 0.0, 0.0]).interval.unwrap_or_default();
        assert!(
            (low - 0.230_724_5).abs() < 1e-6 && (high - 0.882_378_6).abs() < 1e-6,
            "{low} {high}"
        );
        let (low, high) = Statistic::mean("", &[1.0; 20]).interval.unwrap_or_default();
        assert!(low > 0.8 && low < 0.9 && high == 1.0, "all right is not certainty: {low} {high}");
    }

    #[test]
    fn the_interval_of_other_means_is_normal_within_the_scale() {
        let (low, high) = Statistic::mean("", &[0.9, 1.0, 0.95, 1.0]).interval.unwrap_or_default();
        assert!(low > 0.9 && high == 1.0, "{low} {high}");
    }

    #[test]
    fn the_bootstrap_of_a_mean_agrees_with_its_formula() {
        let scores: Vec<f64> = (0..400).map(|i| f64::from(u8::from(i % 4 == 0))).collect();
        let formula = Statistic::mean("", &scores);
        let of = |strata: &[Vec<f64>]| Some(strata[0].iter().sum::<f64>() / 400.0);
        let drawn = Statistic::bootstrapped("", &[scores], &of, Scale::default());
        assert_eq!(drawn.value, formula.value);
        let (a, b) = (drawn.standard_error.unwrap_or(0.0), formula.standard_error.unwrap_or(1.0));
        assert!((a / b - 1.0).abs() < 0.1, "{a} {b}");
        let (a, b) = (drawn.interval.unwrap_or_default(), formula.interval.unwrap_or_default());
        assert!((a.0 - b.0).abs() < 0.01 && (a.1 - b.1).abs() < 0.01, "{a:?} {b:?}");
    }
}
