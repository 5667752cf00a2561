//! In what the graph ends, an LLM or objectives, and which nodes' output gets there.

use super::draft::{Draft, Input};
use crate::registry::Kind;
use crate::spec::Problem;

/// What is known of the ends of the graph.
pub(super) struct Reach {
    /// The LLM, if there is exactly one.
    pub llm: Option<usize>,
    /// The objectives.
    pub objectives: Vec<usize>,
    /// By node: whether its output reaches an LLM or an objective, as far as can be known.
    pub reaches: Vec<bool>,
}

/// Finds the ends and the orphans. An orphan that a stage trains is reported once, with that stage.
pub(super) fn sinks(draft: &mut Draft<'_>) -> Reach {
    let of_kind = |draft: &Draft<'_>, kind| {
        (0..draft.nodes.len()).filter(|&node| draft.nodes[node].kind() == kind).collect::<Vec<_>>()
    };
    let llms = of_kind(draft, Some(Kind::Llm));
    let objectives = of_kind(draft, Some(Kind::Objective));
    let unknown = of_kind(draft, None);
    let sinks: Vec<usize> = llms.iter().chain(&objectives).copied().collect();
    if sinks.is_empty() && unknown.is_empty() && !draft.experiment.broken.contains(&"nodes") {
        let at = draft.experiment.span.start;
        let message = "the experiment has neither an LLM nor an objective";
        let problem = Problem::new(message, at..at + "Experiment".len(), "nothing is learnt");
        let help = "add a node such as `(id: \"llm\", plugin: Llama(…), from: [\"project\", \"text\"])`, \
                    or to pre-train an expert `(id: \"masks\", plugin: Segmentation(), from: [\"sam\"])`";
        draft.problems.push(problem.help(help));
    }
    too_many(draft, &llms, &objectives);
    let mut reaches = vec![false; draft.nodes.len()];
    let mut todo: Vec<usize> = sinks.iter().chain(&unknown).copied().collect();
    todo.extend((0..draft.nodes.len()).filter(|&node| sinks.is_empty() || excused(draft, node)));
    while let Some(node) = todo.pop() {
        if std::mem::replace(&mut reaches[node], true) {
            continue;
        }
        todo.extend(draft.nodes[node].inputs.iter().flatten().filter_map(|input| match input {
            Input::Node(other) => Some(*other),
            _ => None,
        }));
    }
    orphans(draft, &reaches, if llms.is_empty() { "an objective" } else { "the LLM" });
    let llm = if llms.len() == 1 { Some(llms[0]) } else { None };
    Reach { llm, objectives, reaches }
}

/// Reports a second LLM, and objectives beside an LLM.
fn too_many(draft: &mut Draft<'_>, llms: &[usize], objectives: &[usize]) {
    let [first, more @ ..] = llms else { return };
    let place = |draft: &Draft<'_>, node: usize| draft.nodes[node].spec.plugin.name.span.clone();
    for &second in more {
        let problem =
            Problem::new("the experiment has two LLMs", place(draft, second), "the second")
                .other(place(draft, *first), "the first")
                .help("keep one; other models are compared by a study");
        draft.problems.push(problem);
    }
    for &objective in objectives {
        let message = "the experiment ends in an LLM and in an objective";
        let problem = Problem::new(message, place(draft, objective), "an objective")
            .other(place(draft, *first), "the LLM")
            .help(
                "pre-train the expert in an experiment of its own, and take it from there with \
                 `weights: From(\"….ron\")`",
            );
        draft.problems.push(problem);
    }
}

/// Whether a node may be an orphan by the fault of something reported: a misspelt name, an
/// unreadable `from` or id, a cycle, a wrong input, a second node of the same id, no LLM.
fn excused(draft: &Draft<'_>, node: usize) -> bool {
    let unread = draft.nodes.iter().any(|node| node.spec.broken.contains(&"from"));
    let anyone = unread || draft.lost.iter().any(|lost| lost.meant.is_none());
    let meant = draft.lost.iter().any(|lost| lost.meant == Some(node));
    let id = &draft.nodes[node].spec.id.value;
    let second = draft.find(id) != Some(node);
    let unnamed = draft.nodes[node].spec.broken.contains(&"id");
    let elsewhere = draft.gaps.iter().any(|gap| *gap != node);
    anyone || meant || second || unnamed || elsewhere || !draft.order.contains(&node)
}

fn orphans(draft: &mut Draft<'_>, reaches: &[bool], end: &str) {
    for (index, node) in draft.nodes.iter().enumerate() {
        if reaches[index] {
            continue;
        }
        let id = &node.spec.id;
        let readers =
            draft.nodes.iter().filter(|other| other.inputs.contains(&Some(Input::Node(index))));
        let readers: Vec<&str> = readers.map(|other| other.spec.id.value.as_str()).collect();
        let text = match readers[..] {
            [] => "no node reads it".to_owned(),
            _ => format!("read only by {}", crate::spec::problem::listed(&readers)),
        };
        let message = format!("the output of `{}` doesn't reach {end}", id.value);
        let mut problem = Problem::new(message, id.span.clone(), text);
        for stage in &draft.experiment.stages {
            for train in
                stage.train.iter().filter(|train| super::parts::node_of(&train.value) == id.value)
            {
                problem = problem
                    .other(train.span.clone(), "so it can't be trained: no loss depends on it");
            }
        }
        let help = format!(
            "write \"{}\" into the `from` of the node that is to read it, or remove it",
            id.value
        );
        draft.problems.push(problem.help(help));
    }
}
