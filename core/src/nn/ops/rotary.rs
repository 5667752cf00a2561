//! Rotary position embedding.

use super::require;
use crate::nn::device::rotary as kernels;
use crate::tensor::{Dev, Result, Tensor};

/// Which channels turn together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RotaryLayout {
    /// Channel `i` with channel `i + D/2`: Llama's in Hugging Face's checkpoints.
    Half,
    /// Channel `2 i` with channel `2 i + 1`: EVA-02's.
    Interleaved,
}

/// The cosines and sines of the angles of `N` positions, `[N, D/2]` each, in f32.
#[derive(Debug, Clone)]
pub struct Angles {
    /// Cosines.
    pub cos: Tensor,
    /// Sines.
    pub sin: Tensor,
}

impl Angles {
    /// The angles of positions whose cosines and sines are given, `half` a position.
    ///
    /// # Errors
    /// There are not as many of each; the device has no room.
    pub fn new(cos: Vec<f32>, sin: Vec<f32>, half: usize) -> Result<Angles> {
        let shape = [cos.len().checked_div(half).unwrap_or(0), half];
        let angles = |values| Tensor::new(&Dev::default(), values, &shape);
        Ok(Angles { cos: angles(cos)?, sin: angles(sin)? })
    }
}

/// Turns `x` `[B, N, H, D]`, halves paired; the angles are shared by the batch.
///
/// # Errors
/// The shapes don't fit.
pub fn rotary(x: &Tensor, angles: &Angles) -> Result<Tensor> {
    rotary_with(x, angles, RotaryLayout::Half)
}

/// Like [`rotary`], with the channels paired as `layout` says.
///
/// # Errors
/// The shapes don't fit.
pub fn rotary_with(x: &Tensor, angles: &Angles, layout: RotaryLayout) -> Result<Tensor> {
    let [_, n, heads, d] = x.dims("rotary")?;
    let Angles { cos, sin } = angles.clone();
    require("rotary", d % 2 == 0 && cos.len() == n * d / 2 && sin.len() == cos.len(), || {
        format!("x {:?}, {} cosines, {} sines", x.shape(), cos.len(), sin.len())
    })?;
    let (size, slot) = ((n, heads, d), x.slot());
    let values = kernels::rotary(x.values(), size, cos.values(), sin.values(), layout, 1.0);
    Tensor::from_op(&[x], values, x.shape(), move |grads, gradient| {
        let (cos, sin) = (cos.values(), sin.values());
        grads.add(slot, kernels::rotary(&gradient, size, cos, sin, layout, -1.0));
        Ok(())
    })
}
