//! `eagle-lab trace`: one forward pass on given tensors, every node's output in a file.

use std::path::PathBuf;

use eagle_core::model::{self, Model};
use eagle_core::registry::Registry;
use eagle_core::spec::Weights;
use eagle_core::tensor::Dev;
use eagle_core::trace;
use eagle_core::weights::Files;

use crate::file::{self, Overrides, Ready};
use crate::{Failure, print, trained};

/// Run one forward pass on given tensors and write every node's output by its id
#[derive(clap::Args)]
pub struct Arguments {
    /// An experiment file.
    file: PathBuf,
    /// A safetensors file with `image` (or `image.ID` for the encoder ID) [B, 3, S, S], prepared as
    /// the encoder wants it, and `ids` [B, T], token ids with -200 where the picture stands.
    #[arg(long, value_name = "FILE")]
    inputs: PathBuf,
    /// The safetensors file to write: `ID` for every node, of the LLM its logits.
    #[arg(long, value_name = "FILE")]
    outputs: PathBuf,
    /// Write every block's output, too, as `ID.blocks.I`, and the LLM's last hidden states as
    /// `ID.hidden`.
    #[arg(long)]
    all: bool,
    /// A run of the experiment, whose trained weights are used: its id or the beginning of it, its
    /// folder, or its trial's name. Without it, the weights are those that the experiment starts from.
    #[arg(long, value_name = "RUN")]
    run: Option<PathBuf>,
    /// The results folder.
    #[arg(long, default_value = "results", value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    overrides: Overrides,
}

/// Traces and lists what was written.
pub fn main(arguments: &Arguments, registry: &Registry) -> Result<(), Failure> {
    let mut ready = file::open(&arguments.file, &arguments.overrides, registry)?.ready;
    let (Some(one), true) = (ready.pop(), ready.is_empty()) else {
        let file = arguments.file.display();
        return Err(Failure::input(format!("{file} is a study; trace one experiment")));
    };
    one.complete()?;
    let files = Files::open(&arguments.inputs).map_err(Failure::input)?;
    let model = model::build(&one.graph, &Dev::open().map_err(Failure::running)?)
        .map_err(Failure::running)?;
    let inputs = trace::inputs(&one.graph, &model, &files).map_err(Failure::input)?;
    load(&one, &model, arguments)?;
    let found = trace::trace(&one.graph, &model, &inputs, arguments.all);
    let found = found.map_err(Failure::running)?;
    found.write(&arguments.outputs).map_err(Failure::running)?;
    for (name, (shape, _)) in &found.tensors {
        print(&format!("{name} {shape:?}\n"));
    }
    Ok(())
}

/// The weights that nodes start from, then those that the run has trained.
fn load(one: &Ready, model: &Model, arguments: &Arguments) -> Result<(), Failure> {
    if let Some(run) = &arguments.run {
        let run = trained::find(run, &arguments.out)?;
        let (found, wanted) = (&run.manifest.experiment, &one.graph.name);
        if found != wanted {
            return Err(Failure::input(format!("that is a run of `{found}`, not of `{wanted}`")));
        }
        return run.load(&one.graph, &one.base, model).map_err(Failure::input);
    }
    for node in &model.nodes {
        match one.graph.weights_of(&node.id) {
            Some(Weights::File { path, prefix }) => {
                node.load(&one.base.join(path), prefix).map_err(Failure::running)?;
            }
            Some(Weights::From { experiment, .. }) if !node.params.is_empty() => {
                let (id, experiment) = (&node.id, experiment.display());
                return Err(Failure::input(format!(
                    "`{id}` starts from what {experiment} trains: name a run with --run, or export \
                     it from a run of {experiment} and name the file with --set \
                     'nodes.{id}.weights=File(\"…\")'"
                )));
            }
            _ => {}
        }
    }
    Ok(())
}
