//! Multi-scale deformable attention.

use super::require;
use crate::nn::device::deformable as kernels;
use crate::tensor::{Result, Tensor};

/// Each query's head reads every level of a pyramid at `P` points: `value` `[B, N, H, D]`, the levels
/// of the given (rows, columns) one after the other; `at` `[B, Q, H, L, P, 2]`, (x, y) in `[0, 1]`
/// over the whole map, zeros outside; `weights` `[B, Q, H, L, P]`. To `[B, Q, H, D]`, with gradients
/// to all three.
///
/// # Errors
/// The shapes don't fit.
pub fn deformable_attention(
    value: &Tensor,
    levels: &[(usize, usize)],
    at: &Tensor,
    weights: &Tensor,
) -> Result<Tensor> {
    const OP: &str = "deformable_attention";
    let ([batch, n, heads, d], [wb, queries, wh, l, points]) = (value.dims(OP)?, weights.dims(OP)?);
    let fits = (wb, wh, l) == (batch, heads, levels.len())
        && at.shape() == [batch, queries, heads, l, points, 2]
        && n == levels.iter().map(|(h, w)| h * w).sum::<usize>()
        && d * points * l > 0;
    require(OP, fits, || {
        let (value, at, weights) = (value.shape(), at.shape(), weights.shape());
        format!("values {value:?}, levels {levels:?}, points {at:?}, weights {weights:?}")
    })?;
    let levels = levels.to_vec();
    let size = kernels::Shape { queries, heads: (heads, d), levels: &levels, points };
    let values = kernels::deformable(size, value.values(), at.values(), weights.values());
    let inputs = [value, at, weights];
    let (slots, saved) = (inputs.map(Tensor::slot), inputs.map(Tensor::detached));
    Tensor::from_op(&inputs, values, &[batch, queries, heads, d], move |grads, gradient| {
        let [value, at, weights] = &saved;
        let (value, at, weights) = (value.values(), at.values(), weights.values());
        let size = kernels::Shape { queries, heads: (heads, d), levels: &levels, points };
        let gradients = kernels::deformable_backward(size, &gradient, [value, at, weights]);
        for (slot, gradient) in slots.into_iter().zip(gradients) {
            grads.add(slot, gradient);
        }
        Ok(())
    })
}
