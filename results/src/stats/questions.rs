//! Paired tests over questions that two trials share. The permutations' seed is fixed: same runs,
//! same digits.

use super::Test;

/// Draws of the permutation test: its smallest p-value is 1 / (DRAWS + 1).
pub const DRAWS: u32 = 10_000;

const SEED: u64 = 0x5eed_ea91_e1ab_0001;

/// The two-sided p-value that `differences`, one a sample, come from no difference at all.
///
/// Flipping the signs of differences of -1, 0 and 1 at random is McNemar's test, whose
/// distribution is known exactly; only other differences are drawn.
pub fn over_questions(differences: &[f64]) -> (f64, Test) {
    if differences.iter().all(|d| [-1.0, 0.0, 1.0].contains(d)) {
        let better = differences.iter().filter(|d| **d > 0.0).count();
        let worse = differences.iter().filter(|d| **d < 0.0).count();
        (mcnemar_exact(better, worse), Test::McNemar)
    } else {
        (sign_flip(differences), Test::Permutation)
    }
}

/// Twice the smaller tail of a fair coin thrown `better + worse` times.
fn mcnemar_exact(better: usize, worse: usize) -> f64 {
    let n = better + worse;
    // In logarithms: 0.5^n is zero in f64 beyond n = 1074.
    let mut log_term = -(n as f64) * std::f64::consts::LN_2;
    let mut tail = log_term.exp();
    for k in 0..better.min(worse) {
        log_term += ((n - k) as f64).ln() - ((k + 1) as f64).ln();
        tail += log_term.exp();
    }
    (2.0 * tail).min(1.0)
}

/// How often the sum of `terms` is as far from zero when each term's sign is a coin's throw.
pub fn sign_flip(terms: &[f64]) -> f64 {
    let sizes = sizes(terms);
    let observed = terms.iter().sum::<f64>().abs();
    // Sums that are equal on paper may differ in the last bits.
    let slack = 1e-12 * terms.iter().map(|t| t.abs()).sum::<f64>();
    let mut random = SplitMix(SEED);
    let mut as_far = 0_u32;
    for _ in 0..DRAWS {
        let sum: f64 = sizes.iter().map(|(size, n)| size * random.heads_minus_tails(*n)).sum();
        as_far += u32::from(sum.abs() >= observed - slack);
    }
    f64::from(as_far + 1) / f64::from(DRAWS + 1)
}

/// The sizes of the terms that are not zero, and how many terms have each: few, where scores are
/// right or wrong, so that one random word throws the coins of 64 samples.
fn sizes(terms: &[f64]) -> Vec<(f64, u32)> {
    let mut sizes: Vec<f64> = terms.iter().map(|t| t.abs()).filter(|size| *size > 0.0).collect();
    sizes.sort_by(f64::total_cmp);
    let same = sizes.chunk_by(|a, b| a == b);
    same.map(|group| (group[0], group.len() as u32)).collect()
}

/// SplitMix64 (Steele, Lea and Flood, 2014).
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Of `throws` coins.
    fn heads_minus_tails(&mut self, throws: u32) -> f64 {
        let mut heads = 0;
        for start in (0..throws).step_by(64) {
            let coins = (throws - start).min(64);
            heads += (self.next() >> (64 - coins)).count_ones();
        }
        2.0 * f64::from(heads) - f64::from(throws)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn mcnemar_matches_the_binomial_tail_by_hand() {
        // 8 against 2 of 10: 2 (1 + 10 + 45) / 1024.
        assert!(near(mcnemar_exact(8, 2), 112.0 / 1024.0));
        assert!(near(mcnemar_exact(2, 8), 112.0 / 1024.0));
        assert!(near(mcnemar_exact(5, 5), 1.0));
        assert!(near(mcnemar_exact(0, 0), 1.0));
        assert!(near(mcnemar_exact(0, 6), 2.0 / 64.0));
    }

    #[test]
    fn mcnemar_does_not_underflow_with_many_samples() {
        let p = mcnemar_exact(5_100, 4_900);
        // The normal approximation with continuity correction: z = 199 / 100, p = 0.0466.
        assert!((p - 0.0466).abs() < 5e-4, "{p}");
    }

    #[test]
    fn permutations_agree_with_the_exact_test_where_both_apply() {
        let differences = [[1.0; 8].as_slice(), &[-1.0; 2], &[0.0; 90]].concat();
        let (exact, test) = over_questions(&differences);
        assert_eq!(test, Test::McNemar);
        assert!((sign_flip(&differences) - exact).abs() < 0.01);
    }

    #[test]
    fn the_same_differences_give_the_same_p() {
        let differences: Vec<f64> = (0..200).map(|i| f64::from(i % 7) / 7.0 - 0.4).collect();
        assert_eq!(over_questions(&differences), over_questions(&differences));
        assert_eq!(over_questions(&differences).1, Test::Permutation);
    }
}
