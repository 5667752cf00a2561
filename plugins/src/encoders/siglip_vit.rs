//! SigLIP's vision transformer, as Hugging Face's `SiglipVisionModel` (transformers 4.44.2 and 5) and
//! with its parameter names; SigLIP 2's fixed-resolution checkpoints are the same model. Sources:
//! Zhai et al., arXiv 2303.15343; Tschannen et al., arXiv 2502.14786. No class token, a biased
//! patch convolution, GELU's tanh form. The attention-pooling head (`vision_model.head`) is no part
//! of the map.
//!
//! `[B, 3, S, S]` to `[B, (S / patch_size)^2, width]`. A side that is not whole patches is cut, as
//! the reference's convolution does (384 by 14 are 27 patches).

use eagle_core::data::preprocess::{Fit, ImageSpec};
use eagle_core::nn::layers::{
    Attention, AttentionNames, ClassToken, Conv2d, FeedForward, Mlp, Norm, NormKind,
    Positions, Resample, Vit, VitBlock, VitEmbedding, VitShape,
};
use eagle_core::nn::ops::Activation;
use eagle_core::nn::{Builder, Init};
use eagle_core::registry::{Cost, Encoder, EncoderConfig, MapShape, Misfit};
use eagle_core::tensor::Result;
use eagle_core::weights::Keys;

eagle_core::config! {
    /// SigLIP's vision transformer (Hugging Face `SiglipVisionModel`). The defaults are
    /// `google/siglip-so400m-patch14-384`.
    pub struct SiglipVit {
        /// Side of the input image, in pixels; what is beyond the last whole patch is cut.
        image_size: usize = 384,
        /// Side of the image that the position embeddings were made for, in pixels; another
        /// `image_size` resamples them (bicubic). 0 means `image_size`.
        pretrained_size: usize = 0,
        /// Side of a patch, in pixels.
        patch_size: usize = 14,
        /// Channels.
        width: usize = 1152,
        /// Transformer blocks.
        layers: usize = 27,
        /// Attention heads; divides `width`.
        heads: usize = 16,
        /// Channels inside the feed-forward layer. 0 means 4 x `width`.
        hidden: usize = 4304,
        /// Blocks at the end that are not run; LLaVA's `select_layer: -2` is 1.
        skip_last: usize = 0,
        /// Whether the final layer norm is applied, as in the reference's last hidden state.
        post_norm: bool = true,
        /// How a picture is made square: Stretch, Pad or Crop.
        fit: Fit = Fit::Stretch,
        /// Side of the tensor that a mixture's encoders share, in pixels, if they do as in EAGLE
        /// (1024): normalised as CLIP's, then resized bilinearly. 0 means an image of its own.
        shared_size: usize = 0,
    }
}

eagle_core::register!(encoder SiglipVit, examples [
    "SiglipVit(image_size: 17, patch_size: 4, width: 8, layers: 2, heads: 2, hidden: 12)",
    "SiglipVit(image_size: 20, pretrained_size: 12, patch_size: 4, width: 8, layers: 2, heads: 4, skip_last: 1, post_norm: false)",
]);

const EPS: f32 = 1e-6;
const NAMES: AttentionNames =
    AttentionNames { projections: ["q_proj", "k_proj", "v_proj", "out_proj"], bias: (true, true) };

impl SiglipVit {
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
            class_token: ClassToken::Dropped,
            registers: 0,
            cut: true,
            skip_last: self.skip_last,
        }
    }
}

impl EncoderConfig for SiglipVit {
    fn image(&self) -> ImageSpec {
        let own = ImageSpec {
            size: self.image_size,
            fit: self.fit,
            mean: [0.5; 3],
            std: [0.5; 3],
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
        let mut b = b.at("vision_model");
        let (width, shape) = (self.width, self.shape());
        let embedding = self.embedding(&mut b.at("embeddings"))?;
        let blocks = (0..shape.run_layers())
            .map(|i| self.block(&mut b.at("encoder").at("layers").at(i)))
            .collect::<Result<_>>()?;
        let post_norm = self
            .post_norm
            .then(|| Norm::build(&mut b.at("post_layernorm"), NormKind::Layer, width, EPS))
            .transpose()?;
        Ok(Box::new(Vit {
            embedding,
            pre_norm: None,
            blocks,
            rope: None,
            post_norm,
            class_token: ClassToken::Dropped,
        }))
    }

    fn keys(&self) -> Keys {
        let mut keys = Keys::ignoring([
            "text_model.**",
            "logit_scale",
            "logit_bias",
            "vision_model.head.**",
            "vision_model.embeddings.position_ids",
        ]);
        if !self.post_norm {
            keys.ignored.push("vision_model.post_layernorm.*".into());
        }
        keys.ignored.extend(self.shape().unused("vision_model.encoder.layers", ""));
        keys
    }
}

impl SiglipVit {
    fn embedding(&self, b: &mut Builder<'_>) -> Result<VitEmbedding> {
        let (width, patch, shape) = (self.width, self.patch_size, self.shape());
        let mut at = b.at("patch_embedding");
        let patches = Conv2d::build(&mut at, (3, width), patch, (patch, 0), true)?;
        let (from, to) = (shape.pretrained_side(), shape.side());
        let init = Init::Normal(1.0 / (width as f32).sqrt());
        let mut at = b.at("position_embedding");
        let table = at.param("weight", &[from * from, width], init)?;
        let positions = Positions { table, prefix: 0, from, to, resample: Resample::Bicubic };
        Ok(VitEmbedding { patches, class: None, registers: None, positions })
    }

    fn block(&self, b: &mut Builder<'_>) -> Result<VitBlock> {
        let (width, init) = (self.width, Init::xavier(self.width, self.width));
        let sizes = (width, self.shape().hidden);
        let heads = (self.heads, self.heads);
        let norm1 = Norm::build(&mut b.at("layer_norm1"), NormKind::Layer, width, EPS)?;
        let attention = Attention::build(&mut b.at("self_attn"), NAMES, width, heads, init)?;
        let norm2 = Norm::build(&mut b.at("layer_norm2"), NormKind::Layer, width, EPS)?;
        let mlp = Mlp::build(&mut b.at("mlp"), ["fc1", "fc2"], sizes, Activation::GeluTanh)?;
        Ok(VitBlock {
            norms: [norm1, norm2],
            attention,
            mlp: FeedForward::Plain(mlp),
            scales: None,
            post_norm: false,
        })
    }
}
