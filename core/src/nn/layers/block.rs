//! The block of vision transformers.

use crate::nn::layers::{Attention, GatedMlp, Linear, Mlp, Norm, Rope2d};
use crate::nn::ops;
use crate::tensor::{Param, Result, Tensor};

/// A block's feed-forward layer.
#[derive(Debug, Clone)]
pub enum FeedForward {
    /// Linear, activation, linear.
    Plain(Mlp),
    /// With a gate of its own.
    Gated(GatedMlp),
    /// SwiGLU with gate and value in one product: its outputs' first and second half.
    Packed {
        /// To both halves.
        up: Linear,
        /// Back to the width.
        down: Linear,
    },
}

impl FeedForward {
    /// `[…, width]` to the same shape.
    ///
    /// # Errors
    /// The last axis is not `width` wide.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            FeedForward::Plain(mlp) => mlp.forward(x),
            FeedForward::Gated(mlp) => mlp.forward(x),
            FeedForward::Packed { up, down } => {
                let [gate, value] = up.parts(x)?;
                down.forward(&ops::swiglu(&gate, &value)?)
            }
        }
    }
}

/// Attention and feed-forward layer, each in a residual branch with its norm.
#[derive(Debug, Clone)]
pub struct VitBlock {
    /// Before attention and before the feed-forward layer; with `post_norm`, after them.
    pub norms: [Norm; 2],
    /// Over all tokens.
    pub attention: Attention,
    /// Token by token.
    pub mlp: FeedForward,
    /// What each branch is multiplied by, channel by channel (LayerScale, arXiv 2103.17239).
    pub scales: Option<[Param; 2]>,
    /// Whether the norms stand at the end of their branches (EVA-02-CLIP's largest).
    pub post_norm: bool,
}

impl VitBlock {
    /// `[B, N, C]` to the same shape; with `rope`, queries and keys turn by their place.
    ///
    /// # Errors
    /// Another number of axes, channels or positions.
    pub fn forward(&self, x: &Tensor, rope: Option<&Rope2d>) -> Result<Tensor> {
        let attend = |x: &Tensor| match rope {
            Some(rope) => self.attention.on_grid(x, rope),
            None => self.attention.bidirectional(x),
        };
        let x = self.branch(x, 0, attend)?;
        self.branch(&x, 1, |x| self.mlp.forward(x))
    }

    fn branch(
        &self,
        x: &Tensor,
        index: usize,
        layer: impl Fn(&Tensor) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let norm = &self.norms[index];
        let y = match self.post_norm {
            true => norm.forward(&layer(x)?)?,
            false => layer(&norm.forward(x)?)?,
        };
        match &self.scales {
            Some(scales) => ops::add(x, &ops::mul_channels(&y, &scales[index].tensor())?),
            None => ops::add(x, &y),
        }
    }
}
