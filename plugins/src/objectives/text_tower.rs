//! A small text transformer that makes one vector of a caption, as CLIP's (arXiv 2103.00020): causal,
//! read at the last token. Positions are rotary, not learnt.
//!
//! Token ids to `[B, width]`.

use eagle_core::nn::layers::{
    Attention, AttentionNames, LayerNorm, Mlp, Rope, RopeScaling,
};
use eagle_core::nn::ops::{self, Activation, Row};
use eagle_core::nn::{Builder, Init};
use eagle_core::tensor::{Param, Result, Tensor};

const EPS: f32 = 1e-5;
const NAMES: AttentionNames =
    AttentionNames { projections: ["q_proj", "k_proj", "v_proj", "out_proj"], bias: (true, true) };

/// Its sizes.
#[derive(Debug, Clone, Copy)]
pub struct TextShape {
    /// Token embeddings.
    pub vocabulary: usize,
    /// Channels.
    pub width: usize,
    /// Transformer blocks.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Tokens of a caption, at most.
    pub context: usize,
}

/// The built text tower.
pub struct TextTower {
    embeddings: Param,
    blocks: Vec<Block>,
    rope: Rope,
    norm: LayerNorm,
}

struct Block {
    norms: [LayerNorm; 2],
    attention: Attention,
    mlp: Mlp,
}

impl TextTower {
    /// `token_embedding`, `layers` and `final_layer_norm`.
    ///
    /// # Errors
    /// The device has no room.
    pub fn build(b: &mut Builder<'_>, shape: TextShape) -> Result<TextTower> {
        let TextShape { vocabulary, width, layers, heads, context } = shape;
        let init = Init::Normal(1.0 / (width as f32).sqrt());
        let embeddings = b.at("token_embedding").param("weight", &[vocabulary, width], init)?;
        let block = |i: usize, b: &mut Builder<'_>| {
            let mut layers = b.at("layers");
            let mut b = layers.at(i);
            Ok(Block {
                norms: [
                    LayerNorm::build(&mut b.at("layer_norm1"), width, EPS)?,
                    LayerNorm::build(&mut b.at("layer_norm2"), width, EPS)?,
                ],
                attention: Attention::build(
                    &mut b.at("self_attn"),
                    NAMES,
                    width,
                    (heads, heads),
                    Init::xavier(width, width),
                )?,
                mlp: Mlp::build(&mut b.at("mlp"), ["fc1", "fc2"], (width, 4 * width), Activation::Gelu)?,
            })
        };
        let blocks = (0..layers).map(|i| block(i, b)).collect::<Result<_>>()?;
        let norm = LayerNorm::build(&mut b.at("final_layer_norm"), width, EPS)?;
        let rope = Rope::new(context, width / heads, 1e4, RopeScaling::Unscaled);
        Ok(TextTower { embeddings, blocks, rope, norm })
    }

    /// Captions, none of them empty, to one vector each. Padding stands behind the last token, which
    /// doesn't see it.
    ///
    /// # Errors
    /// A token that has no embedding; more tokens than the context has.
    pub fn forward(&self, captions: &[&[u32]]) -> Result<Tensor> {
        let length = captions.iter().map(|caption| caption.len()).max().unwrap_or(0);
        let padded = |caption: &&[u32]| {
            let tokens = caption.iter().map(|id| Row::Token(*id)).collect::<Vec<_>>();
            let missing = length - tokens.len();
            tokens.into_iter().chain(std::iter::repeat_n(Row::Pad, missing)).collect::<Vec<_>>()
        };
        let rows: Vec<Row> = captions.iter().flat_map(padded).collect();
        let mut x = ops::splice(None, &self.embeddings.tensor(), &rows, captions.len())?;
        for block in &self.blocks {
            let seen = block.attention.causal(&block.norms[0].forward(&x)?, &self.rope, None)?;
            x = ops::add(&x, &seen)?;
            x = ops::add(&x, &block.mlp.forward(&block.norms[1].forward(&x)?)?)?;
        }
        let last = |(at, caption): (usize, &&[u32])| at * length + caption.len().max(1) - 1;
        let last: Vec<usize> = captions.iter().enumerate().map(last).collect();
        self.norm.forward(&ops::gather_rows(&x, &last)?)
    }
}
