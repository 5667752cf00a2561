//! Sampling a feature map at given points.

use super::require;
use crate::nn::device::grid_sample as kernels;
use crate::tensor::{Result, Tensor};

/// Bilinear samples of `x` `[B, H, W, C]` at `grid` `[B, Hq, Wq, 2]`, (x, y) in `[-1, 1]`, zeros
/// outside: `[B, Hq, Wq, C]`. Gradients to both.
///
/// # Errors
/// The shapes don't fit.
pub fn grid_sample(x: &Tensor, grid: &Tensor, align_corners: bool) -> Result<Tensor> {
    let ([batch, h, w, c], [gb, hq, wq, two]) = (x.dims("grid_sample")?, grid.dims("grid_sample")?);
    require("grid_sample", gb == batch && two == 2 && h * w * c > 0 && hq * wq > 0, || {
        format!("x {:?}, grid {:?}", x.shape(), grid.shape())
    })?;
    let s = kernels::Shape { map: (h, w, c), points: hq * wq, align_corners };
    let values = kernels::grid_sample(s, x.values(), grid.values());
    let (slots, saved) = ((x.slot(), grid.slot()), (x.detached(), grid.detached()));
    Tensor::from_op(&[x, grid], values, &[batch, hq, wq, c], move |grads, gradient| {
        let (x, grid) = (saved.0.values(), saved.1.values());
        let (dx, dgrid) = kernels::grid_sample_backward(s, &gradient, x, grid);
        grads.add(slots.0, dx);
        grads.add(slots.1, dgrid);
        Ok(())
    })
}
