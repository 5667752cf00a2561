//! Attention within windows of a grid (ViTDet, arXiv 2203.16527; SAM; EVA-02).

use crate::nn::ops;
use crate::tensor::{Result, Tensor};

/// Applies `f` to the tokens `[B, N, C]` of a grid, window by window: it gets
/// `[B * windows, side * side, C]` and a window's rows and columns, and keeps the shape. Windows at
/// the right and the bottom are filled with zeros, to which `f` attends as the references do. With
/// a side of 0, the whole grid is one window.
///
/// # Errors
/// The tokens are not those of the grid, or `f` fails.
pub fn within_windows(
    x: &Tensor,
    (rows, columns): (usize, usize),
    side: usize,
    f: impl FnOnce(&Tensor, (usize, usize)) -> Result<Tensor>,
) -> Result<Tensor> {
    if side == 0 {
        return f(x, (rows, columns));
    }
    let [batch, tokens, width] = x.dims("windows")?;
    let window = (side, side);
    let windows = ops::windows(&x.reshape(&[batch, rows, columns, width])?, window)?;
    let windows = f(&windows, window)?;
    ops::join_windows(&windows, (rows, columns), window)?.reshape(&[batch, tokens, width])
}
