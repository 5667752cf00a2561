//! The two feed-forward layers of transformers.

use crate::nn::layers::Linear;
use crate::nn::ops::{self, Activation};
use crate::nn::{Builder, Init};
use crate::tensor::{Result, Tensor};

/// Linear, activation, linear.
#[derive(Debug, Clone)]
pub struct Mlp {
    up: Linear,
    down: Linear,
    activation: Activation,
}

impl Mlp {
    /// `width` to `hidden` and back, with biases, under the two given names.
    ///
    /// # Errors
    /// The device has no room.
    pub fn build(
        b: &mut Builder<'_>,
        [up, down]: [&str; 2],
        (width, hidden): (usize, usize),
        activation: Activation,
    ) -> Result<Mlp> {
        Ok(Mlp {
            up: Linear::build(&mut b.at(up), width, hidden, true)?,
            down: Linear::build(&mut b.at(down), hidden, width, true)?,
            activation,
        })
    }

    /// `[…, width]` to the same shape.
    ///
    /// # Errors
    /// The last axis is not `width` wide.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.down.forward(&self.up.activated(x, self.activation)?)
    }
}

/// SwiGLU: `down(silu(gate(x)) * up(x))`, without biases.
#[derive(Debug, Clone)]
pub struct GatedMlp {
    gate: Linear,
    up: Linear,
    down: Linear,
}

impl GatedMlp {
    /// `width` to `hidden` and back, as `gate_proj`, `up_proj` and `down_proj`.
    ///
    /// # Errors
    /// The device has no room.
    pub fn build(b: &mut Builder<'_>, width: usize, hidden: usize, init: Init) -> Result<GatedMlp> {
        Ok(GatedMlp {
            gate: Linear::with_init(&mut b.at("gate_proj"), width, hidden, false, init)?,
            up: Linear::with_init(&mut b.at("up_proj"), width, hidden, false, init)?,
            down: Linear::with_init(&mut b.at("down_proj"), hidden, width, false, init)?,
        })
    }

    /// `[…, width]` to the same shape.
    ///
    /// # Errors
    /// The last axis is not `width` wide.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.down.forward(&ops::swiglu(&self.gate.forward(x)?, &self.up.forward(x)?)?)
    }
}
