//! Channel concatenation: every expert's map is resampled to one grid and their channels are joined.
//! Source: EAGLE's `multi_backbone_channel_concatenation_encoder.py` (bilinear, align_corners; no
//! norm, no per-expert projection), the paper's choice.
//!
//! Maps of `C_1, C_2, …` channels to `[B, grid^2, C_1 + C_2 + …]`, in the order of `from`.

use eagle_core::nn::{Builder, cost, fit, ops};
use eagle_core::registry::{Cost, Features, Fusion, FusionConfig, MapShape, Misfit, TokensShape};
use eagle_core::tensor::{Result, Tensor};

eagle_core::config! {
    /// Channel concatenation of the experts' maps on one grid: the paper's fusion.
    pub struct ChannelConcat {
        /// Rows and columns of the joint grid; `grid`^2 visual tokens.
        grid: usize = 32,
    }
}

eagle_core::register!(fusion ChannelConcat, examples [
    "ChannelConcat(grid: 3)",
    "ChannelConcat(grid: 5)",
]);

impl FusionConfig for ChannelConcat {
    fn output(&self, inputs: &[MapShape]) -> std::result::Result<TokensShape, Misfit> {
        if self.grid == 0 {
            return Err(Misfit::field("grid", "a grid of 0 has no tokens"));
        }
        fit::on_grids(inputs)?;
        let width = inputs.iter().map(|input| input.width).sum();
        Ok(TokensShape { tokens: self.grid * self.grid, width })
    }

    fn cost(&self, inputs: &[MapShape]) -> Cost {
        let width = inputs.iter().map(|input| input.width).sum();
        cost::pointwise(self.grid * self.grid, width)
    }

    fn build(&self, _: &[MapShape], _: &mut Builder<'_>) -> Result<Box<dyn Fusion>> {
        Ok(Box::new(Module { grid: self.grid }))
    }
}

struct Module {
    grid: usize,
}

impl Fusion for Module {
    fn forward(&self, inputs: &[Features]) -> Result<Tensor> {
        let maps = inputs
            .iter()
            .map(|input| {
                let [batch, n, width] = input.map.dims("ChannelConcat")?;
                let (h, w) = input.grid.unwrap_or((n, 1));
                if (h, w) == (self.grid, self.grid) {
                    return Ok(input.map.clone());
                }
                let map = input.map.reshape(&[batch, h, w, width])?;
                ops::resize_bilinear(&map, self.grid, self.grid, true)?.reshape(&[
                    batch,
                    self.grid * self.grid,
                    width,
                ])
            })
            .collect::<Result<Vec<_>>>()?;
        ops::concat(&maps.iter().collect::<Vec<_>>(), 2)
    }
}
