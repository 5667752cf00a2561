//! Who reads whom: ids, `from`, cycles and the order of the nodes.

use super::draft::{Draft, Input, Lost};
use crate::spec::problem::{did_you_mean, nearest};
use crate::spec::{Problem, Spanned};

/// Resolves every `from`, and orders the nodes.
pub(super) fn connect(draft: &mut Draft<'_>) {
    duplicates(draft);
    for reader in 0..draft.nodes.len() {
        let spec = draft.nodes[reader].spec;
        let inputs = spec.from.iter().map(|name| resolve(draft, name)).collect();
        draft.nodes[reader].inputs = inputs;
    }
    order(draft);
    cycles(draft);
}

fn duplicates(draft: &mut Draft<'_>) {
    for (index, node) in draft.nodes.iter().enumerate() {
        let id = &node.spec.id;
        if let Some(first) =
            draft.find(&id.value).filter(|&first| first < index && !id.value.is_empty())
        {
            draft.problems.push(
                Problem::new(
                    format!("two nodes are called `{}`", id.value),
                    id.span.clone(),
                    "again here",
                )
                .other(draft.nodes[first].spec.id.span.clone(), "first here")
                .help("give one of them another id"),
            );
        }
    }
}

fn resolve(draft: &mut Draft<'_>, name: &Spanned<String>) -> Option<Input> {
    match name.value.as_str() {
        "image" => return Some(Input::Image),
        "text" => return Some(Input::Text),
        id => {
            if let Some(node) = draft.find(id) {
                return Some(Input::Node(node));
            }
        }
    }
    let mut valid = vec!["image", "text"];
    valid.extend(draft.ids());
    unknown_node(draft, name, &valid);
    None
}

/// Reports a name that is no node's, unless that may be the fault of a node whose id is unknown.
pub(super) fn unknown_node(draft: &mut Draft<'_>, name: &Spanned<String>, valid: &[&str]) {
    let meant = nearest(&name.value, valid.iter().copied()).and_then(|near| draft.find(near));
    draft.lost.push(Lost { meant });
    if draft.nodes.iter().any(|node| node.spec.id.value.is_empty()) {
        return;
    }
    let problem = Problem::new(
        format!("there is no node `{}`", name.value),
        name.span.clone(),
        "unknown node",
    );
    draft.problems.push(problem.help(did_you_mean(&name.value, "nodes", valid)));
}

/// The other inputs of a fusion that injects into `node`: they must run before it.
fn injected_after(draft: &Draft<'_>, node: usize) -> Vec<usize> {
    let fusions = (0..draft.nodes.len()).filter(|&fusion| draft.injected(fusion) == Some(node));
    let others = fusions.flat_map(|fusion| reads(draft, fusion));
    others.map(|(_, other)| other).filter(|&other| other != node).collect()
}

/// Every node after its inputs and after what is injected into it, otherwise in the file's order.
fn order(draft: &mut Draft<'_>) {
    let mut placed = vec![false; draft.nodes.len()];
    loop {
        let ready = |&node: &usize| {
            let inputs = &draft.nodes[node].inputs;
            !placed[node]
                && inputs.iter().flatten().all(|input| match input {
                    Input::Node(node) => placed[*node],
                    _ => true,
                })
                && injected_after(draft, node).iter().all(|&other| placed[other])
        };
        let Some(next) = (0..draft.nodes.len()).find(ready) else { return };
        placed[next] = true;
        draft.order.push(next);
    }
}

fn reads(draft: &Draft<'_>, node: usize) -> Vec<(usize, usize)> {
    let inputs = draft.nodes[node].inputs.iter().enumerate();
    inputs
        .filter_map(|(at, input)| match input {
            Some(Input::Node(other)) => Some((at, *other)),
            _ => None,
        })
        .collect()
}

/// Reports one cycle for every group of nodes that read each other.
fn cycles(draft: &mut Draft<'_>) {
    let mut graph = petgraph::graph::DiGraph::<(), ()>::new();
    let indices: Vec<_> = draft.nodes.iter().map(|_| graph.add_node(())).collect();
    for (node, &index) in indices.iter().enumerate() {
        for (_, other) in reads(draft, node) {
            graph.add_edge(indices[other], index, ());
        }
    }
    let mut groups = petgraph::algo::tarjan_scc(&graph);
    groups.iter_mut().for_each(|group| group.sort());
    groups.sort();
    for group in groups {
        let start = group[0].index();
        if let Some(cycle) = shortest(draft, start) {
            draft.problems.push(report(draft, &cycle));
            draft.gaps.extend(cycle.iter().map(|(node, _)| *node));
            draft.circle.extend(cycle);
        }
    }
}

/// The shortest way from a node over what it reads back to itself: nodes with the place in their
/// `from` that leads on.
fn shortest(draft: &Draft<'_>, start: usize) -> Option<Vec<(usize, usize)>> {
    let mut paths = std::collections::VecDeque::from([(start, Vec::new())]);
    let mut seen = vec![false; draft.nodes.len()];
    while let Some((node, path)) = paths.pop_front() {
        for (at, other) in reads(draft, node) {
            let mut longer: Vec<(usize, usize)> = path.clone();
            longer.push((node, at));
            if other == start {
                return Some(longer);
            }
            if !seen[other] {
                seen[other] = true;
                paths.push_back((other, longer));
            }
        }
    }
    None
}

fn report(draft: &Draft<'_>, cycle: &[(usize, usize)]) -> Problem {
    let id = |node: usize| draft.nodes[node].spec.id.value.as_str();
    let span = |(node, at): (usize, usize)| draft.nodes[node].spec.from[at].span.clone();
    let help = "the data must flow from the image to the LLM: remove one of these from its `from`";
    if let [(node, _)] = cycle {
        let message = format!("the node `{}` reads itself", id(*node));
        return Problem::new(message, span(cycle[0]), "its own output")
            .help("remove it from `from`");
    }
    // Against the reading, so that it is named as the data would flow.
    let mut names: Vec<&str> = cycle.iter().rev().map(|(node, _)| id(*node)).collect();
    names.rotate_right(1);
    names.push(names[0]);
    let message = format!("these nodes go round in a circle: {}", names.join(" -> "));
    let text = |(node, at): (usize, usize)| {
        format!("`{}` reads `{}`", id(node), draft.nodes[node].spec.from[at].value)
    };
    let mut problem = Problem::new(message, span(cycle[0]), text(cycle[0])).help(help);
    for &step in &cycle[1..] {
        problem = problem.other(span(step), text(step));
    }
    problem
}
