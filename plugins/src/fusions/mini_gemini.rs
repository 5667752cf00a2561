//! Mini-Gemini's patch-info mining: every token of the first expert of `from` is a query over the
//! window of the others' maps that lies where the token lies; what it finds is added to it.
//! Source: Li et al., arXiv 2403.18814; `unified_resampler` in `mgm_arch.py` and the joined stages of
//! `openclip_encoder.py` of dvlab-research/MGM at 769820c, with its parameter names.
//!
//! `Q + softmax(q k^T / sqrt(C)) v` with `q = Linear(LN(Q))`, `k` and `v` likewise of a window, in
//! one head: a map `[B, N, C]` of the first expert to `[B, N, C]`.
//!
//! Where the reference says nothing:
//! - Which maps EAGLE mined is not published. `pyramid: true` joins all stages of an expert that has
//!   them, channel by channel on the grid of the finest (bilinear), as the reference does with
//!   ConvNeXt; an expert without stages gives its final map alone.
//! - With three experts or more, each of the others has its own keys' and values' projections, and a
//!   token looks at all their windows at once: more keys, one softmax, as a query may need only one
//!   of them. The second's projections end in `_1`.
//! - A grid that isn't whole windows is resampled (bilinear) to the next that is. The reference asks
//!   for square ones that are.

use eagle_core::nn::layers::NormLinear;
use eagle_core::nn::ops::{self, AttentionSpec};
use eagle_core::nn::{Builder, cost, fit};
use eagle_core::registry::{Cost, Features, Fusion, FusionConfig, MapShape, Misfit, TokensShape};
use eagle_core::tensor::{Result, Tensor, TensorError};

eagle_core::config! {
    /// Mini-Gemini: the first expert's tokens look for details in the windows of the other experts'
    /// maps. As many visual tokens as the first expert gives.
    pub struct MiniGemini {
        /// Whether all stages of an expert that has them are searched, or its final map alone.
        pyramid: bool = true,
        /// Rows and columns of a token's window. 0: as many as the expert's finest map offers.
        window: usize = 0,
    }
}

eagle_core::register!(fusion MiniGemini, examples [
    "MiniGemini()",
    "MiniGemini(pyramid: false, window: 2)",
]);

impl MiniGemini {
    /// The finest grid of an expert, and the channels that are joined on it.
    fn joined(&self, input: &MapShape) -> ((usize, usize), usize) {
        let levels = input.levels();
        let levels = if self.pyramid { &levels[..] } else { &levels[levels.len() - 1..] };
        let (h, w, _) = levels[0];
        ((h, w), levels.iter().map(|level| level.2).sum())
    }

    /// Rows and columns of a token's window.
    fn window(&self, (rows, columns): (usize, usize), input: &MapShape) -> usize {
        let (h, w) = self.joined(input).0;
        let most = h.div_ceil(rows.max(1)).max(w.div_ceil(columns.max(1)));
        if self.window == 0 { most } else { self.window }
    }
}

impl FusionConfig for MiniGemini {
    fn reads_pyramids(&self) -> bool {
        self.pyramid
    }

    fn output(&self, inputs: &[MapShape]) -> std::result::Result<TokensShape, Misfit> {
        let first = fit::low_and_high(inputs)?;
        if self.window > 256 {
            return Err(Misfit::field("window", "more than 256 rows for one token"));
        }
        Ok(TokensShape { tokens: first.tokens, width: first.width })
    }

    fn grid(&self, inputs: &[MapShape]) -> Option<(usize, usize)> {
        inputs.first()?.grid
    }

    fn cost(&self, inputs: &[MapShape]) -> Cost {
        let Some((first, others)) = inputs.split_first() else { return Cost::default() };
        let (n, width) = (first.tokens, first.width);
        let one = |other: &MapShape| {
            let channels = self.joined(other).1;
            let keys = self.window(first.grid.unwrap_or((n, 1)), other).pow(2);
            cost::times(2, cost::pointwise(n * keys, channels))
                + cost::times(2, cost::linear(n * keys, channels, width))
                + cost::attention(n, keys, width)
        };
        others.iter().map(one).fold(cost::linear(n, width, width), |sum, one| sum + one)
    }

    fn build(&self, inputs: &[MapShape], b: &mut Builder<'_>) -> Result<Box<dyn Fusion>> {
        let Some((first, others)) = inputs.split_first() else { return Err(broken()) };
        let width = first.width;
        let grid = first.grid.ok_or_else(broken)?;
        let query = NormLinear::build(&mut b.at("vlm_uni_query_projector"), width, width, true)?;
        let expert = |(i, other): (usize, &MapShape)| {
            let channels = self.joined(other).1;
            let end = if i == 0 { String::new() } else { format!("_{i}") };
            let mut projection = |name: &str| {
                NormLinear::build(&mut b.at(format!("{name}{end}")), channels, width, true)
            };
            let keys = projection("vlm_uni_aux_projector")?;
            let values = projection("vlm_uni_val_projector")?;
            Ok(Expert { window: self.window(grid, other), keys, values })
        };
        let experts = others.iter().enumerate().map(expert).collect::<Result<_>>()?;
        Ok(Box::new(Module { pyramid: self.pyramid, grid, query, experts }))
    }
}

struct Expert {
    window: usize,
    keys: NormLinear,
    values: NormLinear,
}

struct Module {
    pyramid: bool,
    grid: (usize, usize),
    query: NormLinear,
    experts: Vec<Expert>,
}

impl Module {
    /// An expert's stages, joined and cut into one window for each token: `[B * N, window^2, C]`.
    fn windows(&self, input: &Features, window: usize) -> Result<Tensor> {
        let levels = input.levels()?;
        let levels = if self.pyramid { &levels[..] } else { &levels[levels.len() - 1..] };
        let [_, h, w, _] = levels[0].dims("MiniGemini")?;
        let resized = levels.iter().map(|level| ops::resize_bilinear(level, h, w, false));
        let resized = resized.collect::<Result<Vec<_>>>()?;
        let joined = ops::concat(&resized.iter().collect::<Vec<_>>(), 3)?;
        let (rows, columns) = (self.grid.0 * window, self.grid.1 * window);
        let whole = ops::resize_bilinear(&joined, rows, columns, false)?;
        ops::windows(&whole, (window, window))
    }
}

impl Fusion for Module {
    fn forward(&self, inputs: &[Features]) -> Result<Tensor> {
        let Some((first, others)) = inputs.split_first() else { return Err(broken()) };
        let [batch, n, width] = first.map.dims("MiniGemini")?;
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        for (other, expert) in others.iter().zip(&self.experts) {
            let windows = self.windows(other, expert.window)?;
            keys.push(expert.keys.forward(&windows)?);
            values.push(expert.values.forward(&windows)?);
        }
        let joined = |parts: &[Tensor]| {
            let joined = ops::concat(&parts.iter().collect::<Vec<_>>(), 1)?;
            let count = joined.shape()[1];
            joined.reshape(&[batch * n, count, 1, width])
        };
        let query = self.query.forward(&first.map)?.reshape(&[batch * n, 1, 1, width])?;
        let scale = 1.0 / (width as f32).sqrt();
        let spec = AttentionSpec { scale, ..AttentionSpec::default() };
        let found = ops::attention(&query, &joined(&keys)?, &joined(&values)?, None, &spec)?;
        ops::add(&first.map, &found.reshape(&[batch, n, width])?)
    }
}

fn broken() -> TensorError {
    TensorError::Shape { op: "MiniGemini", detail: "reads no map on a grid".into() }
}
