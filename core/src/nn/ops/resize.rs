//! Resizing feature maps, as PyTorch's `F.interpolate` does.

use super::require;
use crate::nn::device::resize::{self as kernels, Taps};
use crate::tensor::{Result, Tensor};

/// Bilinear resize of `[B, H, W, C]`, without antialiasing.
///
/// # Errors
/// `x` has other axes, or is empty.
pub fn resize_bilinear(
    x: &Tensor,
    height: usize,
    width: usize,
    align_corners: bool,
) -> Result<Tensor> {
    resized("resize_bilinear", x, (height, width), |size, out| {
        kernels::bilinear(size, out, align_corners)
    })
}

/// Bilinear resize of `[B, H, W, C]` with antialiasing, corners not aligned.
///
/// # Errors
/// `x` has other axes, or is empty.
pub fn resize_bilinear_antialias(x: &Tensor, height: usize, width: usize) -> Result<Tensor> {
    resized("resize_bilinear_antialias", x, (height, width), kernels::bilinear_antialias)
}

/// Bicubic resize of `[B, H, W, C]`, corners not aligned.
///
/// # Errors
/// `x` has other axes, or is empty.
pub fn resize_bicubic(x: &Tensor, height: usize, width: usize, antialias: bool) -> Result<Tensor> {
    let taps = if antialias { kernels::bicubic_antialias } else { kernels::bicubic };
    resized("resize_bicubic", x, (height, width), taps)
}

/// Bicubic resize of `[B, H, W, C]` without antialiasing, with the steps of an output that is
/// `offset` pixels larger on each side.
///
/// # Errors
/// `x` has other axes, or is empty.
pub fn resize_bicubic_offset(
    x: &Tensor,
    height: usize,
    width: usize,
    offset: f64,
) -> Result<Tensor> {
    resized("resize_bicubic_offset", x, (height, width), |size, out| {
        kernels::bicubic_by(size, out, (size as f64 / (out as f64 + offset)) as f32)
    })
}

fn resized(
    op: &'static str,
    x: &Tensor,
    (height, width): (usize, usize),
    taps: impl Fn(usize, usize) -> Taps,
) -> Result<Tensor> {
    let [batch, h, w, c] = x.dims(op)?;
    require(op, h * w > 0 && height * width > 0, || {
        format!("{:?} to {height} x {width}", x.shape())
    })?;
    if (h, w) == (height, width) {
        return Ok(x.clone());
    }
    let (down, across) = (taps(h, height), taps(w, width));
    let values = kernels::resize(x.values(), (h, w, c), &down, &across);
    let slot = x.slot();
    Tensor::from_op(&[x], values, &[batch, height, width, c], move |grads, gradient| {
        let (down, across) = (down.transposed(h), across.transposed(w));
        grads.add(slot, kernels::resize(&gradient, (height, width, c), &down, &across));
        Ok(())
    })
}
