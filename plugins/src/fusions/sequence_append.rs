//! Sequence append: each expert's tokens, brought to one width by a projection of its own, one after
//! the other. Source: the paper's section on fusion; whether its projections are shared is not
//! published. Experts differ in width, so here each has its own.
//!
//! Maps of `N_1, N_2, …` tokens to `[B, N_1 + N_2 + …, width]`, in the order of `from`; on one grid, as
//! EAGLE's encoders are before they are joined, to `grid^2` tokens for each expert.

use eagle_core::nn::layers::Linear;
use eagle_core::nn::{Builder, cost, fit, ops};
use eagle_core::registry::{Cost, Features, Fusion, FusionConfig, MapShape, Misfit, TokensShape};
use eagle_core::tensor::{Result, Tensor};

eagle_core::config! {
    /// Sequence append: every expert's tokens one after the other; their number adds up.
    pub struct SequenceAppend {
        /// Channels of the joint tokens. 0 means those of the widest expert.
        width: usize = 0,
        /// Rows and columns to which every expert's map is brought first (bilinear, align_corners, as
        /// ChannelConcat does). 0 means that each keeps its own tokens.
        grid: usize = 0,
    }
}

eagle_core::register!(fusion SequenceAppend, examples [
    "SequenceAppend()",
    "SequenceAppend(width: 10)",
    "SequenceAppend(grid: 3)",
]);

impl SequenceAppend {
    fn width(&self, inputs: &[MapShape]) -> usize {
        let widest = inputs.iter().map(|input| input.width).max().unwrap_or(0);
        if self.width == 0 { widest } else { self.width }
    }

    /// The tokens that an expert gives.
    fn tokens(&self, input: &MapShape) -> usize {
        if self.grid == 0 { input.tokens } else { self.grid * self.grid }
    }
}

impl FusionConfig for SequenceAppend {
    fn reads_pyramids(&self) -> bool {
        false
    }

    fn output(&self, inputs: &[MapShape]) -> std::result::Result<TokensShape, Misfit> {
        if self.grid > 0 {
            fit::on_grids(inputs)?;
        }
        let tokens = inputs.iter().map(|input| self.tokens(input)).sum();
        Ok(TokensShape { tokens, width: self.width(inputs) })
    }

    fn grid(&self, inputs: &[MapShape]) -> Option<(usize, usize)> {
        match inputs {
            [_] if self.grid > 0 => Some((self.grid, self.grid)),
            [only] => only.grid,
            _ => None,
        }
    }

    fn cost(&self, inputs: &[MapShape]) -> Cost {
        let width = self.width(inputs);
        inputs
            .iter()
            .map(|input| cost::linear(self.tokens(input), input.width, width))
            .fold(Cost::default(), |sum, one| sum + one)
    }

    fn build(&self, inputs: &[MapShape], b: &mut Builder<'_>) -> Result<Box<dyn Fusion>> {
        let width = self.width(inputs);
        let projections = inputs
            .iter()
            .enumerate()
            .map(|(i, input)| {
                Linear::build(&mut b.at("projections").at(i), input.width, width, true)
            })
            .collect::<Result<_>>()?;
        Ok(Box::new(Module { grid: self.grid, projections }))
    }
}

struct Module {
    grid: usize,
    projections: Vec<Linear>,
}

impl Module {
    /// An expert's tokens, on the joint grid if there is one: `[B, N, C]`.
    fn tokens(&self, input: &Features) -> Result<Tensor> {
        if self.grid == 0 {
            return Ok(input.map.clone());
        }
        let map = input.on_grid()?; // [B, H, W, C]
        let (batch, width) = (map.shape()[0], map.rows().1);
        let map = ops::resize_bilinear(&map, self.grid, self.grid, true)?;
        map.reshape(&[batch, self.grid * self.grid, width])
    }
}

impl Fusion for Module {
    fn forward(&self, inputs: &[Features]) -> Result<Tensor> {
        let tokens = inputs
            .iter()
            .zip(&self.projections)
            .map(|(input, projection)| projection.forward(&self.tokens(input)?))
            .collect::<Result<Vec<_>>>()?;
        ops::concat(&tokens.iter().collect::<Vec<_>>(), 1)
    }
}
