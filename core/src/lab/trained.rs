//! What a run has trained, read back: where every node's weights lie. Nothing is trained again, and
//! no data is opened.
//!
//! A node has the weights of the last of the run's stages that trained it. One that none did has
//! those that it starts from, which may be another experiment's stage; its id stands in the identity
//! of what starts from it.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::plan::RunPlan;
use super::stages::WEIGHTS;
use super::why::Note;
use crate::graph::Graph;
use crate::model::{self, Model, ModelError, ModelNode};
use crate::record::{Manifest, RecordError};
use crate::spec::Weights;
use crate::tensor::Dev;
use crate::weights::{self, Bundle, Files, Keys, WeightsError, load_files};

/// Why a run's weights can't be had.
#[derive(Debug, thiserror::Error)]
pub enum TrainedError {
    /// There is no run in the folder.
    #[error("{} holds no run: it has no manifest.json", .0.display())]
    NoRun(PathBuf),
    /// The cache doesn't hold a stage any more.
    #[error(
        "the weights of stage {id} are not in the cache any more; this makes them again: {command}"
    )]
    Gone {
        /// The stage.
        id: String,
        /// The command that made the run.
        command: String,
    },
    /// A node starts from an experiment of which neither a stage nor its file is left.
    #[error("`{node}` starts from {experiment}, which is not there any more", experiment = experiment.display())]
    NoSource {
        /// The node.
        node: String,
        /// The experiment's file.
        experiment: PathBuf,
    },
    /// A file of the results can't be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Weights can't be read, or don't fit.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// Weights that the experiment names can't be loaded.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// A run and where its stages lie.
pub struct Trained {
    /// What it says of itself.
    pub manifest: Manifest,
    /// Its folder.
    pub folder: PathBuf,
    /// The folder at which its experiment's relative paths start, if it is known.
    pub base: Option<PathBuf>,
    plan: Option<RunPlan>,
    cache: PathBuf,
}

/// What an experiment's model is made of: the ids of its stages, the last one first, and what it is
/// before the first one.
struct Made {
    stages: Vec<String>,
    start: Value,
}

/// An experiment whose nodes have values: the run's, or one that it starts from.
struct Origin<'g> {
    graph: &'g Graph,
    base: PathBuf,
    made: Made,
    /// Whether it is the run's: its model is built already.
    own: bool,
}

impl Trained {
    /// Opens the run in a folder.
    ///
    /// # Errors
    /// It is none, or its files are damaged.
    pub fn open(folder: &Path) -> Result<Trained, TrainedError> {
        let manifest = Manifest::read(folder)?;
        let manifest = manifest.ok_or_else(|| TrainedError::NoRun(folder.to_owned()))?;
        let whole = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        let out = whole.parent().and_then(Path::parent).unwrap_or(Path::new(""));
        let cache = out.join("cache").join("stages");
        let plan = RunPlan::read(folder)?;
        let base = plan.as_ref().map(|plan| plan.base.clone());
        Ok(Trained { manifest, folder: folder.to_owned(), base, plan, cache })
    }

    /// The names of its stages.
    pub fn stages(&self) -> Vec<&str> {
        self.manifest.stages.iter().map(|stage| stage.name.as_str()).collect()
    }

    /// The last of its first `count` stages that trained a node, and its weights, `NODE/…`.
    ///
    /// # Errors
    /// A stage is gone or damaged.
    pub fn weights_of(
        &self,
        node: &str,
        count: usize,
    ) -> Result<Option<(&str, Files)>, TrainedError> {
        for stage in self.manifest.stages.iter().take(count).rev() {
            if let Some(files) = self.of_stage(&stage.id, node)? {
                return Ok(Some((&stage.name, files)));
            }
        }
        Ok(None)
    }

    /// Every node that some stage trained.
    ///
    /// # Errors
    /// A stage is gone or damaged.
    pub fn nodes(&self) -> Result<Vec<String>, TrainedError> {
        let mut nodes: Vec<String> = Vec::new();
        for stage in &self.manifest.stages {
            let files = self.files(&stage.id)?;
            let ids = files.names().filter_map(|name| name.split_once('/'));
            nodes.extend(ids.map(|(node, _)| node.to_owned()));
        }
        nodes.sort();
        nodes.dedup();
        Ok(nodes)
    }

    /// Loads the weights of all nodes, as they were after the last stage, into the model of its
    /// experiment. Relative paths start at `base`.
    ///
    /// # Errors
    /// Weights are gone, damaged or don't fit.
    pub fn load(&self, graph: &Graph, base: &Path, model: &Model) -> Result<(), TrainedError> {
        let stages = self.manifest.stages.iter().rev().map(|stage| stage.id.clone()).collect();
        let made = Made { stages, start: self.start()? };
        let origin = Origin { graph, base: base.to_owned(), made, own: true };
        for node in model.nodes.iter().filter(|node| !node.params.is_empty()) {
            if !self.found(node, &origin.made.stages, &node.id)? {
                self.begin(node, &node.id, &origin, model.dev())?;
            }
        }
        Ok(())
    }

    /// What the model is before its first stage.
    fn start(&self) -> Result<Value, TrainedError> {
        if let Some(plan) = &self.plan {
            return Ok(plan.identity["start"].clone());
        }
        match self.manifest.stages.first() {
            Some(first) => Ok(self.made(&first.id)?.start),
            None => Ok(Value::Null),
        }
    }

    /// What a stage's note says it is made of; nothing where it has none.
    fn made(&self, id: &str) -> Result<Made, TrainedError> {
        let mut made = Made { stages: Vec::new(), start: Value::Null };
        let mut next = Some(id.to_owned());
        while let Some(id) = next.take() {
            let Some(note) = Note::read(&self.cache.join(&id))? else { break };
            next = note.identity["before"].as_str().map(str::to_owned);
            made.start = note.identity["start"].clone();
            made.stages.push(id);
        }
        Ok(made)
    }

    /// Loads what the first of `stages` that trained `from` made of it; whether one did.
    fn found(&self, node: &ModelNode, stages: &[String], from: &str) -> Result<bool, TrainedError> {
        for id in stages {
            if let Some(files) = self.of_stage(id, from)? {
                load_files(&node.params, &files, &format!("{from}/"), &Keys::default())?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Loads what `from`, a node of `origin`, starts from.
    fn begin(
        &self,
        node: &ModelNode,
        from: &str,
        origin: &Origin<'_>,
        dev: &Dev,
    ) -> Result<(), TrainedError> {
        let Origin { graph, base, made, own } = origin;
        let (experiment, other) = match graph.weights_of(from) {
            None | Some(Weights::Random) if *own => return Ok(()),
            None | Some(Weights::Random) => {
                let mut bundle = Bundle::default();
                let built = model::build(graph, dev)?;
                let nodes = built.nodes.iter().filter(|one| one.id == from);
                nodes.for_each(|one| bundle.add("", &one.params));
                return Ok(weights::load(&node.params, &bundle, "", base)?);
            }
            Some(Weights::File { path, prefix }) => {
                return Ok(node.load(&base.join(path), prefix)?);
            }
            Some(Weights::From { experiment, node: other, .. }) => {
                (experiment, other.as_deref().unwrap_or(from))
            }
        };
        let starts = made.start["weights"].as_array().into_iter().flatten();
        let mut starts = starts.filter(|pair| pair[0] == from);
        let id = starts.find_map(|pair| pair[1]["made"].as_str()).unwrap_or_default();
        let made = self.made(id)?;
        if self.found(node, &made.stages, other)? {
            return Ok(());
        }
        let path = base.join(experiment);
        let no_source =
            || TrainedError::NoSource { node: node.id.clone(), experiment: path.clone() };
        let graph = graph.sources.get(experiment).ok_or_else(no_source)?;
        if made.stages.is_empty() && !graph.stages.is_empty() {
            return Err(self.gone(id));
        }
        let base = path.parent().map(Path::to_owned).unwrap_or_default();
        self.begin(node, other, &Origin { graph, base, made, own: false }, dev)
    }

    /// A stage's weights, if it trained `node`.
    fn of_stage(&self, id: &str, node: &str) -> Result<Option<Files>, TrainedError> {
        let files = self.files(id)?;
        let prefix = format!("{node}/");
        let trained = files.names().any(|name| name.starts_with(&prefix));
        Ok(trained.then_some(files))
    }

    fn files(&self, id: &str) -> Result<Files, TrainedError> {
        let path = self.cache.join(id).join(WEIGHTS);
        if path.exists() { Ok(Files::open(&path)?) } else { Err(self.gone(id)) }
    }

    fn gone(&self, id: &str) -> TrainedError {
        let id = id[..12.min(id.len())].to_owned();
        TrainedError::Gone { id, command: format!("{} --force", self.manifest.command) }
    }
}
