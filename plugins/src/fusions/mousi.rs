//! MouSi's MLP fusion: each expert has a first layer of its own, all share the second, and their
//! tokens follow one another. Source: Fan et al., arXiv 2401.17221 (poly-expert fusion network); its
//! code was not at hand, so that there is no parity to check.
//!
//! `shared(GELU(own(x)))`: maps of `N_1, N_2, …` tokens to `[B, N_1/f² + N_2/f² + …, width]` in the
//! order of `from`, for an expert whose `patches` side `f` is over 1.
//!
//! Choices:
//! - The paper joins several neighbouring patches into one token (multi-patches-single-token) for
//!   experts with many; which side for which expert isn't given. `patches` names it for each expert
//!   in the order of `from`; left empty, every patch is a token. The patches of a square are joined
//!   channel by channel, as `pixel_unshuffle` does.
//! - GELU between the layers, as in LLaVA-1.5's projector, which the paper starts from.
//! - A projector of the graph follows; `Identity()` leaves these two layers alone, where `width` is
//!   the LLM's.

use eagle_core::nn::layers::Linear;
use eagle_core::nn::ops::{self, Activation};
use eagle_core::nn::{Builder, cost};
use eagle_core::registry::{Cost, Features, Fusion, FusionConfig, MapShape, Misfit, TokensShape};
use eagle_core::tensor::{Result, Tensor};

eagle_core::config! {
    /// MouSi: a first layer for each expert, a second that all share; the tokens follow one another.
    pub struct Mousi {
        /// Channels of the joint tokens. 0 means those of the widest expert.
        width: usize = 0,
        /// For each expert, the side of the square of patches that becomes one token; it divides the
        /// expert's grid. Empty: every patch is a token.
        patches: Vec<usize> = Vec::new(),
    }
}

eagle_core::register!(fusion Mousi, examples [
    "Mousi()",
    "Mousi(width: 10, patches: [1, 2])",
]);

impl Mousi {
    fn width(&self, inputs: &[MapShape]) -> usize {
        let widest = inputs.iter().map(|input| input.width).max().unwrap_or(0);
        if self.width == 0 { widest } else { self.width }
    }

    /// The side of the squares of expert `i`.
    fn side(&self, i: usize) -> usize {
        self.patches.get(i).copied().unwrap_or(1).max(1)
    }

    /// Each expert's tokens, and the channels that one of them has.
    fn joined(&self, inputs: &[MapShape]) -> Vec<(usize, usize)> {
        let one = |(i, input): (usize, &MapShape)| {
            let area = self.side(i).pow(2);
            (input.tokens / area, input.width * area)
        };
        inputs.iter().enumerate().map(one).collect()
    }

    /// Whether each side divides its expert's grid.
    fn check(&self, inputs: &[MapShape]) -> std::result::Result<(), Misfit> {
        if !self.patches.is_empty() && self.patches.len() != inputs.len() {
            let (sides, experts) = (self.patches.len(), inputs.len());
            let message = format!("{sides} sides for {experts} experts");
            return Err(Misfit::field("patches", message).help("give one for each of `from`"));
        }
        if self.patches.contains(&0) {
            return Err(Misfit::field("patches", "a square of 0 patches is no token"));
        }
        for (i, input) in inputs.iter().enumerate() {
            let side = self.side(i);
            let fits = match input.grid {
                Some((h, w)) => h.is_multiple_of(side) && w.is_multiple_of(side),
                None => side == 1,
            };
            if !fits {
                let message = format!("its map can't be cut into squares of {side} x {side}");
                return Err(Misfit { field: Some("patches"), ..Misfit::input(i, message) });
            }
        }
        Ok(())
    }
}

impl FusionConfig for Mousi {
    fn reads_pyramids(&self) -> bool {
        false
    }

    fn output(&self, inputs: &[MapShape]) -> std::result::Result<TokensShape, Misfit> {
        self.check(inputs)?;
        let tokens = self.joined(inputs).iter().map(|(tokens, _)| tokens).sum();
        Ok(TokensShape { tokens, width: self.width(inputs) })
    }

    fn cost(&self, inputs: &[MapShape]) -> Cost {
        let width = self.width(inputs);
        let one = |&(tokens, channels): &(usize, usize)| {
            cost::linear(tokens, channels, width)
                + cost::pointwise(tokens, width)
                + cost::linear(tokens, width, width)
        };
        self.joined(inputs).iter().map(one).fold(Cost::default(), |sum, one| sum + one)
    }

    fn build(&self, inputs: &[MapShape], b: &mut Builder<'_>) -> Result<Box<dyn Fusion>> {
        let width = self.width(inputs);
        let own = self.joined(inputs).into_iter().enumerate().map(|(i, (_, channels))| {
            Linear::build(&mut b.at("own").at(i), channels, width, true)
        });
        let own = own.collect::<Result<_>>()?;
        let shared = Linear::build(&mut b.at("shared"), width, width, true)?;
        Ok(Box::new(Module { config: self.clone(), own, shared }))
    }
}

struct Module {
    config: Mousi,
    own: Vec<Linear>,
    shared: Linear,
}

impl Fusion for Module {
    fn forward(&self, inputs: &[Features]) -> Result<Tensor> {
        let one = |(i, (input, own)): (usize, (&Features, &Linear))| {
            let side = self.config.side(i);
            let tokens = if side == 1 {
                input.map.clone()
            } else {
                let squares = ops::pixel_unshuffle(&input.on_grid()?, side)?;
                let [batch, h, w, channels] = squares.dims("Mousi")?;
                squares.reshape(&[batch, h * w, channels])?
            };
            own.activated(&tokens, Activation::Gelu)
        };
        let tokens = inputs.iter().zip(&self.own).enumerate().map(one);
        let tokens = tokens.collect::<Result<Vec<_>>>()?;
        self.shared.forward(&ops::concat(&tokens.iter().collect::<Vec<_>>(), 1)?)
    }
}
