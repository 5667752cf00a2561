//! What the result is judged by: benchmarks, and data sets on which is measured what the stages
//! train for.

use super::configure::{article, configure, misfit};
use super::draft::Draft;
use super::reach::Reach;
use super::{Benchmark, Data};
use crate::registry::{Kind, Plugin, Registry};
use crate::spec::{PluginSpec, Problem};

/// What is in `evaluate`.
#[derive(Default)]
pub(super) struct Exams {
    pub benchmarks: Vec<Benchmark>,
    pub held_out: Vec<Data>,
}

/// The benchmarks and the held-out data sets, and what is wrong with them.
pub(super) fn exams(draft: &mut Draft<'_>, registry: &Registry, reach: &Reach) -> Exams {
    let mut exams = Exams::default();
    let mut first: Vec<&PluginSpec> = Vec::new();
    for spec in &draft.experiment.evaluate {
        let kinds = [Kind::Benchmark, Kind::Dataset];
        let Some(known) = configure(spec, &kinds, registry, &mut draft.problems) else { continue };
        let invalid = match &known.config {
            Some(Plugin::Benchmark(plugin)) => plugin.validate(),
            Some(Plugin::Dataset(plugin)) => plugin.validate(),
            _ => continue,
        };
        if let Err(error) = invalid {
            draft.problems.push(misfit(spec, error, &[]));
            continue;
        }
        let named = known.entry.fields.iter().any(|field| field.name == "name");
        match known.config {
            Some(Plugin::Benchmark(plugin)) => {
                let name = plugin.name();
                let same = exams.benchmarks.iter().position(|known| known.name == name);
                let problem = match same {
                    _ if !simple(&name) => Some(unnameable(spec, &name)),
                    Some(at) => Some(twice(spec, first[at], &name, named)),
                    None => unasked(draft, spec, reach),
                };
                if let Some(problem) = problem {
                    draft.problems.push(problem);
                    continue;
                }
                first.push(spec);
                exams.benchmarks.push(Benchmark { name, plugin, identity: known.identity });
            }
            Some(Plugin::Dataset(plugin)) => {
                let name = known.entry.name.to_owned();
                let data = Data { name, plugin, identity: known.identity };
                draft.problems.extend(super::objectives::unlabelled(
                    draft,
                    spec,
                    &data,
                    registry,
                    &reach.objectives,
                ));
                exams.held_out.push(data);
            }
            _ => {}
        }
    }
    exams
}

fn unnameable(spec: &PluginSpec, name: &str) -> Problem {
    let message = format!("{name:?} can't be the name of a benchmark");
    let place = spec.place("name").unwrap_or(spec.name.span.clone());
    let problem = Problem::new(message, place, "names a file and a column");
    problem.help("use letters, digits, `-` and `_`")
}

fn twice(spec: &PluginSpec, first: &PluginSpec, name: &str, named: bool) -> Problem {
    let message = format!("two benchmarks are called `{name}`");
    let problem = Problem::new(message, spec.span.clone(), "again here")
        .other(first.span.clone(), "first here");
    problem.help(match named {
        true => format!("give one of them another name: `name: \"{name}-2\"`"),
        false => "remove one of them, or let their fields differ".to_owned(),
    })
}

/// The problem that there is no LLM to answer a benchmark.
fn unasked(draft: &Draft<'_>, spec: &PluginSpec, reach: &Reach) -> Option<Problem> {
    let &[objective, ..] = &reach.objectives[..] else { return None };
    if reach.llm.is_some() {
        return None;
    }
    let name = &spec.name.value;
    let message = format!("`{name}` asks questions, and there is no LLM to answer them");
    let part = &draft.nodes[objective];
    let kind = part.kind().map_or_else(String::new, |kind| article(kind.noun()));
    let problem = Problem::new(message, spec.name.span.clone(), "a benchmark");
    Some(problem.other(part.spec.plugin.name.span.clone(), kind).help(
        "an objective is judged on a data set by its own metric: write one into `evaluate`, such as \
         `MiniWorld(split: Test, samples: 200)`",
    ))
}

/// Whether a benchmark's name can be part of a file's name and of a column's.
fn simple(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}
