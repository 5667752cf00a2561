//! No projection: the visual tokens must have the LLM's width already.

use eagle_core::nn::Builder;
use eagle_core::registry::{Cost, Grid, Misfit, Projector, ProjectorConfig, TokensShape};
use eagle_core::tensor::{Result, Tensor};

eagle_core::config! {
    /// No projection; for visual tokens that have the LLM's width already.
    pub struct Identity {}
}

eagle_core::register!(projector Identity, examples [
    "Identity()",
]);

impl ProjectorConfig for Identity {
    fn output(&self, input: TokensShape, width: usize) -> std::result::Result<TokensShape, Misfit> {
        if input.width != width {
            let message = format!("its tokens are {} wide, the LLM's {width}", input.width);
            return Err(
                Misfit::input(0, message).help("project them with Linear() or Mlp(depth: 2)")
            );
        }
        Ok(input)
    }

    fn grid(&self, input: Option<(usize, usize)>) -> Grid {
        Ok(input)
    }

    fn cost(&self, _: TokensShape, _: usize) -> Cost {
        Cost::default()
    }

    fn build(&self, _: TokensShape, _: usize, _: &mut Builder<'_>) -> Result<Box<dyn Projector>> {
        Ok(Box::new(Module))
    }
}

struct Module;

impl Projector for Module {
    fn forward(&self, tokens: &Tensor) -> Result<Tensor> {
        Ok(tokens.clone())
    }
}
