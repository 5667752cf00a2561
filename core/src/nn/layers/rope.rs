//! Rotary position embedding (RoFormer, arXiv 2104.09864): over a sequence in Llama's half-split
//! layout, and over a grid in EVA-02's interleaved one.

use std::cell::OnceCell;
use std::rc::Rc;

use crate::nn::ops::{self, RotaryLayout};
use crate::tensor::{Result, Tensor, TensorError};

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
            _ => Err(TensorError::Shape {
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

/// The angles for every cell of a square grid: the first half of a head's channels turns by the
/// row, the second by the column (EVA-02, arXiv 2303.11331).
#[derive(Debug, Clone)]
pub struct Rope2d {
    side: usize,
    pretrained: usize,
    head_width: usize,
    theta: f64,
    /// Cosines and sines, once they are needed: counting parameters must cost nothing.
    table: OnceCell<[Vec<f32>; 2]>,
}

impl Rope2d {
    /// Angles for `side x side` cells, as far apart as if they were `pretrained x pretrained`;
    /// `head_width` is a multiple of 4.
    pub fn new(side: usize, pretrained: usize, head_width: usize, theta: f64) -> Rope2d {
        Rope2d { side, pretrained, head_width, theta, table: OnceCell::new() }
    }

    /// Rotates `[B, side * side, H, D]`.
    ///
    /// # Errors
    /// Another number of cells or channels.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let [cos, sin] = self.table.get_or_init(|| self.angles());
        ops::rotary_with(x, cos, sin, RotaryLayout::Interleaved)
    }

    fn angles(&self) -> [Vec<f32>; 2] {
        let (side, half, bands) = (self.side, self.head_width / 2, self.head_width / 4);
        let angle = |at: usize| {
            let (cell, i) = (at / half, at % half);
            let (place, band) = if i < bands { (cell / side, i) } else { (cell % side, i - bands) };
            // As the reference: place and frequency are rounded to f32 before they meet.
            let frequency = (1.0 / self.theta.powf((2 * band) as f64 / half as f64)) as f32;
            place as f32 / side as f32 * self.pretrained as f32 * frequency
        };
        let angles: Vec<f32> = (0..side * side * half).map(angle).collect();
        let of = |f: fn(f32) -> f32| angles.iter().map(|angle| f(*angle)).collect();
        [of(f32::cos), of(f32::sin)]
    }
}
