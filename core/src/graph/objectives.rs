//! Objectives in a stage: which of them it follows, and whether its data can teach them.

use petgraph::graph::NodeIndex;

use super::draft::{Draft, Input};
use super::reach::Reach;
use super::stages::Selected;
use super::{Data, Graph, Port, Source, Stage};
use crate::registry::{Backbone, Kind, ObjectiveConfig, Plugin, Registry};
use crate::spec::problem::listed;
use crate::spec::{PluginSpec, Problem, StageSpec};

/// Reports what keeps a stage from following its objectives.
pub(super) fn check(
    draft: &mut Draft<'_>,
    spec: &StageSpec,
    selected: &Selected,
    data: &Data,
    registry: &Registry,
    reach: &Reach,
) {
    let trains = |node: usize| selected.contains_key(&NodeIndex::new(node));
    let reads = |draft: &Draft<'_>, node: usize| match draft.nodes[node].inputs[..] {
        [Some(Input::Node(encoder))] => Some(encoder),
        _ => None,
    };
    let followed: Vec<usize> = reach
        .objectives
        .iter()
        .copied()
        .filter(|&node| trains(node) || reads(draft, node).is_some_and(trains))
        .collect();
    draft.problems.extend(unlabelled(draft, &spec.data, data, registry, &followed));
    for &node in &followed {
        let part = &draft.nodes[node];
        let (id, name) = (&part.spec.id.value, part.spec.plugin.name.span.clone());
        if config(draft, node).is_none_or(|config| config.views() < 2) {
            continue;
        }
        let other = followed.iter().copied().find(|&other| other != node);
        let problem = match (other, reads(draft, node)) {
            (Some(other), _) => {
                let other = &draft.nodes[other].spec.id;
                let message = format!(
                    "`{id}` changes the pictures, from which `{}` learns, too",
                    other.value
                );
                Problem::new(message, spec.place("train"), "both are trained here")
                    .help("train them in stages, or in experiments, of their own")
            }
            (None, Some(encoder)) if !trains(encoder) => {
                let encoder = &draft.nodes[encoder].spec.id.value;
                let message = format!("`{id}` is learnt together with its encoder");
                let help = format!("write \"{encoder}\" into `train`, too");
                Problem::new(message, spec.place("train"), format!("without `{encoder}`"))
                    .help(help)
            }
            _ => continue,
        };
        draft.problems.push(problem.other(name, "has several views of every picture"));
    }
}

fn config<'d>(draft: &'d Draft<'_>, node: usize) -> Option<&'d dyn ObjectiveConfig> {
    match draft.nodes[node].known.as_ref()?.config.as_ref()? {
        Plugin::Objective(config) => Some(config.as_ref()),
        _ => None,
    }
}

/// The problem that a data set has no annotations for one of `objectives`.
pub(super) fn unlabelled(
    draft: &Draft<'_>,
    spec: &PluginSpec,
    data: &Data,
    registry: &Registry,
    objectives: &[usize],
) -> Option<Problem> {
    let reads = |node: &&usize| config(draft, **node).is_some_and(|c| c.reads_annotations());
    let reader = objectives.iter().find(reads).filter(|_| !data.plugin.annotates())?;
    let part = &draft.nodes[*reader];
    let message = format!("`{}` has no annotations to teach `{}`", data.name, part.spec.id.value);
    let known = registry.iter().filter(|entry| entry.kind == Kind::Dataset);
    let known = known.filter(|entry| match (entry.parse)(&format!("{}()", entry.name)) {
        Ok(configured) => {
            matches!(configured.plugin, Plugin::Dataset(plugin) if plugin.annotates())
        }
        Err(_) => false,
    });
    let names: Vec<&str> = known.map(|entry| entry.name).collect();
    let problem = Problem::new(message, spec.name.span.clone(), "pictures and turns alone")
        .other(part.spec.plugin.name.span.clone(), "learns from annotations");
    Some(problem.help(match names.is_empty() {
        true => "this program has no data set with annotations".to_owned(),
        false => format!("data sets with annotations: {}", listed(&names)),
    }))
}

impl Graph {
    /// The objectives whose losses a stage follows: those that it trains, or whose encoders.
    pub fn followed(&self, stage: &Stage) -> Vec<NodeIndex> {
        let trains = |node: &NodeIndex| stage.trains.contains(node);
        let reads_trained = |node: &NodeIndex| {
            let inputs = &self.dag[*node].inputs;
            inputs.iter().any(|source| matches!(source, Source::Node(input) if trains(input)))
        };
        let objectives = self.objectives.iter().copied();
        objectives.filter(|node| trains(node) || reads_trained(node)).collect()
    }

    /// The vision encoder that an objective reads; `None` of another node.
    pub fn backbone(&self, objective: NodeIndex) -> Option<Backbone<'_>> {
        let [Source::Node(encoder)] = self.dag[objective].inputs[..] else { return None };
        match (&self.dag[encoder].plugin, &self.dag[encoder].output) {
            (Plugin::Encoder(encoder), Port::Features(shape)) => {
                Some(Backbone { encoder: encoder.as_ref(), shape })
            }
            _ => None,
        }
    }

    /// The metric of the objective called `id`.
    pub fn metric_of(&self, id: &str) -> Option<&'static str> {
        let node = self.objectives.iter().copied().find(|&node| self.dag[node].id == id)?;
        self.objective(node).map(ObjectiveConfig::metric)
    }

    /// An objective's configuration; `None` of another node.
    pub fn objective(&self, node: NodeIndex) -> Option<&dyn ObjectiveConfig> {
        match &self.dag[node].plugin {
            Plugin::Objective(config) => Some(config.as_ref()),
            _ => None,
        }
    }
}
