//! Holm's step-down correction (Scandinavian Journal of Statistics, 1979): of all comparisons of a
//! family, the chance to call any wrongly significant stays below the level.

/// The corrected p-values, in the order given.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let mut corrected = vec![1.0; p.len()];
    let mut largest: f64 = 0.0;
    for (rank, at) in order.into_iter().enumerate() {
        largest = largest.max(p[at] * (p.len() - rank) as f64).min(1.0);
        corrected[at] = largest;
    }
    corrected
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_p_is_multiplied_by_the_number_of_comparisons_and_none_overtakes() {
        // statsmodels 0.15.0: multipletests([.01, .04, .03, .005, .5], method="holm").
        let expected = [0.04, 0.09, 0.09, 0.025, 0.5];
        for (ours, theirs) in holm(&[0.01, 0.04, 0.03, 0.005, 0.5]).iter().zip(expected) {
            assert!((ours - theirs).abs() < 1e-12, "{ours} {theirs}");
        }
        assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
        assert!(holm(&[]).is_empty());
    }
}
