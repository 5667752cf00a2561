//! Sequence append: each expert's tokens, brought to one width by a projection of its own, one after
//! the other. Source: the paper's section on fusion; whether its projections are shared is not
//! published. Experts differ in width, so here each has its own.
//!
//! Maps of `N_1, N_2, …` tokens to `[B, N_1 + N_2 + …, width]`, in the order of `from`.

use eagle_core::nn::layers::Linear;
use eagle_core::nn::{Builder, cost, ops};
use eagle_core::registry::{Cost, Features, Fusion, FusionConfig, MapShape, Misfit, TokensShape};
use eagle_core::tensor::{Result, Tensor};

eagle_core::config! {
    /// Sequence append: every expert's tokens one after the other; their number adds up.
    pub struct SequenceAppend {
        /// Channels of the joint tokens. 0 means those of the widest expert.
        width: usize = 0,
    }
}

eagle_core::register!(fusion SequenceAppend, examples [
    "SequenceAppend()",
    "SequenceAppend(width: 10)",
]);

impl SequenceAppend {
    fn width(&self, inputs: &[MapShape]) -> usize {
        let widest = inputs.iter().map(|input| input.width).max().unwrap_or(0);
        if self.width == 0 { widest } else { self.width }
    }
}

impl FusionConfig for SequenceAppend {
    fn reads_pyramids(&self) -> bool {
        false
    }

    fn output(&self, inputs: &[MapShape]) -> std::result::Result<TokensShape, Misfit> {
        let tokens = inputs.iter().map(|input| input.tokens).sum();
        Ok(TokensShape { tokens, width: self.width(inputs) })
    }

    fn grid(&self, inputs: &[MapShape]) -> Option<(usize, usize)> {
        match inputs {
            [only] => only.grid,
            _ => None,
        }
    }

    fn cost(&self, inputs: &[MapShape]) -> Cost {
        let width = self.width(inputs);
        inputs
            .iter()
            .map(|input| cost::linear(input.tokens, input.width, width))
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
        Ok(Box::new(Module { projections }))
    }
}

struct Module {
    projections: Vec<Linear>,
}

impl Fusion for Module {
    fn forward(&self, inputs: &[Features]) -> Result<Tensor> {
        let tokens = inputs
            .iter()
            .zip(&self.projections)
            .map(|(input, projection)| projection.forward(&input.map))
            .collect::<Result<Vec<_>>>()?;
        ops::concat(&tokens.iter().collect::<Vec<_>>(), 1)
    }
}
