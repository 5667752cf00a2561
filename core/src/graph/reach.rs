//! Which LLM there is, and which nodes' output reaches it.

use super::draft::{Draft, Input};
use crate::registry::Kind;
use crate::spec::Problem;

/// What is known of the way to the LLM.
pub(super) struct Reach {
    /// The LLM, if there is exactly one.
    pub llm: Option<usize>,
    /// By node: whether its output reaches an LLM, as far as can be known.
    pub reaches: Vec<bool>,
}

/// Finds the LLM and the orphans. An orphan that a stage trains is reported once, with that stage.
pub(super) fn llm(draft: &mut Draft<'_>) -> Reach {
    let of_kind = |draft: &Draft<'_>, kind| {
        (0..draft.nodes.len()).filter(|&node| draft.nodes[node].kind() == kind).collect::<Vec<_>>()
    };
    let llms = of_kind(draft, Some(Kind::Llm));
    let unknown = of_kind(draft, None);
    let experiment = draft.experiment;
    let read = !experiment.broken.contains(&"nodes");
    if llms.is_empty() && unknown.is_empty() && read {
        let at = experiment.span.start;
        let problem =
            Problem::new("the experiment has no LLM", at..at + "Experiment".len(), "no LLM");
        let help =
            "add a node such as `(id: \"llm\", plugin: Llama(…), from: [\"project\", \"text\"])`";
        draft.problems.push(problem.help(help));
    }
    if let [first, more @ ..] = &llms[..] {
        for &second in more {
            let place = |node: usize| draft.nodes[node].spec.plugin.name.span.clone();
            let problem = Problem::new("the experiment has two LLMs", place(second), "the second")
                .other(place(*first), "the first")
                .help("keep one; other models are compared by a study");
            draft.problems.push(problem);
        }
    }
    let mut reaches = vec![false; draft.nodes.len()];
    let mut todo: Vec<usize> = llms.iter().chain(&unknown).copied().collect();
    todo.extend((0..draft.nodes.len()).filter(|&node| llms.is_empty() || excused(draft, node)));
    while let Some(node) = todo.pop() {
        if std::mem::replace(&mut reaches[node], true) {
            continue;
        }
        todo.extend(draft.nodes[node].inputs.iter().flatten().filter_map(|input| match input {
            Input::Node(other) => Some(*other),
            _ => None,
        }));
    }
    orphans(draft, &reaches);
    Reach { llm: if llms.len() == 1 { Some(llms[0]) } else { None }, reaches }
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

fn orphans(draft: &mut Draft<'_>, reaches: &[bool]) {
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
        let message = format!("the output of `{}` doesn't reach the LLM", id.value);
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
