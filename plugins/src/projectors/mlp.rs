//! An MLP of `depth` linear layers with GELU between them: LLaVA-1.5's projector (arXiv 2310.03744),
//! `mm_projector_type mlp2x_gelu` for a depth of 2, and with its parameter names (`0`, `2`, …).
//!
//! `[B, N, C]` to `[B, N, llm_width]`.

use eagle_core::nn::ops::Activation;
use eagle_core::nn::{Builder, cost, layers};
use eagle_core::registry::{Cost, Grid, Misfit, Projector, ProjectorConfig, TokensShape};
use eagle_core::tensor::{Result, Tensor};
use eagle_core::weights::Keys;

eagle_core::config! {
    /// Linear layers to the LLM's width with GELU between them; EAGLE's `mlp2x_gelu` at depth 2.
    pub struct Mlp {
        /// Linear layers; at least 1.
        depth: usize = 2,
    }
}

eagle_core::register!(projector Mlp, examples [
    "Mlp()",
    "Mlp(depth: 3)",
]);

impl ProjectorConfig for Mlp {
    fn output(&self, input: TokensShape, width: usize) -> std::result::Result<TokensShape, Misfit> {
        if self.depth == 0 {
            return Err(Misfit::field("depth", "no layer is left").help("use Identity() instead"));
        }
        Ok(TokensShape { width, ..input })
    }

    fn grid(&self, input: Option<(usize, usize)>) -> Grid {
        Ok(input)
    }

    fn cost(&self, input: TokensShape, llm_width: usize) -> Cost {
        let deeper = cost::linear(input.tokens, llm_width, llm_width)
            + cost::pointwise(input.tokens, llm_width);
        cost::linear(input.tokens, input.width, llm_width) + cost::times(self.depth - 1, deeper)
    }

    fn build(
        &self,
        input: TokensShape,
        llm_width: usize,
        b: &mut Builder<'_>,
    ) -> Result<Box<dyn Projector>> {
        let layers = (0..self.depth)
            .map(|i| {
                let inputs = if i == 0 { input.width } else { llm_width };
                layers::Linear::build(&mut b.at(2 * i), inputs, llm_width, true)
            })
            .collect::<Result<_>>()?;
        Ok(Box::new(Module { layers }))
    }

    /// As transformers spells `mlp2x_gelu`.
    fn keys(&self) -> Keys {
        Keys::default().renaming("0.*", "linear_1.*").renaming("2.*", "linear_2.*")
    }
}

struct Module {
    layers: Vec<layers::Linear>,
}

impl Projector for Module {
    fn forward(&self, tokens: &Tensor) -> Result<Tensor> {
        let mut x = tokens.clone();
        for (i, layer) in self.layers.iter().enumerate() {
            let last = i + 1 == self.layers.len();
            x = layer.activated(&x, if last { Activation::None } else { Activation::Gelu })?;
        }
        Ok(x)
    }
}
