//! A layer norm and the linear layer behind it, as `nn.Sequential(LayerNorm, Linear)` names them.

use crate::nn::Builder;
use crate::nn::layers::{LayerNorm, Linear};
use crate::tensor::{Result, Tensor};

/// PyTorch's default.
const EPS: f32 = 1e-5;

/// Norm (`0`), then projection (`1`).
#[derive(Debug, Clone)]
pub struct NormLinear {
    norm: LayerNorm,
    linear: Linear,
}

impl NormLinear {
    /// `inputs` to `outputs` channels, with or without `bias`.
    ///
    /// # Errors
    /// The device has no room.
    pub fn build(
        b: &mut Builder<'_>,
        inputs: usize,
        outputs: usize,
        bias: bool,
    ) -> Result<NormLinear> {
        let norm = LayerNorm::build(&mut b.at(0), inputs, EPS)?;
        Ok(NormLinear { norm, linear: Linear::build(&mut b.at(1), inputs, outputs, bias)? })
    }

    /// `[…, inputs]` to `[…, outputs]`.
    ///
    /// # Errors
    /// The last axis is not `inputs` wide.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.linear.forward(&self.norm.forward(x)?)
    }
}
