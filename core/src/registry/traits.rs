//! The plugins' traits: a configuration that promises and builds, and the module that it builds.

use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;

use super::nested::NestedData;
use super::{Cost, MapShape, Misfit, TokensShape};
use crate::data::preprocess::ImageSpec;
use crate::data::tiles::{Layout, Packing};
use crate::data::{DataError, Dataset, Sample};
use crate::nn::Builder;
use crate::score::{self, Judged, Question, Statistic, Verdict};
use crate::tensor::{Param, Result as TensorResult, Tensor, TensorError};
use crate::text::{TextError, Tokenizer};
use crate::weights::Keys;

/// An encoder's output: its final map, and its stage pyramid where it has one.
#[derive(Debug, Clone)]
pub struct Features {
    /// `[B, N, C]`, row by row where the tokens lie on a grid.
    pub map: Tensor,
    /// Rows and columns, if the tokens lie on a grid.
    pub grid: Option<(usize, usize)>,
    /// The earlier stages of a hierarchical encoder: `[B, H, W, C]`, highest resolution first.
    pub pyramid: Vec<Tensor>,
}

impl Features {
    /// The map on its grid, `[B, H, W, C]`.
    ///
    /// # Errors
    /// Its vectors don't lie on a grid.
    pub fn on_grid(&self) -> TensorResult<Tensor> {
        let [batch, n, width] = self.map.dims("feature map")?;
        let (h, w) = self.grid.ok_or_else(|| TensorError::Shape {
            op: "feature map",
            detail: format!("{n} vectors that don't lie on a grid"),
        })?;
        self.map.reshape(&[batch, h, w, width])
    }

    /// The stages of the pyramid, and then the final map: `[B, H, W, C]`, highest resolution first.
    ///
    /// # Errors
    /// The map's vectors don't lie on a grid.
    pub fn levels(&self) -> TensorResult<Vec<Tensor>> {
        let mut levels = self.pyramid.clone();
        levels.push(self.on_grid()?);
        Ok(levels)
    }
}

/// Looks at, or changes, what flows between the blocks of a module: `trace --all` records through
/// it, and a fusion that injects into an encoder (LLaVA-HR) does so through it.
pub trait Tap {
    /// Called after block `index` of `count` of the module with its output `[B, N, C]`.
    ///
    /// # Errors
    /// What the injected operations report.
    fn after_block(&mut self, index: usize, count: usize, x: Tensor) -> TensorResult<Tensor>;
}

/// A tap that lets everything pass.
pub struct NoTap;

impl Tap for NoTap {
    fn after_block(&mut self, _: usize, _: usize, x: Tensor) -> TensorResult<Tensor> {
        Ok(x)
    }
}

/// A built vision encoder.
pub trait Encoder {
    /// `image`: `[B, 3, S, S]`, prepared as the configuration's `image()` says. Where a node's tiles
    /// depend on the picture, each is one of the `B`, here and in what fusions and projectors get.
    ///
    /// # Errors
    /// Shapes that break the promise, or the device fails.
    fn forward(&self, image: &Tensor, tap: &mut dyn Tap) -> TensorResult<Features>;
}

/// The configuration of a vision encoder.
pub trait EncoderConfig: Debug + Send + Sync {
    /// How a picture is to be prepared for it.
    fn image(&self) -> ImageSpec;
    /// The promise of its output.
    ///
    /// # Errors
    /// Fields that contradict each other.
    fn output(&self) -> Result<MapShape, Misfit>;
    /// What a forward pass costs per image.
    fn cost(&self) -> Cost;
    /// The module, its parameters taken from `builder` under the reference checkpoint's names.
    ///
    /// # Errors
    /// The device has no room.
    fn build(&self, builder: &mut Builder<'_>) -> TensorResult<Box<dyn Encoder>>;
    /// The `config.json` with which its reference implementation loads what is exported, if there is
    /// one.
    fn reference(&self) -> Option<serde_json::Value> {
        None
    }
    /// What checkpoints of its reference have beside or instead of its parameters' names.
    fn keys(&self) -> Keys {
        Keys::default()
    }
}

/// A built fusion.
pub trait Fusion {
    /// The experts' features in the order of `from`, to visual tokens `[B, N, C]`.
    ///
    /// # Errors
    /// Shapes that break the promise, or the device fails.
    fn forward(&self, inputs: &[Features]) -> TensorResult<Tensor>;

    /// The same where a question is asked about each picture, of a fusion that
    /// [reads them](FusionConfig::reads_questions). `questions`: the tokens of each picture's, as the
    /// LLM's tokenizer gives them, without a template; or no list at all where none is asked. A
    /// picture is seen once, so the question of its first turn stands for all turns.
    ///
    /// # Errors
    /// Shapes that break the promise, or the device fails.
    fn forward_asked(&self, inputs: &[Features], _questions: &[Vec<u32>]) -> TensorResult<Tensor> {
        self.forward(inputs)
    }

    /// What it does between the blocks of the input that its configuration
    /// [injects](FusionConfig::injects) into, given the features of its other inputs in the order
    /// of `from`. Called once per forward pass, before that encoder runs.
    ///
    /// # Errors
    /// Shapes that break the promise, or the device fails.
    fn tap<'a>(&'a self, _others: &[Features]) -> TensorResult<Box<dyn Tap + 'a>> {
        Ok(Box::new(NoTap))
    }
}

/// The configuration of a fusion.
pub trait FusionConfig: Debug + Send + Sync {
    /// The position in `from` of the encoder between whose blocks it injects, if it does so. That
    /// encoder runs after the other inputs, and no other node may read it.
    fn injects(&self) -> Option<usize> {
        None
    }
    /// Whether it reads its inputs' pyramids; if not, they may be left out.
    fn reads_pyramids(&self) -> bool {
        true
    }
    /// Whether its visual tokens depend on what is asked. They are made anew for each question then;
    /// what the encoders before it see is kept all the same.
    fn reads_questions(&self) -> bool {
        false
    }
    /// Whether it can read an LLM's tokens, of which there are `vocabulary`.
    ///
    /// # Errors
    /// A field that has to follow the LLM's.
    fn meets(&self, _vocabulary: usize) -> Result<(), Misfit> {
        Ok(())
    }
    /// The promise of its output.
    ///
    /// # Errors
    /// Inputs that it can't join.
    fn output(&self, inputs: &[MapShape]) -> Result<TokensShape, Misfit>;
    /// The grid on which its tokens lie, row by row: (rows, columns); `None` where they lie on none.
    fn grid(&self, _inputs: &[MapShape]) -> Option<(usize, usize)> {
        None
    }
    /// What a forward pass costs per image.
    fn cost(&self, inputs: &[MapShape]) -> Cost;
    /// The module.
    ///
    /// # Errors
    /// The device has no room.
    fn build(
        &self,
        inputs: &[MapShape],
        builder: &mut Builder<'_>,
    ) -> TensorResult<Box<dyn Fusion>>;
    /// What checkpoints of its reference have beside or instead of its parameters' names.
    fn keys(&self) -> Keys {
        Keys::default()
    }
}

/// The grid of visual tokens that lie on one: (rows, columns).
pub type Grid = Result<Option<(usize, usize)>, Misfit>;

/// A built projector.
pub trait Projector {
    /// Visual tokens `[B, N, C]` to `[B, M, llm_width]`.
    ///
    /// # Errors
    /// Shapes that break the promise, or the device fails.
    fn forward(&self, tokens: &Tensor) -> TensorResult<Tensor>;

    /// The tokens of pictures' tiles, `[tiles, N, C]` on this grid each, to one sequence a picture,
    /// one after the other: `[1, sum, C]`. Called in place of `forward` of a projector that
    /// [packs](ProjectorConfig::packs).
    ///
    /// # Errors
    /// Shapes that break the promise, or the device fails.
    fn pack(
        &self,
        tokens: &Tensor,
        _layouts: &[Layout],
        _grid: (usize, usize),
    ) -> TensorResult<Tensor> {
        self.forward(tokens)
    }
}

/// The configuration of a projector. `llm_width` is the width of the LLM that reads its tokens.
pub trait ProjectorConfig: Debug + Send + Sync {
    /// The promise of its output; of one that packs, for one tile.
    ///
    /// # Errors
    /// An input that it can't project.
    fn output(&self, input: TokensShape, llm_width: usize) -> Result<TokensShape, Misfit>;
    /// The grid on which its tokens lie, given that of its input's; `None` where they lie on none.
    ///
    /// # Errors
    /// A grid that it can't project.
    fn grid(&self, _input: Option<(usize, usize)>) -> Grid {
        Ok(None)
    }
    /// How it makes one sequence of the tokens of a picture's tiles, if that is what it does.
    fn packs(&self) -> Option<Packing> {
        None
    }
    /// What a forward pass costs per image.
    fn cost(&self, input: TokensShape, llm_width: usize) -> Cost;
    /// The module.
    ///
    /// # Errors
    /// The device has no room.
    fn build(
        &self,
        input: TokensShape,
        llm_width: usize,
        builder: &mut Builder<'_>,
    ) -> TensorResult<Box<dyn Projector>>;
    /// What checkpoints of its reference have beside or instead of its parameters' names.
    fn keys(&self) -> Keys {
        Keys::default()
    }
}

/// Keys and values of the positions that an LLM has seen, per layer; it starts empty.
#[derive(Debug, Default)]
pub struct KvCache {
    /// Per layer: keys and values, each `[B, T, H, D]`; `None` before the first position.
    pub layers: Vec<Option<(Tensor, Tensor)>>,
}

impl KvCache {
    /// The number of positions seen.
    pub fn len(&self) -> usize {
        self.layers.first().and_then(Option::as_ref).map_or(0, |(keys, _)| keys.shape()[1])
    }

    /// Whether no position was seen.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A built decoder-only LLM.
pub trait Llm {
    /// The token embeddings `[V, C]`.
    fn embeddings(&self) -> &Param;
    /// The output head `[V, C]` (the embeddings themselves where they are tied).
    fn head(&self) -> &Param;
    /// Embedded positions `[B, T, C]` to the final hidden states `[B, T, C]`, after the last norm.
    /// With a cache, `x` continues what the cache has seen.
    ///
    /// # Errors
    /// Shapes that break the promise, or the device fails.
    fn forward(
        &self,
        x: &Tensor,
        cache: Option<&mut KvCache>,
        tap: &mut dyn Tap,
    ) -> TensorResult<Tensor>;
}

/// The configuration of an LLM.
pub trait LlmConfig: Debug + Send + Sync {
    /// The width of its token embeddings.
    fn width(&self) -> usize;
    /// The number of its token embeddings.
    fn vocabulary(&self) -> usize;
    /// The longest sequence, visual tokens included.
    fn context(&self) -> usize;
    /// Its tokenizer. A relative path starts at `base`, the experiment file's folder.
    ///
    /// # Errors
    /// A file that can't be read or isn't a tokenizer.
    fn tokenizer(&self, base: &Path) -> Result<Tokenizer, TextError>;
    /// Fields that contradict each other.
    ///
    /// # Errors
    /// The first one.
    fn validate(&self) -> Result<(), Misfit>;
    /// What a forward pass over `length` positions costs per sample.
    fn cost(&self, length: usize) -> Cost;
    /// The module.
    ///
    /// # Errors
    /// The device has no room.
    fn build(&self, builder: &mut Builder<'_>) -> TensorResult<Box<dyn Llm>>;
    /// The `config.json` with which its reference implementation loads what is exported, if there is
    /// one.
    fn reference(&self) -> Option<serde_json::Value> {
        None
    }
    /// What checkpoints of its reference have beside or instead of its parameters' names.
    fn keys(&self) -> Keys {
        Keys::default()
    }
}

/// The configuration of a data set.
pub trait DatasetConfig: Debug + Send + Sync {
    /// Fields that contradict each other, or a required one that is missing.
    ///
    /// # Errors
    /// The first one.
    fn validate(&self) -> Result<(), Misfit>;
    /// The data set. A relative path starts at `base`, the experiment file's folder.
    ///
    /// # Errors
    /// A file that can't be read or isn't what it should be.
    fn open(&self, base: &Path) -> Result<Arc<dyn Dataset>, DataError>;
    /// The data sets that it is made of, each with the way to its place: `/sources/0/data`. They are
    /// linked before [`validate`](Self::validate) is asked.
    fn nested(&mut self) -> Vec<(String, &mut NestedData)> {
        Vec::new()
    }
    /// The files and folders that it reads, each with the field that names it: `check` warns where
    /// one isn't there.
    fn files(&self) -> Vec<(&'static str, &Path)> {
        Vec::new()
    }
    /// Whether its samples have annotations, which objectives learn from.
    fn annotates(&self) -> bool {
        false
    }
}

/// The configuration of a benchmark.
pub trait BenchmarkConfig: Debug + Send + Sync {
    /// Its name in tables, unique within an experiment: `mini-colour`.
    fn name(&self) -> String;
    /// The name of its main metric: `accuracy`, `anls`.
    fn metric(&self) -> &'static str;
    /// Fields that contradict each other, or a required one that is missing.
    ///
    /// # Errors
    /// The first one.
    fn validate(&self) -> Result<(), Misfit>;
    /// Its questions: samples whose last turn is to be answered.
    ///
    /// # Errors
    /// A file that can't be read or isn't what it should be.
    fn open(&self, base: &Path) -> Result<Arc<dyn Dataset>, DataError>;
    /// The question of one row of its own files, without the picture: other tools write such rows
    /// beside their predictions.
    ///
    /// # Errors
    /// What is wrong with the row; a benchmark that has no rows.
    fn question(&self, _row: &serde_json::Value) -> Result<Sample, DataError> {
        let detail = format!("`{}` has no files whose rows could be read", self.name());
        Err(DataError::Sample { sample: "row".into(), detail })
    }
    /// The longest answer, in tokens.
    fn max_new_tokens(&self) -> usize;
    /// What one prediction is worth.
    fn judge(&self, question: &Question<'_>, prediction: &str) -> Verdict;
    /// What all judged answers come to: its main metric first. By default the mean score.
    fn summarise(&self, answers: &[Judged<'_>]) -> Vec<Statistic> {
        vec![score::mean(self.metric(), answers)]
    }
}
