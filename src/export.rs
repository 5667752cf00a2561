//! `eagle-lab export`: a trained node as a checkpoint under its reference's names.

use std::path::PathBuf;

use eagle_core::lab::Trained;
use eagle_core::record;
use eagle_core::registry::{Plugin, Registry};
use eagle_core::spec;
use eagle_core::weights::{Bundle, Files};

use crate::{Failure, print, trained};

/// Write a trained node as a checkpoint that transformers or timm load: model.safetensors under the
/// reference's own names, and its config.json where there is one
#[derive(clap::Args)]
pub struct Arguments {
    /// A run: its id or the beginning of it, its folder, its trial's name, or an experiment's file that
    /// was run once.
    run: PathBuf,
    /// The node's id.
    #[arg(long)]
    node: String,
    /// The folder to write.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// After which stage; the last one by default.
    #[arg(long)]
    stage: Option<String>,
    /// The results folder.
    #[arg(long, default_value = "results", value_name = "DIR")]
    out: PathBuf,
    /// A checkpoint of the reference. What it has and the node has no use for (a class token, the
    /// text tower) is written, too, so that the reference finds all that it looks for.
    #[arg(long, value_name = "FILE")]
    rest_of: Option<PathBuf>,
    /// What stands before the node's names in that checkpoint.
    #[arg(long, default_value = "", requires = "rest_of")]
    prefix: String,
}

/// Writes the folder and says what is in it.
pub fn main(arguments: &Arguments, registry: &Registry) -> Result<(), Failure> {
    let Arguments { node, to, .. } = arguments;
    let run = trained::find(&arguments.run, &arguments.out)?;
    let count = stages_until(&run, arguments.stage.as_deref())?;
    let Some((stage, files)) = run.weights_of(node, count).map_err(Failure::running)? else {
        let nodes = run.nodes().map_err(Failure::running)?;
        let nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
        let help = spec::problem::did_you_mean(node, "trained nodes", &nodes);
        return Err(Failure::input(format!("no stage of the run trained `{node}`; {help}")));
    };
    let source = run.folder.join("experiment.ron");
    let source = std::fs::read_to_string(&source)
        .map_err(|error| Failure::running(format!("{}: {error}", source.display())))?;
    let plugin = plugin(&source, node, registry)?;
    let mut bundle = Bundle::default();
    bundle.notes.insert("format".into(), "pt".into());
    let prefix = format!("{node}/");
    copy(&mut bundle, &files, &prefix, |_| true)?;
    let trained = bundle.tensors.len();
    if let Some(path) = &arguments.rest_of {
        let rest = Files::open(path).map_err(Failure::input)?;
        let keys = plugin.keys();
        copy(&mut bundle, &rest, &arguments.prefix, |name| keys.ignores(name))?;
    }
    let file = to.join("model.safetensors");
    bundle.write(&file).map_err(Failure::running)?;
    let (tensors, rest) = (bundle.tensors.len(), bundle.tensors.len() - trained);
    let more = if rest > 0 { format!(", {rest} of them as they were") } else { String::new() };
    print(&format!("{}: `{node}` after {stage}, {tensors} tensors{more}\n", file.display()));
    if let Some(config) = plugin.reference() {
        let file = to.join("config.json");
        record::write_json(&file, &config).map_err(Failure::running)?;
        print(&format!("{}\n", file.display()));
    }
    Ok(())
}

/// The number of a run's stages up to the one called `until`.
fn stages_until(run: &Trained, until: Option<&str>) -> Result<usize, Failure> {
    let names = run.stages();
    let Some(until) = until else { return Ok(names.len()) };
    names.iter().position(|name| *name == until).map(|last| last + 1).ok_or_else(|| {
        let help = spec::problem::did_you_mean(until, "stages", &names);
        Failure::input(format!("the run has no stage `{until}`; {help}"))
    })
}

/// Copies the tensors under `prefix`, without it, that are `wanted` and not there yet.
fn copy(
    bundle: &mut Bundle,
    files: &Files,
    prefix: &str,
    wanted: impl Fn(&str) -> bool,
) -> Result<(), Failure> {
    for full in files.names() {
        let Some(name) = full.strip_prefix(prefix) else { continue };
        if !wanted(name) || bundle.tensors.contains_key(name) {
            continue;
        }
        let shape = files.shape(full).unwrap_or_default().to_vec();
        let values = files.values(full).map_err(Failure::running)?;
        bundle.tensors.insert(name.to_owned(), (shape, values));
    }
    Ok(())
}

/// The plugin of a node in the text of a run's experiment.
fn plugin(source: &str, node: &str, registry: &Registry) -> Result<Plugin, Failure> {
    let broken = |what: String| Failure::running(format!("the run's experiment.ron {what}"));
    let Ok(spec::File::Experiment(experiment)) = spec::parse(source) else {
        return Err(broken("is not an experiment any more".into()));
    };
    let spec = experiment.nodes.iter().find(|known| known.id.value == node);
    let spec = spec.ok_or_else(|| broken(format!("has no node `{node}`")))?;
    let name = &spec.plugin.name.value;
    let entry = registry.get(name).ok_or_else(|| {
        broken(format!("uses the plugin `{name}`, which this program doesn't have"))
    })?;
    let configured = (entry.parse)(&spec.plugin.text);
    configured
        .map(|configured| configured.plugin)
        .map_err(|error| broken(format!("has a `{name}` that this program can't read: {error}")))
}
