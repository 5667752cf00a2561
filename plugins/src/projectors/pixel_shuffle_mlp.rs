//! InternVL's projector: squares of tokens become one ("pixel shuffle", version 2, which keeps rows
//! and columns in place), then a layer norm and an MLP of two layers. Names are those of OpenGVLab's
//! `mlp1` (`0`, `1`, `3`); transformers' `multi_modal_projector.` loads as well.
//!
//! `[B, h * w, C]` to `[B, h * w / factor^2, llm_width]`.

use eagle_core::nn::layers::{LayerNorm, Linear};
use eagle_core::nn::ops::Activation;
use eagle_core::nn::{Builder, cost, ops};
use eagle_core::registry::{Cost, Grid, Misfit, Projector, ProjectorConfig, TokensShape};
use eagle_core::tensor::{Result, Tensor};
use eagle_core::weights::Keys;

eagle_core::config! {
    /// InternVL's projector: pixel shuffle, layer norm, an MLP of two layers with GELU between them.
    pub struct PixelShuffleMlp {
        /// Side of the square of tokens that becomes one; it divides that of the grid. 2 is a
        /// `downsample_ratio` of 0.5.
        factor: usize = 2,
    }
}

eagle_core::register!(projector PixelShuffleMlp, examples [
    "PixelShuffleMlp()",
    "PixelShuffleMlp(factor: 1)",
]);

impl PixelShuffleMlp {
    /// Tokens that become one.
    fn square(&self) -> usize {
        self.factor * self.factor
    }
}

impl ProjectorConfig for PixelShuffleMlp {
    fn output(&self, input: TokensShape, width: usize) -> std::result::Result<TokensShape, Misfit> {
        if self.factor == 0 {
            return Err(Misfit::field("factor", "a square of no tokens").help("1 leaves them apart"));
        }
        Ok(TokensShape { tokens: input.tokens / self.square(), width })
    }

    fn grid(&self, input: Option<(usize, usize)>) -> Grid {
        let factor = self.factor;
        match input {
            Some((h, w)) if h != w || !h.is_multiple_of(factor) => {
                let message = format!("a grid of {h}x{w} has no whole squares of {factor}x{factor}");
                let help = "its tokens lie on a square grid whose side `factor` divides";
                Err(Misfit::input(0, message).help(help))
            }
            Some((h, w)) => Ok(Some((h / factor, w / factor))),
            None => {
                let help = "leave out a class token or a thumbnail, or use Mlp(depth: 2)";
                Err(Misfit::input(0, "its tokens lie on no grid").help(help))
            }
        }
    }

    fn cost(&self, input: TokensShape, llm_width: usize) -> Cost {
        let (tokens, width) = (input.tokens / self.square().max(1), input.width * self.square());
        cost::pointwise(tokens, width)
            + cost::linear(tokens, width, llm_width)
            + cost::pointwise(tokens, llm_width)
            + cost::linear(tokens, llm_width, llm_width)
    }

    fn build(
        &self,
        input: TokensShape,
        llm_width: usize,
        b: &mut Builder<'_>,
    ) -> Result<Box<dyn Projector>> {
        let width = input.width * self.square();
        Ok(Box::new(Module {
            factor: self.factor,
            side: input.tokens.isqrt(),
            norm: LayerNorm::build(&mut b.at(0), width, 1e-5)?,
            first: Linear::build(&mut b.at(1), width, llm_width, true)?,
            second: Linear::build(&mut b.at(3), llm_width, llm_width, true)?,
        }))
    }

    fn keys(&self) -> Keys {
        Keys::default()
            .renaming("0.*", "layer_norm.*")
            .renaming("1.*", "linear_1.*")
            .renaming("3.*", "linear_2.*")
    }
}

struct Module {
    factor: usize,
    side: usize,
    norm: LayerNorm,
    first: Linear,
    second: Linear,
}

impl Module {
    /// `[B, h * w, C]` to `[B, h * w / f^2, f^2 * C]`: the tokens of a square side by side, row by row.
    fn shuffled(&self, tokens: &Tensor) -> Result<Tensor> {
        let [batch, count, width] = tokens.dims("PixelShuffleMlp")?;
        let (side, f) = (self.side, self.factor);
        let square = |at: usize| {
            let (row, column) = (at / (side / f) * f, at % (side / f) * f);
            (0..f * f).map(move |i| (row + i / f) * side + column + i % f)
        };
        let order: Vec<usize> = (0..count / (f * f)).flat_map(square).collect();
        let rows = (0..batch).flat_map(|picture| order.iter().map(move |row| picture * count + row));
        let rows: Vec<usize> = rows.collect();
        let gathered = ops::gather_rows(&tokens.reshape(&[batch * count, width])?, &rows)?;
        gathered.reshape(&[batch, count / (f * f), f * f * width])
    }
}

impl Projector for Module {
    fn forward(&self, tokens: &Tensor) -> Result<Tensor> {
        let x = self.norm.forward(&self.shuffled(tokens)?)?;
        self.second.forward(&self.first.activated(&x, Activation::Gelu)?)
    }
}
