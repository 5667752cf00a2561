//! InternViT, as OpenGVLab's `InternVisionModel` (`modeling_intern_vit.py`) and with the key names of
//! the released checkpoints (transformers' `InternVLVisionModel` is the same model under other names,
//! its query, key and value apart). Source: Chen et al., arXiv 2312.14238 and 2404.16821. Layer scale,
//! no final norm; the 6B has RMS norms, also of queries and keys over all heads together.
//!
//! `[B, 3, S, S]` to `[B, (S / patch_size)^2, width]`, and one more token in front if the class token
//! is `Kept`.

use eagle_core::data::preprocess::{Fit, IMAGENET_MEAN, IMAGENET_STD, ImageSpec};
use eagle_core::nn::layers::{
    Attention, ClassToken, Conv2d, FeedForward, FusedProjection, Linear, Mlp, Norm, NormKind,
    Positions, Resample, RmsNorm, Vit, VitBlock, VitEmbedding, VitShape,
};
use eagle_core::nn::ops::Activation;
use eagle_core::nn::{Builder, Init};
use eagle_core::registry::{Cost, Encoder, EncoderConfig, MapShape, Misfit};
use eagle_core::tensor::Result;
use eagle_core::weights::Keys;

eagle_core::config! {
    /// InternViT (OpenGVLab `InternVisionModel`). The defaults are `OpenGVLab/InternViT-300M-448px`;
    /// the 6B is `InternVit(width: 3200, layers: 45, heads: 25, hidden: 12800, norm: Rms,
    /// query_key_norm: true, qkv_bias: false)`.
    pub struct InternVit {
        /// Side of the input image, in pixels; a multiple of `patch_size`.
        image_size: usize = 448,
        /// Side of the image that the position embeddings were made for, in pixels; another
        /// `image_size` resamples them (bicubic). 0 means `image_size`.
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
        /// The blocks' norms: Layer (300M) or Rms (6B).
        norm: NormKind = NormKind::Layer,
        /// Whether queries and keys are normalised (6B).
        query_key_norm: bool = false,
        /// Whether query, key and value have biases (300M).
        qkv_bias: bool = true,
        /// The initial layer scale.
        layer_scale: f32 = 0.1,
        /// The class token: Dropped before the transformer, Inside the transformer and dropped
        /// from its output (InternVL), or Kept as the first visual token.
        class_token: ClassToken = ClassToken::Inside,
        /// Blocks at the end that are not run.
        skip_last: usize = 0,
        /// The standard deviation of initial weights; a small model trained from nothing wants about
        /// 1 / sqrt(width).
        initializer_range: f32 = 0.02,
        /// How a picture is made square: Stretch, Pad or Crop.
        fit: Fit = Fit::Stretch,
        /// Side of the tensor that a mixture's encoders share, in pixels, if they do as in EAGLE
        /// (1024): normalised as CLIP's, then resized bilinearly. 0 means an image of its own.
        shared_size: usize = 0,
    }
}

eagle_core::register!(encoder InternVit, examples [
    "InternVit(image_size: 16, patch_size: 4, width: 8, layers: 2, heads: 2, layer_scale: 1.0)",
    "InternVit(image_size: 20, pretrained_size: 12, patch_size: 4, width: 12, layers: 2, heads: 3, hidden: 20, norm: Rms, query_key_norm: true, qkv_bias: false, skip_last: 1, class_token: Kept)",
]);

const EPS: f32 = 1e-6;

impl InternVit {
    fn shape(&self) -> VitShape {
        VitShape {
            image_size: self.image_size,
            pretrained_size: self.pretrained_size,
            patch_size: self.patch_size,
            width: self.width,
            layers: self.layers,
            heads: self.heads,
            hidden: if self.hidden == 0 { 4 * self.width } else { self.hidden },
            gated: false,
            class_token: self.class_token,
            registers: 0,
            skip_last: self.skip_last,
            cut: false,
        }
    }
}

impl EncoderConfig for InternVit {
    fn image(&self) -> ImageSpec {
        let own = ImageSpec {
            size: self.image_size,
            fit: self.fit,
            mean: IMAGENET_MEAN,
            std: IMAGENET_STD,
            ..ImageSpec::default()
        };
        own.shared_at(self.shared_size)
    }

    fn output(&self) -> std::result::Result<MapShape, Misfit> {
        self.shape().output()
    }

    fn cost(&self) -> Cost {
        self.shape().cost()
    }

    fn build(&self, b: &mut Builder<'_>) -> Result<Box<dyn Encoder>> {
        let embedding = self.embedding(&mut b.at("embeddings"))?;
        let blocks = (0..self.shape().run_layers())
            .map(|i| self.block(&mut b.at("encoder").at("layers").at(i)))
            .collect::<Result<_>>()?;
        Ok(Box::new(Vit {
            embedding,
            pre_norm: None,
            blocks,
            rope: None,
            post_norm: None,
            class_token: self.class_token,
        }))
    }

    fn keys(&self) -> Keys {
        let unused = self.shape().unused("encoder.layers", "embeddings.class_embedding");
        Keys { ignored: unused, ..Keys::default() }
    }
}

impl InternVit {
    fn embedding(&self, b: &mut Builder<'_>) -> Result<VitEmbedding> {
        let (width, patch, shape) = (self.width, self.patch_size, self.shape());
        let init = Init::Normal(self.initializer_range);
        let class = match self.class_token {
            ClassToken::Dropped => None,
            _ => Some(b.param("class_embedding", &[1, 1, width], init)?),
        };
        let mut at = b.at("patch_embedding");
        let patches = Conv2d::build(&mut at, (3, width), patch, (patch, 0), true)?;
        let (from, to) = (shape.pretrained_side(), shape.side());
        let table = b.param("position_embedding", &[1, 1 + from * from, width], init)?;
        let positions = Positions { table, prefix: 1, from, to, resample: Resample::Bicubic };
        Ok(VitEmbedding { patches, class, registers: None, positions })
    }

    fn block(&self, b: &mut Builder<'_>) -> Result<VitBlock> {
        let (width, init) = (self.width, Init::Normal(self.initializer_range));
        let sizes = (width, self.shape().hidden);
        let mut at = b.at("attn");
        let qkv = Linear::with_init(&mut at.at("qkv"), width, 3 * width, self.qkv_bias, init)?;
        let norms = match self.query_key_norm {
            true => Some([
                RmsNorm::build(&mut at.at("q_norm"), width, EPS)?,
                RmsNorm::build(&mut at.at("k_norm"), width, EPS)?,
            ]),
            false => None,
        };
        let proj = Linear::with_init(&mut at.at("proj"), width, width, true, init)?;
        let qkv = FusedProjection::Whole(qkv);
        let attention = Attention::fused(qkv, proj, self.heads, width / self.heads);
        let mlp = Mlp::build(&mut b.at("mlp"), ["fc1", "fc2"], sizes, Activation::Gelu)?;
        let norm1 = Norm::build(&mut b.at("norm1"), self.norm, width, EPS)?;
        let norm2 = Norm::build(&mut b.at("norm2"), self.norm, width, EPS)?;
        let scale = Init::Constant(self.layer_scale);
        let scales = [b.param("ls1", &[width], scale)?, b.param("ls2", &[width], scale)?];
        Ok(VitBlock {
            norms: [norm1, norm2],
            attention: attention.with_query_key_norms(norms),
            mlp: FeedForward::Plain(mlp),
            scales: Some(scales),
            post_norm: false,
        })
    }
}
