//! Normalisation over the last axis.

use serde::{Deserialize, Serialize};

use crate::nn::ops;
use crate::nn::{Builder, Init};
use crate::tensor::{Param, Result, Tensor};

/// Layer norm with weight and bias.
#[derive(Debug, Clone)]
pub struct LayerNorm {
    weight: Param,
    bias: Param,
    eps: f32,
}

impl LayerNorm {
    /// `weight [width]` of ones and `bias [width]` of zeros.
    ///
    /// # Errors
    /// The device has no room.
    pub fn build(b: &mut Builder<'_>, width: usize, eps: f32) -> Result<LayerNorm> {
        let weight = b.param("weight", &[width], Init::Ones)?;
        let bias = b.param("bias", &[width], Init::Zeros)?;
        Ok(LayerNorm { weight, bias, eps })
    }

    /// `[…, width]` to the same shape.
    ///
    /// # Errors
    /// The last axis is not `width` wide.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        ops::layer_norm(x, &self.weight.tensor(), &self.bias.tensor(), self.eps)
    }
}

/// RMS norm with weight.
#[derive(Debug, Clone)]
pub struct RmsNorm {
    weight: Param,
    eps: f32,
}

impl RmsNorm {
    /// `weight [width]` of ones.
    ///
    /// # Errors
    /// The device has no room.
    pub fn build(b: &mut Builder<'_>, width: usize, eps: f32) -> Result<RmsNorm> {
        Ok(RmsNorm { weight: b.param("weight", &[width], Init::Ones)?, eps })
    }

    /// `[…, width]` to the same shape.
    ///
    /// # Errors
    /// The last axis is not `width` wide.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        ops::rms_norm(x, &self.weight.tensor(), self.eps)
    }
}

/// Which of the two norms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum NormKind {
    /// Layer norm.
    Layer,
    /// RMS norm.
    Rms,
}

/// Either of the two norms.
#[derive(Debug, Clone)]
pub enum Norm {
    /// Layer norm.
    Layer(LayerNorm),
    /// RMS norm.
    Rms(RmsNorm),
}

impl Norm {
    /// The norm of this kind over `width` channels.
    ///
    /// # Errors
    /// The device has no room.
    pub fn build(b: &mut Builder<'_>, kind: NormKind, width: usize, eps: f32) -> Result<Norm> {
        Ok(match kind {
            NormKind::Layer => Norm::Layer(LayerNorm::build(b, width, eps)?),
            NormKind::Rms => Norm::Rms(RmsNorm::build(b, width, eps)?),
        })
    }

    /// `[…, width]` to the same shape.
    ///
    /// # Errors
    /// The last axis is not `width` wide.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Norm::Layer(norm) => norm.forward(x),
            Norm::Rms(norm) => norm.forward(x),
        }
    }
}
