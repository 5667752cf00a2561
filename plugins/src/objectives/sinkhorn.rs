//! Shares by the algorithm of Sinkhorn and Knopp, with which DINOv2's teacher is kept from one answer for
//! all (Oquab et al., arXiv 2304.07193, section 4).

/// Logits to probabilities `[rows, columns]` by the algorithm of Sinkhorn and Knopp: three times every
/// column's sum is made the same, then every row's is made 1 (0 where all of it is too small for f32).
pub fn shared_out(values: &mut [f32], columns: usize, temperature: f32) {
    let most = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    values.iter_mut().for_each(|value| *value = ((*value - most) / temperature).exp());
    for _ in 0..3 {
        let mut sums = vec![0.0; columns];
        for row in values.chunks(columns) {
            sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
        for row in values.chunks_mut(columns) {
            row.iter_mut().zip(&sums).for_each(|(value, sum)| *value /= sum.max(f32::MIN_POSITIVE));
            let sum: f32 = row.iter().sum();
            row.iter_mut().for_each(|value| *value /= sum.max(f32::MIN_POSITIVE));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prototypes_are_shared_out_in_equal_parts() {
        // All rows want the first column, the second row the most: it gets the largest share.
        let mut values = vec![1.0, 0.2, 0.0, 1.2, 0.0, 0.1, 1.0, 0.0, 0.3];
        shared_out(&mut values, 3, 0.2);
        let row = |at: usize| values[3 * at..3 * at + 3].iter().sum::<f32>();
        let column = |at: usize| values.iter().skip(at).step_by(3).sum::<f32>();
        for at in 0..3 {
            assert!((row(at) - 1.0).abs() < 1e-6, "row {at} of {values:?}");
            assert!((column(at) - 1.0).abs() < 0.05, "column {at} of {values:?}");
        }
        // What DINOv2's `sinkhorn_knopp_teacher` gives, in PyTorch's float64.
        let expected = [0.23319, 0.60870, 0.15811, 0.56672, 0.20021, 0.23307, 0.20004, 0.19209, 0.60787];
        for (found, expected) in values.iter().zip(expected) {
            assert!((found - expected).abs() < 2e-5, "{values:?}");
        }
    }

    #[test]
    fn a_row_that_is_too_small_for_f32_has_no_share_and_spoils_none() {
        let mut values = vec![1.0, 0.9, -9.0, -9.0];
        shared_out(&mut values, 2, 0.01);
        assert!((values[0] + values[1] - 1.0).abs() < 1e-6, "{values:?}");
        assert_eq!(values[2..], [0.0, 0.0]);
    }
}
