//! An experiment with its data open: what every stage and start weight *is*, before anything runs.
//!
//! A source (`weights: From(…)`) is opened once, however many nodes start from it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};

use super::LabError;
use crate::data::{DataError, Dataset};
use crate::graph::Graph;
use crate::identity;
use crate::model::ModelError;
use crate::registry::Labeller;
use crate::spec::Weights;
use crate::text::{TextError, Tokenizer};

/// An experiment that can be worked on.
pub(super) struct Work<'g> {
    pub graph: &'g Graph,
    /// Where its relative paths start.
    pub base: PathBuf,
    /// The LLM's, if there is one.
    pub tokenizer: Option<Arc<Tokenizer>>,
    /// What makes the objectives' targets, in the order of the graph's objectives.
    pub labellers: Vec<Arc<dyn Labeller>>,
    /// The identity of the model before its first stage.
    pub start: Value,
    /// The stages that are needed, from the first one on.
    pub stages: Vec<Opened>,
    /// The experiments that nodes start from, by their paths as written.
    pub sources: BTreeMap<PathBuf, Arc<Work<'g>>>,
}

/// A stage with its data open.
pub(super) struct Opened {
    pub id: String,
    /// What the id is the hash of.
    pub identity: Value,
    pub dataset: Arc<dyn Dataset>,
    pub folder: PathBuf,
}

/// Opens an experiment and the ones that it starts from.
pub(super) fn open<'g>(
    graph: &'g Graph,
    base: &Path,
    out: &Path,
) -> Result<Arc<Work<'g>>, LabError> {
    Opener { out, done: BTreeMap::new() }.open(graph, base, graph.stages.len())
}

struct Opener<'g, 'a> {
    out: &'a Path,
    /// By graph (one experiment's file is one graph) and stages needed.
    done: BTreeMap<(*const Graph, usize), Arc<Work<'g>>>,
}

impl<'g> Opener<'g, '_> {
    fn open(
        &mut self,
        graph: &'g Graph,
        base: &Path,
        stages: usize,
    ) -> Result<Arc<Work<'g>>, LabError> {
        let key = (std::ptr::from_ref(graph), stages);
        if let Some(done) = self.done.get(&key) {
            return Ok(done.clone());
        }
        let mut sources = BTreeMap::new();
        for (path, source) in &graph.sources {
            let base = base.join(path).parent().map(Path::to_owned).unwrap_or_default();
            let needed = starts_from(graph, path).map(|stage| stages_until(source, stage));
            let needed = needed.max().unwrap_or(0);
            sources.insert(path.clone(), self.open(source, &base, needed)?);
        }
        let tokenizer = tokenizer(graph, base)?;
        let (labellers, read) = labellers(graph, base)?;
        let text = tokenizer.as_ref().map_or(read, |tokenizer| tokenizer.fingerprint().to_owned());
        let weights = starts(graph, base, &sources)?;
        let start = identity::start(graph, &text, &weights);
        let opened = self.stages(graph, base, stages, &start)?;
        let base = base.to_owned();
        let work =
            Arc::new(Work { graph, base, tokenizer, labellers, start, stages: opened, sources });
        self.done.insert(key, work.clone());
        Ok(work)
    }

    fn stages(
        &self,
        graph: &Graph,
        base: &Path,
        count: usize,
        start: &Value,
    ) -> Result<Vec<Opened>, LabError> {
        let mut opened: Vec<Opened> = Vec::new();
        for (index, stage) in graph.stages.iter().enumerate().take(count) {
            let dataset = stage.data.plugin.open(base).map_err(|error| LabError::Data {
                what: format!("stage `{}`", stage.spec.name.value),
                problems: vec![error],
            })?;
            let before = opened.last().map(|stage| stage.id.as_str());
            let identity = identity::stage(graph, index, &dataset.fingerprint(), before, start);
            let id = identity::hash(&identity);
            tracing::debug!(experiment = graph.name, index, id, %identity, "stage");
            let folder = self.out.join("cache").join("stages").join(&id);
            opened.push(Opened { id, identity, dataset, folder });
        }
        Ok(opened)
    }
}

/// The stages of the experiment at `path` after which nodes take their weights.
fn starts_from<'g>(graph: &'g Graph, path: &Path) -> impl Iterator<Item = Option<&'g str>> {
    graph.dag.node_weights().filter_map(move |node| match &node.weights {
        Weights::From { experiment, stage, .. } if experiment == path => Some(stage.as_deref()),
        _ => None,
    })
}

/// The number of stages up to the one called `stage`; all of them if it has no name.
pub(super) fn stages_until(graph: &Graph, stage: Option<&str>) -> usize {
    let named = |name| graph.stages.iter().position(|known| known.spec.name.value == name);
    stage.and_then(named).map_or(graph.stages.len(), |last| last + 1)
}

/// The identities of the weights that nodes start from, by node id.
fn starts(
    graph: &Graph,
    base: &Path,
    sources: &BTreeMap<PathBuf, Arc<Work<'_>>>,
) -> Result<Vec<(String, Value)>, LabError> {
    let mut starts = Vec::new();
    for node in graph.dag.node_weights() {
        let identity = match &node.weights {
            Weights::Random => continue,
            weights @ Weights::File { path, .. } => {
                let path = base.join(path);
                identity::file(&path, weights)?
            }
            Weights::From { experiment, stage, node: from } => {
                let missing = || ModelError::Missing { path: experiment.clone() };
                let source = sources.get(experiment).ok_or_else(missing)?;
                let count = stages_until(source.graph, stage.as_deref());
                let made = match source.stages[..count].last() {
                    Some(stage) => stage.id.clone(),
                    None => identity::hash(&source.start),
                };
                json!({ "made": made, "node": from.as_ref().unwrap_or(&node.id) })
            }
        };
        starts.push((node.id.clone(), identity));
    }
    starts.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(starts)
}

/// The tokenizer of an experiment's LLM, if it has one.
pub(super) fn tokenizer(graph: &Graph, base: &Path) -> Result<Option<Arc<Tokenizer>>, ModelError> {
    let (Some(node), Some(llm)) = (graph.llm, graph.llm_config()) else { return Ok(None) };
    let id = &graph.dag[node].id;
    Ok(Some(fitting(id, llm.tokenizer(base), llm.vocabulary())?))
}

/// What makes the targets of every objective, and the fingerprints of the tokenizers that they read
/// text with.
fn labellers(graph: &Graph, base: &Path) -> Result<(Vec<Arc<dyn Labeller>>, String), LabError> {
    let (mut labellers, mut read) = (Vec::new(), Vec::new());
    for &node in &graph.objectives {
        let (Some(config), Some(backbone)) = (graph.objective(node), graph.backbone(node)) else {
            continue;
        };
        let id = &graph.dag[node].id;
        let tokenizer = match config.tokenizer(base).transpose() {
            Some(tokenizer) => Some(fitting(id, tokenizer, config.vocabulary())?),
            None => None,
        };
        read.extend(tokenizer.iter().map(|tokenizer| format!("{id}: {}", tokenizer.fingerprint())));
        labellers.push(config.labeller(backbone, tokenizer));
    }
    read.sort();
    Ok((labellers, read.join(", ")))
}

/// A node's tokenizer, if there are embeddings for its tokens.
fn fitting(
    node: &str,
    tokenizer: Result<Tokenizer, TextError>,
    embeddings: usize,
) -> Result<Arc<Tokenizer>, ModelError> {
    let fail = |detail: String| ModelError::Tokenizer { node: node.to_owned(), detail };
    let tokenizer = tokenizer.map_err(|error| fail(error.to_string()))?;
    let tokens = tokenizer.vocabulary_size();
    if tokens > embeddings {
        return Err(fail(format!(
            "it has {tokens} tokens, the node only {embeddings} embeddings; set `vocabulary` to at \
             least that"
        )));
    }
    Ok(Arc::new(tokenizer))
}

/// Fails with everything that is wrong with a data set.
pub(super) fn usable(what: &str, dataset: &dyn Dataset) -> Result<(), LabError> {
    let problems: Vec<DataError> = dataset.problems();
    if problems.is_empty() { Ok(()) } else { Err(LabError::Data { what: what.into(), problems }) }
}
