//! Student's t-distribution: the paired test over seeds, and the factor of a 95 % interval.

use std::f64::consts::PI;

use super::{mean, standard_error};

/// The two-sided p-value of the paired t-test that `differences`, one a seed, come from no
/// difference at all. None where their spread says nothing: fewer than two, or all equal.
pub fn over_seeds(differences: &[f64]) -> Option<f64> {
    // Differences that are equal on paper may differ in the last bits.
    let error = standard_error(differences).filter(|error| *error > 1e-9)?;
    Some(two_sided(mean(differences)? / error, (differences.len() - 1) as f64))
}

/// What a standard error of `degrees` degrees of freedom is multiplied with to give half the width
/// of a 95 % interval: where the distribution function is 0.975.
pub fn quantile_975(degrees: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1e3);
    // The tail falls with t; 80 halvings are beyond the precision of f64.
    for _ in 0..80 {
        let middle = f64::midpoint(low, high);
        if two_sided(middle, degrees) > 0.05 { low = middle } else { high = middle }
    }
    f64::midpoint(low, high)
}

/// The chance of a value as far from zero as `t`.
fn two_sided(t: f64, degrees: f64) -> f64 {
    incomplete_beta(degrees / (degrees + t * t), degrees / 2.0, 0.5)
}

/// The regularised incomplete beta function, by its continued fraction (Abramowitz and Stegun
/// 26.5.8, evaluated after Lentz).
fn incomplete_beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return x.clamp(0.0, 1.0);
    }
    // The fraction converges fast on one side of the mean only.
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(1.0 - x, b, a);
    }
    let scale = ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (1.0 - x).ln();
    scale.exp() / a * fraction(x, a, b)
}

fn fraction(x: f64, a: f64, b: f64) -> f64 {
    let apart = |value: f64| if value.abs() < 1e-300 { 1e-300 } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / apart(1.0 - (a + b) * x / (a + 1.0));
    let mut value = d;
    for m in 1..=500 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let before = value;
        for term in [even, odd] {
            d = 1.0 / apart(1.0 + term * d);
            c = apart(1.0 + term / c);
            value *= c * d;
        }
        if (value - before).abs() <= 1e-15 * value.abs() {
            break;
        }
    }
    value
}

/// The logarithm of the gamma function for positive values (Lanczos, g = 7, 9 terms).
fn ln_gamma(x: f64) -> f64 {
    const TERMS: [f64; 8] = [
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    if x < 0.5 {
        return (PI / (PI * x).sin()).ln() - ln_gamma(1.0 - x);
    }
    let x = x - 1.0;
    let terms = (1..).zip(TERMS).map(|(i, term)| term / (x + f64::from(i)));
    let sum = 0.999_999_999_999_809_9 + terms.sum::<f64>();
    let t = x + 7.5;
    0.5 * (2.0 * PI).ln() + (x + 0.5) * t.ln() - t + sum.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    include!("student_reference.rs");

    #[test]
    fn p_values_are_scipy_s() {
        for (t, degrees, p) in TWO_SIDED {
            let ours = two_sided(t, degrees);
            assert!((ours - p).abs() <= 1e-9 * p.max(1e-3), "t {t}, {degrees}: {ours} {p}");
        }
    }

    #[test]
    fn quantiles_are_scipy_s() {
        for (degrees, t) in QUANTILES {
            let ours = quantile_975(degrees);
            assert!((ours - t).abs() < 1e-7 * t, "{degrees}: {ours} {t}");
        }
    }

    #[test]
    fn the_paired_test_is_scipy_s() {
        for (a, b, p) in PAIRED {
            let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
            let ours = over_seeds(&differences).unwrap_or(f64::NAN);
            assert!((ours - p).abs() < 1e-9, "{differences:?}: {ours} {p}");
        }
    }

    #[test]
    fn differences_that_are_all_equal_have_no_p() {
        assert_eq!(over_seeds(&[0.1, 0.1, 0.1]), None);
        assert_eq!(over_seeds(&[0.1]), None);
    }
}
