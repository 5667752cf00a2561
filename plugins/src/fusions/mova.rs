//! MoVA's mixture-of-vision-expert adapter: the first expert of `from` is the base; a gate weighs the
//! others by what the picture shows and what is asked, and the best of them are attended to, layer
//! by layer.
//! Source: Zong et al., arXiv 2404.13046; `AdapterBlock` and `MoVAdapter` in
//! `multimodal_projector/builder.py` of TempleX98/MoVA at 52f83e5, with its parameter names.
//!
//! With `x` the base's tokens and their places, a layer is `x += sum of g_i attention_i(x, expert_i)`,
//! `g` the softmax over the `top_k` best of `gate([question, mean(x)])`; then attention among `x` and
//! SwiGLU. At the end the base is added and the sum halved: a map `[B, N, C]` of the base to
//! `[B, N, C]`.
//!
//! What differs, and why:
//! - **The question's summary** is BERT's there; here it is the mean of a learned embedding of its
//!   tokens, `text.weight [vocabulary, text_width]`, zeros where nothing is asked. It stands before
//!   the picture's columns of `gate.0`, as there. With `vocabulary: 0` the gate sees the picture alone
//!   and has its columns only, which is the reference with a summary of zeros.
//! - **The first turn's question** routes a picture for all its turns; there, the questions of all
//!   turns are joined. A benchmark that asks once has that one only, either way.
//! - **Every expert is allowed.** There, the LLM reads the question first and names the experts to use
//!   (the coarse choice); what we take over is the fine choice, the gate's.
//! - All experts run and the gate chooses among their maps; the reference skips those not chosen, but
//!   only for single pictures in inference.
//! - The reference's downsampling behind the layers and the two linear layers after it belong to its
//!   projector: as many tokens leave as the base has, and a projector node follows.
//! - Experts on other grids than the base's are resampled to it (bilinear), as there.

use eagle_core::nn::layers::{GatedMlp, LayerNorm, Linear, Rope2d};
use eagle_core::nn::ops::{self, Activation, AttentionSpec};
use eagle_core::nn::{Builder, Init, cost, fit};
use eagle_core::registry::{Cost, Features, Fusion, FusionConfig, MapShape, Misfit, TokensShape};
use eagle_core::tensor::{Param, Result, Tensor, TensorError};

eagle_core::config! {
    /// MoVA: a gate chooses, by the picture and the question, which of the other experts the first
    /// one's tokens attend to. As many visual tokens as the first expert gives.
    pub struct Mova {
        /// Layers of the adapter.
        layers: usize = 3,
        /// Attention heads; their width is a multiple of 4.
        heads: usize = 16,
        /// Experts that a picture uses, at most all; at least 2, so that the gate can learn.
        top_k: usize = 3,
        /// Whether the adapter starts as nothing, its last layers being zero.
        zero_init: bool = true,
        /// The tokens that the gate can read, at least the LLM's. 0: it chooses by the picture alone.
        vocabulary: usize = 0,
        /// Channels of a question's summary, if it reads one.
        text_width: usize = 1024,
    }
}

eagle_core::register!(fusion Mova, examples [
    "Mova(layers: 2, heads: 2, zero_init: false)",
    "Mova(layers: 1, heads: 1, top_k: 2, zero_init: false)",
    "Mova(layers: 1, heads: 1, top_k: 2, zero_init: false, vocabulary: 20, text_width: 6)",
]);

/// PyTorch's default.
const EPS: f32 = 1e-5;
/// The base of the rotary embedding's wavelengths.
const THETA: f64 = 10_000.0;
/// What a score of an expert that isn't chosen is lowered by.
const NEVER: f32 = -1e9;
/// PyTorch's default for embeddings.
const TEXT: Init = Init::Normal(1.0);

/// Channels inside the feed-forward layer.
fn hidden(width: usize) -> usize {
    width * 8 / 3
}

impl FusionConfig for Mova {
    fn reads_pyramids(&self) -> bool {
        false
    }

    fn reads_questions(&self) -> bool {
        self.vocabulary > 0
    }

    fn meets(&self, vocabulary: usize) -> std::result::Result<(), Misfit> {
        if self.reads_questions() && self.vocabulary < vocabulary {
            let message =
                format!("the LLM has {vocabulary} tokens, the gate reads only {}", self.vocabulary);
            let help = format!("set `vocabulary` to {vocabulary}");
            return Err(Misfit::field("vocabulary", message).help(help));
        }
        Ok(())
    }

    fn output(&self, inputs: &[MapShape]) -> std::result::Result<TokensShape, Misfit> {
        let first = fit::low_and_high(inputs)?;
        fit::even_heads(first.width, self.heads)?;
        if !(first.width / self.heads).is_multiple_of(4) {
            let width = first.width / self.heads;
            let message = format!("a head of {width} channels can't be turned by row and column");
            return Err(Misfit::field("heads", message).help("give heads a multiple of 4 channels"));
        }
        if self.layers == 0 || self.top_k == 0 {
            let field = if self.layers == 0 { "layers" } else { "top_k" };
            return Err(Misfit::field(field, "the other experts would not be seen"));
        }
        if self.top_k == 1 && inputs.len() > 2 {
            let message = "one expert's share is always 1, so the gate would never learn";
            return Err(Misfit::field("top_k", message).help("use 2 or more"));
        }
        if self.reads_questions() && self.text_width == 0 {
            return Err(Misfit::field("text_width", "the questions would not be seen"));
        }
        if first.grid.is_some_and(|(h, w)| h != w) {
            return Err(Misfit::input(0, "the base's grid must be square"));
        }
        Ok(TokensShape { tokens: first.tokens, width: first.width })
    }

    fn grid(&self, inputs: &[MapShape]) -> Option<(usize, usize)> {
        inputs.first()?.grid
    }

    fn cost(&self, inputs: &[MapShape]) -> Cost {
        let Some((first, others)) = inputs.split_first() else { return Cost::default() };
        let (n, c) = (first.tokens, first.width);
        let attention = |width: usize| {
            cost::times(2, cost::linear(n, c, c))
                + cost::times(2, cost::linear(n, width, c))
                + cost::attention(n, n, c)
                + cost::times(3, cost::pointwise(n, c))
        };
        let layer = others.iter().map(|other| attention(other.width)).fold(
            attention(c) + cost::times(3, cost::linear(n, c, hidden(c))),
            |sum, one| sum + one,
        );
        cost::times(self.layers, layer)
    }

    fn build(&self, inputs: &[MapShape], b: &mut Builder<'_>) -> Result<Box<dyn Fusion>> {
        let Some((first, others)) = inputs.split_first() else { return Err(broken()) };
        let (side, _) = first.grid.ok_or_else(broken)?;
        let places = b.param("pos_embed", &[1, first.tokens, first.width], Init::Zeros)?;
        let widths: Vec<usize> = others.iter().map(|other| other.width).collect();
        let blocks = (0..self.layers)
            .map(|i| Block::build(&mut b.at("blocks").at(i), self, first.width, &widths))
            .collect::<Result<_>>()?;
        let text = (self.reads_questions() && widths.len() > 1)
            .then(|| b.at("text").param("weight", &[self.vocabulary, self.text_width], TEXT));
        let text = text.transpose()?;
        let rope = Rope2d::new(side, side, first.width / self.heads, THETA);
        Ok(Box::new(Module { side, places, text, blocks, rope }))
    }
}

/// Attention of the base's tokens to a map on the same grid, with a norm before the output.
struct Attention {
    query: Linear,
    key: Linear,
    value: Linear,
    norm: LayerNorm,
    output: Linear,
    heads: usize,
}

impl Attention {
    fn build(b: &mut Builder<'_>, config: &Mova, (c, seen): (usize, usize)) -> Result<Attention> {
        Ok(Attention {
            query: Linear::build(&mut b.at("q_proj"), c, c, false)?,
            key: Linear::build(&mut b.at("k_proj"), seen, c, false)?,
            value: Linear::build(&mut b.at("v_proj"), seen, c, false)?,
            norm: LayerNorm::build(&mut b.at("inner_attn_ln"), c, EPS)?,
            output: last(&mut b.at("proj"), (c, c), config.zero_init)?,
            heads: config.heads,
        })
    }

    fn forward(&self, x: &Tensor, seen: &Tensor, rope: &Rope2d) -> Result<Tensor> {
        let [batch, n, c] = x.dims("Mova")?;
        let width = c / self.heads;
        let heads = |y: Tensor| y.reshape(&[batch, n, self.heads, width]);
        let query = rope.forward(&heads(self.query.forward(x)?)?)?;
        let key = rope.forward(&heads(self.key.forward(seen)?)?)?;
        let value = heads(self.value.forward(seen)?)?;
        let scale = 1.0 / (width as f32).sqrt();
        let spec = AttentionSpec { scale, ..AttentionSpec::default() };
        let mixed = ops::attention(&query, &key, &value, None, &spec)?.reshape(&[batch, n, c])?;
        self.output.forward(&self.norm.forward(&mixed)?)
    }
}

/// A layer that starts as nothing where `zero` says so.
fn last(b: &mut Builder<'_>, (inputs, outputs): (usize, usize), zero: bool) -> Result<Linear> {
    let init = if zero { Init::Zeros } else { Init::fan_in(inputs) };
    Linear::with_init(b, inputs, outputs, true, init)
}

struct Block {
    /// `None` where there is one expert and nothing to choose.
    gate: Option<[Linear; 2]>,
    /// Of each expert: the base's norm, the expert's norm, the attention.
    experts: Vec<(LayerNorm, LayerNorm, Attention)>,
    own: (LayerNorm, Attention),
    mlp: (LayerNorm, GatedMlp),
    top_k: usize,
}

impl Block {
    fn build(b: &mut Builder<'_>, config: &Mova, c: usize, widths: &[usize]) -> Result<Block> {
        let norm = |b: &mut Builder<'_>, width| LayerNorm::build(b, width, EPS);
        let mut experts = Vec::new();
        for (i, &width) in widths.iter().enumerate() {
            let before = (norm(&mut b.at("norm1").at(i), c)?, norm(&mut b.at("norm2").at(i), width)?);
            let attention = Attention::build(&mut b.at("cross_attn").at(i), config, (c, width))?;
            experts.push((before.0, before.1, attention));
        }
        let mut m = b.at("mlp");
        let mlp = [
            Linear::build(&mut m.at("w1"), c, hidden(c), true)?,
            Linear::build(&mut m.at("w2"), c, hidden(c), true)?,
            last(&mut m.at("w3"), (hidden(c), c), config.zero_init)?,
        ];
        let inner = norm(&mut m.at("ffn_ln"), hidden(c))?;
        let mut gate = None;
        if widths.len() > 1 {
            let scores = last(&mut b.at("gate").at(2), (c, widths.len()), config.zero_init)?;
            let read = if config.reads_questions() { config.text_width } else { 0 };
            gate = Some([Linear::build(&mut b.at("gate").at(0), read + c, c, true)?, scores]);
        }
        Ok(Block {
            gate,
            experts,
            own: (
                norm(&mut b.at("norm3"), c)?,
                Attention::build(&mut b.at("self_attn"), config, (c, c))?,
            ),
            mlp: (
                norm(&mut b.at("norm4"), c)?,
                GatedMlp::of(mlp, Activation::Silu, Some(inner)),
            ),
            top_k: config.top_k,
        })
    }

    /// How much each picture uses each expert, `[B, E]`: the best add up to 1, the others get 0.
    /// `text`: the questions' summaries `[B, T]`.
    fn routing(&self, gate: &[Linear; 2], x: &Tensor, text: Option<&Tensor>) -> Result<Tensor> {
        let picture = ops::mean_rows(x)?;
        let both = text.map(|text| ops::concat(&[text, &picture], 1)).transpose()?;
        let scores = gate[0].activated(&both.unwrap_or(picture), Activation::Gelu)?;
        let scores = gate[1].forward(&scores)?;
        let (_, experts) = scores.rows();
        let mut barred = vec![NEVER; scores.len()];
        for (scores, barred) in scores.host().chunks(experts).zip(barred.chunks_mut(experts)) {
            let mut order: Vec<usize> = (0..experts).collect();
            order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
            order.iter().take(self.top_k).for_each(|&best| barred[best] = 0.0);
        }
        let barred = Tensor::new(x.dev(), barred, scores.shape())?;
        ops::softmax(&ops::add(&scores, &barred)?)
    }

    fn forward(
        &self,
        x: &Tensor,
        maps: &[Tensor],
        text: Option<&Tensor>,
        rope: &Rope2d,
    ) -> Result<Tensor> {
        let [batch, ..] = x.dims::<3>("Mova")?;
        let routing = self.gate.as_ref().map(|gate| self.routing(gate, x, text)).transpose()?;
        let mut sum = x.clone();
        for (i, ((own, other, attention), map)) in self.experts.iter().zip(maps).enumerate() {
            let mut seen = attention.forward(&own.forward(x)?, &other.forward(map)?, rope)?;
            if let Some(routing) = &routing {
                let share = ops::narrow(routing, 1, i, 1)?.reshape(&[batch])?;
                seen = ops::scale_rows(&seen, &share)?;
            }
            sum = ops::add(&sum, &seen)?;
        }
        let (norm, attention) = &self.own;
        let inner = norm.forward(&sum)?;
        let x = ops::add(&sum, &attention.forward(&inner, &inner, rope)?)?;
        let (norm, mlp) = &self.mlp;
        ops::add(&x, &mlp.forward(&norm.forward(&x)?)?)
    }
}

struct Module {
    side: usize,
    places: Param,
    /// `None` where nothing is read, or nothing to choose.
    text: Option<Param>,
    blocks: Vec<Block>,
    rope: Rope2d,
}

impl Module {
    /// What each of `batch` pictures is asked, `[B, T]`.
    fn summary(&self, questions: &[Vec<u32>], batch: usize) -> Result<Option<Tensor>> {
        let Some(text) = &self.text else { return Ok(None) };
        let table = text.tensor();
        let [vocabulary, width] = table.dims("Mova")?;
        let wrong = |detail: String| Err(TensorError::Shape { op: "Mova", detail });
        if !questions.is_empty() && questions.len() != batch {
            return wrong(format!("{} questions about {batch} pictures", questions.len()));
        }
        if let Some(id) = questions.iter().flatten().find(|id| **id as usize >= vocabulary) {
            return wrong(format!("token {id}; set `vocabulary` {vocabulary} to the LLM's"));
        }
        let summary = |picture: usize| match questions.get(picture).map(Vec::as_slice) {
            None | Some([]) => Tensor::new(table.dev(), vec![0.0; width], &[1, width]),
            Some(ids) => {
                let tokens = ops::embedding(&table, ids)?;
                ops::mean_rows(&tokens.reshape(&[1, ids.len(), width])?)
            }
        };
        let summaries = (0..batch).map(summary).collect::<Result<Vec<_>>>()?;
        ops::concat(&summaries.iter().collect::<Vec<_>>(), 0).map(Some)
    }
}

impl Fusion for Module {
    fn forward(&self, inputs: &[Features]) -> Result<Tensor> {
        self.forward_asked(inputs, &[])
    }

    fn forward_asked(&self, inputs: &[Features], questions: &[Vec<u32>]) -> Result<Tensor> {
        let Some((first, others)) = inputs.split_first() else { return Err(broken()) };
        let [batch, n, _] = first.map.dims("Mova")?;
        let map = |other: &Features| {
            let map = ops::resize_bilinear(&other.on_grid()?, self.side, self.side, false)?;
            map.reshape(&[batch, n, other.map.rows().1])
        };
        let maps = others.iter().map(map).collect::<Result<Vec<_>>>()?;
        let places = self.places.tensor();
        let text = self.summary(questions, batch)?;
        let mut x = ops::add_rows(&first.map, &places.reshape(&places.shape()[1..])?)?;
        for block in &self.blocks {
            x = block.forward(&x, &maps, text.as_ref(), &self.rope)?;
        }
        ops::scale(&ops::add(&x, &first.map)?, 0.5)
    }
}

fn broken() -> TensorError {
    TensorError::Shape { op: "Mova", detail: "reads no map on a grid".into() }
}
