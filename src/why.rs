//! `eagle-lab why`: which input made a stage be trained and not be found.

use std::path::PathBuf;

use eagle_core::lab::why;
use eagle_core::registry::Registry;

use crate::file::{self, Overrides};
use crate::{Failure, print, trained};

/// Say of every stage whether it was found in the cache, and if not, which input changed
#[derive(clap::Args)]
pub struct Arguments {
    /// A run (its id or the beginning of it, its folder, its trial's name), or an experiment or study file: what
    /// would be found if it were run now.
    run: PathBuf,
    /// The results folder.
    #[arg(long, default_value = "results", value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    overrides: Overrides,
}

/// Prints what is to be said of every stage, each once.
pub fn main(arguments: &Arguments, registry: &Registry) -> Result<(), Failure> {
    let mut accounts = Vec::new();
    if arguments.run.is_file() {
        let opened = file::open(&arguments.run, &arguments.overrides, registry)?;
        for one in &opened.ready {
            one.complete()?;
            let found = why::of_experiment(&one.graph, &one.base, &arguments.out);
            accounts.extend(found.map_err(Failure::running)?);
        }
    } else {
        let run = trained::find(&arguments.run, &arguments.out)?;
        accounts = why::of_run(&run.manifest, &arguments.out).map_err(Failure::running)?;
    }
    let mut said = std::collections::BTreeSet::new();
    for account in accounts.iter().filter(|account| said.insert(account.id.clone())) {
        print(&format!("{account}\n"));
    }
    Ok(())
}
