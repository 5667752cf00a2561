//! Plugins with the fields of the real ones, and no more than linking needs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use eagle_core::data::preprocess::ImageSpec;
use eagle_core::data::{DataError, Dataset};
use eagle_core::nn::{Builder, Init};
use eagle_core::registry::{
    BenchmarkConfig, Cost, DatasetConfig, Encoder, EncoderConfig, Features, Fusion, FusionConfig,
    KvCache, Llm, LlmConfig, MapShape, Misfit, Projector, ProjectorConfig, Tap, TokensShape,
};
use eagle_core::tensor::{Param, Result, Tensor};
use eagle_core::text::{TextError, Tokenizer};
use eagle_core::{config, register};

/// Stands for every built module.
struct Built;

impl Encoder for Built {
    fn forward(&self, _: &Tensor, _: &mut dyn Tap) -> Result<Features> {
        unreachable!("linking runs nothing")
    }
}

impl Fusion for Built {
    fn forward(&self, _: &[Features]) -> Result<Tensor> {
        unreachable!("linking runs nothing")
    }
}

impl Projector for Built {
    fn forward(&self, _: &Tensor) -> Result<Tensor> {
        unreachable!("linking runs nothing")
    }
}

impl Llm for Built {
    fn embeddings(&self) -> &Param {
        unreachable!("linking runs nothing")
    }
    fn head(&self) -> &Param {
        unreachable!("linking runs nothing")
    }
    fn forward(&self, _: &Tensor, _: Option<&mut KvCache>, _: &mut dyn Tap) -> Result<Tensor> {
        unreachable!("linking runs nothing")
    }
}

config! {
    /// CLIP's vision transformer.
    pub struct ClipVit {
        /// The side of the picture in pixels, a multiple of `patch_size`.
        image_size: usize = 64,
        /// The side of a patch in pixels.
        patch_size: usize = 8,
        /// The width of the patches' vectors, a multiple of `heads`.
        width: usize = 128,
        /// Transformer blocks.
        layers: usize = 4,
        /// Attention heads.
        heads: usize = 4,
        /// Whether the class token is part of the output.
        class_token: bool = false,
    }
}
register!(encoder ClipVit);

impl EncoderConfig for ClipVit {
    fn image(&self) -> ImageSpec {
        unreachable!("linking prepares no picture")
    }
    fn output(&self) -> std::result::Result<MapShape, Misfit> {
        if self.patch_size == 0 || !self.image_size.is_multiple_of(self.patch_size) {
            let message = format!(
                "a picture of {} pixels can't be cut into patches of {}",
                self.image_size, self.patch_size
            );
            let help = "`image_size` is a multiple of `patch_size`";
            return Err(Misfit::field("image_size", message).help(help));
        }
        let side = self.image_size / self.patch_size;
        let mut map = MapShape::on_grid((side, side), self.width);
        if self.class_token {
            (map.grid, map.tokens) = (None, map.tokens + 1);
        }
        Ok(map)
    }
    fn cost(&self) -> Cost {
        Cost { flops: 1_000, activations: 1_000 }
    }
    fn build(&self, builder: &mut Builder<'_>) -> Result<Box<dyn Encoder>> {
        let patch = [self.width, 3, self.patch_size, self.patch_size];
        builder.at("embeddings").param("patch_embedding.weight", &patch, Init::Zeros)?;
        for layer in 0..self.layers {
            let mut layers = builder.at("layers");
            layers.at(layer).param("mlp.fc1.weight", &[4 * self.width, self.width], Init::Zeros)?;
        }
        Ok(Box::new(Built))
    }
}

config! {
    /// ConvNeXt.
    pub struct ConvNext {
        /// The side of the picture in pixels, a multiple of 32.
        image_size: usize = 96,
        /// Blocks per stage.
        depths: [usize; 4] = [1, 1, 3, 1],
        /// Channels per stage.
        widths: [usize; 4] = [16, 32, 64, 128],
    }
}
register!(encoder ConvNext);

impl EncoderConfig for ConvNext {
    fn image(&self) -> ImageSpec {
        unreachable!("linking prepares no picture")
    }
    fn output(&self) -> std::result::Result<MapShape, Misfit> {
        if !self.image_size.is_multiple_of(32) || self.image_size == 0 {
            let message = format!("{} pixels can't be halved five times", self.image_size);
            return Err(Misfit::field("image_size", message).help("write a multiple of 32"));
        }
        let side = self.image_size / 32;
        Ok(MapShape::on_grid((side, side), self.widths[3]))
    }
    fn cost(&self) -> Cost {
        Cost { flops: 2_000, activations: 2_000 }
    }
    fn build(&self, builder: &mut Builder<'_>) -> Result<Box<dyn Encoder>> {
        builder.param("stem.0.weight", &[self.widths[0], 3, 4, 4], Init::Zeros)?;
        Ok(Box::new(Built))
    }
}

config! {
    /// Resizes every map to one grid and joins the channels.
    pub struct ChannelConcat {
        /// Rows and columns of the common grid.
        grid: usize = 8,
    }
}
register!(fusion ChannelConcat);

impl FusionConfig for ChannelConcat {
    fn output(&self, inputs: &[MapShape]) -> std::result::Result<TokensShape, Misfit> {
        if self.grid == 0 {
            return Err(Misfit::field("grid", "a grid has at least one row").help("such as 8"));
        }
        if let Some(input) = inputs.iter().position(|input| input.grid.is_none()) {
            let message = "channels can only be joined where the vectors lie on a grid";
            let help = "leave the class token out: `class_token: false`";
            return Err(Misfit::input(input, message).help(help));
        }
        let width = inputs.iter().map(|input| input.width).sum();
        Ok(TokensShape { tokens: self.grid * self.grid, width })
    }
    fn cost(&self, _: &[MapShape]) -> Cost {
        Cost::default()
    }
    fn build(&self, _: &[MapShape], _: &mut Builder<'_>) -> Result<Box<dyn Fusion>> {
        Ok(Box::new(Built))
    }
}

config! {
    /// Puts the maps' vectors one behind the other.
    pub struct SequenceAppend {}
}
register!(fusion SequenceAppend);

impl FusionConfig for SequenceAppend {
    fn output(&self, inputs: &[MapShape]) -> std::result::Result<TokensShape, Misfit> {
        let width = inputs[0].width;
        if inputs.iter().any(|input| input.width != width) {
            let message = "vectors of different widths can't stand in one sequence";
            let help = "choose encoders of one width, or join the channels with `ChannelConcat`";
            return Err(Misfit::new(message).help(help));
        }
        Ok(TokensShape { tokens: inputs.iter().map(|input| input.tokens).sum(), width })
    }
    fn cost(&self, _: &[MapShape]) -> Cost {
        Cost::default()
    }
    fn build(&self, _: &[MapShape], _: &mut Builder<'_>) -> Result<Box<dyn Fusion>> {
        Ok(Box::new(Built))
    }
}

config! {
    /// One linear layer.
    pub struct Linear {}
}
register!(projector Linear);

impl ProjectorConfig for Linear {
    fn output(&self, input: TokensShape, width: usize) -> std::result::Result<TokensShape, Misfit> {
        Ok(TokensShape { width, ..input })
    }
    fn cost(&self, input: TokensShape, width: usize) -> Cost {
        Cost { flops: (2 * input.tokens * input.width * width) as u64, activations: 0 }
    }
    fn build(
        &self,
        input: TokensShape,
        width: usize,
        builder: &mut Builder<'_>,
    ) -> Result<Box<dyn Projector>> {
        builder.param("weight", &[width, input.width], Init::Zeros)?;
        builder.param("bias", &[width], Init::Zeros)?;
        Ok(Box::new(Built))
    }
}

config! {
    /// Linear layers with GELU between them.
    pub struct Mlp {
        /// Linear layers, at least 1.
        depth: usize = 2,
    }
}
register!(projector Mlp);

impl ProjectorConfig for Mlp {
    fn output(&self, input: TokensShape, width: usize) -> std::result::Result<TokensShape, Misfit> {
        if self.depth == 0 {
            return Err(
                Misfit::field("depth", "an MLP has at least one layer").help("write 1 or more")
            );
        }
        Ok(TokensShape { width, ..input })
    }
    fn cost(&self, input: TokensShape, width: usize) -> Cost {
        Linear {}.cost(input, width)
    }
    fn build(
        &self,
        input: TokensShape,
        width: usize,
        builder: &mut Builder<'_>,
    ) -> Result<Box<dyn Projector>> {
        for layer in 0..self.depth {
            let inputs = if layer == 0 { input.width } else { width };
            builder.at(2 * layer).param("weight", &[width, inputs], Init::Zeros)?;
        }
        Ok(Box::new(Built))
    }
}

/// Two tokens.
const TOKENIZER: &str = r#"{"version": "1.0", "added_tokens": [],
    "model": {"type": "WordLevel", "vocab": {"a": 0, "b": 1}, "unk_token": "a"}}"#;

/// Where a tokenizer comes from.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum TokenizerSource {
    Embedded,
    File(PathBuf),
}

config! {
    /// LLaMA.
    pub struct Llama {
        /// The width of the token embeddings, a multiple of `heads`.
        width: usize = 192,
        /// Transformer blocks.
        layers: usize = 4,
        /// Attention heads.
        heads: usize = 6,
        /// The width inside the MLP.
        hidden: usize = 512,
        /// Different tokens.
        vocabulary: usize = 512,
        /// The longest sequence in tokens, visual ones included.
        context: usize = 256,
        /// The base of the rotary embedding.
        rope_base: f64 = 10_000.0,
        /// `Embedded`, or `File("tokenizer.json")`.
        tokenizer: TokenizerSource = TokenizerSource::Embedded,
    }
}
register!(llm Llama);

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
        match &self.tokenizer {
            TokenizerSource::Embedded => Tokenizer::from_json(TOKENIZER, "the embedded tokenizer"),
            TokenizerSource::File(path) => Tokenizer::from_file(&base.join(path)),
        }
    }
    fn validate(&self) -> std::result::Result<(), Misfit> {
        if self.heads == 0 || !self.width.is_multiple_of(self.heads) {
            let message =
                format!("a width of {} can't be split into {} heads", self.width, self.heads);
            return Err(Misfit::field("heads", message).help("`width` is a multiple of `heads`"));
        }
        Ok(())
    }
    fn cost(&self, length: usize) -> Cost {
        Cost { flops: (self.width * self.layers * length) as u64, activations: 0 }
    }
    fn build(&self, builder: &mut Builder<'_>) -> Result<Box<dyn Llm>> {
        builder.param("embed_tokens.weight", &[self.vocabulary, self.width], Init::Zeros)?;
        for layer in 0..self.layers {
            let mut layers = builder.at("layers");
            layers.at(layer).param("mlp.up.weight", &[self.hidden, self.width], Init::Zeros)?;
        }
        Ok(Box::new(Built))
    }
}

config! {
    /// The synthetic visual world.
    pub struct MiniWorld {
        /// Different pictures, at least 1.
        samples: usize = 1000,
        /// Kinds of questions; all if empty.
        families: Vec<String> = Vec::new(),
    }
}
register!(dataset MiniWorld);

impl DatasetConfig for MiniWorld {
    fn validate(&self) -> std::result::Result<(), Misfit> {
        match self.samples {
            0 => Err(Misfit::field("samples", "a data set has at least one sample")),
            _ => Ok(()),
        }
    }
    fn open(&self, _: &Path) -> std::result::Result<Arc<dyn Dataset>, DataError> {
        unreachable!("linking opens no data")
    }
}

config! {
    /// Conversations in LLaVA's JSON.
    pub struct LlavaJson {
        /// The JSON file; required.
        path: PathBuf = PathBuf::new(),
        /// The folder of the pictures.
        images: Option<PathBuf> = None,
    }
}
register!(dataset LlavaJson);

impl DatasetConfig for LlavaJson {
    fn validate(&self) -> std::result::Result<(), Misfit> {
        if self.path.as_os_str().is_empty() {
            let misfit = Misfit::new("`LlavaJson` needs a file");
            return Err(misfit.help("write `LlavaJson(path: \"train.json\")`"));
        }
        Ok(())
    }
    fn open(&self, _: &Path) -> std::result::Result<Arc<dyn Dataset>, DataError> {
        unreachable!("linking opens no data")
    }
}

config! {
    /// Questions about the synthetic visual world.
    pub struct MiniVqa {
        /// The kind of question.
        family: String = "colour".to_owned(),
        /// Questions.
        samples: usize = 500,
    }
}
register!(benchmark MiniVqa);

impl BenchmarkConfig for MiniVqa {
    fn name(&self) -> String {
        format!("mini-{}", self.family)
    }
    fn metric(&self) -> &'static str {
        "accuracy"
    }
    fn validate(&self) -> std::result::Result<(), Misfit> {
        let families = ["colour", "count", "relation", "word"];
        if families.contains(&self.family.as_str()) {
            return Ok(());
        }
        let message = format!("there are no questions of the family {:?}", self.family);
        let help = format!("the families are {}", families.join(", "));
        Err(Misfit::field("family", message).help(help))
    }
    fn open(&self, _: &Path) -> std::result::Result<Arc<dyn Dataset>, DataError> {
        unreachable!("linking opens no data")
    }
    fn max_new_tokens(&self) -> usize {
        8
    }
    fn score(&self, _: &str, _: &str) -> f64 {
        0.0
    }
}
