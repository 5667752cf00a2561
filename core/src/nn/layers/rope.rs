//! Rotary position embedding, in Llama's half-split layout (RoFormer, arXiv 2104.09864).

use std::rc::Rc;

use crate::nn::ops;
use crate::tensor::{Result, Tensor};

/// The table of angles for every position of a context.
#[derive(Debug, Clone)]
pub struct Rope {
    cos: Rc<[f32]>,
    sin: Rc<[f32]>,
    half: usize,
}

impl Rope {
    /// Angles `position * theta^(-2i / head_width)` for `context` positions.
    pub fn new(context: usize, head_width: usize, theta: f64) -> Rope {
        let half = head_width / 2;
        let angle = |at: usize| {
            let (position, i) = (at / half, at % half);
            // As the references: the frequency is rounded to f32 before it meets the position.
            let frequency = (1.0 / theta.powf((2 * i) as f64 / head_width as f64)) as f32;
            position as f32 * frequency
        };
        Rope {
            cos: (0..context * half).map(|at| angle(at).cos()).collect(),
            sin: (0..context * half).map(|at| angle(at).sin()).collect(),
            half,
        }
    }

    /// Rotates `[B, N, H, D]`, whose first position is `offset`.
    ///
    /// # Errors
    /// Positions beyond the context.
    pub fn forward(&self, x: &Tensor, offset: usize) -> Result<Tensor> {
        let [_, n, _, _] = x.dims("rotary embedding")?;
        let range = offset * self.half..(offset + n) * self.half;
        match (self.cos.get(range.clone()), self.sin.get(range)) {
            (Some(cos), Some(sin)) => ops::rotary(x, cos, sin),
            _ => Err(crate::tensor::TensorError::Shape {
                op: "rotary embedding",
                detail: format!(
                    "positions {offset}..{} are beyond the context of {}",
                    offset + n,
                    self.cos.len() / self.half.max(1)
                ),
            }),
        }
    }
}
