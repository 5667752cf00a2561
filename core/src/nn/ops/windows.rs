//! Windows of a feature map, for attention within them.

use super::require;
use crate::nn::device::windows::{self as kernels, Shape};
use crate::tensor::{Result, Tensor};

/// Cuts `[B, H, W, C]` into windows, row by row: `[B * windows, wh * ww, C]`. Where the map is no
/// whole number of windows, zeros are added below and on the right, as SAM and EVA-02 do.
///
/// # Errors
/// `x` has other axes, or a window has no cells.
pub fn windows(x: &Tensor, window: (usize, usize)) -> Result<Tensor> {
    let [batch, h, w, c] = x.dims("windows")?;
    require("windows", window.0 * window.1 > 0, || format!("windows of {window:?}"))?;
    let s = Shape { map: (h, w, c), window };
    let (rows, cols) = s.windows();
    let shape = [batch * rows * cols, window.0 * window.1, c];
    let (values, slot) = (kernels::cut(s, x.values()), x.slot());
    Tensor::from_op(&[x], values, &shape, move |grads, gradient| {
        grads.add(slot, kernels::join(s, &gradient));
        Ok(())
    })
}

/// The reverse of [`windows`]: `[B * windows, wh * ww, C]` to `[B, H, W, C]`; what was added to the
/// map is dropped.
///
/// # Errors
/// The windows are not those of such maps.
pub fn join_windows(x: &Tensor, (h, w): (usize, usize), window: (usize, usize)) -> Result<Tensor> {
    let [count, cells, c] = x.dims("join_windows")?;
    let s = Shape { map: (h, w, c), window };
    let fits = window.0 * window.1 > 0 && cells == window.0 * window.1;
    let per_map = if fits { s.windows().0 * s.windows().1 } else { 0 };
    require("join_windows", fits && per_map > 0 && count % per_map == 0, || {
        format!("{:?} as windows of {window:?} of maps of {h} x {w}", x.shape())
    })?;
    let (values, slot) = (kernels::join(s, x.values()), x.slot());
    Tensor::from_op(&[x], values, &[count / per_map, h, w, c], move |grads, gradient| {
        grads.add(slot, kernels::cut(s, &gradient));
        Ok(())
    })
}
