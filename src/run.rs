//! `eagle-lab run`: experiments and studies, from files to tables.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use eagle_core::lab::{Ending, Lab, Labels};
use eagle_core::record::Manifest;
use eagle_core::registry::Registry;
use eagle_core::tensor::Dev;
use eagle_results::{ResultsError, TableFormat, TableOptions};

use crate::file::{self, Opened, Overrides, Ready};
use crate::progress::{Progress, Screen};
use crate::queue::{Queue, Task};
use crate::search::Searches;
use crate::{Failure, print, studies};

/// Run experiments and studies; resumes what is unfinished, skips what is done, ends with a table
#[derive(clap::Args)]
pub struct Arguments {
    /// Experiment or study files.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    overrides: Overrides,
    #[command(flatten)]
    how: How,
    /// Trials that run side by side and share the threads. The numbers don't depend on it.
    #[arg(long, default_value_t = 1, value_name = "N")]
    jobs: usize,
    /// Train the files' own stages again, each once, and evaluate again. Experiments that they take
    /// weights from are not trained again: name them, too.
    #[arg(long)]
    force: bool,
}

/// Where and with what trials run.
#[derive(clap::Args, Clone)]
pub struct How {
    /// The results folder.
    #[arg(long, default_value = "results", value_name = "DIR")]
    pub out: PathBuf,
    /// Threads; all cores by default. The numbers don't depend on it.
    #[arg(long)]
    pub threads: Option<usize>,
    /// Disk that the features of frozen encoders may take, in GiB; those that were not used for
    /// longest make room. 0 keeps none. The numbers don't depend on it.
    #[arg(long, default_value_t = (eagle_core::lab::FEATURE_LIMIT >> 30) as f64, value_name = "GIB")]
    feature_cache: f64,
}

/// Runs every experiment of every file, then prints the tables. What failed is said last, and at
/// the time.
pub fn main(arguments: &Arguments, registry: &Registry) -> Result<(), Failure> {
    let crew = Crew::new(&arguments.how, arguments.jobs, arguments.force)?;
    // All files are checked before the first one runs.
    let files = arguments.files.iter();
    let opened = files.map(|path| file::open(path, &arguments.overrides, registry));
    let opened = opened.collect::<Result<Vec<_>, _>>()?;
    crew.run(opened, registry, &|_| {})?.end(&arguments.how.out)
}

/// Who runs trials: so many at a time, on so many threads each.
pub struct Crew<'a> {
    how: &'a How,
    jobs: usize,
    /// The threads of each job.
    pub threads: usize,
    force: bool,
}

/// What became of everything that was to be run.
pub struct Finished {
    /// The studies and experiments of which something is done, in order, each once.
    pub names: Vec<String>,
    done: Vec<Manifest>,
    failed: Vec<String>,
}

impl Crew<'_> {
    /// A crew of `jobs` workers.
    ///
    /// # Errors
    /// No workers, or no threads.
    pub fn new(how: &How, jobs: usize, force: bool) -> Result<Crew<'_>, Failure> {
        if Dev::is_card() && jobs > 1 {
            let text = format!("--jobs {jobs}: a card computes one trial at a time; leave it out");
            return Err(Failure::Input(text));
        }
        Ok(Crew { how, jobs, threads: threads(how, jobs)?, force })
    }

    /// Runs every trial of what was opened; `after` hears of each that is through.
    ///
    /// # Errors
    /// Files that they name and that are not there, before anything runs.
    pub fn run(
        &self,
        opened: Vec<Opened>,
        registry: &Registry,
        after: &(dyn Fn(&Ready) + Sync),
    ) -> Result<Finished, Failure> {
        let mut searches = Searches::new(registry);
        let (mut tasks, mut names) = (Vec::new(), Vec::new());
        // A search's first trials name what its later ones need.
        opened.iter().flat_map(|opened| &opened.ready).try_for_each(Ready::complete)?;
        for opened in opened {
            studies::write(&opened, &self.how.out).map_err(Failure::running)?;
            names.extend(opened.ready.iter().map(|ready| ready.table().to_owned()));
            match opened.searches.is_empty() {
                true => {
                    tasks.extend(opened.ready.into_iter().map(|ready| Task { ready, of: None }))
                }
                false => tasks.extend(opened.searches.iter().flat_map(|one| searches.begin(one))),
            }
        }
        let stop = on_interrupt()?;
        let features = (self.how.feature_cache.max(0.0) * f64::from(1 << 30)) as u64;
        let dev = Dev::open().map_err(Failure::running)?;
        let lab = Lab::new(&self.how.out, dev, self.force).with_feature_limit(features);
        let queue = Queue::new(tasks, searches);
        let screen = Screen::new(self.jobs > 1);
        let work = || {
            queue.work(&|task: &Task, waits| {
                let ready = &task.ready;
                let mut progress = Progress::new(&stop, &screen, ready, waits);
                let labels = labels(ready, self.threads);
                let ending = lab.run(&ready.graph, &ready.base, &labels, &mut progress);
                if !matches!(ending, Ok(Ending::Busy(_) | Ending::Stopped)) {
                    after(ready);
                }
                ending
            });
        };
        side_by_side(self.jobs, self.threads, work)?;
        let (report, searches) = queue.close();
        print(&searches.told());
        let mut failed = [report.failed, searches.failed].concat();
        if report.stopped {
            let again = std::env::args().collect::<Vec<_>>().join(" ");
            failed.push(format!("stopped; to go on, run it again: {again}"));
        }
        let done = |name: &String| report.done.iter().any(|(of, _)| of == name);
        let mut seen = BTreeSet::new();
        names.retain(|name| done(name) && seen.insert(name.clone()));
        let done = report.done.into_iter().map(|(_, manifest)| manifest).collect();
        Ok(Finished { names, done, failed })
    }
}

impl Finished {
    /// Prints the tables and what was saved.
    ///
    /// # Errors
    /// What failed.
    pub fn end(mut self, out: &Path) -> Result<(), Failure> {
        if let Err(error) = show(out, &self.names) {
            self.failed.push(format!("the tables: {error}"));
        }
        print(&steps(self.done.iter()));
        match self.failed.is_empty() {
            true => Ok(()),
            false => Err(Failure::Running(self.failed.join("\n"))),
        }
    }
}

/// Works in `jobs` threads, each with a pool of `threads`; alone without one of its own.
fn side_by_side(jobs: usize, threads: usize, work: impl Fn() + Sync) -> Result<(), Failure> {
    if jobs == 1 {
        work();
        return Ok(());
    }
    let pool = || rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let pools =
        (0..jobs).map(|_| pool()).collect::<Result<Vec<_>, _>>().map_err(Failure::running)?;
    std::thread::scope(|scope| {
        for pool in &pools {
            scope.spawn(|| pool.install(&work));
        }
    });
    Ok(())
}

/// What was saved: the optimiser steps of all different stages against those that the trials would
/// take if each were run alone, with what it takes weights from. Nothing if nothing is trained.
fn steps<'a>(done: impl Iterator<Item = &'a Manifest>) -> String {
    let (mut different, mut scratch) = (BTreeMap::new(), 0);
    for stage in done.flat_map(|manifest| manifest.stages.iter().chain(&manifest.sources)) {
        scratch += stage.steps;
        different.insert(stage.id.as_str(), stage.steps);
    }
    let run: usize = different.values().sum();
    if scratch == 0 {
        return String::new();
    }
    format!(
        "\noptimiser steps: {run} run for {scratch} that the same trials would take one by one from \
         scratch: ratio {:.2}\n",
        run as f64 / scratch as f64
    )
}

/// What a run says of itself beside what it is.
pub fn labels(ready: &Ready, threads: usize) -> Labels {
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
        labels.position = ready.position;
        labels.axes = trial.values.iter().cloned().collect();
    }
    labels
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

/// The threads of each job. The pool that all share prepares samples; of one job it does all.
fn threads(how: &How, jobs: usize) -> Result<usize, Failure> {
    if how.threads == Some(0) {
        return Err(Failure::input("--threads 0: at least one thread must work"));
    }
    if jobs == 0 {
        return Err(Failure::input("--jobs 0: at least one trial must run"));
    }
    let all = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let all = how.threads.unwrap_or(all);
    let threads = (all / jobs).max(1);
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global()
        .map_err(Failure::running)?;
    Ok(threads)
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
