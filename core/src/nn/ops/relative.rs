//! Relative positions along the axes of a grid, for attention with a decomposed bias.

use super::require;
use crate::nn::device::relative::{self as kernels, Shape};
use crate::tensor::{Result, Tensor};

/// An axis of a grid of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GridAxis {
    /// Positions are row numbers.
    Rows,
    /// Positions are column numbers.
    Columns,
}

/// Queries times the embeddings of their distances to every position along an axis: one half of
/// [`super::Bias::Decomposed`]. `q` is `[B, N, H, D]` with `N` the tokens of a grid of `h` by `w`,
/// not scaled; `table` `[2 L - 1, D]`, where row `p - k + L - 1` belongs to a query at `p` and a key
/// at `k`, of `L`. The result is `[B, H, N, L]`.
///
/// # Errors
/// The shapes don't fit.
pub fn relative_bias(
    q: &Tensor,
    table: &Tensor,
    (h, w): (usize, usize),
    axis: GridAxis,
) -> Result<Tensor> {
    let ([batch, n, heads, width], [distances, d]) =
        (q.dims("relative_bias")?, table.dims("relative_bias")?);
    let rows = axis == GridAxis::Rows;
    let len = if rows { h } else { w };
    require(
        "relative_bias",
        h * w == n && n > 0 && distances == 2 * len - 1 && d == width,
        || format!("q {:?}, table {:?}, a grid of {h} x {w}, {axis:?}", q.shape(), table.shape()),
    )?;
    let s = Shape { batch, grid: (h, w), heads, width, rows };
    let values = kernels::relative(s, q.values(), table.values());
    let (slots, saved) = ((q.slot(), table.slot()), (q.detached(), table.detached()));
    Tensor::from_op(&[q, table], values, &[batch, heads, n, len], move |grads, gradient| {
        let (q, table) = (saved.0.values(), saved.1.values());
        let (dq, dtable) = kernels::relative_backward(s, &gradient, q, table);
        grads.add(slots.0, dq);
        grads.add(slots.1, dtable);
        Ok(())
    })
}
