//! An experiment while it is linked: what is known of each node, and what is wrong.
//!
//! What is unknown (`None`) has been reported where it came from; nothing that follows from it is.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use petgraph::graph::{DiGraph, NodeIndex};

use super::configure::{Known, configure};
use super::exams::Exams;
use super::reach::Reach;
use super::{Graph, Node, Port, Source, Stage, Tiling};
use crate::nn::ParamShape;
use crate::registry::{Cost, Kind, Plugin, Registry};
use crate::spec::{Experiment, NodeSpec, Problem, Weights};
use crate::text::Template;

/// The kinds that a node may be of.
const NODES: [Kind; 5] = [Kind::Encoder, Kind::Fusion, Kind::Projector, Kind::Llm, Kind::Objective];

pub(super) struct Draft<'a> {
    pub experiment: &'a Experiment,
    pub nodes: Vec<Part<'a>>,
    pub problems: Vec<Problem>,
    /// Files that are named and not there: the experiment is right, and can't run here.
    pub absent: Vec<Problem>,
    /// Data that is named and not there.
    pub missing: Vec<Problem>,
    /// Nodes in an order in which every one comes after its inputs; those of a cycle are left out.
    pub order: Vec<usize>,
    /// Whether some node's name could not be found or read, so that another may seem unused.
    pub lost: Vec<Lost>,
    /// Places in `from`, by node and position, that are part of a reported cycle.
    pub circle: Vec<(usize, usize)>,
    /// Nodes with a wrong or missing visual input: what should be there may seem unused.
    pub gaps: Vec<usize>,
}

/// A name that leads to no node.
pub(super) struct Lost {
    /// The node that was probably meant.
    pub meant: Option<usize>,
}

/// What is known of a node.
pub(super) struct Part<'a> {
    pub spec: &'a NodeSpec,
    pub known: Option<Known>,
    /// What it reads, place by place of `from`.
    pub inputs: Vec<Option<Input>>,
    pub built: Option<Built>,
}

/// What a node reads, by the position of the other node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Input {
    Image,
    Text,
    Node(usize),
}

/// What is known of a node once its inputs are.
pub(super) struct Built {
    pub output: Port,
    pub tiling: Tiling,
    /// The grid on which its tokens, or those of a tile, lie.
    pub grid: Option<(usize, usize)>,
    pub cost: Cost,
    pub params: Vec<ParamShape>,
}

impl Part<'_> {
    pub fn kind(&self) -> Option<Kind> {
        self.known.as_ref().map(|known| known.entry.kind)
    }
}

impl<'a> Draft<'a> {
    pub fn of(experiment: &'a Experiment, registry: &Registry) -> Draft<'a> {
        let mut problems = Vec::new();
        let part = |spec: &'a NodeSpec| Part {
            spec,
            known: configure(&spec.plugin, &NODES, registry, &mut problems),
            inputs: Vec::new(),
            built: None,
        };
        let nodes = experiment.nodes.iter().map(part).collect();
        let mut draft = Draft {
            experiment,
            nodes,
            problems,
            absent: Vec::new(),
            missing: Vec::new(),
            order: Vec::new(),
            lost: Vec::new(),
            circle: Vec::new(),
            gaps: Vec::new(),
        };
        super::tiles::cut(&mut draft);
        draft
    }

    /// The first node of this id.
    pub fn find(&self, id: &str) -> Option<usize> {
        self.nodes.iter().position(|node| node.spec.id.value == id)
    }

    /// The node into which a fusion injects.
    pub fn injected(&self, fusion: usize) -> Option<usize> {
        self.injects(&self.nodes[fusion])
    }

    /// The node into which this one injects.
    pub fn injects(&self, part: &Part<'_>) -> Option<usize> {
        let Some(Plugin::Fusion(config)) = part.known.as_ref()?.config.as_ref() else {
            return None;
        };
        match part.inputs.get(config.injects()?) {
            Some(Some(Input::Node(node))) => Some(*node),
            _ => None,
        }
    }

    /// Every id that could be read.
    pub fn ids(&self) -> Vec<&'a str> {
        let ids = self.nodes.iter().map(|node| node.spec.id.value.as_str());
        ids.filter(|id| !id.is_empty()).collect()
    }
}

/// The graph of a draft without problems; `None` if something is unknown all the same.
pub(super) fn finish(
    draft: &Draft<'_>,
    reach: &Reach,
    stages: Vec<Stage>,
    exams: Exams,
    sources: BTreeMap<PathBuf, Arc<Graph>>,
) -> Option<Graph> {
    let template = template(draft, reach, &stages, &sources);
    let mut dag = DiGraph::new();
    for part in &draft.nodes {
        dag.add_node(node(part)?);
    }
    for (to, part) in draft.nodes.iter().enumerate() {
        for input in part.inputs.iter().flatten() {
            if let Input::Node(from) = input {
                dag.add_edge(NodeIndex::new(*from), NodeIndex::new(to), ());
            }
        }
    }
    Some(Graph {
        name: draft.experiment.name.value.clone(),
        seed: draft.experiment.seed,
        dag,
        order: draft.order.iter().map(|&node| NodeIndex::new(node)).collect(),
        llm: reach.llm.map(NodeIndex::new),
        objectives: reach.objectives.iter().map(|&node| NodeIndex::new(node)).collect(),
        stages,
        benchmarks: exams.benchmarks,
        held_out: exams.held_out,
        template,
        generation: draft.experiment.generate,
        precision: draft.experiment.precision,
        sources,
        absent: draft.absent.clone(),
        missing: draft.missing.clone(),
    })
}

/// The template in which the benchmarks are asked: the one that is written, or the last that the
/// model was trained with: here, or where its weights come from (the LLM's first).
fn template(
    draft: &Draft<'_>,
    reach: &Reach,
    stages: &[Stage],
    sources: &BTreeMap<PathBuf, Arc<Graph>>,
) -> Template {
    let written = draft.experiment.template;
    let here = || stages.last().map(|stage| stage.spec.template);
    let there = || {
        let llm = reach.llm.map(|llm| &draft.nodes[llm]);
        llm.into_iter().chain(&draft.nodes).find_map(|part| match &part.spec.weights.value {
            Weights::From { experiment, stage, .. } => {
                let source = sources.get(experiment)?;
                let named = |known: &&Stage| Some(&known.spec.name.value) == stage.as_ref();
                let stage = source.stages.iter().find(named);
                Some(stage.map_or(source.template, |stage| stage.spec.template))
            }
            Weights::Random | Weights::File { .. } => None,
        })
    };
    written.or_else(here).or_else(there).unwrap_or(Template::VicunaV1)
}

fn node(part: &Part<'_>) -> Option<Node> {
    let known = part.known.as_ref()?;
    let built = part.built.as_ref()?;
    let source = |input: &Option<Input>| {
        Some(match (*input)? {
            Input::Image => Source::Image,
            Input::Text => Source::Text,
            Input::Node(node) => Source::Node(NodeIndex::new(node)),
        })
    };
    Some(Node {
        id: part.spec.id.value.clone(),
        kind: known.entry.kind,
        name: known.entry.name.to_owned(),
        plugin: known.config.clone()?,
        identity: known.identity.clone(),
        inputs: part.inputs.iter().map(source).collect::<Option<_>>()?,
        output: built.output.clone(),
        tiling: built.tiling,
        grid: built.grid,
        params: built.params.clone(),
        cost: built.cost,
        weights: part.spec.weights.value.clone(),
    })
}
