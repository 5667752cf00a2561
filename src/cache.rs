//! `eagle-lab cache`: what is kept, whether it is whole, and what no run needs.

use std::path::PathBuf;

use eagle_core::lab::cache::{self, Entry, Kind};
use eagle_core::schedule::bytes;

use crate::{Failure, print};

/// List, verify and clear what is kept: trained stages and frozen features
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
    /// The results folder.
    #[arg(long, default_value = "results", value_name = "DIR", global = true)]
    out: PathBuf,
}

#[derive(clap::Subcommand)]
enum Action {
    /// What is there, how large it is, and how many runs need it
    List,
    /// Read everything and report what is no longer as it was written
    Verify {
        /// Remove what is damaged: it is made again when it is needed.
        #[arg(long)]
        remove: bool,
    },
    /// Remove the finished stages that no run needs
    Gc {
        /// Only say what would be removed.
        #[arg(long)]
        dry_run: bool,
        /// Remove all frozen features, too: they are computed again when they are needed.
        #[arg(long)]
        features: bool,
    },
}

/// Does what is asked.
pub fn main(arguments: &Arguments) -> Result<(), Failure> {
    let entries = cache::list(&arguments.out).map_err(Failure::running)?;
    match &arguments.action {
        Action::List => {
            list(&entries);
            Ok(())
        }
        Action::Verify { remove } => verify(&entries, *remove),
        Action::Gc { dry_run, features } => {
            let goes = |entry: &&Entry| {
                cache::is_garbage(entry) || *features && entry.kind == Kind::Features
            };
            collect(entries.iter().filter(goes), *dry_run)
        }
    }
}

fn list(entries: &[Entry]) {
    for entry in entries {
        let runs = match (entry.kind, entry.runs) {
            (Kind::Features | Kind::Unfinished, _) => String::new(),
            (Kind::Stage, 1) => "1 run".into(),
            (Kind::Stage, runs) => format!("{runs} runs"),
        };
        print(&format!(
            "{:<10} {}  {:>9}  {:<8}  {}\n",
            kind(entry),
            short(entry),
            bytes(entry.bytes),
            runs,
            entry.name
        ));
    }
    let all: u64 = entries.iter().map(|entry| entry.bytes).sum();
    print(&format!("{} entries, {}\n", entries.len(), bytes(all)));
}

fn verify(entries: &[Entry], remove: bool) -> Result<(), Failure> {
    let mut damaged = Vec::new();
    for entry in entries {
        let Some(what) = cache::damage(entry).map_err(Failure::running)? else { continue };
        let gone = remove && cache::remove(entry).map_err(Failure::running)?;
        let gone = if gone { "; removed" } else { "" };
        damaged.push(format!("{} {} ({}): {what}{gone}", kind(entry), short(entry), entry.name));
    }
    match damaged.is_empty() {
        true => print(&format!("{} entries are as they were written\n", entries.len())),
        false if remove => print(&(damaged.join("\n") + "\n")),
        false => return Err(Failure::Running(damaged.join("\n"))),
    }
    Ok(())
}

fn collect<'e>(entries: impl Iterator<Item = &'e Entry>, dry_run: bool) -> Result<(), Failure> {
    let (mut count, mut freed) = (0, 0);
    for entry in entries {
        let said = match dry_run {
            true => "would be removed",
            false if cache::remove(entry).map_err(Failure::running)? => "removed",
            false => {
                print(&format!("in use: {} {}\n", kind(entry), short(entry)));
                continue;
            }
        };
        print(&format!("{said}: {} {} ({})\n", kind(entry), short(entry), entry.name));
        (count, freed) = (count + 1, freed + entry.bytes);
    }
    print(&format!("{count} entries, {}\n", bytes(freed)));
    Ok(())
}

fn kind(entry: &Entry) -> &'static str {
    match entry.kind {
        Kind::Stage => "stage",
        Kind::Unfinished => "unfinished",
        Kind::Features => "features",
    }
}

fn short(entry: &Entry) -> &str {
    &entry.id[..12.min(entry.id.len())]
}
