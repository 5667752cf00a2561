//! CLIP's vision transformer, as Hugging Face's `CLIPVisionModel` (transformers 4.44.2) and with its
//! parameter names. Source: Radford et al., arXiv 2103.00020; EAGLE runs it through
//! `hr_clip_encoder.py`, which drops the class token before the transformer, resamples the position
//! embeddings (bicubic, antialias) and uses all layers without the final norm: the defaults here.
//!
//! `[B, 3, S, S]` to `[B, N, width]` with `N = (S / patch_size)^2`, and one more token in front if
//! the class token is `Kept`.

use eagle_core::data::preprocess::{Fit, ImageSpec};
use eagle_core::nn::layers::{
    Attention, AttentionNames, ClassToken, Conv2d, FeedForward, LayerNorm, Mlp, Norm, NormKind,
    Positions, Resample, Vit, VitBlock, VitEmbedding, VitShape,
};
use eagle_core::nn::ops::Activation;
use eagle_core::nn::{Builder, Init};
use eagle_core::registry::{Cost, Encoder, EncoderConfig, MapShape, Misfit};
use eagle_core::tensor::Result;
use eagle_core::weights::Keys;
use serde_json::{Value, json};

eagle_core::config! {
    /// CLIP's vision transformer (Hugging Face `CLIPVisionModel`). The defaults are
    /// `openai/clip-vit-large-patch14-336` as EAGLE runs it. Its paper says 448 pixels
    /// (`image_size: 448, pretrained_size: 336`); its released code runs 336, made from the mixture's
    /// tensor (`shared_size: 1024`), and enlarges the map.
    pub struct ClipVit {
        /// Side of the input image, in pixels; a multiple of `patch_size`.
        image_size: usize = 336,
        /// Side of the image that the position embeddings were made for, in pixels; another
        /// `image_size` resamples them. 0 means `image_size`.
        pretrained_size: usize = 0,
        /// How they are resampled: BicubicAntialias (EAGLE, LLaVA-HR) or Bicubic (transformers).
        resample: Resample = Resample::BicubicAntialias,
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
        /// Side of the tensor that a mixture's encoders share, in pixels, if they do as in EAGLE
        /// (1024): normalised as CLIP's, then resized bilinearly. 0 means an image of its own.
        shared_size: usize = 0,
    }
}

eagle_core::register!(encoder ClipVit, examples [
    "ClipVit(image_size: 16, patch_size: 4, width: 8, layers: 2, heads: 2)",
    "ClipVit(image_size: 20, pretrained_size: 12, patch_size: 4, width: 8, layers: 2, heads: 4, class_token: Inside, skip_last: 1)",
    "ClipVit(image_size: 12, patch_size: 4, width: 12, layers: 1, heads: 3, hidden: 20, class_token: Kept, post_norm: true, activation: Gelu)",
]);

const EPS: f32 = 1e-5;
const NAMES: AttentionNames =
    AttentionNames { projections: ["q_proj", "k_proj", "v_proj", "out_proj"], bias: (true, true) };

impl ClipVit {
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
            cut: false,
            skip_last: self.skip_last,
        }
    }
}

impl EncoderConfig for ClipVit {
    fn image(&self) -> ImageSpec {
        let own = ImageSpec { size: self.image_size, fit: self.fit, ..ImageSpec::default() };
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
        let pre_norm = Some(LayerNorm::build(&mut b.at("pre_layrnorm"), width, EPS)?);
        let blocks = (0..shape.run_layers())
            .map(|i| self.block(&mut b.at("encoder").at("layers").at(i)))
            .collect::<Result<_>>()?;
        let post_norm = self
            .post_norm
            .then(|| Norm::build(&mut b.at("post_layernorm"), NormKind::Layer, width, EPS))
            .transpose()?;
        let class_token = self.class_token;
        Ok(Box::new(Vit { embedding, pre_norm, blocks, rope: None, post_norm, class_token }))
    }

    fn keys(&self) -> Keys {
        self.unused()
    }

    fn reference(&self) -> Option<Value> {
        Some(self.reference_config())
    }
}

impl ClipVit {
    /// What a checkpoint of the whole CLIP, or of its unchanged vision tower, has besides.
    fn unused(&self) -> Keys {
        let mut keys = Keys::ignoring([
            "text_model.**",
            "text_projection.weight",
            "visual_projection.weight",
            "logit_scale",
            "vision_model.embeddings.position_ids",
        ]);
        if !self.post_norm {
            keys.ignored.push("vision_model.post_layernorm.*".into());
        }
        let class = "vision_model.embeddings.class_embedding";
        keys.ignored.extend(self.shape().unused("vision_model.encoder.layers", class));
        keys
    }

    /// `CLIPVisionModel`'s configuration. The layers that are not run are not exported either.
    fn reference_config(&self) -> Value {
        let activation = match self.activation {
            Activation::QuickGelu => "quick_gelu",
            Activation::GeluTanh => "gelu_pytorch_tanh",
            _ => "gelu",
        };
        json!({
            "architectures": ["CLIPVisionModel"],
            "model_type": "clip_vision_model",
            "hidden_size": self.width,
            "intermediate_size": self.shape().hidden,
            "num_hidden_layers": self.shape().run_layers(),
            "num_attention_heads": self.heads,
            "num_channels": 3,
            "image_size": self.shape().pretrained_side() * self.patch_size,
            "patch_size": self.patch_size,
            "hidden_act": activation,
            "layer_norm_eps": 1e-5,
            "torch_dtype": "float32",
        })
    }

    fn embedding(&self, b: &mut Builder<'_>) -> Result<VitEmbedding> {
        let (width, patch, shape) = (self.width, self.patch_size, self.shape());
        let class = match self.class_token {
            ClassToken::Dropped => None,
            _ => Some(b.param("class_embedding", &[width], Init::Normal(0.02))?),
        };
        let mut at = b.at("patch_embedding");
        let patches = Conv2d::build(&mut at, (3, width), patch, (patch, 0), false)?;
        let (from, to) = (shape.pretrained_side(), shape.side());
        let init = Init::Normal(self.position_range);
        let mut at = b.at("position_embedding");
        let table = at.param("weight", &[1 + from * from, width], init)?;
        let positions = Positions { table, prefix: 1, from, to, resample: self.resample };
        Ok(VitEmbedding { patches, class, registers: None, positions })
    }

    fn block(&self, b: &mut Builder<'_>) -> Result<VitBlock> {
        let (width, init) = (self.width, Init::xavier(self.width, self.width));
        let sizes = (width, self.shape().hidden);
        let heads = (self.heads, self.heads);
        let norm1 = Norm::build(&mut b.at("layer_norm1"), NormKind::Layer, width, EPS)?;
        let attention = Attention::build(&mut b.at("self_attn"), NAMES, width, heads, init)?;
        let norm2 = Norm::build(&mut b.at("layer_norm2"), NormKind::Layer, width, EPS)?;
        let mlp = Mlp::build(&mut b.at("mlp"), ["fc1", "fc2"], sizes, self.activation)?;
        Ok(VitBlock {
            norms: [norm1, norm2],
            attention,
            mlp: FeedForward::Plain(mlp),
            scales: None,
            post_norm: false,
        })
    }
}
