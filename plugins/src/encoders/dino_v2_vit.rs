//! DINOv2's vision transformer, with and without registers, as Hugging Face's `Dinov2Model` and
//! `Dinov2WithRegistersModel` (transformers 4.44.2 and later) and with the key names of the released
//! checkpoints (`facebook/dinov2-large`; transformers 5 renames them while it reads). Sources: Oquab
//! et al., arXiv 2304.07193; Darcet et al., arXiv 2309.16588 (registers). Layer scale, a SwiGLU
//! feed-forward layer in the giant, positions made for 518 pixels. `mask_token` is for pre-training
//! and no part of the map.
//!
//! `[B, 3, S, S]` to `[B, (S / patch_size)^2, width]`, and one more token in front if the class token
//! is `Kept`; registers are dropped.

use eagle_core::data::preprocess::{Fit, IMAGENET_MEAN, IMAGENET_STD, ImageSpec};
use eagle_core::nn::layers::{
    Attention, AttentionNames, ClassToken, Conv2d, FeedForward, Linear, Mlp, Norm, NormKind,
    Positions, Resample, Vit, VitBlock, VitEmbedding, VitShape,
};
use eagle_core::nn::ops::Activation;
use eagle_core::nn::{Builder, Init};
use eagle_core::registry::{Cost, Encoder, EncoderConfig, MapShape, Misfit};
use eagle_core::tensor::Result;
use eagle_core::weights::Keys;

eagle_core::config! {
    /// DINOv2's vision transformer (Hugging Face `Dinov2Model`). The defaults are
    /// `facebook/dinov2-large` at the size it was made for.
    pub struct DinoV2Vit {
        /// Side of the input image, in pixels; a multiple of `patch_size`.
        image_size: usize = 518,
        /// Side of the image that the position embeddings were made for, in pixels; another
        /// `image_size` resamples them. 0 means `image_size`.
        pretrained_size: usize = 0,
        /// How they are resampled: Some(Bicubic) as in transformers 5, Some(BicubicOffset) as in
        /// Meta's code and transformers 4, Some(BicubicAntialias) as in all three for the models
        /// with registers. None means what transformers 5 does.
        resample: Option<Resample> = None,
        /// Side of a patch, in pixels.
        patch_size: usize = 14,
        /// Channels.
        width: usize = 1024,
        /// Transformer blocks.
        layers: usize = 24,
        /// Attention heads; divides `width`.
        heads: usize = 16,
        /// Channels inside the feed-forward layer. 0 means 4 x `width`, and with `swiglu` two
        /// thirds of that, rounded up to a multiple of 8.
        hidden: usize = 0,
        /// Whether the feed-forward layer is SwiGLU, as in the giant.
        swiglu: bool = false,
        /// Register tokens; 4 in the released models that have them.
        registers: usize = 0,
        /// The initial layer scale.
        layer_scale: f32 = 1.0,
        /// The class token: Dropped before the transformer, Inside the transformer and dropped
        /// from its output, or Kept as the first visual token.
        class_token: ClassToken = ClassToken::Inside,
        /// Blocks at the end that are not run.
        skip_last: usize = 0,
        /// Whether the final layer norm is applied, as in the reference's last hidden state.
        post_norm: bool = true,
        /// The standard deviation of initial weights; a small model trained from nothing wants about
        /// 1 / sqrt(width).
        initializer_range: f32 = 0.02,
        /// How a picture is made square: Stretch, Pad or Crop.
        fit: Fit = Fit::Crop,
        /// With Crop, what a picture's shorter side is resized to before the middle is cut out, in
        /// pixels. 0 means 8/7 of `image_size`: the reference's 256 for 224.
        crop_from: usize = 0,
        /// Side of the tensor that a mixture's encoders share, in pixels, if they do as in EAGLE
        /// (1024): normalised as CLIP's, then resized bilinearly. 0 means an image of its own.
        shared_size: usize = 0,
    }
}

eagle_core::register!(encoder DinoV2Vit, examples [
    "DinoV2Vit(image_size: 16, patch_size: 4, width: 8, layers: 2, heads: 2)",
    "DinoV2Vit(image_size: 20, pretrained_size: 12, patch_size: 4, width: 8, layers: 2, heads: 4, registers: 2, swiglu: true, skip_last: 1, post_norm: false, class_token: Kept)",
    "DinoV2Vit(image_size: 8, patch_size: 4, width: 12, layers: 1, heads: 3, hidden: 20, registers: 1, class_token: Dropped)",
]);

const EPS: f32 = 1e-6;
const NAMES: AttentionNames = AttentionNames {
    projections: ["attention.query", "attention.key", "attention.value", "output.dense"],
    bias: (true, true),
};

impl DinoV2Vit {
    fn shape(&self) -> VitShape {
        let hidden = match (self.hidden, self.swiglu) {
            (0, false) => 4 * self.width,
            (0, true) => (4 * self.width * 2 / 3).next_multiple_of(8),
            (hidden, _) => hidden,
        };
        VitShape {
            image_size: self.image_size,
            pretrained_size: self.pretrained_size,
            patch_size: self.patch_size,
            width: self.width,
            layers: self.layers,
            heads: self.heads,
            hidden,
            gated: self.swiglu,
            class_token: self.class_token,
            registers: self.registers,
            skip_last: self.skip_last,
            cut: false,
        }
    }
}

impl EncoderConfig for DinoV2Vit {
    fn image(&self) -> ImageSpec {
        let crop_from = match self.crop_from {
            0 => self.image_size.saturating_mul(8) / 7,
            side => side,
        };
        let own = ImageSpec {
            size: self.image_size,
            fit: self.fit,
            crop_from,
            mean: IMAGENET_MEAN,
            std: IMAGENET_STD,
            ..ImageSpec::default()
        };
        own.shared_at(self.shared_size)
    }

    fn output(&self) -> std::result::Result<MapShape, Misfit> {
        if (1..self.image_size).contains(&self.crop_from) {
            let message = format!("{} pixels can't be cut out of {}", self.image_size, self.crop_from);
            return Err(Misfit::field("crop_from", message));
        }
        self.shape().output()
    }

    fn cost(&self) -> Cost {
        self.shape().cost()
    }

    fn build(&self, b: &mut Builder<'_>) -> Result<Box<dyn Encoder>> {
        let embedding = self.embedding(&mut b.at("embeddings"))?;
        let blocks = (0..self.shape().run_layers())
            .map(|i| self.block(&mut b.at("encoder").at("layer").at(i)))
            .collect::<Result<_>>()?;
        let post_norm = self
            .post_norm
            .then(|| Norm::build(&mut b.at("layernorm"), NormKind::Layer, self.width, EPS))
            .transpose()?;
        let class_token = self.class_token;
        Ok(Box::new(Vit { embedding, pre_norm: None, blocks, rope: None, post_norm, class_token }))
    }

    fn keys(&self) -> Keys {
        let mut keys = Keys::ignoring(["embeddings.mask_token"]);
        if !self.post_norm {
            keys.ignored.push("layernorm.*".into());
        }
        keys.ignored.extend(self.shape().unused("encoder.layer", "embeddings.cls_token"));
        keys
    }
}

impl DinoV2Vit {
    fn embedding(&self, b: &mut Builder<'_>) -> Result<VitEmbedding> {
        let (width, patch, shape) = (self.width, self.patch_size, self.shape());
        let init = Init::Normal(self.initializer_range);
        let class = match self.class_token {
            ClassToken::Dropped => None,
            _ => Some(b.param("cls_token", &[1, 1, width], init)?),
        };
        let registers = match self.registers {
            0 => None,
            count => Some(b.param("register_tokens", &[1, count, width], init)?),
        };
        let (from, to) = (shape.pretrained_side(), shape.side());
        let table = b.param("position_embeddings", &[1, 1 + from * from, width], init)?;
        let resample = self.resample.unwrap_or(match self.registers {
            0 => Resample::Bicubic,
            _ => Resample::BicubicAntialias,
        });
        let mut at = b.at("patch_embeddings.projection");
        let patches = Conv2d::build(&mut at, (3, width), patch, (patch, 0), true)?;
        let positions = Positions { table, prefix: 1, from, to, resample };
        Ok(VitEmbedding { patches, class, registers, positions })
    }

    fn block(&self, b: &mut Builder<'_>) -> Result<VitBlock> {
        let (width, hidden) = (self.width, self.shape().hidden);
        let (init, heads) = (Init::Normal(self.initializer_range), (self.heads, self.heads));
        let norm1 = Norm::build(&mut b.at("norm1"), NormKind::Layer, width, EPS)?;
        let attention = Attention::build(&mut b.at("attention"), NAMES, width, heads, init)?;
        let scale = Init::Constant(self.layer_scale);
        let scale1 = b.at("layer_scale1").param("lambda1", &[width], scale)?;
        let norm2 = Norm::build(&mut b.at("norm2"), NormKind::Layer, width, EPS)?;
        let mut at = b.at("mlp");
        let mlp = if self.swiglu {
            let up = Linear::with_init(&mut at.at("weights_in"), width, 2 * hidden, true, init)?;
            let down = Linear::with_init(&mut at.at("weights_out"), hidden, width, true, init)?;
            FeedForward::Packed { up, down }
        } else {
            let names = ["fc1", "fc2"];
            FeedForward::Plain(Mlp::build(&mut at, names, (width, hidden), Activation::Gelu)?)
        };
        let scale2 = b.at("layer_scale2").param("lambda1", &[width], scale)?;
        let scales = Some([scale1, scale2]);
        Ok(VitBlock { norms: [norm1, norm2], attention, mlp, scales, post_norm: false })
    }
}
