//! `eagle-lab reproduce`: the design-space study, from all its files to its tables.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use eagle_core::registry::Registry;
use eagle_core::spec::STANDARD;
use eagle_core::spec::problem::did_you_mean;

use crate::file::{self, Opened, Overrides, Ready};
use crate::forecast::{Row, Whole, clock};
use crate::run::{Crew, How};
use crate::{Failure, print};

/// Run the studies of the paper as one: says first how much it is, runs or resumes all, ends with the
/// tables
#[derive(clap::Args)]
pub struct Arguments {
    /// Studies, by the names of their files (fusion, experts, …), or `all`.
    #[arg(default_value = "all", value_name = "STUDY")]
    studies: Vec<String>,
    /// Which files: mini runs on a laptop, paper needs the paper's checkpoints, data and GPUs.
    #[arg(long, value_enum, default_value_t = Scale::Mini)]
    scale: Scale,
    /// How much is spent: standard is the files as they stand; quick, or what else the studies have
    /// among their `budgets`. A study without that budget runs as it stands.
    #[arg(long, default_value = STANDARD, value_name = "NAME")]
    budget: String,
    /// Say what would be done, and stop.
    #[arg(long)]
    dry_run: bool,
    /// Trials that run side by side and share the threads; as many as cores by default. The numbers
    /// don't depend on it.
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// The folder with the experiments.
    #[arg(long, default_value = "experiments", value_name = "DIR")]
    experiments: PathBuf,
    #[command(flatten)]
    how: How,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Scale {
    Mini,
    Paper,
}

/// The order in which studies are told; others follow by name.
const ORDER: [&str; 6] = ["resolution", "experts", "fusion", "pre-alignment", "selection", "final"];

/// Says what is to be done, does it, and prints the tables.
pub fn main(arguments: &Arguments, registry: &Registry) -> Result<(), Failure> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let jobs = arguments.jobs.unwrap_or_else(|| arguments.how.threads.unwrap_or(cores).max(1));
    let crew = Crew::new(&arguments.how, jobs, false)?;
    let opened = arguments.open(registry)?;
    opened.iter().flat_map(|opened| &opened.ready).try_for_each(Ready::complete)?;
    let out = &arguments.how.out;
    let rows = opened.iter().map(|one| Row::of(one, out, crew.threads, registry));
    let whole = Whole::new(rows.collect::<Result<_, _>>()?, jobs, crew.threads);
    print(&format!("{whole}"));
    if arguments.dry_run {
        return Ok(());
    }
    let (trials, _) = whole.trials();
    let (left, begin, through) = (whole.left(), Instant::now(), AtomicUsize::new(0));
    let after = |ready: &Ready| {
        let count = through.fetch_add(1, Ordering::Relaxed) + 1;
        let spent = begin.elapsed();
        let rest = left.saturating_sub(spent);
        let rest = if rest.is_zero() { String::new() } else { format!(", {} left", clock(rest)) };
        eprintln!("{}: trial {count} of at most {trials}{rest}", ready.title());
    };
    crew.run(opened, registry, &after)?.end(out)
}

impl Arguments {
    /// The files of the studies, each at its budget.
    fn open(&self, registry: &Registry) -> Result<Vec<Opened>, Failure> {
        let files = self.files()?;
        let open = |path: &PathBuf| {
            let has = file::budgets(path).contains(&self.budget);
            let budget = has.then(|| self.budget.clone());
            file::open(path, &Overrides { budget, ..Overrides::default() }, registry)
        };
        if self.budget != STANDARD && !files.iter().any(|f| file::budgets(f).contains(&self.budget))
        {
            let mut known: Vec<String> =
                files.iter().flat_map(|path| file::budgets(path)).collect();
            known.extend([STANDARD.to_owned()]);
            known.sort();
            known.dedup();
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            let help = did_you_mean(&self.budget, "budgets", &known);
            let message = format!("--budget {}: none of these studies has it; {help}", self.budget);
            return Err(Failure::Input(message));
        }
        files.iter().map(open).collect()
    }

    fn files(&self) -> Result<Vec<PathBuf>, Failure> {
        let scale = match self.scale {
            Scale::Mini => "mini",
            Scale::Paper => "paper",
        };
        let folder = self.experiments.join(scale).join("studies");
        let found = studies(&folder)?;
        if self.studies.iter().any(|name| name == "all") {
            return Ok(found.into_iter().map(|(_, path)| path).collect());
        }
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        let one = |wanted: &String| {
            let path = found.iter().find(|(name, _)| name == wanted).map(|(_, path)| path.clone());
            path.ok_or_else(|| {
                let help = did_you_mean(wanted, "studies", &names);
                Failure::input(format!("{} has no study `{wanted}`; {help}", folder.display()))
            })
        };
        self.studies.iter().map(one).collect()
    }
}

/// The studies of a folder, in the order in which they are told.
fn studies(folder: &Path) -> Result<Vec<(String, PathBuf)>, Failure> {
    let entries = std::fs::read_dir(folder).map_err(|error| {
        Failure::input(format!(
            "can't read {}: {error}; run it in a checkout of eagle-lab, or name the folder of the \
             experiments with --experiments",
            folder.display()
        ))
    })?;
    let paths = entries.flatten().map(|entry| entry.path());
    let ron = paths.filter(|path| path.extension().is_some_and(|end| end == "ron"));
    let named = ron.filter_map(|path| Some((path.file_stem()?.to_str()?.to_owned(), path)));
    let mut found: Vec<(String, PathBuf)> = named.collect();
    let rank = |name: &str| ORDER.iter().position(|known| *known == name).unwrap_or(ORDER.len());
    found.sort_by(|(a, _), (b, _)| (rank(a), a).cmp(&(rank(b), b)));
    Ok(found)
}
