//! Stages: what is trained, on what.

use std::collections::BTreeMap;

use petgraph::graph::NodeIndex;

use super::data::data;
use super::draft::{Draft, Input};
use super::parts;
use super::reach::Reach;
use super::{Context, Port, Stage};
use crate::registry::{Plugin, Registry};
use crate::spec::{Problem, Spanned, StageSpec, Weights};

/// The stages, and what is wrong with them.
pub(super) fn stages(
    draft: &mut Draft<'_>,
    registry: &Registry,
    reach: &Reach,
    context: &Context<'_>,
) -> Vec<Stage> {
    let specs = &draft.experiment.stages;
    let mut stages = Vec::new();
    for (index, spec) in specs.iter().enumerate() {
        let name = &spec.name;
        let first = specs[..index].iter().find(|first| first.name.value == name.value);
        if let Some(first) = first.filter(|_| !name.value.is_empty()) {
            draft.problems.push(
                Problem::new(
                    format!("two stages are called `{}`", name.value),
                    name.span.clone(),
                    "again here",
                )
                .other(first.name.span.clone(), "first here")
                .help("give one of them another name"),
            );
        }
        let selected = trains(draft, spec, reach);
        let rates = rates(draft, spec, &selected);
        length(draft, spec, reach);
        if let Some(data) = data(draft, spec, registry, context) {
            super::objectives::check(draft, spec, &selected, &data, registry, reach);
            let order = draft.order.iter().map(|&node| NodeIndex::new(node));
            let trains = order.filter(|node| selected.contains_key(node)).collect();
            let parts = selected.into_iter().filter(|(_, part)| part.contains(&false)).collect();
            stages.push(Stage { spec: spec.clone(), trains, parts, rates, data });
        }
    }
    nothing_to_do(draft);
    untrained(draft);
    stages
}

/// Which parameters of which nodes get updates.
pub(super) type Selected = BTreeMap<NodeIndex, Vec<bool>>;

fn trains(draft: &mut Draft<'_>, spec: &StageSpec, reach: &Reach) -> Selected {
    let mut selected: Vec<(usize, Vec<bool>)> = Vec::new();
    let mut whole = true;
    for (index, name) in spec.train.iter().enumerate() {
        let Some((node, part)) = target(draft, name) else {
            whole = false;
            continue;
        };
        match selected.iter_mut().find(|(known, _)| *known == node) {
            None => selected.push((node, part)),
            Some((_, known)) if covers(known, &part) => {
                let of_node = |first: &&Spanned<String>| {
                    parts::node_of(&first.value) == parts::node_of(&name.value)
                };
                let message = format!("`{}` trains `{}` twice", spec.name.value, name.value);
                let mut problem = Problem::new(message, name.span.clone(), "again here");
                if let Some(first) = spec.train[..index].iter().find(of_node) {
                    problem = problem.other(first.span.clone(), "first here");
                }
                draft.problems.push(problem.help("remove one of them"));
            }
            Some((_, known)) => known.iter_mut().zip(part).for_each(|(known, more)| *known |= more),
        }
    }
    let trained: Vec<usize> = selected.iter().map(|(node, _)| *node).collect();
    if whole {
        trains_nothing(draft, spec, reach, &trained);
    }
    selected.into_iter().map(|(node, part)| (NodeIndex::new(node), part)).collect()
}

fn covers(known: &[bool], part: &[bool]) -> bool {
    known.iter().zip(part).all(|(known, part)| *known || !*part)
}

/// The node and the parameters that `"clip"` or `"clip.blocks[-6:]"` means; reported if unknown.
fn target(draft: &mut Draft<'_>, name: &Spanned<String>) -> Option<(usize, Vec<bool>)> {
    let id = parts::node_of(&name.value);
    let node = named(draft, &Spanned::new(id.to_owned(), name.span.clone()))?;
    let Some(built) = draft.nodes[node].built.as_ref() else {
        // What keeps it from being built was reported.
        return Some((node, Vec::new()));
    };
    match parts::select(&name.value[id.len()..], &built.params) {
        Ok(selected) => Some((node, selected)),
        Err(wrong) => {
            let problem = Problem::new(wrong.message, name.span.clone(), format!("of `{id}`"));
            draft.problems.push(problem.help(wrong.help));
            None
        }
    }
}

fn trains_nothing(draft: &mut Draft<'_>, spec: &StageSpec, reach: &Reach, trained: &[usize]) {
    // One without parameters may be listed: a study puts others in its place.
    let empty = |&node: &usize| {
        let built = draft.nodes[node].built.as_ref();
        // An orphan was reported together with this place.
        built.is_some_and(|built| built.params.is_empty()) && reach.reaches[node]
    };
    if !trained.is_empty() && trained.iter().all(empty) {
        let message = format!("the stage `{}` trains nothing", spec.name.value);
        let mut problem = Problem::new(message, spec.place("train"), "no parameters among these");
        for &node in trained {
            let place = draft.nodes[node].spec.plugin.name.span.clone();
            problem = problem.other(place, "has no parameters");
        }
        draft.problems.push(problem.help("train a node that has parameters, too"));
    }
    if spec.train.is_empty() && !spec.broken.contains(&"train") {
        let message = format!("the stage `{}` trains nothing", spec.name.value);
        let ids: Vec<&str> = draft.ids();
        let problem = Problem::new(message, spec.place("train"), "an empty list");
        let help = format!("name at least one node: {}", crate::spec::problem::listed(&ids));
        draft.problems.push(problem.help(help));
    }
}

fn named(draft: &mut Draft<'_>, name: &Spanned<String>) -> Option<usize> {
    let found = draft.find(&name.value);
    if found.is_none() {
        let valid = draft.ids();
        super::names::unknown_node(draft, name, &valid);
    }
    found
}

fn rates(
    draft: &mut Draft<'_>,
    spec: &StageSpec,
    selected: &Selected,
) -> Vec<(NodeIndex, Vec<bool>, f64)> {
    let mut rates = Vec::new();
    for (index, (name, lr)) in spec.lr_of.iter().enumerate() {
        let earlier = spec.lr_of[..index].iter().find(|(first, _)| first.value == name.value);
        if let Some((first, _)) = earlier {
            let message = format!("`{}` has two learning rates", name.value);
            let problem = Problem::new(message, name.span.clone(), "again here");
            let problem = problem.other(first.span.clone(), "first here");
            draft.problems.push(problem.help("remove one of them"));
            continue;
        }
        let Some((node, part)) = target(draft, name) else { continue };
        if spec.broken.contains(&"train") {
            continue;
        }
        let listed = |train: &Spanned<String>| {
            // A part that could not be read was reported.
            parts::node_of(&train.value) == parts::node_of(&name.value)
        };
        let node = NodeIndex::new(node);
        let trained = match selected.get(&node) {
            Some(trained) => {
                part.is_empty() || part.iter().zip(trained).any(|(part, trained)| *part && *trained)
            }
            None => spec.train.iter().any(listed),
        };
        if !trained {
            let message = format!(
                "`{}` has a learning rate, but `{}` doesn't train it",
                name.value, spec.name.value
            );
            let problem = Problem::new(message, name.span.clone(), "not trained")
                .other(spec.place("train"), "the nodes that are trained");
            let help = format!("write \"{}\" into `train`, or remove its rate", name.value);
            draft.problems.push(problem.help(help));
        }
        rates.push((node, part, *lr));
    }
    rates
}

fn length(draft: &mut Draft<'_>, spec: &StageSpec, reach: &Reach) {
    let (Some(length), Some(llm)) = (spec.max_length, reach.llm) else { return };
    let part = &draft.nodes[llm];
    let config = part.known.as_ref().and_then(|known| known.config.as_ref());
    let Some(Plugin::Llm(config)) = config else { return };
    let plugin = &part.spec.plugin;
    let context = config.context();
    let visual = part.inputs.iter().flatten().find_map(|input| match input {
        Input::Node(node) => draft.nodes[*node].built.as_ref()?.output.tokens(),
        _ => None,
    });
    if length > context {
        let message = format!("`max_length` is {length}, but the LLM's context is {context}");
        let place = plugin.place("context").unwrap_or(plugin.name.span.clone());
        let problem = Problem::new(message, spec.place("max_length"), "too long")
            .other(place, format!("at most {context} tokens"));
        draft.problems.push(problem.help(format!("write {context} or less")));
    } else if let Some(visual) = visual.filter(|visual| visual.tokens >= length) {
        let message = format!("{} visual tokens leave no room for text", visual.tokens);
        let text = format!("at most {length} tokens");
        let problem = Problem::new(message, spec.place("max_length"), text);
        let help =
            format!("`max_length` counts the visual tokens: write more than {}", visual.tokens);
        draft.problems.push(problem.help(help));
    }
}

fn nothing_to_do(draft: &mut Draft<'_>) {
    let experiment = draft.experiment;
    let read = |field| !experiment.broken.contains(&field);
    let empty = experiment.stages.is_empty() && experiment.evaluate.is_empty();
    if empty && read("stages") && read("evaluate") {
        let at = experiment.span.start;
        let message = "the experiment trains nothing and evaluates nothing";
        let problem = Problem::new(message, at..at + "Experiment".len(), "nothing to do");
        draft.problems.push(problem.help("add `stages: […]` or `evaluate: […]`"));
    }
}

/// Nodes that would stay as random as they begin, unless the file says that this is meant.
fn untrained(draft: &mut Draft<'_>) {
    let stages = &draft.experiment.stages;
    if draft.experiment.broken.contains(&"stages")
        || stages.iter().any(|stage| stage.broken.contains(&"train"))
    {
        return;
    }
    // A stage that trains nothing, or no stage at all, was reported.
    let idle = stages.is_empty() && draft.experiment.evaluate.is_empty();
    if idle || stages.iter().any(|stage| stage.train.is_empty()) {
        return;
    }
    for node in &draft.nodes {
        let spec = node.spec;
        let params = node.built.as_ref().map_or(0, |built| built.params.len());
        let silent = spec.weights.span.is_empty() && spec.weights.value == Weights::Random;
        let id = spec.id.value.as_str();
        let trained = stages.iter().flat_map(|stage| &stage.train).any(|train| {
            // A misspelt name may mean this node.
            let named = parts::node_of(&train.value);
            named == id || draft.find(named).is_none()
        });
        let mut rates = stages.iter().flat_map(|stage| &stage.lr_of);
        let trained = trained || rates.any(|(of, _)| parts::node_of(&of.value) == id);
        if params == 0
            || !silent
            || trained
            || spec.broken.contains(&"weights")
            || spec.broken.contains(&"id")
        {
            continue;
        }
        let message = format!("`{id}` is never trained and has no weights");
        let problem = Problem::new(message, spec.id.span.clone(), "would stay random");
        let help = "train it in a stage, or give it `weights: From(\"….ron\")` or `weights: File(\"….safetensors\")`; \
                    write `weights: Random` if random weights are what you want";
        draft.problems.push(problem.help(help));
    }
}

impl Port {
    /// The number of different tokens that an LLM predicts.
    pub fn vocabulary(&self) -> Option<usize> {
        match self {
            Port::Logits { vocabulary } => Some(*vocabulary),
            _ => None,
        }
    }
}
