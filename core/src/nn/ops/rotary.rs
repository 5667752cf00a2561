//! Rotary position embedding.

use super::require;
use crate::nn::device::rotary as kernels;
use crate::tensor::{Result, Tensor};
use std::rc::Rc;

/// Which channels turn together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RotaryLayout {
    /// Channel `i` with channel `i + D/2`: Llama's in Hugging Face's checkpoints.
    Half,
    /// Channel `2 i` with channel `2 i + 1`: EVA-02's.
    Interleaved,
}

/// Turns `x` `[B, N, H, D]`, halves paired; `cos` and `sin` are `[N, D/2]`, shared by the batch.
///
/// # Errors
/// The shapes don't fit.
pub fn rotary(x: &Tensor, cos: &[f32], sin: &[f32]) -> Result<Tensor> {
    rotary_with(x, cos, sin, RotaryLayout::Half)
}

/// Like [`rotary`], with the channels paired as `layout` says.
///
/// # Errors
/// The shapes don't fit.
pub fn rotary_with(x: &Tensor, cos: &[f32], sin: &[f32], layout: RotaryLayout) -> Result<Tensor> {
    let [_, n, heads, d] = x.dims("rotary")?;
    require("rotary", d % 2 == 0 && cos.len() == n * d / 2 && sin.len() == cos.len(), || {
        format!("x {:?}, {} cosines, {} sines", x.shape(), cos.len(), sin.len())
    })?;
    let size = (n, heads, d);
    let values = kernels::rotary(&x.values(), size, cos, sin, layout, 1.0);
    let slot = x.slot();
    let angles = slot.map(|_| (Rc::<[f32]>::from(cos), Rc::<[f32]>::from(sin)));
    Tensor::from_op(&[x], values, x.shape(), move |grads, gradient| {
        if let Some((cos, sin)) = angles {
            grads.add(slot, kernels::rotary(&gradient, size, &cos, &sin, layout, -1.0));
        }
        Ok(())
    })
}
