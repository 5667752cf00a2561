//! `eagle-lab run`: experiments and studies, from files to tables.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use eagle_core::lab::{Ending, Lab, Labels};
use eagle_core::registry::Registry;
use eagle_core::tensor::Dev;
use eagle_results::{ResultsError, TableFormat, TableOptions};

use crate::file::{self, Overrides, Ready};
use crate::progress::Progress;
use crate::{Failure, print};

/// Run experiments and studies; resumes what is unfinished, skips what is done, ends with a table
#[derive(clap::Args)]
pub struct Arguments {
    /// Experiment or study files.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    overrides: Overrides,
    /// The results folder.
    #[arg(long, default_value = "results", value_name = "DIR")]
    out: PathBuf,
    /// Threads; all cores by default. The numbers don't depend on it.
    #[arg(long)]
    threads: Option<usize>,
    /// Train the files' own stages again, each once, and evaluate again. Experiments that they take
    /// weights from are not trained again: name them, too.
    #[arg(long)]
    force: bool,
}

/// Runs every experiment of every file, then prints the tables. What failed is said last, and at
/// the time.
pub fn main(arguments: &Arguments, registry: &Registry) -> Result<(), Failure> {
    let threads = set_threads(arguments.threads)?;
    // All files are checked before the first one runs.
    let mut ready = Vec::new();
    for path in &arguments.files {
        ready.extend(file::open(path, &arguments.overrides, registry)?);
    }
    ready.iter().try_for_each(Ready::complete)?;
    let stop = on_interrupt()?;
    let lab = Lab::new(&arguments.out, Dev::default(), arguments.force);
    let mut failed = Vec::new();
    let mut tables: Vec<String> = Vec::new();
    for one in &ready {
        match lab.run(&one.graph, &one.base, &labels(one, threads), &mut Progress::new(&stop)) {
            Ok(Ending::Done(..)) => {
                let table = one.study.as_ref().map_or(&one.graph.name, |(study, _)| study);
                if !tables.contains(table) {
                    tables.push(table.clone());
                }
            }
            Ok(Ending::Stopped) => {
                let again = std::env::args().collect::<Vec<_>>().join(" ");
                failed.push(format!("stopped; to go on, run it again: {again}"));
                break;
            }
            Ok(Ending::Busy(what)) => {
                failed.push(format!("{}: another process is at its {what}", title(one)));
            }
            Err(error) => {
                let failure = format!("{}: {error}", title(one));
                // The list comes when all others are through, which may be days.
                if ready.len() > 1 {
                    eprintln!("failed: {failure}");
                }
                failed.push(failure);
            }
        }
    }
    if let Err(error) = show(&arguments.out, &tables) {
        failed.push(format!("the tables: {error}"));
    }
    if failed.is_empty() { Ok(()) } else { Err(Failure::Running(failed.join("\n"))) }
}

fn labels(ready: &Ready, threads: usize) -> Labels {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let command = std::env::args().collect::<Vec<_>>().join(" ");
    let mut labels = Labels {
        program: (version, commit(), command),
        source: ready.source.clone(),
        threads,
        ..Labels::default()
    };
    if let Some((study, trial)) = &ready.study {
        labels.study = Some(study.clone());
        labels.trial = Some(trial.name.clone());
        labels.axes = trial.values.iter().cloned().collect();
    }
    labels
}

fn title(ready: &Ready) -> String {
    match &ready.study {
        Some((study, trial)) => format!("{study}, trial {trial}"),
        None => ready.graph.name.clone(),
    }
}

/// Writes the frames and prints the tables of what is done.
fn show(out: &Path, tables: &[String]) -> Result<(), ResultsError> {
    match eagle_results::build_frames(out) {
        Ok(_) => {}
        // Nothing got as far as a run's folder: that was reported.
        Err(ResultsError::NoRuns { .. }) => return Ok(()),
        Err(error) => return Err(error),
    }
    for name in tables {
        let table = eagle_results::table(out, name, &TableOptions::default())?;
        print(&format!("\n{}\n", table.render(TableFormat::Md).trim_end()));
    }
    Ok(())
}

fn set_threads(threads: Option<usize>) -> Result<usize, Failure> {
    if threads == Some(0) {
        return Err(Failure::input("--threads 0: at least one thread must work"));
    }
    let mut pool = rayon::ThreadPoolBuilder::new();
    if let Some(threads) = threads {
        pool = pool.num_threads(threads);
    }
    pool.build_global().map_err(Failure::running)?;
    Ok(rayon::current_num_threads())
}

/// A flag that Ctrl-C sets: the run writes a checkpoint and stops. A second Ctrl-C ends it at once.
fn on_interrupt() -> Result<Arc<AtomicBool>, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        eprintln!("\nstopping after this step, with a checkpoint (again: at once)");
    })
    .map_err(Failure::running)?;
    Ok(stop)
}

/// The commit of the checkout that the program is run in, if it is one.
fn commit() -> Option<String> {
    let git = |arguments: &[&str]| {
        let output = std::process::Command::new("git").args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "HEAD"])?;
    let dirty = git(&["status", "--porcelain", "--untracked-files=no"])?;
    Some(if dirty.is_empty() { commit } else { format!("{commit}-dirty") })
}
