//! A plugin as it was typed, to its configuration: every wrong field is found on its own.

use serde_json::Value;

use super::field::{offset, too_large, wrong_value};
use super::nested::{self, Part};
use crate::registry::{Entry, Kind, Misfit, Plugin, Registry};
use crate::spec::problem::{did_you_mean, listed, nearest};
use crate::spec::{PluginSpec, Problem, Span};

/// A plugin that the registry knows, and its configuration if that is right.
#[derive(Clone)]
pub(super) struct Known {
    pub entry: &'static Entry,
    pub config: Option<Plugin>,
    pub identity: Value,
    /// The data sets within it.
    pub parts: Vec<Part>,
}

/// Looks up and configures a plugin of one of `kinds`; `None` if there is no such plugin.
pub(super) fn configure(
    spec: &PluginSpec,
    kinds: &[Kind],
    registry: &Registry,
    problems: &mut Vec<Problem>,
) -> Option<Known> {
    // An empty name was reported when the file was read.
    if spec.name.value.is_empty() {
        return None;
    }
    let Some(entry) = registry.get(&spec.name.value) else {
        problems.push(unknown(spec, kinds, registry));
        return None;
    };
    if !kinds.contains(&entry.kind) {
        problems.push(wrong_kind(spec, entry, kinds, registry));
        return None;
    }
    let before = problems.len();
    fields(spec, entry, problems);
    let mut known = Known { entry, config: None, identity: Value::Null, parts: Vec::new() };
    if problems.len() > before || spec.broken {
        return Some(known);
    }
    match (entry.parse)(&spec.text) {
        Ok(mut configured) => {
            if let Plugin::Dataset(config) = &mut configured.plugin {
                let before = problems.len();
                let identity = &mut configured.identity;
                known.parts = nested::link(spec, config, identity, registry, problems);
                if problems.len() > before {
                    return Some(known);
                }
            }
            known.config = Some(configured.plugin);
            known.identity = configured.identity;
            if let Some(identity) = known.identity.as_object_mut() {
                identity.insert("version".to_owned(), entry.version.into());
            }
        }
        Err(error) => {
            let at = spec.span.start + offset(&spec.text, &error.span.start);
            let end = spec.span.start + offset(&spec.text, &error.span.end);
            let span = if at < end { at..end } else { spec.name.span.clone() };
            let message = format!("`{}` can't be read: {}", spec.name.value, error.code);
            problems.push(Problem::new(message, span, "here"));
        }
    }
    Some(known)
}

fn names(kinds: &[Kind], registry: &Registry) -> Vec<&'static str> {
    registry.iter().filter(|entry| kinds.contains(&entry.kind)).map(|entry| entry.name).collect()
}

/// What one of `kinds` is called: `a plugin for a node`, `a data set`.
fn wanted(kinds: &[Kind]) -> &'static str {
    match kinds {
        [kind] => kind.noun(),
        [Kind::Benchmark, Kind::Dataset] => "benchmark",
        _ => "plugin",
    }
}

fn unknown(spec: &PluginSpec, kinds: &[Kind], registry: &Registry) -> Problem {
    let name = &spec.name.value;
    let noun = wanted(kinds);
    let problem =
        Problem::new(format!("there is no {noun} `{name}`"), spec.name.span.clone(), "unknown");
    let fit = names(kinds, registry);
    match nearest(name, fit.iter().copied()) {
        Some(near) => problem.help(format!("did you mean `{near}`?")),
        None if fit.is_empty() => problem.help(format!("this program has no {noun}")),
        None => problem.help(format!("the {noun}s are {}", listed(&fit))),
    }
}

fn wrong_kind(spec: &PluginSpec, entry: &Entry, kinds: &[Kind], registry: &Registry) -> Problem {
    let found = article(entry.kind.noun());
    let place = match kinds {
        [Kind::Dataset] => "`data` takes a data set",
        [Kind::Benchmark, Kind::Dataset] => "`evaluate` takes benchmarks and data sets",
        _ => "a node is a vision encoder, a fusion, a projector, an LLM or an objective",
    };
    let message = format!("`{}` is {found}, but {place}", entry.name);
    let fit = names(kinds, registry);
    let problem = Problem::new(message, spec.name.span.clone(), found);
    problem.help(match kinds {
        [kind] => format!("the {}s are {}", kind.noun(), listed(&fit)),
        [Kind::Benchmark, Kind::Dataset] => "`eagle-lab plugins` lists them".to_owned(),
        _ => "write it in a stage's `data` or in `evaluate`".to_owned(),
    })
}

pub(super) fn article(noun: &str) -> String {
    let vowel = noun.starts_with(['a', 'e', 'i', 'o']) || noun.starts_with("LLM");
    format!("{} {noun}", if vowel { "an" } else { "a" })
}

/// Unknown, repeated and wrong fields.
fn fields(spec: &PluginSpec, entry: &Entry, problems: &mut Vec<Problem>) {
    let valid: Vec<&str> = entry.fields.iter().map(|field| field.name).collect();
    for (index, field) in spec.fields.iter().enumerate() {
        let name = field.name.value.as_str();
        let earlier = spec.fields[..index].iter().find(|earlier| earlier.name.value == name);
        if let Some(earlier) = earlier {
            problems.push(
                Problem::new(
                    format!("`{}` has `{name}` twice", entry.name),
                    field.name.span.clone(),
                    "again here",
                )
                .other(earlier.value.clone(), "first here")
                .help("remove one of them"),
            );
        } else if !valid.contains(&name) {
            let message = format!("`{}` has no field `{name}`", entry.name);
            let help = match valid[..] {
                [] => format!("it has no fields: write `{}()`", entry.name),
                _ => did_you_mean(name, "fields", &valid),
            };
            let problem = Problem::new(message, field.name.span.clone(), "unknown field");
            problems.push(problem.help(help));
        } else if !field.broken {
            let wrong = wrong_value(spec, field, entry);
            problems.extend(wrong.or_else(|| too_large(spec, field, entry)));
        }
    }
}

/// A plugin's own objection, at the field or the input at fault. `inputs` are the places of `from`
/// with what arrives there.
pub(super) fn misfit(
    spec: &PluginSpec,
    misfit: Misfit,
    inputs: &[(Span, Option<String>)],
) -> Problem {
    let place = misfit.field.and_then(|field| spec.place(field));
    let fault = misfit.input.and_then(|input| inputs.get(input));
    let message = match misfit.field {
        Some(field) => format!("`{field}` of `{}`: {}", spec.name.value, misfit.message),
        None => misfit.message,
    };
    let mut problem = match (&place, fault) {
        (Some(place), _) => Problem::new(message, place.clone(), "this value"),
        (None, Some((span, gives))) => {
            Problem::new(message, span.clone(), gives.clone().unwrap_or_default())
                .other(spec.name.span.clone(), "doesn't fit this")
        }
        (None, None) => {
            let text = match misfit.field {
                Some(_) => "has its default here".to_owned(),
                None if inputs.iter().any(|(_, gives)| gives.is_some()) => {
                    "with these inputs".to_owned()
                }
                None => String::new(),
            };
            Problem::new(message, spec.name.span.clone(), text)
        }
    };
    // What arrives is of interest unless the fault lies in a field alone.
    if place.is_none() || misfit.input.is_some() {
        for (index, (span, gives)) in inputs.iter().enumerate() {
            if let Some(gives) =
                gives.as_ref().filter(|_| misfit.input != Some(index) || place.is_some())
            {
                problem = problem.other(span.clone(), gives.clone());
            }
        }
    }
    match misfit.help {
        Some(help) => problem.help(help),
        None => problem,
    }
}
