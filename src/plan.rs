//! `eagle-lab plan`: what a file would do, stage by stage, and what it would cost.

use std::path::PathBuf;

use eagle_core::lab::plan::described;
use eagle_core::registry::Registry;
use eagle_core::schedule::{self, Schedule};
use serde_json::json;

use crate::file::{self, Overrides};
use crate::{Failure, print};

/// Show what a file would do: per stage the nodes in order, shapes, what trains, parameters, FLOPs,
/// memory
#[derive(clap::Args)]
pub struct Arguments {
    /// An experiment or study file.
    file: PathBuf,
    /// text, json, or dot (Graphviz).
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    #[command(flatten)]
    overrides: Overrides,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Format {
    Text,
    Json,
    Dot,
}

/// Prints the plan of every stage of every experiment of the file.
pub fn main(arguments: &Arguments, registry: &Registry) -> Result<(), Failure> {
    let mut plans = Vec::new();
    let opened = file::open(&arguments.file, &arguments.overrides, registry)?;
    let most = file::most(&opened);
    let mut warned = Vec::new();
    for ready in opened.ready {
        // Trials of a study miss the same files.
        let warnings = ready.warnings();
        if !warnings.is_empty() && !warned.contains(&warnings) {
            eprintln!("{warnings}\n");
            warned.push(warnings);
        }
        let stages: Vec<Schedule> = (0..ready.graph.stages.len().max(1))
            .map(|stage| schedule::plan(&ready.graph, stage))
            .collect();
        let trial = ready.study.map(|(_, trial)| trial.to_string());
        plans.push((trial.unwrap_or(ready.graph.name), stages));
    }
    match arguments.format {
        Format::Text => {
            for (name, stages) in &plans {
                print(&format!("{name}\n"));
                stages.iter().for_each(|stage| print(&format!("{stage}\n")));
            }
            if let Some(most) = most {
                print(&format!("{most}; above are the first ones\n"));
            }
        }
        Format::Dot => {
            let stages = plans.iter().flat_map(|(_, stages)| stages);
            stages.for_each(|stage| print(&schedule::dot(stage)));
        }
        Format::Json => {
            let plans: Vec<_> =
                plans.iter().map(|(name, stages)| plan_json(name, stages)).collect();
            let text = serde_json::to_string_pretty(&plans).map_err(Failure::running)?;
            print(&(text + "\n"));
        }
    }
    Ok(())
}

fn plan_json(name: &str, stages: &[Schedule]) -> serde_json::Value {
    let stages: Vec<_> = stages.iter().map(described).collect();
    json!({ "experiment": name, "stages": stages })
}
