//! What may be read by what: wrong, missing and surplus inputs.

use super::configure::article;
use super::draft::{Draft, Input, Part};
use crate::registry::Kind;
use crate::spec::{Problem, Span, Spanned};

/// What a kind of node reads, in words.
fn reads(kind: Kind) -> &'static str {
    match kind {
        Kind::Encoder => "a vision encoder reads \"image\" and nothing else",
        Kind::Fusion => "a fusion reads the feature maps of one or more vision encoders",
        Kind::Projector => "a projector reads one vision encoder, fusion or projector",
        Kind::Objective => "an objective reads one vision encoder",
        _ => "an LLM reads the visual tokens of at most one node, and \"text\"",
    }
}

/// What an input gives, in words, if it is known.
fn gives(draft: &Draft<'_>, input: Input) -> Option<String> {
    Some(match input {
        Input::Image => "the picture".to_owned(),
        Input::Text => "the conversation".to_owned(),
        Input::Node(node) => match draft.nodes[node].kind()? {
            Kind::Encoder => "a feature map".to_owned(),
            Kind::Llm => "an LLM's predictions".to_owned(),
            Kind::Objective => "a loss".to_owned(),
            _ => "visual tokens".to_owned(),
        },
    })
}

fn fits(draft: &Draft<'_>, kind: Kind, input: Input) -> bool {
    let other = match input {
        Input::Image => return kind == Kind::Encoder,
        Input::Text => return kind == Kind::Llm,
        Input::Node(node) => draft.nodes[node].kind(),
    };
    match (kind, other) {
        (_, None) => true,
        (Kind::Encoder, _) | (_, Some(Kind::Llm | Kind::Objective)) => false,
        (Kind::Fusion | Kind::Objective, Some(other)) => other == Kind::Encoder,
        _ => true,
    }
}

/// Reports wrong, missing and surplus inputs of a node, and notes where one would be needed.
pub(super) fn check(draft: &mut Draft<'_>, node: usize) {
    let part = &draft.nodes[node];
    let Some(kind) = part.kind().filter(|_| !part.spec.broken.contains(&"from")) else { return };
    let (mut wrong, mut texts, mut others) = (Vec::new(), Vec::new(), Vec::new());
    // An unknown name, or a step of a cycle, may stand for anything.
    let mut unknown = false;
    for (at, (input, from)) in part.inputs.iter().zip(&part.spec.from).enumerate() {
        match *input {
            Some(_) if draft.circle.contains(&(node, at)) => unknown = true,
            Some(input) if !fits(draft, kind, input) => {
                wrong.extend(unfit(draft, part, from, kind, input));
            }
            Some(Input::Text) => texts.push(&from.span),
            Some(_) => others.push(&from.span),
            None => unknown = true,
        }
    }
    let nothing = kind != Kind::Llm && others.is_empty() && wrong.is_empty() && !unknown;
    let gap = nothing || !wrong.is_empty();
    let mut found = wrong;
    if nothing {
        let message = format!("`{}` reads nothing", part.spec.id.value);
        let problem = Problem::new(message, part.spec.id.span.clone(), "its `from` is empty");
        found.push(problem.help(reads(kind)));
    }
    if kind == Kind::Llm && texts.is_empty() && !unknown {
        let message = format!("`{}` doesn't read \"text\"", part.spec.id.value);
        let text = "doesn't get the conversation";
        let problem = Problem::new(message, part.spec.id.span.clone(), text);
        found.push(problem.help(reads(kind)));
    }
    found.extend(surplus(part, &texts, reads(kind)));
    match kind {
        Kind::Fusion => {}
        Kind::Encoder | Kind::Objective => found.extend(surplus(part, &others, reads(kind))),
        _ => {
            let help = format!("{}; join several vision encoders with a fusion", reads(kind));
            found.extend(surplus(part, &others, &help));
        }
    }
    found.extend(shared(draft, node));
    draft.problems.extend(found);
    if gap {
        draft.gaps.push(node);
    }
}

/// The problem that a node of `kind` can't read an input, both ends shown.
fn unfit(
    draft: &Draft<'_>,
    part: &Part<'_>,
    from: &Spanned<String>,
    kind: Kind,
    input: Input,
) -> Option<Problem> {
    let text = format!("this is {}", gives(draft, input)?);
    let message = format!("`{}` can't read {:?}", part.spec.id.value, from.value);
    let problem = Problem::new(message, from.span.clone(), text)
        .other(part.spec.plugin.name.span.clone(), article(kind.noun()))
        .help(advice(kind, input));
    let Input::Node(other) = input else { return Some(problem) };
    let other = &draft.nodes[other];
    Some(problem.other(other.spec.plugin.name.span.clone(), article(other.kind()?.noun())))
}

/// The problems that something else reads the encoder between whose blocks a fusion injects.
fn shared(draft: &Draft<'_>, fusion: usize) -> Vec<Problem> {
    let Some(encoder) = draft.injected(fusion) else { return Vec::new() };
    let part = &draft.nodes[fusion];
    let into = &draft.nodes[encoder].spec.id.value;
    let mut places = Vec::new();
    for reader in &draft.nodes {
        let inputs = reader.inputs.iter().zip(&reader.spec.from);
        let reads = inputs.filter(|(input, _)| **input == Some(Input::Node(encoder)));
        places.extend(reads.map(|(_, from)| (&reader.spec.id.value, &from.span)));
    }
    let first = part.inputs.iter().position(|input| *input == Some(Input::Node(encoder)));
    let own = first.map(|at| &part.spec.from[at].span);
    places.retain(|(_, span)| Some(*span) != own);
    let problem = |(reader, span): (&String, &Span)| {
        let message = format!("`{reader}` can't read `{into}`, into which another node injects");
        let text = if *reader == part.spec.id.value { "once more" } else { "reads it, too" };
        Problem::new(message, span.clone(), text)
            .other(part.spec.plugin.name.span.clone(), format!("changes what `{into}` gives"))
            .help("give the other reader an encoder of its own: a second node of the same plugin")
    };
    places.into_iter().map(problem).collect()
}

/// The problems that there are more inputs than one.
fn surplus(part: &Part<'_>, inputs: &[&Span], help: &str) -> Vec<Problem> {
    let [first, more @ ..] = inputs else { return Vec::new() };
    let message = format!("`{}` has too many inputs", part.spec.id.value);
    more.iter()
        .map(|&second| {
            Problem::new(message.clone(), second.clone(), "one too many")
                .other((*first).clone(), "the first")
                .help(help)
        })
        .collect()
}

fn advice(kind: Kind, input: Input) -> String {
    match (kind, input) {
        (Kind::Fusion | Kind::Projector | Kind::Llm | Kind::Objective, Input::Image) => {
            format!("{}: put a vision encoder between", reads(kind))
        }
        _ => reads(kind).to_owned(),
    }
}
