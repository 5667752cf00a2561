//! `eagle-lab check`: every error of a file at once, before anything is allocated.

use std::path::{Path, PathBuf};

use eagle_core::registry::Registry;

use crate::file::{self, Overrides};
use crate::{Failure, print};

/// Check experiment and study files: every error at once, with its place and what would be right;
/// weights and tokenizers that are not there are warnings
#[derive(clap::Args)]
pub struct Arguments {
    /// Experiment or study files.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    overrides: Overrides,
}

impl Arguments {
    /// The study as it stands and at each of its budgets, unless one is named.
    fn at_every_budget<'a>(&self, path: &'a Path) -> Vec<(&'a Path, Overrides)> {
        let mut all = vec![(path, self.overrides.clone())];
        if self.overrides.budget.is_none() {
            let at = |name| (path, Overrides { budget: Some(name), ..self.overrides.clone() });
            all.extend(file::budgets(path).into_iter().map(at));
        }
        all
    }
}

/// Checks every file; the wrong ones are reported together.
pub fn main(arguments: &Arguments, registry: &Registry) -> Result<(), Failure> {
    let mut wrong = Vec::new();
    for (path, overrides) in arguments.files.iter().flat_map(|path| arguments.at_every_budget(path))
    {
        match file::open(path, &overrides, registry) {
            Ok(opened) => {
                let mut warned: Vec<String> = Vec::new();
                for one in &opened.ready {
                    // Trials of a study miss the same files.
                    let warnings = one.warnings();
                    if !warnings.is_empty() && !warned.contains(&warnings) {
                        eprintln!("{warnings}\n");
                        warned.push(warnings);
                    }
                    let trial = one.study.as_ref().map(|(_, trial)| format!(" ({trial})"));
                    let (nodes, stages) = (one.graph.order.len(), one.graph.stages.len());
                    let title = path.display();
                    let budget = overrides.budget.iter().map(|name| format!(" at {name}"));
                    let title = budget.fold(title.to_string(), |title, budget| title + &budget);
                    print(&format!(
                        "{title}{}: ok, {nodes} nodes, {stages} stages\n",
                        trial.unwrap_or_default()
                    ));
                }
                if let Some(most) = file::most(&opened) {
                    print(&format!("{}: {most}\n", path.display()));
                }
            }
            Err(Failure::Input(message) | Failure::Running(message)) => wrong.push(message),
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(Failure::Input(wrong.join("\n"))) }
}
