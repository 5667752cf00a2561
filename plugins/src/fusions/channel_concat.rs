//! Channel concatenation: every expert's map is brought to one grid and their channels are joined.
//! Source: EAGLE's `multi_backbone_channel_concatenation_encoder.py` (bilinear, align_corners; no
//! norm, no per-expert projection), the paper's choice. The paper also names pixel shuffle, which
//! EAGLE's code applies to SAM's map alone, in the encoder (64 x 64 x 256 to 32 x 32 x 1024).
//!
//! Maps of `C_1, C_2, …` channels to `[B, grid^2, C_1 + C_2 + …]`, in the order of `from`; a map whose
//! squares of `f` x `f` vectors are unshuffled has `f^2` times its channels.

use eagle_core::nn::{Builder, cost, fit, ops};
use eagle_core::registry::{Cost, Features, Fusion, FusionConfig, MapShape, Misfit, TokensShape};
use eagle_core::tensor::{Result, Tensor};
use serde::{Deserialize, Serialize};

eagle_core::config! {
    /// Channel concatenation of the experts' maps on one grid: the paper's fusion.
    pub struct ChannelConcat {
        /// Rows and columns of the joint grid; `grid`^2 visual tokens.
        grid: usize = 32,
        /// How a map on another grid is brought to the joint one: Bilinear (align_corners), or
        /// Unshuffle, which makes the vectors of a square channels of one and keeps them all, where
        /// the grid is a whole multiple (and bilinear where it isn't).
        resample: Resample = Resample::Bilinear,
    }
}

eagle_core::register!(fusion ChannelConcat, examples [
    "ChannelConcat(grid: 3)",
    "ChannelConcat(grid: 5)",
    "ChannelConcat(grid: 2, resample: Unshuffle)",
]);

/// How a map is brought to another grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Resample {
    /// Bilinear, the corners aligned.
    Bilinear,
    /// The vectors of a square, side by side, become one.
    Unshuffle,
}

impl ChannelConcat {
    /// The side of the squares of a map that become one vector; 1 where it is resized.
    fn square(&self, (h, w): (usize, usize)) -> usize {
        let side = h / self.grid.max(1);
        let whole = side > 0 && (h, w) == (side * self.grid, side * self.grid);
        if whole && self.resample == Resample::Unshuffle { side } else { 1 }
    }

    fn width(&self, inputs: &[MapShape]) -> usize {
        let one = |input: &MapShape| self.square(input.grid.unwrap_or((1, 1))).pow(2) * input.width;
        inputs.iter().map(one).sum()
    }
}

impl FusionConfig for ChannelConcat {
    fn reads_pyramids(&self) -> bool {
        false
    }

    fn output(&self, inputs: &[MapShape]) -> std::result::Result<TokensShape, Misfit> {
        if self.grid == 0 {
            return Err(Misfit::field("grid", "a grid of 0 has no tokens"));
        }
        fit::on_grids(inputs)?;
        Ok(TokensShape { tokens: self.grid * self.grid, width: self.width(inputs) })
    }

    fn grid(&self, _: &[MapShape]) -> Option<(usize, usize)> {
        Some((self.grid, self.grid))
    }

    fn cost(&self, inputs: &[MapShape]) -> Cost {
        cost::pointwise(self.grid * self.grid, self.width(inputs))
    }

    fn build(&self, _: &[MapShape], _: &mut Builder<'_>) -> Result<Box<dyn Fusion>> {
        Ok(Box::new(Module { config: self.clone() }))
    }
}

struct Module {
    config: ChannelConcat,
}

impl Fusion for Module {
    fn forward(&self, inputs: &[Features]) -> Result<Tensor> {
        let grid = self.config.grid;
        let one = |input: &Features| {
            let map = input.on_grid()?; // [B, H, W, C]
            let [batch, h, w, _] = map.dims("ChannelConcat")?;
            let map = match self.config.square((h, w)) {
                1 => ops::resize_bilinear(&map, grid, grid, true)?,
                side => ops::pixel_unshuffle(&map, side)?,
            };
            map.reshape(&[batch, grid * grid, map.rows().1])
        };
        let maps = inputs.iter().map(one).collect::<Result<Vec<_>>>()?;
        ops::concat(&maps.iter().collect::<Vec<_>>(), 2)
    }
}
