//! CLIP's vision transformer, as Hugging Face's `CLIPVisionModel` (transformers 4.44.2) and with its
//! parameter names. Source: Radford et al., arXiv 2103.00020; EAGLE runs it through
//! `hr_clip_encoder.py`, which drops the class token before the transformer, resamples the position
//! embeddings (bicubic, antialias) and uses all layers without the final norm: the defaults here.
//!
//! `[B, 3, S, S]` to `[B, N, width]` with `N = (S / patch_size)^2`, and one more token in front if
//! the class token is `Kept`.

use eagle_core::data::preprocess::{Fit, ImageSpec};
use eagle_core::nn::layers::{Attention, AttentionNames, Conv2d, LayerNorm, Mlp, checkpointed};
use eagle_core::nn::ops::{self, Activation};
use eagle_core::nn::{Builder, Init, cost, fit};
use eagle_core::registry::{Cost, Encoder, EncoderConfig, Features, MapShape, Misfit, Tap};
use eagle_core::tensor::{Param, Result, Tensor};
use serde::{Deserialize, Serialize};

eagle_core::config! {
    /// CLIP's vision transformer (Hugging Face `CLIPVisionModel`). The defaults are
    /// `openai/clip-vit-large-patch14-336` as EAGLE runs it.
    pub struct ClipVit {
        /// Side of the input image, in pixels; a multiple of `patch_size`.
        image_size: usize = 336,
        /// Side of the image that the position embeddings were made for, in pixels; another
        /// `image_size` resamples them (bicubic, antialias). 0 means `image_size`.
        pretrained_size: usize = 0,
        /// Side of a patch, in pixels.
        patch_size: usize = 14,
        /// Channels.
        width: usize = 1024,
        /// Transformer blocks.
        layers: usize = 24,
        /// Attention heads; divides `width`.
        heads: usize = 16,
        /// Channels inside the feed-forward layer. 0 means 4 x `width`.
        hidden: usize = 0,
        /// The activation of the feed-forward layer: QuickGelu (OpenAI), Gelu (OpenCLIP), GeluTanh.
        activation: Activation = Activation::QuickGelu,
        /// The class token: Dropped before the transformer (EAGLE), Inside the transformer and
        /// dropped from its output (LLaVA), or Kept as the first visual token.
        class_token: ClassToken = ClassToken::Dropped,
        /// Blocks at the end that are not run; LLaVA's `select_layer: -2` is 1.
        skip_last: usize = 0,
        /// Whether the final layer norm is applied to all tokens.
        post_norm: bool = false,
        /// The standard deviation of the initial position embeddings. Hugging Face's 0.02 is small
        /// beside the patches', so that training from nothing finds positions late.
        position_range: f32 = 0.02,
        /// How a picture is made square: Stretch, Pad or Crop.
        fit: Fit = Fit::Pad,
    }
}

eagle_core::register!(encoder ClipVit, examples [
    "ClipVit(image_size: 16, patch_size: 4, width: 8, layers: 2, heads: 2)",
    "ClipVit(image_size: 20, pretrained_size: 12, patch_size: 4, width: 8, layers: 2, heads: 4, class_token: Inside, skip_last: 1)",
    "ClipVit(image_size: 12, patch_size: 4, width: 12, layers: 1, heads: 3, hidden: 20, class_token: Kept, post_norm: true, activation: Gelu)",
]);

/// What becomes of the class token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClassToken {
    /// It never enters the transformer.
    Dropped,
    /// It takes part in attention and is dropped from the output.
    Inside,
    /// It is the first visual token.
    Kept,
}

const EPS: f32 = 1e-5;
const NAMES: AttentionNames =
    AttentionNames { projections: ["q_proj", "k_proj", "v_proj", "out_proj"], bias: (true, true) };

impl ClipVit {
    fn side(&self) -> usize {
        self.image_size / self.patch_size.max(1)
    }

    fn pretrained_side(&self) -> usize {
        let size = if self.pretrained_size == 0 { self.image_size } else { self.pretrained_size };
        size / self.patch_size.max(1)
    }

    fn hidden(&self) -> usize {
        if self.hidden == 0 { 4 * self.width } else { self.hidden }
    }

    fn run_layers(&self) -> usize {
        self.layers - self.skip_last
    }
}

impl EncoderConfig for ClipVit {
    fn image(&self) -> ImageSpec {
        ImageSpec { size: self.image_size, fit: self.fit, ..ImageSpec::default() }
    }

    fn output(&self) -> std::result::Result<MapShape, Misfit> {
        fit::whole_patches(self.image_size, "image_size", self.patch_size)?;
        fit::whole_patches(self.pretrained_size, "pretrained_size", self.patch_size)?;
        fit::even_heads(self.width, self.heads)?;
        if self.image_size == 0 {
            return Err(Misfit::field("image_size", "the image has no pixels"));
        }
        if self.skip_last >= self.layers {
            let message =
                format!("skips {} of {} blocks: none is left", self.skip_last, self.layers);
            return Err(Misfit::field("skip_last", message));
        }
        let map = MapShape::on_grid((self.side(), self.side()), self.width).with_blocks(self.run_layers());
        Ok(match self.class_token {
            ClassToken::Kept => MapShape { grid: None, tokens: map.tokens + 1, ..map },
            _ => map,
        })
    }

    fn cost(&self) -> Cost {
        let tokens = self.side().pow(2) + usize::from(self.class_token != ClassToken::Dropped);
        let patch = cost::convolution(self.side().pow(2), self.patch_size, 3, self.width);
        let block = cost::linear(tokens, self.width, 4 * self.width)
            + cost::attention(tokens, tokens, self.width)
            + cost::linear(tokens, self.width, self.hidden())
            + cost::linear(tokens, self.hidden(), self.width)
            + cost::pointwise(tokens, self.hidden() + 2 * self.width);
        patch + cost::blocks(self.run_layers(), (tokens, self.width), block)
    }

    fn build(&self, b: &mut Builder<'_>) -> Result<Box<dyn Encoder>> {
        let mut b = b.at("vision_model");
        let width = self.width;
        let mut e = b.at("embeddings");
        let class = match self.class_token {
            ClassToken::Dropped => None,
            _ => Some(e.param("class_embedding", &[width], Init::Normal(0.02))?),
        };
        let patches = Conv2d::build(
            &mut e.at("patch_embedding"),
            (3, width),
            self.patch_size,
            (self.patch_size, 0),
            false,
        )?;
        let positions = e.at("position_embedding").param(
            "weight",
            &[self.pretrained_side().pow(2) + 1, width],
            Init::Normal(self.position_range),
        )?;
        let pre_norm = LayerNorm::build(&mut b.at("pre_layrnorm"), width, EPS)?;
        let blocks = (0..self.run_layers())
            .map(|i| self.block(&mut b.at("encoder").at("layers").at(i)))
            .collect::<Result<_>>()?;
        let post_norm = self
            .post_norm
            .then(|| LayerNorm::build(&mut b.at("post_layernorm"), width, EPS))
            .transpose()?;
        let config = self.clone();
        Ok(Box::new(Module { config, class, patches, positions, pre_norm, blocks, post_norm }))
    }
}

impl ClipVit {
    fn block(&self, b: &mut Builder<'_>) -> Result<Block> {
        let init = Init::xavier(self.width, self.width);
        let heads = (self.heads, self.heads);
        Ok(Block {
            norm1: LayerNorm::build(&mut b.at("layer_norm1"), self.width, EPS)?,
            attention: Attention::build(&mut b.at("self_attn"), NAMES, self.width, heads, init)?,
            norm2: LayerNorm::build(&mut b.at("layer_norm2"), self.width, EPS)?,
            mlp: Mlp::build(
                &mut b.at("mlp"),
                ["fc1", "fc2"],
                (self.width, self.hidden()),
                self.activation,
            )?,
        })
    }
}

#[derive(Clone)]
struct Block {
    norm1: LayerNorm,
    attention: Attention,
    norm2: LayerNorm,
    mlp: Mlp,
}

impl Block {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = ops::add(x, &self.attention.bidirectional(&self.norm1.forward(x)?)?)?;
        ops::add(&x, &self.mlp.forward(&self.norm2.forward(&x)?)?)
    }
}

struct Module {
    config: ClipVit,
    class: Option<Param>,
    patches: Conv2d,
    positions: Param,
    pre_norm: LayerNorm,
    blocks: Vec<Block>,
    post_norm: Option<LayerNorm>,
}

impl Module {
    /// Patches `[B, N, C]` with their positions, the class token in front where there is one.
    fn embed(&self, image: &Tensor) -> Result<Tensor> {
        let [batch, ..] = image.dims::<4>("ClipVit")?;
        let patches = self.patches.patches(image)?;
        let positions = self.positions.tensor();
        let grid =
            self.patch_positions(&ops::narrow(&positions, 0, 1, positions.shape()[0] - 1)?)?;
        let patches = ops::add_rows(&patches, &grid)?;
        let Some(class) = &self.class else { return Ok(patches) };
        let class = ops::add(
            &class.tensor().reshape(&[1, self.config.width])?,
            &ops::narrow(&positions, 0, 0, 1)?,
        )?;
        let class = ops::gather_rows(&class, &vec![0; batch])?;
        ops::concat(&[&class.reshape(&[batch, 1, self.config.width])?, &patches], 1)
    }

    fn patch_positions(&self, positions: &Tensor) -> Result<Tensor> {
        let (from, to) = (self.config.pretrained_side(), self.config.side());
        if from == to {
            return Ok(positions.clone());
        }
        let width = self.config.width;
        let map = positions.reshape(&[1, from, from, width])?;
        ops::resize_bicubic(&map, to, to, true)?.reshape(&[to * to, width])
    }
}

impl Encoder for Module {
    fn forward(&self, image: &Tensor, tap: &mut dyn Tap) -> Result<Features> {
        let mut x = self.pre_norm.forward(&self.embed(image)?)?;
        for (i, block) in self.blocks.iter().enumerate() {
            x = checkpointed(block, &x, Block::forward)?;
            x = tap.after_block(i, self.blocks.len(), x)?;
        }
        if let Some(norm) = &self.post_norm {
            x = norm.forward(&x)?;
        }
        let side = self.config.side();
        let (map, grid) = match self.config.class_token {
            ClassToken::Dropped => (x, Some((side, side))),
            ClassToken::Inside => (ops::narrow(&x, 1, 1, side * side)?, Some((side, side))),
            ClassToken::Kept => (x, None),
        };
        Ok(Features { map, grid, pyramid: Vec::new() })
    }
}
