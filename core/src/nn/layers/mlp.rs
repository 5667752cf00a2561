//! The two feed-forward layers of transformers.

use crate::nn::layers::{LayerNorm, Linear};
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

/// A gated feed-forward layer: `down(norm(activation(gate(x)) * up(x)))`; SwiGLU where the
/// activation is SiLU. Most have no norm.
#[derive(Debug, Clone)]
pub struct GatedMlp {
    gate: Linear,
    up: Linear,
    down: Linear,
    activation: Activation,
    norm: Option<LayerNorm>,
}

impl GatedMlp {
    /// SwiGLU from `width` to `hidden` and back, without biases, as `gate_proj`, `up_proj` and
    /// `down_proj`.
    ///
    /// # Errors
    /// The device has no room.
    pub fn build(b: &mut Builder<'_>, width: usize, hidden: usize, init: Init) -> Result<GatedMlp> {
        let gate = Linear::with_init(&mut b.at("gate_proj"), width, hidden, false, init)?;
        let up = Linear::with_init(&mut b.at("up_proj"), width, hidden, false, init)?;
        let down = Linear::with_init(&mut b.at("down_proj"), hidden, width, false, init)?;
        Ok(GatedMlp::of([gate, up, down], Activation::Silu, None))
    }

    /// The layer of gate, up and down projections that go by other names.
    pub fn of(
        [gate, up, down]: [Linear; 3],
        activation: Activation,
        norm: Option<LayerNorm>,
    ) -> GatedMlp {
        GatedMlp { gate, up, down, activation, norm }
    }

    /// `[…, width]` to the same shape.
    ///
    /// # Errors
    /// The last axis is not `width` wide.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let hidden = match self.activation {
            Activation::Silu => ops::swiglu(&self.gate.forward(x)?, &self.up.forward(x)?)?,
            other => ops::mul(&self.gate.activated(x, other)?, &self.up.forward(x)?)?,
        };
        match &self.norm {
            Some(norm) => self.down.forward(&norm.forward(&hidden)?),
            None => self.down.forward(&hidden),
        }
    }
}
