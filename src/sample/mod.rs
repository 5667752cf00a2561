//! `eagle-lab sample`: pictures with their questions and answers, to look at what a model learns from
//! and is asked.

mod cards;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use eagle_core::data::Dataset;
use eagle_core::graph;
use eagle_core::registry::{Plugin, Registry};
use eagle_plugins::benchmarks::mini_vqa::MiniVqa;

use crate::file::{self, Overrides};
use crate::{Failure, print};

/// Show samples on a page: pictures, questions, answers, and what experts are told
///
/// WHAT is an experiment or study file (the data of its stages and its benchmarks), a benchmark of
/// the mini world (mini-chartqa), or a data set or benchmark as files write it
/// ('MiniWorld(families: [Gqa])').
#[derive(clap::Args)]
pub struct Arguments {
    /// A file, the name of a mini benchmark, or a data set or benchmark as files write it.
    #[arg(value_name = "WHAT")]
    what: String,
    /// Of a file, only this stage or benchmark.
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Samples of each.
    #[arg(long, default_value_t = 16)]
    n: usize,
    /// The first sample's place in its data set, from 0.
    #[arg(long, default_value_t = 0, value_name = "INDEX")]
    from: usize,
    /// The pictures' larger side, in pixels.
    #[arg(long, default_value_t = 320, value_name = "PIXELS")]
    side: u32,
    /// The page.
    #[arg(long, default_value = "samples.html", value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    overrides: Overrides,
}

/// What the data sets on which objectives are measured are called.
const HELD_OUT: &str = "evaluation";

/// A data set and what the page calls it.
struct Shown {
    title: String,
    data: Arc<dyn Dataset>,
}

/// Writes the page.
pub fn main(arguments: &Arguments, registry: &Registry) -> Result<(), Failure> {
    if arguments.side == 0 || arguments.side > 4096 {
        return Err(Failure::input("--side lies between 1 and 4096 pixels"));
    }
    let shown = shown(arguments, registry)?;
    let mut sections = Vec::new();
    for Shown { title, data } in &shown {
        let end = data.len().min(arguments.from.saturating_add(arguments.n));
        if arguments.from >= end {
            let message = format!("{title} has {} samples: none to show", data.len());
            return Err(Failure::input(message));
        }
        let cards = (arguments.from..end)
            .map(|index| cards::card(&data.sample(index)?, arguments.side))
            .collect::<Result<Vec<_>, _>>()
            .map_err(Failure::input)?;
        sections.push(cards::Section { title: title.clone(), of: data.len(), cards });
    }
    let text = cards::page(&arguments.what, &sections);
    let path = arguments.out.display();
    std::fs::write(&arguments.out, text)
        .map_err(|error| Failure::running(format!("can't write {path}: {error}")))?;
    let count: usize = sections.iter().map(|section| section.cards.len()).sum();
    print(&format!("{path}: {count} samples\n"));
    Ok(())
}

fn shown(arguments: &Arguments, registry: &Registry) -> Result<Vec<Shown>, Failure> {
    let what = arguments.what.as_str();
    if let Some(benchmark) = MiniVqa::named(what) {
        return Ok(vec![of_plugin(Plugin::Benchmark(Arc::new(benchmark)), what)?]);
    }
    let path = Path::new(what);
    if path.extension().is_some_and(|extension| extension == "ron") || path.is_file() {
        return of_file(path, arguments, registry);
    }
    let name = what.split('(').next().unwrap_or_default().trim();
    match registry.get(name) {
        Some(entry) => {
            let text = if what.contains('(') { what.to_owned() } else { format!("{what}()") };
            let configured =
                (entry.parse)(&text).map_err(|error| Failure::input(format!("{what}: {error}")))?;
            Ok(vec![of_plugin(configured.plugin, what)?])
        }
        None => Err(Failure::input(format!(
            "`{what}` is no file, no mini benchmark ({}) and no plugin; see `eagle-lab plugins`",
            MiniVqa::names().join(", ")
        ))),
    }
}

fn of_plugin(plugin: Plugin, what: &str) -> Result<Shown, Failure> {
    let misfit = |error: eagle_core::registry::Misfit| Failure::input(format!("{what}: {error}"));
    let base = Path::new("");
    let data = match plugin {
        Plugin::Dataset(data) => {
            data.validate().map_err(misfit)?;
            data.open(base)
        }
        Plugin::Benchmark(benchmark) => {
            benchmark.validate().map_err(misfit)?;
            benchmark.open(base)
        }
        _ => {
            return Err(Failure::input(format!("{what} is neither a data set nor a benchmark")));
        }
    };
    Ok(Shown { title: what.to_owned(), data: data.map_err(Failure::input)? })
}

/// The data of a file's stages, and its benchmarks; of a study those of its first trial.
fn of_file(path: &Path, arguments: &Arguments, registry: &Registry) -> Result<Vec<Shown>, Failure> {
    let opened = file::open(path, &arguments.overrides, registry)?;
    let Some(first) = opened.ready.first() else {
        return Err(Failure::input(format!("{} has no trial", path.display())));
    };
    let graph::Graph { stages, benchmarks, held_out, .. } = &first.graph;
    let stages = stages.iter().map(|stage| {
        let name = stage.spec.name.value.clone();
        (name.clone(), format!("stage {name}"), stage.data.plugin.open(&first.base))
    });
    let benchmarks = benchmarks.iter().map(|benchmark| {
        let title = format!("benchmark {}", benchmark.name);
        (benchmark.name.clone(), title, benchmark.plugin.open(&first.base))
    });
    let held_out = held_out
        .iter()
        .map(|data| (HELD_OUT.to_owned(), HELD_OUT.to_owned(), data.plugin.open(&first.base)));
    let wanted = |name: &str| arguments.only.as_deref().is_none_or(|only| only == name);
    let mut names = Vec::new();
    let mut shown = Vec::new();
    for (name, title, data) in stages.chain(benchmarks).chain(held_out) {
        if wanted(&name) {
            let data = data.map_err(|error| Failure::input(format!("{title}: {error}")))?;
            shown.push(Shown { title, data });
        }
        names.push(name);
    }
    if shown.is_empty() {
        let (path, names) = (path.display(), names.join(", "));
        return Err(Failure::input(match &arguments.only {
            Some(only) => format!("{path} has no stage or benchmark `{only}`; there are {names}"),
            None => format!("{path} has no stage and no benchmark"),
        }));
    }
    Ok(shown)
}
