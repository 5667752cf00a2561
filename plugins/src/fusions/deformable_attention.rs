//! Mini-Gemini's patch-info mining with deformable attention in place of the windows: every token of
//! the first expert of `from` reads the others' maps at points that it chooses itself. The paper's
//! own baseline; its code was never released.
//! Sources: EAGLE's section on fusion ("the vanilla window attention is replaced with deformable
//! attention"); Zhu et al., arXiv 2010.04159, and `DeformableDetrMultiscaleDeformableAttention` of
//! transformers, with its parameter names and its initial values.
//!
//! `Q + output_proj(sum of weights * values at the points)`, points and weights being linear in
//! `Linear(LN(Q))`: a map `[B, N, C]` of the first expert to `[B, N, C]`.
//!
//! What the paper leaves open, and what is done:
//! - Heads and points: 8 and 4, Deformable DETR's.
//! - Levels: all stages of each of the other experts, since that is what the mechanism is for;
//!   `levels` takes the last few of each.
//! - The values are brought to one width by LayerNorm and Linear, as Mini-Gemini does, one for each
//!   level (Deformable DETR: a convolution and a group norm), before the shared `value_proj`.
//! - Points start around the token's own place, a direction for each head and farther out for each
//!   point, with even weights, whatever the token is: Deformable DETR's.

use eagle_core::nn::layers::{Linear, NormLinear};
use eagle_core::nn::{Builder, Init, cost, fit, ops};
use eagle_core::registry::{Cost, Features, Fusion, FusionConfig, MapShape, Misfit, TokensShape};
use eagle_core::tensor::{Result, Tensor, TensorError};

eagle_core::config! {
    /// The first expert's tokens read the other experts' maps at points of their own choice. As many
    /// visual tokens as the first expert gives.
    pub struct DeformableAttention {
        /// Heads; divides `width`.
        heads: usize = 8,
        /// Points that a head reads on each level.
        points: usize = 4,
        /// Levels of each expert, counted from its final map. 0: all stages that it has.
        levels: usize = 0,
        /// Channels of the values. 0: the first expert's.
        width: usize = 0,
        /// Whether points and weights start the same for all tokens, as Deformable DETR's do; what
        /// computes them from a token then gets its first gradient in the second step.
        zero_init: bool = true,
    }
}

eagle_core::register!(fusion DeformableAttention, examples [
    "DeformableAttention(heads: 2, points: 2, zero_init: false)",
    "DeformableAttention(heads: 3, points: 2, levels: 1, width: 9, zero_init: false)",
]);

impl DeformableAttention {
    fn width(&self, inputs: &[MapShape]) -> usize {
        if self.width == 0 { inputs.first().map_or(0, |first| first.width) } else { self.width }
    }

    /// How many of an expert's levels are not read.
    fn skipped(&self, levels: usize) -> usize {
        if self.levels == 0 { 0 } else { levels.saturating_sub(self.levels) }
    }

    /// (rows, columns, channels) of every level that is read.
    fn levels(&self, inputs: &[MapShape]) -> Vec<(usize, usize, usize)> {
        let of = |input: &MapShape| {
            let levels = input.levels();
            levels[self.skipped(levels.len())..].to_vec()
        };
        inputs.iter().skip(1).flat_map(of).collect()
    }
}

impl FusionConfig for DeformableAttention {
    fn reads_pyramids(&self) -> bool {
        self.levels != 1
    }

    fn output(&self, inputs: &[MapShape]) -> std::result::Result<TokensShape, Misfit> {
        let first = fit::low_and_high(inputs)?;
        fit::even_heads(self.width(inputs), self.heads)?;
        if self.points == 0 {
            return Err(Misfit::field("points", "a head that reads no point sees nothing"));
        }
        if self.points == 1 && self.levels(inputs).len() == 1 {
            let message = "a single point has nothing to be weighed against";
            return Err(Misfit::field("points", message).help("use 2 or more"));
        }
        Ok(TokensShape { tokens: first.tokens, width: first.width })
    }

    fn grid(&self, inputs: &[MapShape]) -> Option<(usize, usize)> {
        inputs.first()?.grid
    }

    fn cost(&self, inputs: &[MapShape]) -> Cost {
        let Some(first) = inputs.first() else { return Cost::default() };
        let (n, d, width, levels) =
            (first.tokens, first.width, self.width(inputs), self.levels(inputs));
        let reads = self.heads * self.points * levels.len();
        let level = |&(h, w, c): &(usize, usize, usize)| {
            cost::pointwise(h * w, c)
                + cost::linear(h * w, c, width)
                + cost::linear(h * w, width, width)
        };
        let tokens = cost::pointwise(n, d)
            + cost::linear(n, d, width)
            + cost::linear(n, width, 3 * reads)
            // Four corners of each point.
            + cost::linear(n, 4 * self.points * levels.len(), width)
            + cost::linear(n, width, d);
        levels.iter().map(level).fold(tokens, |sum, one| sum + one)
    }

    fn build(&self, inputs: &[MapShape], b: &mut Builder<'_>) -> Result<Box<dyn Fusion>> {
        let first = inputs.first().ok_or_else(broken)?;
        let (width, levels) = (self.width(inputs), self.levels(inputs));
        let query = NormLinear::build(&mut b.at("query_projector"), first.width, width, true)?;
        let projections = levels.iter().enumerate().map(|(i, level)| {
            NormLinear::build(&mut b.at("input_proj").at(i), level.2, width, true)
        });
        let projections = projections.collect::<Result<_>>()?;
        let reads = self.heads * levels.len() * self.points;
        let start = if self.zero_init { Init::Zeros } else { Init::fan_in(width) };
        let offsets = b.at("sampling_offsets").param("weight", &[2 * reads, width], start)?;
        let ring = || self.ring(levels.len());
        let ring = b.at("sampling_offsets").param_with("bias", &[2 * reads], ring)?;
        let weights =
            Linear::with_init(&mut b.at("attention_weights"), width, reads, true, start)?;
        let xavier = |outputs| Init::xavier(width, outputs);
        let value =
            Linear::with_init(&mut b.at("value_proj"), width, width, true, xavier(width))?;
        let mut out = b.at("output_proj");
        let output =
            Linear::with_init(&mut out, width, first.width, true, xavier(first.width))?;
        Ok(Box::new(Module {
            config: self.clone(),
            grid: first.grid.ok_or_else(broken)?,
            query,
            projections,
            offsets: Linear::of(offsets, Some(ring)),
            weights,
            value,
            output,
        }))
    }
}

impl DeformableAttention {
    /// The first points of each head, `[H, L, P, 2]` in cells: its own direction, on the square of
    /// side 2 around the token for the first point, of side 4 for the second.
    fn ring(&self, levels: usize) -> Vec<f32> {
        let head = |head: usize| {
            let turn = 2.0 * std::f64::consts::PI * head as f64 / self.heads as f64;
            let (x, y) = (turn.cos(), turn.sin());
            let far = x.abs().max(y.abs());
            let point = move |p: usize| [x / far, y / far].map(|c| (c * (p + 1) as f64) as f32);
            (0..levels).flat_map(move |_| (0..self.points).flat_map(point))
        };
        (0..self.heads).flat_map(head).collect()
    }
}

struct Module {
    config: DeformableAttention,
    grid: (usize, usize),
    query: NormLinear,
    projections: Vec<NormLinear>,
    offsets: Linear,
    weights: Linear,
    value: Linear,
    output: Linear,
}

impl Module {
    /// Every level's vectors, `[B, N, width]`, one level after the other, and the levels' grids.
    fn values(&self, inputs: &[Features]) -> Result<(Tensor, Vec<(usize, usize)>)> {
        let mut levels = Vec::new();
        for input in inputs.iter().skip(1) {
            let all = input.levels()?;
            levels.extend(all.into_iter().skip(self.config.skipped(input.pyramid.len() + 1)));
        }
        let (mut grids, mut parts) = (Vec::new(), Vec::new());
        for (level, projection) in levels.iter().zip(&self.projections) {
            let [batch, h, w, channels] = level.dims("DeformableAttention")?;
            grids.push((h, w));
            parts.push(projection.forward(&level.reshape(&[batch, h * w, channels])?)?);
        }
        let all = ops::concat(&parts.iter().collect::<Vec<_>>(), 1)?;
        Ok((self.value.forward(&all)?, grids))
    }

    /// Where each token's heads read: its own place, and its offsets in cells of each level.
    fn places(&self, offsets: &Tensor, grids: &[(usize, usize)]) -> Result<Tensor> {
        let DeformableAttention { heads, points, .. } = self.config;
        let cell = |&(h, w): &(usize, usize)| {
            std::iter::repeat_n([1.0 / w as f32, 1.0 / h as f32], points).flatten()
        };
        let cells = (0..heads).flat_map(|_| grids.iter().flat_map(cell)).collect::<Vec<_>>();
        let count = cells.len();
        let (rows, columns) = self.grid;
        let place = |token: usize| {
            let x = ((token % columns) as f32 + 0.5) / columns as f32;
            let y = ((token / columns) as f32 + 0.5) / rows as f32;
            std::iter::repeat_n([x, y], count / 2).flatten()
        };
        let own = (0..rows * columns).flat_map(place).collect();
        let dev = offsets.dev();
        let scaled = ops::mul_channels(offsets, &Tensor::new(dev, cells, &[count])?)?;
        ops::add_rows(&scaled, &Tensor::new(dev, own, &[rows * columns, count])?)
    }
}

impl Fusion for Module {
    fn forward(&self, inputs: &[Features]) -> Result<Tensor> {
        let first = inputs.first().ok_or_else(broken)?;
        let [batch, n, _] = first.map.dims("DeformableAttention")?;
        let (values, grids) = self.values(inputs)?;
        let [_, vectors, width] = values.dims("DeformableAttention")?;
        let (heads, points, levels) = (self.config.heads, self.config.points, grids.len());
        let query = self.query.forward(&first.map)?;
        let places = self.places(&self.offsets.forward(&query)?, &grids)?;
        let places = places.reshape(&[batch, n, heads, levels, points, 2])?;
        let weights = self.weights.forward(&query)?.reshape(&[batch, n, heads, levels * points])?;
        let weights = ops::softmax(&weights)?.reshape(&[batch, n, heads, levels, points])?;
        let values = values.reshape(&[batch, vectors, heads, width / heads])?;
        let read = ops::deformable_attention(&values, &grids, &places, &weights)?;
        let read = self.output.forward(&read.reshape(&[batch, n, width])?)?;
        ops::add(&first.map, &read)
    }
}

fn broken() -> TensorError {
    TensorError::Shape { op: "DeformableAttention", detail: "reads no map on a grid".into() }
}
