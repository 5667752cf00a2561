//! Rotary position embedding (RoFormer, arXiv 2104.09864): over a sequence in Llama's half-split
//! layout, and over a grid in EVA-02's interleaved one.

use std::cell::{OnceCell, RefCell};
use std::ops::Range;
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::nn::ops::{self, Angles, RotaryLayout};
use crate::tensor::{Result, Tensor, TensorError};

/// How the rotary frequencies are stretched for contexts longer than those that a model was made
/// for: Hugging Face's `rope_scaling`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum RopeScaling {
    /// Not at all.
    #[default]
    Unscaled,
    /// Every frequency divided by `factor` (position interpolation, arXiv 2306.15595).
    Linear {
        /// How many times longer the context becomes.
        factor: f64,
    },
    /// Llama 3.1's: long waves divided by `factor`, short ones kept, those between mixed.
    Llama3 {
        /// How many times longer the context becomes.
        factor: f64,
        /// Waves longer than `original_max_position / low_freq_factor` are divided.
        low_freq_factor: f64,
        /// Waves shorter than `original_max_position / high_freq_factor` are kept.
        high_freq_factor: f64,
        /// The context that the model was first made for, in tokens.
        original_max_position: usize,
    },
}

impl RopeScaling {
    /// The frequency that takes the place of `frequency`, in radians a position.
    fn scale(self, frequency: f32) -> f32 {
        match self {
            RopeScaling::Unscaled => frequency,
            RopeScaling::Linear { factor } => frequency / factor as f32,
            RopeScaling::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_max_position,
            } => {
                let (context, factor) = (original_max_position as f32, factor as f32);
                let (low, high) = (low_freq_factor as f32, high_freq_factor as f32);
                let wave = 2.0 * std::f32::consts::PI / frequency;
                if wave > context / low {
                    return frequency / factor;
                }
                if wave < context / high {
                    return frequency;
                }
                let kept = (context / wave - low) / (high - low);
                (1.0 - kept) * frequency / factor + kept * frequency
            }
        }
    }

    /// What is wrong with its numbers, if something is.
    pub fn fault(self) -> Option<String> {
        let positive = |x: f64| x.is_finite() && x > 0.0;
        match self {
            RopeScaling::Unscaled => None,
            RopeScaling::Linear { factor } if positive(factor) => None,
            RopeScaling::Linear { factor } | RopeScaling::Llama3 { factor, .. }
                if !positive(factor) =>
            {
                Some(format!("a context can't become {factor} times as long"))
            }
            RopeScaling::Llama3 { low_freq_factor: low, high_freq_factor: high, .. }
                if !(positive(low) && high.is_finite() && high > low) =>
            {
                Some(format!(
                    "low_freq_factor {low} must be above 0 and below high_freq_factor {high}"
                ))
            }
            RopeScaling::Llama3 { original_max_position: 0, .. } => {
                Some("an original_max_position of 0".into())
            }
            RopeScaling::Linear { .. } | RopeScaling::Llama3 { .. } => None,
        }
    }
}

/// The angles of every position of a context. Their table is made when it is first used, so that
/// counting a model's parameters costs nothing.
#[derive(Debug, Clone)]
pub struct Rope {
    frequencies: Rc<[f32]>,
    context: usize,
    /// Cosines and sines, `[context, head_width / 2]` each.
    table: Rc<OnceCell<(Vec<f32>, Vec<f32>)>>,
    /// Those of the positions that were turned last: every layer of a pass turns the same.
    last: Rc<RefCell<Option<Turned>>>,
}

/// Positions and their angles.
type Turned = (Range<usize>, Angles);

impl Rope {
    /// Angles `position * theta^(-2i / head_width)` for `context` positions, the frequencies
    /// stretched by `scaling`.
    pub fn new(context: usize, head_width: usize, theta: f64, scaling: RopeScaling) -> Rope {
        // As the references: the frequency is rounded to f32 before it meets the position.
        let frequency = |i: usize| (1.0 / theta.powf((2 * i) as f64 / head_width as f64)) as f32;
        let frequencies = (0..head_width / 2).map(|i| scaling.scale(frequency(i))).collect();
        Rope { frequencies, context, table: Rc::default(), last: Rc::default() }
    }

    fn table(&self) -> &(Vec<f32>, Vec<f32>) {
        self.table.get_or_init(|| {
            let angles = || {
                let row = |at| self.frequencies.iter().map(move |f| at as f32 * f);
                (0..self.context).flat_map(row)
            };
            (angles().map(f32::cos).collect(), angles().map(f32::sin).collect())
        })
    }

    /// Rotates `[B, N, H, D]`, whose first position is `offset`.
    ///
    /// # Errors
    /// Positions beyond the context.
    pub fn forward(&self, x: &Tensor, offset: usize) -> Result<Tensor> {
        let [_, n, _, _] = x.dims("rotary embedding")?;
        ops::rotary(x, &self.angles(offset..offset + n)?)
    }

    fn angles(&self, positions: Range<usize>) -> Result<Angles> {
        if let Some((at, angles)) = &*self.last.borrow()
            && *at == positions
        {
            return Ok(angles.clone());
        }
        let half = self.frequencies.len();
        let range = positions.start * half..positions.end * half;
        let (cos, sin) = self.table();
        let (Some(cos), Some(sin)) = (cos.get(range.clone()), sin.get(range)) else {
            let detail =
                format!("positions {positions:?} are beyond the context of {}", self.context);
            return Err(TensorError::Shape { op: "rotary embedding", detail });
        };
        let angles = Angles::new(cos.to_vec(), sin.to_vec(), half)?;
        *self.last.borrow_mut() = Some((positions, angles.clone()));
        Ok(angles)
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
    /// Tokens before the cells, which don't turn.
    front: usize,
    /// The angles, once they are needed: counting parameters must cost nothing.
    table: Rc<OnceCell<Angles>>,
}

impl Rope2d {
    /// Angles for `side x side` cells, as far apart as if they were `pretrained x pretrained`;
    /// `head_width` is a multiple of 4.
    pub fn new(side: usize, pretrained: usize, head_width: usize, theta: f64) -> Rope2d {
        Rope2d { side, pretrained, head_width, theta, front: 0, table: Rc::default() }
    }

    /// The same with `front` tokens before the cells, which don't turn.
    #[must_use]
    pub fn after(self, front: usize) -> Rope2d {
        Rope2d { front, table: Rc::default(), ..self }
    }

    /// Rotates `[B, front + side * side, H, D]`.
    ///
    /// # Errors
    /// Another number of cells or channels.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let angles = match self.table.get() {
            Some(angles) => angles,
            None => {
                let angles = self.angles()?;
                self.table.get_or_init(|| angles)
            }
        };
        ops::rotary_with(x, angles, RotaryLayout::Interleaved)
    }

    fn angles(&self) -> Result<Angles> {
        let (side, half, bands) = (self.side, self.head_width / 2, self.head_width / 4);
        let angle = |at: usize| {
            let (cell, i) = (at / half, at % half);
            let (place, band) = if i < bands { (cell / side, i) } else { (cell % side, i - bands) };
            // As the reference: place and frequency are rounded to f32 before they meet.
            let frequency = (1.0 / self.theta.powf((2 * band) as f64 / half as f64)) as f32;
            place as f32 / side as f32 * self.pretrained as f32 * frequency
        };
        let still = std::iter::repeat_n(0.0, self.front * half);
        let angles: Vec<f32> = still.chain((0..side * side * half).map(angle)).collect();
        let of = |f: fn(f32) -> f32| angles.iter().map(|angle| f(*angle)).collect();
        Angles::new(of(f32::cos), of(f32::sin), half)
    }
}
