//! From a graph to tensors: every node's module, its parameters initialised from the seed.

use std::collections::BTreeMap;
use std::path::PathBuf;

use petgraph::graph::NodeIndex;

use crate::data::preprocess::ImageSpec;
use crate::data::tiles::Layout;
use crate::graph::{Graph, Source, Stage};
use crate::nn::{Store, ops};
use crate::registry::{
    Encoder, Features, Fusion, KvCache, Llm, MapShape, NoTap, Objective, Plugin, Projector, Tap,
    TokensShape,
};
use crate::seed;
use crate::tensor::{Dev, Param, Result, Tape, Tensor, TensorError};
use crate::weights::{Files, Keys, WeightsError, load_files};

/// Why a model can't be built.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// Nothing can be asked of a graph that ends in objectives.
    #[error("{experiment} has no LLM that could be asked: its graph ends in objectives")]
    NoLlm {
        /// The experiment.
        experiment: String,
    },
    /// There is no device.
    #[error(transparent)]
    Device(TensorError),
    /// The device has no room, or a plugin broke its promise.
    #[error("node `{node}`: {error}")]
    Build {
        /// The node.
        node: String,
        /// What went wrong.
        error: TensorError,
    },
    /// Weights that can't be loaded.
    #[error("weights of node `{node}`: {error}")]
    Weights {
        /// The node.
        node: String,
        /// What is wrong with them.
        error: WeightsError,
    },
    /// A tokenizer that can't be loaded.
    #[error("tokenizer of node `{node}`: {detail}")]
    Tokenizer {
        /// The node.
        node: String,
        /// What is wrong with it.
        detail: String,
    },
    /// A file that is not there.
    #[error("{path} is not there", path = path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
}

enum Module {
    Encoder {
        module: Box<dyn Encoder>,
        promise: Encodes,
    },
    Fusion(Box<dyn Fusion>),
    Projector(Box<dyn Projector>),
    /// A projector that packs, and the grid of a tile's tokens.
    Packer(Box<dyn Projector>, (usize, usize)),
    Llm(Box<dyn Llm>),
    Objective(Box<dyn Objective>),
}

/// A built objective, and where it reads.
#[derive(Clone, Copy)]
pub struct Teaches<'a> {
    /// Its position in [`Model::nodes`].
    pub node: usize,
    /// That of its encoder.
    pub encoder: usize,
    /// The position of its encoder's image among [`Model::images`].
    pub image: usize,
    /// The module.
    pub module: &'a dyn Objective,
}

/// What is known of an encoder beside its module.
#[derive(Debug, Clone)]
pub struct Encodes {
    /// The position of its image among [`Model::images`].
    pub image: usize,
    /// The shape of its features.
    pub shape: MapShape,
    /// Whether a fusion reads its pyramid.
    pub pyramid: bool,
    /// Whether a fusion injects between its blocks.
    pub injected: bool,
    /// Its plugin's name, version and fields.
    pub identity: serde_json::Value,
}

/// Why pictures can't be seen.
#[derive(Debug, thiserror::Error)]
pub enum SeeError {
    /// A plugin broke its promise, or the device fails.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// Kept features can't be written.
    #[error("the feature cache: {0}")]
    Features(#[from] crate::features::ShelfError),
}

/// What flows between nodes.
#[derive(Clone)]
enum Value {
    Features(Features),
    Tokens(Tensor),
}

/// What is shown to a model: prepared pictures, and what is asked about each.
#[derive(Clone, Copy)]
pub struct Seen<'a> {
    /// One for each of [`Model::images`]; needed where an encoder reads it whose features are not
    /// given.
    pub images: &'a [Option<Tensor>],
    /// The tokens of what is asked about each picture; no list where nothing is.
    pub questions: &'a [Vec<u32>],
    /// How each picture is cut into tiles; no list where that doesn't depend on them. Where it does,
    /// `images` holds tiles, one picture's after the other's.
    pub layouts: &'a [Layout],
}

/// A built node.
pub struct ModelNode {
    /// Its id in the file.
    pub id: String,
    /// Its parameters, under the names of its reference checkpoint.
    pub params: Vec<Param>,
    /// What checkpoints of its reference have beside or instead of those names.
    pub keys: Keys,
    index: NodeIndex,
    module: Module,
    /// Positions in [`Model::nodes`], in the order of `from`.
    inputs: Vec<usize>,
    /// The fusion that injects between its blocks, by its position in [`Model::nodes`].
    injector: Option<usize>,
}

/// Every node's module, in the order in which they run.
pub struct Model {
    /// The nodes.
    pub nodes: Vec<ModelNode>,
    /// The different ways in which pictures must be prepared; a batch has one tensor for each.
    pub images: Vec<ImageSpec>,
    /// The most visual tokens of an image.
    pub visual_tokens: usize,
    dev: Dev,
}

/// Builds every node, its parameters initialised from the graph's seed and the node's id.
///
/// # Errors
/// The device has no room.
pub fn build(graph: &Graph, dev: &Dev) -> std::result::Result<Model, ModelError> {
    let dev = &dev.at(graph.precision);
    dev.prepare().map_err(ModelError::Device)?;
    let mut model = Model {
        nodes: Vec::new(),
        images: Vec::new(),
        visual_tokens: graph.visual_tokens(),
        dev: dev.clone(),
    };
    for &index in &graph.order {
        let node = &graph.dag[index];
        let place = |node| graph.order.iter().position(|done| *done == node);
        let position = |source: &Source| match source {
            Source::Node(input) => place(*input),
            Source::Image | Source::Text => None,
        };
        let inputs = node.inputs.iter().filter_map(position).collect();
        let injector = graph.injector(index).and_then(place);
        let settled = (0..node.params.len()).map(|param| graph.settles(index, param)).collect();
        let mut store = Store::new(dev, seed::derive(graph.seed, &node.id)).settling(settled);
        let module = build_module(graph, index, &mut store, &mut model.images)
            .map_err(|error| ModelError::Build { node: node.id.clone(), error })?;
        let params = store.into_params();
        let keys = node.plugin.keys();
        model.nodes.push(ModelNode {
            id: node.id.clone(),
            params,
            keys,
            index,
            module,
            inputs,
            injector,
        });
    }
    Ok(model)
}

fn build_module(
    graph: &Graph,
    index: NodeIndex,
    store: &mut Store,
    images: &mut Vec<ImageSpec>,
) -> Result<Module> {
    let node = &graph.dag[index];
    let mut root = store.root();
    let tokens = || {
        graph.token_inputs(index).first().copied().unwrap_or(TokensShape { tokens: 0, width: 0 })
    };
    Ok(match &node.plugin {
        Plugin::Encoder(config) => {
            let spec = config.image();
            let image = images.iter().position(|known| *known == spec).unwrap_or_else(|| {
                images.push(spec);
                images.len() - 1
            });
            let promise = Encodes {
                image,
                shape: graph.map_shape(index),
                pyramid: graph.pyramid_is_read(index),
                injected: graph.injector(index).is_some(),
                identity: node.identity.clone(),
            };
            Module::Encoder { module: config.build(&mut root)?, promise }
        }
        Plugin::Fusion(config) => {
            let inputs: Vec<MapShape> = graph.map_inputs(index);
            Module::Fusion(config.build(&inputs, &mut root)?)
        }
        Plugin::Projector(config) => {
            let module = config.build(tokens(), graph.llm_width(), &mut root)?;
            match config.packs().and(node.grid) {
                Some(grid) => Module::Packer(module, grid),
                None => Module::Projector(module),
            }
        }
        Plugin::Llm(config) => Module::Llm(config.build(&mut root)?),
        Plugin::Objective(config) => {
            let backbone =
                graph.backbone(index).ok_or_else(|| broken("an objective reads an encoder"))?;
            Module::Objective(config.build(backbone, &mut root)?)
        }
        Plugin::Dataset(_) | Plugin::Benchmark(_) => {
            return Err(TensorError::Shape { op: "build", detail: "not a node".into() });
        }
    })
}

impl ModelNode {
    /// Sets its parameters from a checkpoint: what stands there under `prefix`.
    ///
    /// # Errors
    /// A checkpoint that can't be read or doesn't fit.
    pub fn load(&self, path: &std::path::Path, prefix: &str) -> Result<(), ModelError> {
        let loaded = Files::open(path)
            .and_then(|files| load_files(&self.params, &files, prefix, &self.keys));
        loaded.map_err(|error| ModelError::Weights { node: self.id.clone(), error })
    }
}

impl Model {
    /// Hangs the parameters that a stage trains on `tape` and freezes all others.
    pub fn train(&self, stage: &Stage, tape: &Tape) {
        for node in &self.nodes {
            for (i, param) in node.params.iter().enumerate() {
                let trained = stage.trains_param(node.index, i);
                param.set_tape(&if trained { tape.clone() } else { Tape::default() });
            }
        }
    }

    /// Freezes every parameter.
    pub fn freeze(&self) {
        let params = self.nodes.iter().flat_map(|node| &node.params);
        params.for_each(|param| param.set_tape(&Tape::default()));
    }

    /// Every parameter that is being trained, with its node's id and its learning rate.
    pub fn trained<'a>(
        &'a self,
        stage: &'a Stage,
    ) -> impl Iterator<Item = (&'a str, &'a Param, f64)> {
        self.nodes.iter().flat_map(|node| {
            let params = node.params.iter().enumerate().filter(|(_, param)| param.trained());
            params.map(|(i, param)| (node.id.as_str(), param, stage.lr(node.index, i)))
        })
    }

    /// The device on which the model lives.
    pub fn dev(&self) -> &Dev {
        &self.dev
    }

    /// The LLM.
    ///
    /// # Errors
    /// There is none, which `link` rules out.
    pub fn llm(&self) -> Result<&dyn Llm> {
        let llm = self.nodes.iter().find_map(|node| match &node.module {
            Module::Llm(llm) => Some(llm.as_ref()),
            _ => None,
        });
        llm.ok_or_else(|| TensorError::Shape { op: "model", detail: "no LLM".into() })
    }

    /// The objectives.
    pub fn objectives(&self) -> impl Iterator<Item = Teaches<'_>> {
        self.nodes.iter().enumerate().filter_map(|(node, built)| {
            let Module::Objective(module) = &built.module else { return None };
            let &encoder = built.inputs.first()?;
            let image = self.encodes(encoder)?.image;
            Some(Teaches { node, encoder, image, module: module.as_ref() })
        })
    }

    /// Every buffer of the nodes that a stage trains, with its node's id.
    pub fn buffers<'a>(&'a self, stage: &'a Stage) -> impl Iterator<Item = (&'a str, &'a Param)> {
        self.nodes.iter().filter(|node| stage.trains.contains(&node.index)).flat_map(|node| {
            let buffers = node.params.iter().filter(|param| param.is_buffer());
            buffers.map(|param| (node.id.as_str(), param))
        })
    }

    /// Whether a stage trains the node at `position`, all of it or a part.
    pub fn trains(&self, stage: &Stage, position: usize) -> bool {
        self.nodes.get(position).is_some_and(|node| stage.trains.contains(&node.index))
    }

    /// The visual tokens `[B, N, C]` that the LLM reads, nothing being asked. `images`: one
    /// `[B, 3, S, S]` for each of [`Model::images`].
    ///
    /// # Errors
    /// A plugin broke its promise, or the device fails.
    pub fn see(&self, images: &[Tensor]) -> Result<Tensor> {
        self.see_tapped(images, &[], false, &mut |_, _| {})
    }

    /// Like [`Model::see`], with the features of some encoders given, by position in
    /// [`Model::nodes`]. Where pictures have layouts, their tokens stand one after the other in
    /// `[1, sum, C]`.
    ///
    /// # Errors
    /// A plugin broke its promise, or the device fails.
    pub fn see_given(&self, seen: Seen<'_>, given: BTreeMap<usize, Features>) -> Result<Tensor> {
        self.flow(seen, given, false, &mut |_, _| {})
    }

    /// The features that the encoder at `position` in [`Model::nodes`] sees; nothing is injected.
    ///
    /// # Errors
    /// It is no encoder, or broke its promise, or the device fails.
    pub fn encode(&self, position: usize, image: &Tensor) -> Result<Features> {
        match self.nodes.get(position).map(|node| &node.module) {
            Some(Module::Encoder { module, .. }) => module.forward(image, &mut NoTap),
            _ => Err(broken("not an encoder")),
        }
    }

    /// What the encoder at `position` promises; `None` if it is none.
    pub fn encodes(&self, position: usize) -> Option<&Encodes> {
        match &self.nodes.get(position)?.module {
            Module::Encoder { promise, .. } => Some(promise),
            _ => None,
        }
    }

    /// Like [`Model::see`], showing every node's output to `look` by its id (the earlier stages of
    /// a pyramid as `ID.pyramid.I`) and, if `blocks`, every encoder's blocks' as `ID.blocks.I`.
    ///
    /// # Errors
    /// A plugin broke its promise, or the device fails.
    pub fn see_tapped(
        &self,
        images: &[Tensor],
        layouts: &[Layout],
        blocks: bool,
        look: &mut dyn FnMut(&str, &Tensor),
    ) -> Result<Tensor> {
        let images: Vec<_> = images.iter().cloned().map(Some).collect();
        let seen = Seen { images: &images, questions: &[], layouts };
        self.flow(seen, BTreeMap::new(), blocks, look)
    }

    /// The features of every encoder by position in [`Model::nodes`], those of some of them given.
    /// An image is needed where an encoder that is not given reads it.
    ///
    /// # Errors
    /// A plugin broke its promise, or the device fails.
    pub fn features_given(
        &self,
        images: &[Option<Tensor>],
        given: BTreeMap<usize, Features>,
    ) -> Result<BTreeMap<usize, Features>> {
        self.features(Seen { images, questions: &[], layouts: &[] }, given, false, &mut |_, _| {})
    }

    /// Every encoder's output, shown to `look` as [`Model::see_tapped`] does: of a graph that ends in
    /// objectives.
    ///
    /// # Errors
    /// A plugin broke its promise, or the device fails.
    pub fn features_tapped(
        &self,
        images: &[Tensor],
        blocks: bool,
        look: &mut dyn FnMut(&str, &Tensor),
    ) -> Result<()> {
        let images: Vec<_> = images.iter().cloned().map(Some).collect();
        let seen = Seen { images: &images, questions: &[], layouts: &[] };
        self.features(seen, BTreeMap::new(), blocks, look).map(drop)
    }

    fn features(
        &self,
        seen: Seen<'_>,
        given: BTreeMap<usize, Features>,
        blocks: bool,
        look: &mut dyn FnMut(&str, &Tensor),
    ) -> Result<BTreeMap<usize, Features>> {
        let values = self.values(seen, given, blocks, look)?;
        let features = values.into_iter().enumerate().filter_map(|(position, value)| match value {
            Some(Value::Features(features)) => Some((position, features)),
            _ => None,
        });
        Ok(features.collect())
    }

    fn flow(
        &self,
        seen: Seen<'_>,
        given: BTreeMap<usize, Features>,
        blocks: bool,
        look: &mut dyn FnMut(&str, &Tensor),
    ) -> Result<Tensor> {
        let values = self.values(seen, given, blocks, look)?;
        let llm = self.nodes.iter().find(|node| matches!(node.module, Module::Llm(_)));
        let llm = llm.ok_or_else(|| broken("the graph has no LLM"))?;
        let read = llm.inputs.first().and_then(|&input| values[input].clone());
        let tokens = read.ok_or_else(|| broken("the LLM has no visual tokens"))?.tokens();
        let (rows, width) = tokens.rows();
        match seen.layouts.is_empty() {
            true => Ok(tokens),
            false => tokens.reshape(&[1, rows, width]),
        }
    }

    /// What every node gives; `None` of the ends of the graph.
    fn values(
        &self,
        seen: Seen<'_>,
        mut given: BTreeMap<usize, Features>,
        blocks: bool,
        look: &mut dyn FnMut(&str, &Tensor),
    ) -> Result<Vec<Option<Value>>> {
        // Each tile is a picture of its own, and asked about as its picture is.
        let each = seen.questions.iter().zip(seen.layouts);
        let questions: Vec<_> =
            each.flat_map(|(asked, layout)| vec![asked.clone(); layout.count()]).collect();
        let seen = match seen.layouts.is_empty() {
            true => seen,
            false => Seen { questions: &questions, ..seen },
        };
        let mut values: Vec<Option<Value>> = Vec::with_capacity(self.nodes.len());
        for (position, node) in self.nodes.iter().enumerate() {
            let mut tap: Box<dyn Tap + '_> = match blocks {
                true => Box::new(Blocks { node: &node.id, look: &mut *look }),
                false => Box::new(NoTap),
            };
            let value = match given.remove(&position) {
                Some(features) => Some(Value::Features(features)),
                None => self.run(node, seen, &values, tap.as_mut())?,
            };
            drop(tap);
            match &value {
                Some(Value::Features(features)) => {
                    for (i, level) in features.pyramid.iter().enumerate() {
                        look(&format!("{}.pyramid.{i}", node.id), level);
                    }
                    look(&node.id, &features.map);
                }
                Some(Value::Tokens(tokens)) => look(&node.id, tokens),
                None => {}
            }
            values.push(value);
        }
        Ok(values)
    }

    fn run(
        &self,
        node: &ModelNode,
        seen: Seen<'_>,
        values: &[Option<Value>],
        tap: &mut dyn Tap,
    ) -> Result<Option<Value>> {
        let input = |i: usize| {
            values.get(i).cloned().flatten().ok_or_else(|| broken("an input is missing"))
        };
        let features = |i: usize| match input(i)? {
            Value::Features(features) => Ok(features),
            Value::Tokens(_) => Err(broken("a fusion joins feature maps")),
        };
        Ok(Some(match &node.module {
            Module::Encoder { module: encoder, promise } => {
                let image = seen.images.get(promise.image).and_then(Option::as_ref);
                let image = image.ok_or_else(|| broken("an image is missing"))?;
                let Some(injector) = node.injector.and_then(|i| self.nodes.get(i)) else {
                    return Ok(Some(Value::Features(encoder.forward(image, tap)?)));
                };
                let Module::Fusion(fusion) = &injector.module else {
                    return Err(broken("only a fusion injects"));
                };
                // Its other inputs are there: the graph's order runs the injected one last.
                let is_other = |i: &&usize| self.nodes.get(**i).is_some_and(|n| n.id != node.id);
                let others = injector.inputs.iter().filter(is_other);
                let others = others.map(|&i| features(i)).collect::<Result<Vec<_>>>()?;
                let mut injecting = fusion.tap(&others)?;
                let mut both = Both(tap, injecting.as_mut());
                Value::Features(encoder.forward(image, &mut both)?)
            }
            Module::Fusion(fusion) => {
                let inputs = node.inputs.iter().map(|&i| features(i));
                let inputs = inputs.collect::<Result<Vec<_>>>()?;
                Value::Tokens(fusion.forward_asked(&inputs, seen.questions)?)
            }
            Module::Projector(projector) => {
                let first = *node.inputs.first().ok_or_else(|| broken("an input is missing"))?;
                Value::Tokens(projector.forward(&input(first)?.tokens())?)
            }
            Module::Packer(packer, grid) => {
                let first = *node.inputs.first().ok_or_else(|| broken("an input is missing"))?;
                Value::Tokens(packer.pack(&input(first)?.tokens(), seen.layouts, *grid)?)
            }
            Module::Llm(_) | Module::Objective(_) => return Ok(None),
        }))
    }

    /// The final hidden states `[batch, T, C]` of sequences given row by row. `visual`: the tokens
    /// of the pictures in the batch, one after the other.
    ///
    /// # Errors
    /// A plugin broke its promise, or the device fails.
    pub fn read(
        &self,
        visual: Option<&Tensor>,
        rows: &[ops::Row],
        batch: usize,
        cache: Option<&mut KvCache>,
        tap: &mut dyn Tap,
    ) -> Result<Tensor> {
        let llm = self.llm()?;
        let x = ops::splice(visual, &llm.embeddings().tensor(), rows, batch)?;
        llm.forward(&x, cache, tap)
    }
}

/// Two taps, the second after the first.
struct Both<'a>(&'a mut dyn Tap, &'a mut dyn Tap);

impl Tap for Both<'_> {
    fn after_block(&mut self, index: usize, count: usize, x: Tensor) -> Result<Tensor> {
        let x = self.0.after_block(index, count, x)?;
        self.1.after_block(index, count, x)
    }
}

/// Shows every block's output of a node as `NODE.blocks.INDEX`.
pub struct Blocks<'a> {
    /// The node's id.
    pub node: &'a str,
    /// Who sees it.
    pub look: &'a mut dyn FnMut(&str, &Tensor),
}

impl Tap for Blocks<'_> {
    fn after_block(&mut self, index: usize, _: usize, x: Tensor) -> Result<Tensor> {
        (self.look)(&format!("{}.blocks.{index}", self.node), &x);
        Ok(x)
    }
}

impl Value {
    fn tokens(self) -> Tensor {
        match self {
            Value::Features(features) => features.map,
            Value::Tokens(tokens) => tokens,
        }
    }
}

fn broken(detail: &str) -> TensorError {
    TensorError::Shape { op: "model", detail: detail.into() }
}
