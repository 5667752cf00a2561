//! EVA-CLIP's vision transformers, as timm's `Eva` (`eva02_*_clip_*`, `eva_giant_patch14_clip_224`)
//! and with the key names of timm's released checkpoints (in an OpenCLIP file they stand under
//! `visual.trunk.`); EVA-CLIP's own files (under `visual.`) load as well. Source: Sun et al., arXiv 2303.15389; the blocks are EVA's (arXiv 2211.07636) and
//! EVA-02's (arXiv 2303.11331): 2-D rotary positions beside learnt ones, SwiGLU and attention with a
//! norm inside. The head (`head`) is no part of the map.
//!
//! `[B, 3, S, S]` to `[B, (S / patch_size)^2, width]`, and one more token in front if the class token
//! is `Kept`.

use eagle_core::data::preprocess::{Fit, ImageSpec};
use eagle_core::nn::layers::{
    Attention, ClassToken, Conv2d, FeedForward, FusedProjection, GatedMlp, LayerNorm, Linear, Mlp,
    Norm, NormKind, Positions, Resample, Rope2d, Vit, VitBlock, VitEmbedding, VitShape,
};
use eagle_core::nn::ops::Activation;
use eagle_core::nn::{Builder, Init};
use eagle_core::registry::{Cost, Encoder, EncoderConfig, MapShape, Misfit};
use eagle_core::tensor::Result;
use eagle_core::weights::Keys;
use serde::{Deserialize, Serialize};

eagle_core::config! {
    /// EVA-CLIP's vision transformer (timm `Eva`). The defaults are
    /// `eva02_large_patch14_clip_336`; EVA01-CLIP-g is `EvaClipVit(kind: Eva01, image_size: 224,
    /// width: 1408, layers: 40, heads: 16, hidden: 6144)`.
    pub struct EvaClipVit {
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
        /// Channels inside the feed-forward layer.
        hidden: usize = 2730,
        /// The blocks: Eva02, Eva01, or Eva02Enormous.
        kind: EvaKind = EvaKind::Eva02,
        /// Patches per row between which rotary angles are one apart; another grid is stretched
        /// over as many. Eva02's alone.
        rotary_grid: usize = 16,
        /// The class token: Dropped before the transformer, Inside the transformer and dropped
        /// from its output, or Kept as the first visual token.
        class_token: ClassToken = ClassToken::Inside,
        /// Blocks at the end that are not run.
        skip_last: usize = 0,
        /// Whether the final layer norm is applied, as in the reference's features.
        post_norm: bool = true,
        /// The standard deviation of initial weights; a small model trained from nothing wants about
        /// 1 / sqrt(width).
        initializer_range: f32 = 0.02,
        /// How a picture is made square: Stretch, Pad or Crop.
        fit: Fit = Fit::Crop,
        /// Side of the tensor that a mixture's encoders share, in pixels, if they do as in EAGLE
        /// (1024): normalised as CLIP's, then resized bilinearly. 0 means an image of its own.
        shared_size: usize = 0,
    }
}

eagle_core::register!(encoder EvaClipVit, examples [
    "EvaClipVit(image_size: 16, patch_size: 4, width: 16, layers: 2, heads: 2, hidden: 12, rotary_grid: 3)",
    "EvaClipVit(image_size: 20, pretrained_size: 12, patch_size: 4, width: 12, layers: 2, heads: 3, hidden: 20, kind: Eva01, skip_last: 1, post_norm: false, class_token: Kept)",
    "EvaClipVit(image_size: 8, patch_size: 4, width: 12, layers: 1, heads: 3, hidden: 20, kind: Eva02Enormous, class_token: Dropped, initializer_range: 0.3)",
]);

/// Which of EVA's blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EvaKind {
    /// EVA01-CLIP-g: query, key and value in one product, no bias of keys, GELU.
    Eva01,
    /// EVA02-CLIP-B and -L: rotary positions, projections apart, SwiGLU, norms inside both layers.
    Eva02,
    /// EVA02-CLIP-E: Eva01's layers, with the norms at the end of the residual branches.
    Eva02Enormous,
}

const EPS: f32 = 1e-6;
/// Within an EVA-02 block: timm's names, and those of EVA-CLIP's own checkpoints.
const EVA_CLIP: [(&str, &str); 7] = [
    ("attn.q_proj.bias", "attn.q_bias"),
    ("attn.v_proj.bias", "attn.v_bias"),
    ("attn.norm.*", "attn.inner_attn_ln.*"),
    ("mlp.fc1_g.*", "mlp.w1.*"),
    ("mlp.fc1_x.*", "mlp.w2.*"),
    ("mlp.norm.*", "mlp.ffn_ln.*"),
    ("mlp.fc2.*", "mlp.w3.*"),
];
const THETA: f64 = 10000.0;

impl EvaClipVit {
    fn shape(&self) -> VitShape {
        VitShape {
            image_size: self.image_size,
            pretrained_size: self.pretrained_size,
            patch_size: self.patch_size,
            width: self.width,
            layers: self.layers,
            heads: self.heads,
            hidden: self.hidden,
            gated: self.kind == EvaKind::Eva02,
            class_token: self.class_token,
            registers: 0,
            skip_last: self.skip_last,
            cut: false,
        }
    }

    fn init(&self) -> Init {
        Init::Normal(self.initializer_range)
    }

    fn rope(&self) -> Option<Rope2d> {
        let front = usize::from(self.class_token != ClassToken::Dropped);
        let head = self.width / self.heads;
        (self.kind == EvaKind::Eva02).then(|| {
            Rope2d::new(self.shape().side(), self.rotary_grid, head, THETA).after(front)
        })
    }
}

impl EncoderConfig for EvaClipVit {
    fn image(&self) -> ImageSpec {
        let own = ImageSpec { size: self.image_size, fit: self.fit, ..ImageSpec::default() };
        own.shared_at(self.shared_size)
    }

    fn output(&self) -> std::result::Result<MapShape, Misfit> {
        let map = self.shape().output()?;
        let head = self.width / self.heads;
        if self.kind == EvaKind::Eva02 && !head.is_multiple_of(4) {
            let message = format!("a head of {head} channels can't turn by row and column");
            return Err(Misfit::field("heads", message).help("a head needs a multiple of 4"));
        }
        Ok(map)
    }

    fn cost(&self) -> Cost {
        self.shape().cost()
    }

    fn build(&self, b: &mut Builder<'_>) -> Result<Box<dyn Encoder>> {
        let embedding = self.embedding(b)?;
        let blocks = (0..self.shape().run_layers())
            .map(|i| self.block(&mut b.at("blocks").at(i)))
            .collect::<Result<_>>()?;
        let post_norm = match self.post_norm {
            true => Some(Norm::build(&mut b.at("norm"), NormKind::Layer, self.width, EPS)?),
            false => None,
        };
        let (rope, class_token) = (self.rope(), self.class_token);
        Ok(Box::new(Vit { embedding, pre_norm: None, blocks, rope: rope.map(std::rc::Rc::new), post_norm, class_token }))
    }

    fn keys(&self) -> Keys {
        let mut keys = Keys::ignoring(["head.*", "rope.*", "blocks.*.attn.rope.*"]);
        if !self.post_norm {
            keys.ignored.push("norm.*".into());
        }
        keys.ignored.extend(self.shape().unused("blocks", "cls_token"));
        if self.kind != EvaKind::Eva02 {
            return keys;
        }
        let spelled = |keys: Keys, (ours, theirs): &(&str, &str)| {
            keys.renaming(&format!("blocks.*.{ours}"), &format!("blocks.*.{theirs}"))
        };
        EVA_CLIP.iter().fold(keys, spelled)
    }
}

impl EvaClipVit {
    fn embedding(&self, b: &mut Builder<'_>) -> Result<VitEmbedding> {
        let (width, patch, shape) = (self.width, self.patch_size, self.shape());
        let class = match self.class_token {
            ClassToken::Dropped => None,
            _ => Some(b.param("cls_token", &[1, 1, width], self.init())?),
        };
        let (from, to) = (shape.pretrained_side(), shape.side());
        let table = b.param("pos_embed", &[1, 1 + from * from, width], self.init())?;
        let mut at = b.at("patch_embed.proj");
        let patches = Conv2d::build(&mut at, (3, width), patch, (patch, 0), true)?;
        let resample = Resample::BicubicAntialias;
        let positions = Positions { table, prefix: 1, from, to, resample };
        Ok(VitEmbedding { patches, class, registers: None, positions })
    }

    fn block(&self, b: &mut Builder<'_>) -> Result<VitBlock> {
        let width = self.width;
        let norm1 = Norm::build(&mut b.at("norm1"), NormKind::Layer, width, EPS)?;
        let attention = self.attention(&mut b.at("attn"))?;
        let norm2 = Norm::build(&mut b.at("norm2"), NormKind::Layer, width, EPS)?;
        Ok(VitBlock {
            norms: [norm1, norm2],
            attention,
            mlp: self.mlp(&mut b.at("mlp"))?,
            scales: None,
            post_norm: self.kind == EvaKind::Eva02Enormous,
        })
    }

    fn attention(&self, b: &mut Builder<'_>) -> Result<Attention> {
        let (width, heads, head) = (self.width, self.heads, self.width / self.heads);
        if self.kind == EvaKind::Eva02 {
            let query = Linear::with_init(&mut b.at("q_proj"), width, width, true, self.init())?;
            let key = Linear::with_init(&mut b.at("k_proj"), width, width, false, self.init())?;
            let value = Linear::with_init(&mut b.at("v_proj"), width, width, true, self.init())?;
            let norm = LayerNorm::build(&mut b.at("norm"), width, EPS)?;
            let output = Linear::with_init(&mut b.at("proj"), width, width, true, self.init())?;
            let attention = Attention::of([query, key, value, output], heads, head);
            return Ok(attention.with_inner_norm(Some(norm)));
        }
        let qkv = FusedProjection::NoKeyBias {
            weight: b.at("qkv").param("weight", &[3 * width, width], self.init())?,
            query: b.param("q_bias", &[width], Init::Zeros)?,
            value: b.param("v_bias", &[width], Init::Zeros)?,
        };
        let output = Linear::with_init(&mut b.at("proj"), width, width, true, self.init())?;
        Ok(Attention::fused(qkv, output, heads, head))
    }

    fn mlp(&self, b: &mut Builder<'_>) -> Result<FeedForward> {
        let (width, hidden) = (self.width, self.hidden);
        if self.kind != EvaKind::Eva02 {
            let mlp = Mlp::build(b, ["fc1", "fc2"], (width, hidden), Activation::Gelu)?;
            return Ok(FeedForward::Plain(mlp));
        }
        let gate = Linear::with_init(&mut b.at("fc1_g"), width, hidden, true, self.init())?;
        let up = Linear::with_init(&mut b.at("fc1_x"), width, hidden, true, self.init())?;
        let norm = LayerNorm::build(&mut b.at("norm"), hidden, EPS)?;
        let down = Linear::with_init(&mut b.at("fc2"), hidden, width, true, self.init())?;
        Ok(FeedForward::Gated(GatedMlp::of([gate, up, down], Activation::Silu, Some(norm))))
    }
}
