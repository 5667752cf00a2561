//! BRAVE's resampler: learned queries attend, in a transformer, to all experts' tokens, which stand
//! one after the other in one width. The number of visual tokens is the number of queries, however
//! many experts there are.
//! Source: Kar et al., arXiv 2404.07204 (the multi-encoder querying transformer, MEQ-Former). Its
//! code was never released; it is a Q-Former, so the blocks are those of BLIP-2 (Li et al.,
//! arXiv 2301.12597; `Blip2QFormerModel` of transformers, with its parameter names).
//!
//! Maps of `N_1, N_2, …` tokens to `[B, queries, width]`. A block, with norms behind its residuals as
//! in BERT: attention among the queries; in every `cross_every`-th, attention to the experts' tokens;
//! a feed-forward layer.
//!
//! Left out or chosen:
//! - The question is not read: the paper's queries share the first attention with its words. Here the
//!   visual tokens depend on the picture alone, so that they are computed once for all its questions.
//! - Which expert a token comes from is told by the expert's own projection and nothing else.
//! - The sizes are those of a BERT-base Q-Former; the paper's are not confirmed here.

use eagle_core::nn::layers::{Attention, LayerNorm, Linear};
use eagle_core::nn::ops::{self, Activation};
use eagle_core::nn::{Builder, Init, cost, fit};
use eagle_core::registry::{Cost, Features, Fusion, FusionConfig, MapShape, Misfit, TokensShape};
use eagle_core::tensor::{Param, Result, Tensor};

eagle_core::config! {
    /// BRAVE: learned queries resample all experts' tokens. `queries` visual tokens.
    pub struct Brave {
        /// Learned queries, and so visual tokens.
        queries: usize = 160,
        /// Channels.
        width: usize = 768,
        /// Transformer blocks.
        layers: usize = 12,
        /// Attention heads; divides `width`.
        heads: usize = 12,
        /// Channels inside the feed-forward layer. 0 means 4 x `width`.
        hidden: usize = 0,
        /// Every how many blocks, from the first on, the queries see the experts.
        cross_every: usize = 2,
    }
}

eagle_core::register!(fusion Brave, examples [
    "Brave(queries: 5, width: 8, layers: 3, heads: 2)",
    "Brave(queries: 3, width: 6, layers: 1, heads: 3, hidden: 10, cross_every: 1)",
]);

/// BERT's.
const EPS: f32 = 1e-12;
/// BERT's initial spread of weights and queries.
const SPREAD: Init = Init::Normal(0.02);

impl Brave {
    fn hidden(&self) -> usize {
        if self.hidden == 0 { 4 * self.width } else { self.hidden }
    }
}

impl FusionConfig for Brave {
    fn reads_pyramids(&self) -> bool {
        false
    }

    fn output(&self, _: &[MapShape]) -> std::result::Result<TokensShape, Misfit> {
        fit::even_heads(self.width, self.heads)?;
        let nothing = [("queries", self.queries), ("layers", self.layers)];
        if let Some((field, _)) = nothing.into_iter().find(|(_, count)| *count == 0) {
            return Err(Misfit::field(field, "nothing would be seen"));
        }
        if self.cross_every == 0 {
            return Err(Misfit::field("cross_every", "every block is the most").help("use 1"));
        }
        Ok(TokensShape { tokens: self.queries, width: self.width })
    }

    fn cost(&self, inputs: &[MapShape]) -> Cost {
        let (q, c, hidden) = (self.queries, self.width, self.hidden());
        let seen: usize = inputs.iter().map(|input| input.tokens).sum();
        let projections = inputs.iter().map(|input| cost::linear(input.tokens, input.width, c));
        let block = cost::linear(q, c, 4 * c)
            + cost::attention(q, q, c)
            + cost::linear(q, c, hidden)
            + cost::linear(q, hidden, c)
            + cost::pointwise(q, hidden + 2 * c);
        let across =
            cost::linear(q, c, 2 * c) + cost::linear(seen, c, 2 * c) + cost::attention(q, seen, c);
        projections.fold(Cost::default(), |sum, one| sum + one)
            + cost::times(self.layers, block)
            + cost::times(self.layers.div_ceil(self.cross_every.max(1)), across)
    }

    fn build(&self, inputs: &[MapShape], b: &mut Builder<'_>) -> Result<Box<dyn Fusion>> {
        let c = self.width;
        let projections = inputs.iter().enumerate().map(|(i, input)| {
            Linear::build(&mut b.at("projections").at(i), input.width, c, true)
        });
        let projections = projections.collect::<Result<_>>()?;
        let queries = b.param("query_tokens", &[1, self.queries, c], SPREAD)?;
        let mut b = b.at("qformer");
        let norm = LayerNorm::build(&mut b.at("layernorm"), c, EPS)?;
        let blocks = (0..self.layers)
            .map(|i| Block::build(&mut b.at("encoder").at("layer").at(i), self, i))
            .collect::<Result<_>>()?;
        Ok(Box::new(Module { projections, queries, norm, blocks }))
    }
}

/// A sublayer's output projection and the norm behind its residual.
struct Residual(LayerNorm);

impl Residual {
    fn build(b: &mut Builder<'_>, width: usize) -> Result<Residual> {
        Ok(Residual(LayerNorm::build(&mut b.at("LayerNorm"), width, EPS)?))
    }

    fn forward(&self, x: &Tensor, change: &Tensor) -> Result<Tensor> {
        self.0.forward(&ops::add(x, change)?)
    }
}

struct Block {
    own: (Attention, Residual),
    across: Option<(Attention, Residual)>,
    up: Linear,
    down: Linear,
    norm: Residual,
}

impl Block {
    fn build(b: &mut Builder<'_>, config: &Brave, index: usize) -> Result<Block> {
        let (c, hidden) = (config.width, config.hidden());
        let linear = |b: &mut Builder<'_>, inputs, outputs| {
            Linear::with_init(b, inputs, outputs, true, SPREAD)
        };
        let attention = |b: &mut Builder<'_>| -> Result<(Attention, Residual)> {
            let mut parts = b.at("attention");
            let projections = [
                linear(&mut parts.at("query"), c, c)?,
                linear(&mut parts.at("key"), c, c)?,
                linear(&mut parts.at("value"), c, c)?,
                linear(&mut b.at("output").at("dense"), c, c)?,
            ];
            let attention = Attention::of(projections, config.heads, c / config.heads);
            Ok((attention, Residual::build(&mut b.at("output"), c)?))
        };
        let crosses = index.is_multiple_of(config.cross_every);
        Ok(Block {
            own: attention(&mut b.at("attention"))?,
            across: crosses.then(|| attention(&mut b.at("crossattention"))).transpose()?,
            up: linear(&mut b.at("intermediate_query").at("dense"), c, hidden)?,
            down: linear(&mut b.at("output_query").at("dense"), hidden, c)?,
            norm: Residual::build(&mut b.at("output_query"), c)?,
        })
    }

    /// Queries `[B, Q, C]`, having seen `experts` `[B, N, C]`.
    fn forward(&self, queries: &Tensor, experts: &Tensor) -> Result<Tensor> {
        let (attention, residual) = &self.own;
        let mut x = residual.forward(queries, &attention.bidirectional(queries)?)?;
        if let Some((attention, residual)) = &self.across {
            x = residual.forward(&x, &attention.across(&x, experts)?)?;
        }
        let inner = self.up.activated(&x, Activation::Gelu)?;
        self.norm.forward(&x, &self.down.forward(&inner)?)
    }
}

struct Module {
    projections: Vec<Linear>,
    queries: Param,
    norm: LayerNorm,
    blocks: Vec<Block>,
}

impl Fusion for Module {
    fn forward(&self, inputs: &[Features]) -> Result<Tensor> {
        let tokens = inputs.iter().zip(&self.projections).map(|(x, p)| p.forward(&x.map));
        let tokens = tokens.collect::<Result<Vec<_>>>()?;
        let experts = ops::concat(&tokens.iter().collect::<Vec<_>>(), 1)?;
        let [batch, ..] = experts.dims::<3>("Brave")?;
        let queries = self.norm.forward(&self.queries.tensor())?;
        let mut x = ops::concat(&vec![&queries; batch], 0)?; // [B, Q, C]
        for block in &self.blocks {
            x = block.forward(&x, &experts)?;
        }
        Ok(x)
    }
}
