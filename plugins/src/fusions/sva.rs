//! Cambrian's spatial vision aggregator: on each place of a grid a learned query looks, in a few
//! layers, at the windows of all experts' maps that lie there.
//! Source: Tong et al., arXiv 2406.16860; `vision_sampler.py` (layers of the kind `joint`) and the
//! connector of `cambrian_arch.py` of cambrian-mllm/cambrian at 539ffc3, with its parameter names.
//!
//! Maps of the experts to `[B, grid^2, width]`. A layer:
//! `q = proj_in([queries; proj_context(mean of the first expert)])`; keys and values are the windows'
//! vectors with a learned place in the window added; `queries += proj_out(LN(q + attention))`.
//!
//! Left out or chosen:
//! - The ten aggregators between the LLM's layers are not built: a node gives visual tokens to the
//!   LLM and nothing reaches into it. This is the connector alone, `connector_only` there.
//! - One group of queries, as in all released models, and no mask of the padding: our pictures'
//!   padding is part of the picture.
//! - `image_newline` belongs to the LLM's sequence and is not built.
//! - A grid that isn't whole windows is shrunk (bilinear) to the next that is, at least one vector for
//!   each query: there, each tower does so with its own map.

use eagle_core::nn::layers::{LayerNorm, Linear, NormLinear};
use eagle_core::nn::ops::{self, Activation, AttentionSpec};
use eagle_core::nn::{Builder, Init, cost, fit};
use eagle_core::registry::{Cost, Features, Fusion, FusionConfig, MapShape, Misfit, TokensShape};
use eagle_core::tensor::{Param, Result, Tensor, TensorError};

eagle_core::config! {
    /// Cambrian's spatial vision aggregator: learned queries on a grid look at the windows of all
    /// experts. `grid`^2 visual tokens.
    pub struct Sva {
        /// Rows and columns of the queries' grid.
        grid: usize = 24,
        /// Channels.
        width: usize = 1024,
        /// Attention heads; divides `width`.
        heads: usize = 16,
        /// Layers.
        layers: usize = 3,
    }
}

eagle_core::register!(fusion Sva, examples [
    "Sva(grid: 2, width: 8, heads: 2, layers: 2)",
    "Sva(grid: 3, width: 6, heads: 3, layers: 1)",
]);

/// PyTorch's default.
const EPS: f32 = 1e-5;

impl Sva {
    /// Rows and columns of a query's window in a map.
    fn window(&self, input: &MapShape) -> usize {
        let (h, w) = input.grid.unwrap_or((1, 1));
        (h.min(w) / self.grid.max(1)).max(1)
    }
}

impl FusionConfig for Sva {
    fn reads_pyramids(&self) -> bool {
        false
    }

    fn output(&self, inputs: &[MapShape]) -> std::result::Result<TokensShape, Misfit> {
        fit::on_grids(inputs)?;
        fit::even_heads(self.width, self.heads)?;
        if self.grid == 0 {
            return Err(Misfit::field("grid", "a grid of 0 has no tokens"));
        }
        if self.layers == 0 {
            return Err(Misfit::field("layers", "without layers the queries see nothing"));
        }
        Ok(TokensShape { tokens: self.grid * self.grid, width: self.width })
    }

    fn grid(&self, _: &[MapShape]) -> Option<(usize, usize)> {
        Some((self.grid, self.grid))
    }

    fn cost(&self, inputs: &[MapShape]) -> Cost {
        let (n, c) = (self.grid * self.grid, self.width);
        let mut once = Cost::default();
        let mut layer = cost::linear(n, 2 * c, c)
            + cost::times(4, cost::linear(n, c, c))
            + cost::times(3, cost::pointwise(n, c));
        for input in inputs {
            let keys = self.window(input).pow(2);
            once = once
                + cost::linear(input.tokens, input.width, c)
                + cost::linear(input.tokens, c, c)
                + cost::times(2, cost::pointwise(input.tokens, c));
            layer = layer
                + cost::times(2, cost::linear(n * keys, c, c) + cost::pointwise(n * keys, c))
                + cost::attention(n, keys, c);
        }
        once + cost::times(self.layers, layer)
    }

    fn build(&self, inputs: &[MapShape], b: &mut Builder<'_>) -> Result<Box<dyn Fusion>> {
        let c = self.width;
        let spread = Init::Normal(1.0 / (c as f32).sqrt());
        let query = b.param("vision_query", &[1, c], spread)?;
        let projections = inputs.iter().enumerate().map(|(i, input)| {
            Projection::build(&mut b.at(format!("mm_projector_aux_{i}")), input.width, c)
        });
        let projections = projections.collect::<Result<_>>()?;
        let windows: Vec<usize> = inputs.iter().map(|input| self.window(input)).collect();
        let layers = (0..self.layers)
            .map(|i| {
                Layer::build(&mut b.at("vision_sampler_0").at("layers").at(i), c, self.heads, &windows)
            })
            .collect::<Result<_>>()?;
        Ok(Box::new(Module { grid: self.grid, query, projections, windows, layers }))
    }
}

/// An expert's map to the aggregator's width.
struct Projection {
    up: Linear,
    down: Linear,
    norm: LayerNorm,
}

impl Projection {
    fn build(b: &mut Builder<'_>, inputs: usize, width: usize) -> Result<Projection> {
        Ok(Projection {
            up: Linear::build(&mut b.at(0), inputs, width, true)?,
            down: Linear::build(&mut b.at(2), width, width, true)?,
            norm: LayerNorm::build(&mut b.at(3), width, EPS)?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.norm.forward(&self.down.forward(&self.up.activated(x, Activation::Gelu)?)?)
    }
}

struct Layer {
    context: Linear,
    input: Linear,
    query: NormLinear,
    /// Keys, values and the places in the window, of each expert.
    experts: Vec<(NormLinear, NormLinear, Option<Param>)>,
    output: Linear,
    norm: LayerNorm,
    mlp: [Linear; 2],
    heads: usize,
}

impl Layer {
    fn build(b: &mut Builder<'_>, c: usize, heads: usize, windows: &[usize]) -> Result<Layer> {
        let linear = |b: &mut Builder<'_>, inputs| Linear::build(b, inputs, c, false);
        let mut experts = Vec::new();
        for (i, window) in windows.iter().enumerate() {
            let place = (*window > 1).then(|| {
                b.param(format!("pos_embed_{i}"), &[window * window, c], Init::Normal(1.0))
            });
            let mut a = b.at("cross_attn");
            experts.push((
                NormLinear::build(&mut a.at(format!("k_proj_{i}")), c, c, false)?,
                NormLinear::build(&mut a.at(format!("v_proj_{i}")), c, c, false)?,
                place.transpose()?,
            ));
        }
        Ok(Layer {
            context: linear(&mut b.at("proj_context"), c)?,
            input: linear(&mut b.at("proj_in"), 2 * c)?,
            query: NormLinear::build(&mut b.at("cross_attn").at("q_proj"), c, c, false)?,
            experts,
            output: linear(&mut b.at("cross_attn").at("o_proj"), c)?,
            norm: LayerNorm::build(&mut b.at("norm"), c, EPS)?,
            mlp: [
                linear(&mut b.at("proj_out").at("linear_1"), c)?,
                linear(&mut b.at("proj_out").at("linear_2"), c)?,
            ],
            heads,
        })
    }

    /// Queries `[B * N, 1, C]`, the context of each, and each expert's windows `[B * N, K, C]`.
    fn forward(&self, queries: &Tensor, context: &Tensor, windows: &[Tensor]) -> Result<Tensor> {
        let [count, _, c] = queries.dims("Sva")?;
        let context = self.context.forward(context)?;
        let x = self.input.forward(&ops::concat(&[queries, &context], 2)?)?;
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        for (seen, (key, value, place)) in windows.iter().zip(&self.experts) {
            let seen = match place {
                Some(place) => ops::add_rows(seen, &place.tensor())?,
                None => seen.clone(),
            };
            keys.push(key.forward(&seen)?);
            values.push(value.forward(&seen)?);
        }
        let heads = |x: &Tensor| {
            x.reshape(&[count, x.shape()[1], self.heads, c / self.heads])
        };
        let joined = |parts: &[Tensor]| heads(&ops::concat(&parts.iter().collect::<Vec<_>>(), 1)?);
        let scale = 1.0 / ((c / self.heads) as f32).sqrt();
        let spec = AttentionSpec { scale, ..AttentionSpec::default() };
        let query = heads(&self.query.forward(&x)?)?;
        let found = ops::attention(&query, &joined(&keys)?, &joined(&values)?, None, &spec)?;
        let found = self.output.forward(&found.reshape(&[count, 1, c])?)?;
        let x = self.norm.forward(&ops::add(&x, &found)?)?;
        let x = self.mlp[1].forward(&self.mlp[0].activated(&x, Activation::Gelu)?)?;
        ops::add(&x, queries)
    }
}

struct Module {
    grid: usize,
    query: Param,
    projections: Vec<Projection>,
    windows: Vec<usize>,
    layers: Vec<Layer>,
}

impl Fusion for Module {
    fn forward(&self, inputs: &[Features]) -> Result<Tensor> {
        let n = self.grid * self.grid;
        let (mut context, mut windows) = (None, Vec::new());
        for ((input, projection), &window) in inputs.iter().zip(&self.projections).zip(&self.windows)
        {
            let side = self.grid * window;
            let map = ops::resize_bilinear(&input.on_grid()?, side, side, false)?;
            let [batch, _, _, width] = map.dims("Sva")?;
            let map = projection.forward(&map.reshape(&[batch, side * side, width])?)?;
            if context.is_none() {
                context = Some(ops::mean_rows(&map)?);
            }
            let map = map.reshape(&[batch, side, side, self.query.shape()[1]])?;
            windows.push(ops::windows(&map, (window, window))?);
        }
        let context = context.ok_or_else(|| TensorError::Shape {
            op: "Sva",
            detail: "reads nothing".into(),
        })?;
        let [batch, width] = context.dims("Sva")?;
        // Every place of a picture starts with the same query and the same context.
        let pictures: Vec<usize> = (0..batch * n).map(|row| row / n).collect();
        let context = ops::gather_rows(&context, &pictures)?.reshape(&[batch * n, 1, width])?;
        let queries = ops::gather_rows(&self.query.tensor(), &vec![0; batch * n])?;
        let mut queries = queries.reshape(&[batch * n, 1, width])?;
        for layer in &self.layers {
            queries = layer.forward(&queries, &context, &windows)?;
        }
        queries.reshape(&[batch, n, width])
    }
}
