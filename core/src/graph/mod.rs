//! What can run: an experiment whose names, ports and shapes are all known to fit.

mod configure;
mod data;
mod display;
mod draft;
mod exams;
mod field;
mod names;
mod nested;
mod objectives;
mod parts;
mod ports;
mod reach;
mod shapes;
mod stages;
mod study;
mod tiles;
mod view;
mod weights;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use study::{LinkedStudy, link_study};

use petgraph::graph::{DiGraph, NodeIndex};
use serde::Serialize;

use crate::nn::ParamShape;
use crate::registry::{
    BenchmarkConfig, Cost, DatasetConfig, Kind, MapShape, Plugin, Registry, TokensShape,
};
use crate::spec::{Experiment, File, Generation, Problem, StageSpec, Weights};
use crate::tensor::Precision;
use crate::text::Template;

/// Where an experiment's file lies.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The folder at which relative paths start.
    pub base: &'a Path,
    /// The file itself, if there is one, to find experiments that need each other.
    pub file: Option<&'a Path>,
}

/// An experiment that can run.
#[derive(Debug, Clone)]
pub struct Graph {
    /// The experiment's name.
    pub name: String,
    /// The root of every use of chance.
    pub seed: u64,
    /// The nodes; an edge leads from a node to one that reads it.
    pub dag: DiGraph<Node, ()>,
    /// Every node after its inputs and after what is injected into it, otherwise in the file's order.
    pub order: Vec<NodeIndex>,
    /// The LLM, unless the graph ends in objectives.
    pub llm: Option<NodeIndex>,
    /// The objectives, unless the graph ends in an LLM.
    pub objectives: Vec<NodeIndex>,
    /// The stages, in order.
    pub stages: Vec<Stage>,
    /// The benchmarks, in order.
    pub benchmarks: Vec<Benchmark>,
    /// The data sets on which what the stages train for is measured itself.
    pub held_out: Vec<Data>,
    /// The conversation template in which they are asked.
    pub template: Template,
    /// How the answers are written.
    pub generation: Generation,
    /// In which numbers the model computes.
    pub precision: Precision,
    /// The experiments whose weights it starts from, by their paths as written.
    pub sources: BTreeMap<PathBuf, Arc<Graph>>,
    /// Weights and tokenizers that are named and not there, at their places: to know what the
    /// experiment is they are not needed, to run it they are.
    pub absent: Vec<Problem>,
    /// Data that is named and not there, at its place: a run stops where it is opened.
    pub missing: Vec<Problem>,
}

/// A node that can be built.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its id.
    pub id: String,
    /// What it is.
    pub kind: Kind,
    /// The plugin's name.
    pub name: String,
    /// The plugin's configuration.
    pub plugin: Plugin,
    /// The plugin's name, version and the fields that differ from their defaults.
    pub identity: serde_json::Value,
    /// What it reads, in the order of `from`.
    pub inputs: Vec<Source>,
    /// What it gives: for each tile, where tiles are pictures of their own.
    pub output: Port,
    /// Whether they are.
    pub tiling: Tiling,
    /// The grid on which its tokens, or those of a tile, lie: (rows, columns).
    pub grid: Option<(usize, usize)>,
    /// Its parameters.
    pub params: Vec<ParamShape>,
    /// What a forward pass costs per sample; an LLM's over its whole context.
    pub cost: Cost,
    /// Where its first values come from.
    pub weights: Weights,
}

/// What a node reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The picture.
    Image,
    /// The conversation.
    Text,
    /// Another node's output.
    Node(NodeIndex),
}

/// What a node's output stands for, where pictures are cut in ways that depend on them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tiling {
    /// A whole picture, or something else.
    #[default]
    Whole,
    /// One of its tiles.
    Tile,
    /// All its tiles, packed to one sequence whose length depends on the picture.
    Packed,
}

impl Tiling {
    /// Whether it is a whole picture.
    pub fn is_whole(&self) -> bool {
        *self == Tiling::Whole
    }
}

/// What a node gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Port {
    /// A vision encoder's feature map.
    Features(MapShape),
    /// Visual tokens.
    Tokens(TokensShape),
    /// An LLM's predictions.
    Logits {
        /// The number of different tokens.
        vocabulary: usize,
    },
    /// An objective's loss.
    Loss,
}

/// A stage that can run.
#[derive(Debug, Clone)]
pub struct Stage {
    /// As it was typed.
    pub spec: StageSpec,
    /// The nodes that get updates, in the order of the graph.
    pub trains: Vec<NodeIndex>,
    /// Of those that are trained in part: which of their parameters.
    pub parts: BTreeMap<NodeIndex, Vec<bool>>,
    /// Learning rates of their own: for these parameters of a node; a later one overrules.
    pub rates: Vec<(NodeIndex, Vec<bool>, f64)>,
    /// What it trains on.
    pub data: Data,
}

impl Stage {
    /// Whether parameter number `param` of a node gets updates.
    pub fn trains_param(&self, node: NodeIndex, param: usize) -> bool {
        self.trains.contains(&node) && self.parts.get(&node).is_none_or(|part| part[param])
    }

    /// The highest learning rate of parameter number `param` of a node.
    pub fn lr(&self, node: NodeIndex, param: usize) -> f64 {
        let own = self.rates.iter().rev().find(|(of, params, _)| *of == node && params[param]);
        own.map_or(self.spec.lr, |(_, _, lr)| *lr)
    }
}

/// A configured data set.
#[derive(Debug, Clone)]
pub struct Data {
    /// The plugin's name.
    pub name: String,
    /// Its configuration.
    pub plugin: Arc<dyn DatasetConfig>,
    /// The plugin's name, version and the fields that differ from their defaults.
    pub identity: serde_json::Value,
}

/// A configured benchmark.
#[derive(Debug, Clone)]
pub struct Benchmark {
    /// Its name in tables.
    pub name: String,
    /// Its configuration.
    pub plugin: Arc<dyn BenchmarkConfig>,
    /// The plugin's name, version and the fields that differ from their defaults.
    pub identity: serde_json::Value,
}

/// Links what was typed with the plugins that exist.
///
/// # Errors
/// Everything that keeps it from running, in the order of the text.
pub fn link(
    experiment: &Experiment,
    registry: &Registry,
    context: &Context<'_>,
) -> Result<Graph, Vec<Problem>> {
    let mut trail = weights::Trail::of(context);
    linked(experiment, registry, context, &mut trail)
}

/// Reads and links a file's text.
///
/// # Errors
/// Everything that is wrong with it, of its form and its content, in the order of the text.
pub fn check(
    source: &str,
    registry: &Registry,
    context: &Context<'_>,
) -> Result<Graph, Vec<Problem>> {
    let mut trail = weights::Trail::of(context);
    checked(source, registry, context, &mut trail)
}

fn checked(
    source: &str,
    registry: &Registry,
    context: &Context<'_>,
    trail: &mut weights::Trail,
) -> Result<Graph, Vec<Problem>> {
    let (file, mut problems) = crate::spec::read(source);
    let graph = match file {
        Some(File::Experiment(experiment)) => linked(&experiment, registry, context, trail),
        // One with problems of its form has them reported, and this would follow from them.
        Some(File::Study(study)) if problems.is_empty() => {
            let head = study.span.start..study.span.start + "Study".len();
            let problem = Problem::new("this is a study", head, "not an experiment");
            Err(vec![problem.help("an experiment is needed here, such as the study's base")])
        }
        Some(File::Study(_)) | None => Err(Vec::new()),
    };
    match graph {
        Ok(graph) if problems.is_empty() => Ok(graph),
        Ok(_) => Err(problems),
        Err(more) => {
            problems.extend(more);
            problems.sort_by_key(|problem| problem.primary.span.start);
            Err(problems)
        }
    }
}

fn linked(
    experiment: &Experiment,
    registry: &Registry,
    context: &Context<'_>,
    trail: &mut weights::Trail,
) -> Result<Graph, Vec<Problem>> {
    let mut draft = draft::Draft::of(experiment, registry);
    names::connect(&mut draft);
    tiles::agree(&mut draft);
    shapes::flow(&mut draft, context);
    let reach = reach::sinks(&mut draft);
    let stages = stages::stages(&mut draft, registry, &reach, context);
    let exams = exams::exams(&mut draft, registry, &reach);
    let sources = weights::sources(&mut draft, registry, context, trail);
    draft.absent.sort_by_key(|problem| problem.primary.span.start);
    if draft.problems.is_empty()
        && let Some(graph) = draft::finish(&draft, &reach, stages, exams, sources)
    {
        return Ok(graph);
    }
    let mut problems = draft.problems;
    if problems.is_empty() && !experiment.is_broken() {
        let head = experiment.span.start..experiment.span.start;
        problems.push(Problem::new(
            "this experiment can't be linked",
            head,
            "for an unknown reason",
        ));
    }
    problems.sort_by_key(|problem| problem.primary.span.start);
    Err(problems)
}
