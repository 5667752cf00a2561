//! One linear layer: LLaVA's first projector (arXiv 2304.08485); `mm_projector_type linear`.
//!
//! `[B, N, C]` to `[B, N, llm_width]`.

use eagle_core::nn::{Builder, cost, layers};
use eagle_core::registry::{Cost, Grid, Misfit, Projector, ProjectorConfig, TokensShape};
use eagle_core::tensor::{Result, Tensor};

eagle_core::config! {
    /// One linear layer to the LLM's width.
    pub struct Linear {}
}

eagle_core::register!(projector Linear, examples [
    "Linear()",
]);

impl ProjectorConfig for Linear {
    fn output(&self, input: TokensShape, width: usize) -> std::result::Result<TokensShape, Misfit> {
        Ok(TokensShape { width, ..input })
    }

    fn grid(&self, input: Option<(usize, usize)>) -> Grid {
        Ok(input)
    }

    fn cost(&self, input: TokensShape, llm_width: usize) -> Cost {
        cost::linear(input.tokens, input.width, llm_width)
    }

    fn build(
        &self,
        input: TokensShape,
        llm_width: usize,
        b: &mut Builder<'_>,
    ) -> Result<Box<dyn Projector>> {
        Ok(Box::new(Module(layers::Linear::build(b, input.width, llm_width, true)?)))
    }
}

struct Module(layers::Linear);

impl Projector for Module {
    fn forward(&self, tokens: &Tensor) -> Result<Tensor> {
        self.0.forward(tokens)
    }
}
