//! `eagle-lab data check`: everything of a data set read once, before a run trips over it.

use std::path::{Path, PathBuf};

use eagle_core::data::check::{Report, check};
use eagle_core::lab::{Audited, audit};
use eagle_core::registry::{Plugin, Registry};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::file::{self, Overrides};
use crate::{Failure, print};

/// Look into data sets
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Check(Check),
}

/// Read everything once and report every problem with its sample's id; exit code 1 if there is one
#[derive(clap::Args)]
struct Check {
    /// An experiment or study file (all of its data), or a data file: LLaVA's .json or .jsonl, .tar
    /// shards, .parquet, or a folder of shards.
    file: PathBuf,
    /// The folder that a .json or .jsonl file's pictures start from; none: the file's own.
    #[arg(long)]
    images: Option<PathBuf>,
    /// text or json.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Threads; none: one per core.
    #[arg(long)]
    threads: Option<usize>,
    #[command(flatten)]
    overrides: Overrides,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Format {
    Text,
    Json,
}

/// Checks a file's data.
pub fn main(arguments: &Arguments, registry: &Registry) -> Result<(), Failure> {
    let Command::Check(arguments) = &arguments.command;
    if let Some(threads) = arguments.threads {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
        pool.map_err(Failure::running)?;
    }
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{prefix} [{bar:30}] {pos}/{len} {eta}") {
        bar.set_style(style);
    }
    let mut progress = |name: &str, done: usize, all: usize| {
        bar.set_prefix(name.to_owned());
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    };
    let audited = match arguments.file.extension().is_some_and(|extension| extension == "ron") {
        true => experiments(arguments, registry, &mut progress)?,
        false => vec![data_file(arguments, registry, &mut progress)?],
    };
    bar.finish_and_clear();
    let problems: usize = audited.iter().map(|one| one.report.problems()).sum();
    match arguments.format {
        Format::Text => audited.iter().for_each(|one| {
            print(&format!("{}\n{}", one.name, one.report));
        }),
        Format::Json => {
            let sets = audited.iter().map(set_json).collect::<Vec<_>>();
            print(&format!("{:#}\n", json!({ "problems": problems, "sets": sets })));
        }
    }
    match problems {
        0 => Ok(()),
        1 => Err(Failure::Running("1 problem".to_owned())),
        many => Err(Failure::Running(format!("{many} problems"))),
    }
}

fn set_json(audited: &Audited) -> serde_json::Value {
    let Report { findings, sources } = &audited.report;
    json!({ "name": audited.name, "findings": findings, "sources": sources })
}

/// The data of every experiment of a file; what several trials share is read once.
fn experiments(
    arguments: &Check,
    registry: &Registry,
    progress: &mut dyn FnMut(&str, usize, usize),
) -> Result<Vec<Audited>, Failure> {
    let opened = file::open(&arguments.file, &arguments.overrides, registry)?;
    let mut seen = Vec::new();
    let mut audited = Vec::new();
    for ready in &opened.ready {
        ready.complete()?;
        let stages = ready.graph.stages.iter().map(|stage| &stage.data.identity);
        let benchmarks = ready.graph.benchmarks.iter().map(|benchmark| &benchmark.identity);
        let known = stages.chain(benchmarks).map(ToString::to_string).collect::<Vec<_>>();
        if seen.contains(&known) {
            continue;
        }
        seen.push(known);
        let more = audit(&ready.graph, &ready.base, progress).map_err(Failure::running)?;
        audited.extend(more);
    }
    Ok(audited)
}

/// A data file alone: the data set plugin for its kind, without a tokenizer.
fn data_file(
    arguments: &Check,
    registry: &Registry,
    progress: &mut dyn FnMut(&str, usize, usize),
) -> Result<Audited, Failure> {
    let file = &arguments.file;
    let text = plugin(file, arguments.images.as_deref())?;
    let name = text.split('(').next().unwrap_or_default();
    let entry = registry.get(name);
    let entry = entry.ok_or_else(|| Failure::input(format!("there is no data set {name}")))?;
    let configured = (entry.parse)(&text).map_err(|error| Failure::input(error.code))?;
    let Plugin::Dataset(config) = configured.plugin else {
        return Err(Failure::input(format!("{name} is no data set")));
    };
    let dataset = config.open(Path::new("")).map_err(Failure::input)?;
    let name = file.display().to_string();
    let all = dataset.len();
    let report = check(dataset.as_ref(), None, &mut |done| progress(&name, done, all));
    Ok(Audited { name, report })
}

/// The plugin that reads a file, as it would be written.
fn plugin(file: &Path, images: Option<&Path>) -> Result<String, Failure> {
    let kind = match file.is_dir() {
        true => {
            let files = std::fs::read_dir(file).map_err(Failure::input)?;
            let kinds = files.filter_map(|one| Some(one.ok()?.path().extension()?.to_owned()));
            let mut kinds: Vec<_> = kinds.filter(|e| e == "tar" || e == "parquet").collect();
            kinds.sort();
            kinds.pop()
        }
        false => file.extension().map(ToOwned::to_owned),
    };
    let kind = kind.unwrap_or_default().to_string_lossy().to_lowercase();
    Ok(match kind.as_str() {
        "json" | "jsonl" => format!("LlavaJson(path: {file:?}, images: {images:?})"),
        "tar" => format!("LlavaTar(paths: [{file:?}])"),
        "parquet" => format!("LlavaParquet(paths: [{file:?}])"),
        _ => {
            return Err(Failure::input(format!(
                "{}: not an experiment (.ron) nor a data file (.json, .jsonl, .tar, .parquet, or a \
                 folder of .tar or .parquet)",
                file.display()
            )));
        }
    })
}
