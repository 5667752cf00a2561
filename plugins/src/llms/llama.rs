//! Llama, as Hugging Face's `LlamaForCausalLM` (transformers 4.44.2) and with its parameter names.
//! Sources: Touvron et al., arXiv 2302.13971 and 2307.09288 (RMS norm, SwiGLU, rotary positions,
//! grouped queries); Llama 3.1's model card for its rotary scaling. The defaults are Vicuna-v1.5-7B's.
//!
//! The models of EAGLE's study, from their `config.json`:
//!
//! | | width | layers | heads | kv_heads | hidden | vocabulary | context | rope_theta |
//! |---|--:|--:|--:|--:|--:|--:|--:|--:|
//! | Vicuna-v1.5-7B | 4096 | 32 | 32 | 32 | 11008 | 32000 | 4096 | 1e4 |
//! | Vicuna-v1.5-13B | 5120 | 40 | 40 | 40 | 13824 | 32000 | 4096 | 1e4 |
//! | Llama-3-8B | 4096 | 32 | 32 | 8 | 14336 | 128256 | 8192 | 5e5 |
//!
//! Llama-3.1-8B is Llama-3-8B with `rope_scaling: Llama3(factor: 8.0, low_freq_factor: 1.0,
//! high_freq_factor: 4.0, original_max_position: 8192)` and a context of up to 131072.
//!
//! `[B, T, width]` to hidden states `[B, T, width]`, after the final norm.

use std::path::Path;

use eagle_core::nn::layers::{
    Attention, AttentionNames, GatedMlp, RmsNorm, Rope, RopeScaling, checkpointed,
};
use eagle_core::nn::{Builder, Init, cost, fit, ops};
use eagle_core::registry::{Cost, KvCache, Llm, LlmConfig, Misfit, Tap};
use eagle_core::tensor::{Param, Result, Tensor};
use eagle_core::text::{TextError, Tokenizer};
use eagle_core::weights::Keys;
use serde_json::{Value, json};

use super::tokenizer::TokenizerSource;

eagle_core::config! {
    /// A Llama (Hugging Face `LlamaForCausalLM`). The defaults are the sizes of Vicuna-v1.5-7B;
    /// Vicuna-v1.5-13B is `width: 5120, layers: 40, heads: 40, hidden: 13824`, Llama-3-8B is
    /// `kv_heads: 8, hidden: 14336, vocabulary: 128256, context: 8192, rope_theta: 500000.0`.
    pub struct Llama {
        /// Channels.
        width: usize = 4096,
        /// Transformer blocks.
        layers: usize = 32,
        /// Attention heads; divides `width`.
        heads: usize = 32,
        /// Key/value heads; divides `heads`. 0 means `heads`.
        kv_heads: usize = 0,
        /// Channels inside the feed-forward layer.
        hidden: usize = 11008,
        /// Token embeddings; at least the tokenizer's.
        vocabulary: usize = 32000,
        /// The longest sequence, visual tokens included.
        context: usize = 2048,
        /// The base of the rotary frequencies.
        rope_theta: f64 = 10000.0,
        /// How the rotary frequencies are stretched for a longer context: Unscaled,
        /// Linear(factor: 2.0), or Llama3(factor: 8.0, low_freq_factor: 1.0,
        /// high_freq_factor: 4.0, original_max_position: 8192), which is Llama 3.1's.
        rope_scaling: RopeScaling = RopeScaling::Unscaled,
        /// The epsilon of the norms.
        norm_eps: f32 = 1e-5,
        /// The standard deviation of initial weights. Hugging Face's 0.02 suits a width of 4096;
        /// a small model learns to attend much sooner with about 1 / sqrt(width).
        initializer_range: f32 = 0.02,
        /// Whether the output head is the token embeddings.
        tied: bool = false,
        /// Embedded, or File("tokenizer.json").
        #[location]
        tokenizer: TokenizerSource = TokenizerSource::Embedded,
    }
}

eagle_core::register!(llm Llama, examples [
    "Llama(width: 16, layers: 2, heads: 4, hidden: 24, vocabulary: 20, context: 16)",
    "Llama(width: 16, layers: 1, heads: 4, kv_heads: 2, hidden: 24, vocabulary: 20, context: 16, tied: true)",
    "Llama(width: 16, layers: 1, heads: 2, hidden: 24, vocabulary: 20, context: 16, rope_scaling: Linear(factor: 2.0))",
    "Llama(width: 16, layers: 1, heads: 2, hidden: 24, vocabulary: 20, context: 16, rope_scaling: Llama3(factor: 8.0, low_freq_factor: 1.0, high_freq_factor: 4.0, original_max_position: 12))",
]);

const NAMES: AttentionNames =
    AttentionNames { projections: ["q_proj", "k_proj", "v_proj", "o_proj"], bias: (false, false) };

impl Llama {
    fn init(&self) -> Init {
        Init::Normal(self.initializer_range)
    }

    fn kv_heads(&self) -> usize {
        if self.kv_heads == 0 { self.heads } else { self.kv_heads }
    }
}

impl LlmConfig for Llama {
    fn width(&self) -> usize {
        self.width
    }

    fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    fn context(&self) -> usize {
        self.context
    }

    fn tokenizer(&self, base: &Path) -> std::result::Result<Tokenizer, TextError> {
        self.tokenizer.open(base)
    }

    fn validate(&self) -> std::result::Result<(), Misfit> {
        fit::even_heads(self.width, self.heads)?;
        if !self.heads.is_multiple_of(self.kv_heads()) {
            let message =
                format!("{} key/value heads can't share {} heads", self.kv_heads, self.heads);
            return Err(Misfit::field("kv_heads", message));
        }
        if !(self.width / self.heads).is_multiple_of(2) {
            let message =
                format!("a head of {} channels can't be rotated", self.width / self.heads);
            return Err(Misfit::field("heads", message).help("a head needs an even width"));
        }
        if let Some(fault) = self.rope_scaling.fault() {
            return Err(Misfit::field("rope_scaling", fault));
        }
        if !(self.initializer_range.is_finite() && self.initializer_range >= 0.0) {
            let message = format!("{} is no standard deviation", self.initializer_range);
            return Err(Misfit::field("initializer_range", message));
        }
        let zero = [("layers", self.layers), ("hidden", self.hidden), ("context", self.context)];
        match zero.into_iter().find(|(_, size)| *size == 0) {
            Some((field, _)) => Err(Misfit::field(field, "must be at least 1")),
            None => Ok(()),
        }
    }

    fn cost(&self, length: usize) -> Cost {
        let kv = self.width / self.heads * self.kv_heads();
        let block = cost::linear(length, self.width, 2 * self.width + 2 * kv)
            // The causal half of the scores.
            + cost::attention(length, length.div_ceil(2), self.width)
            + cost::linear(length, self.width, 2 * self.hidden)
            + cost::linear(length, self.hidden, self.width)
            + cost::pointwise(length, self.hidden + 4 * self.width);
        cost::blocks(self.layers, (length, self.width), block) + cost::linear(length, self.width, self.vocabulary)
    }

    fn build(&self, b: &mut Builder<'_>) -> Result<Box<dyn Llm>> {
        let table = [self.vocabulary, self.width];
        let mut model = b.at("model");
        let embeddings = model.at("embed_tokens").param("weight", &table, self.init())?;
        let blocks = (0..self.layers)
            .map(|i| self.block(&mut model.at("layers").at(i)))
            .collect::<Result<_>>()?;
        let norm = RmsNorm::build(&mut model.at("norm"), self.width, self.norm_eps)?;
        let head = match self.tied {
            true => embeddings.clone(),
            false => b.at("lm_head").param("weight", &table, self.init())?,
        };
        let head_width = self.width / self.heads;
        let rope = Rope::new(self.context, head_width, self.rope_theta, self.rope_scaling);
        Ok(Box::new(Module { embeddings, blocks, norm, head, rope }))
    }

    fn keys(&self) -> Keys {
        // Buffers of older versions, and what LLaVA's and EAGLE's checkpoints have beside the LLM.
        let mut keys = Keys::ignoring([
            "**.rotary_emb.inv_freq",
            "model.vision_tower.**",
            "model.mm_projector.**",
            "model.image_newline",
        ]);
        if self.tied {
            keys.ignored.push("lm_head.weight".into());
        }
        keys
    }

    fn reference(&self) -> Option<Value> {
        let mut config = json!({
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "hidden_size": self.width,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads(),
            "intermediate_size": self.hidden,
            "vocab_size": self.vocabulary,
            "max_position_embeddings": self.context,
            "rope_theta": self.rope_theta,
            "rms_norm_eps": decimal(self.norm_eps),
            "initializer_range": decimal(self.initializer_range),
            "tie_word_embeddings": self.tied,
            "hidden_act": "silu",
            "attention_bias": false,
            "mlp_bias": false,
            "torch_dtype": "float32",
        });
        config["rope_scaling"] = match self.rope_scaling {
            RopeScaling::Unscaled => Value::Null,
            RopeScaling::Linear { factor } => json!({ "rope_type": "linear", "factor": factor }),
            RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_position } => json!({
                "rope_type": "llama3",
                "factor": factor,
                "low_freq_factor": low_freq_factor,
                "high_freq_factor": high_freq_factor,
                "original_max_position_embeddings": original_max_position,
            }),
        };
        Some(config)
    }
}

/// `1e-5` as itself and not as the f32 beside it.
fn decimal(x: f32) -> f64 {
    x.to_string().parse().unwrap_or(f64::from(x))
}

impl Llama {
    fn block(&self, b: &mut Builder<'_>) -> Result<Block> {
        let heads = (self.heads, self.kv_heads());
        let (init, post) = (self.init(), "post_attention_layernorm");
        Ok(Block {
            norm1: RmsNorm::build(&mut b.at("input_layernorm"), self.width, self.norm_eps)?,
            attention: Attention::build(&mut b.at("self_attn"), NAMES, self.width, heads, init)?,
            norm2: RmsNorm::build(&mut b.at(post), self.width, self.norm_eps)?,
            mlp: GatedMlp::build(&mut b.at("mlp"), self.width, self.hidden, init)?,
        })
    }
}

#[derive(Clone)]
struct Block {
    norm1: RmsNorm,
    attention: Attention,
    norm2: RmsNorm,
    mlp: GatedMlp,
}

impl Block {
    fn forward(
        &self,
        x: &Tensor,
        rope: &Rope,
        cache: Option<&mut Option<(Tensor, Tensor)>>,
    ) -> Result<Tensor> {
        let x = ops::add(x, &self.attention.causal(&self.norm1.forward(x)?, rope, cache)?)?;
        ops::add(&x, &self.mlp.forward(&self.norm2.forward(&x)?)?)
    }
}

struct Module {
    embeddings: Param,
    blocks: Vec<Block>,
    norm: RmsNorm,
    head: Param,
    rope: Rope,
}

impl Llm for Module {
    fn embeddings(&self) -> &Param {
        &self.embeddings
    }

    fn head(&self) -> &Param {
        &self.head
    }

    fn forward(
        &self,
        x: &Tensor,
        mut cache: Option<&mut KvCache>,
        tap: &mut dyn Tap,
    ) -> Result<Tensor> {
        let mut x = x.clone();
        for (i, block) in self.blocks.iter().enumerate() {
            x = match cache.as_deref_mut() {
                Some(cache) => {
                    cache.layers.resize(self.blocks.len(), None);
                    block.forward(&x, &self.rope, Some(&mut cache.layers[i]))?
                }
                None => {
                    let rope = self.rope.clone();
                    checkpointed(block, &x, move |block, x| block.forward(x, &rope, None))?
                }
            };
            x = tap.after_block(i, self.blocks.len(), x)?;
        }
        self.norm.forward(&x)
    }
}
