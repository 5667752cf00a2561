//! `eagle-lab watch`: what runs are at, read from the files that they leave. Nothing asks or stops a
//! run, and it need not know that it is watched.

mod plain;
mod screen;
mod state;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use crate::{Failure, print};

/// Watch studies as they run: trials, steps, losses, scores, failures
///
/// Keys: up and down choose a trial, Enter shows its curve, q leaves.
#[derive(clap::Args)]
pub struct Arguments {
    /// The results folder.
    #[arg(default_value = "results", value_name = "RESULTS")]
    out: PathBuf,
    /// Only these studies or experiments.
    #[arg(long, value_name = "NAME")]
    study: Vec<String>,
    /// A line whenever something changes; so it is without a terminal.
    #[arg(long)]
    plain: bool,
    /// Print the table once.
    #[arg(long, conflicts_with = "plain")]
    once: bool,
    /// Seconds between two looks.
    #[arg(long, default_value_t = 1.0, value_name = "SECONDS")]
    every: f64,
}

/// Shows what is there until it is told to stop; without a terminal until nothing goes on any more.
pub fn main(arguments: &Arguments) -> Result<(), Failure> {
    if !arguments.out.is_dir() {
        return Err(Failure::input(format!(
            "there is no results folder {}; `eagle-lab run FILE --out DIR` makes one",
            arguments.out.display()
        )));
    }
    let look = || state::look(&arguments.out, &arguments.study);
    let every = Duration::try_from_secs_f64(arguments.every.max(0.05));
    let every = every.map_err(|error| Failure::input(format!("--every: {error}")))?;
    if arguments.once {
        print(&plain::table(&look()?));
        return Ok(());
    }
    match arguments.plain || !std::io::stdout().is_terminal() {
        true => plain::follow(&look, every),
        false => screen::show(&look, every),
    }
}
