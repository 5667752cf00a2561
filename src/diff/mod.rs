//! `eagle-lab diff`: what two runs don't have in common, from their files to their answers.

mod html;
mod settings;
mod text;

use std::path::{Path, PathBuf};

use eagle_core::lab::Trained;
use eagle_core::lab::why::Difference;
use eagle_core::record::{self, Manifest};
use eagle_core::registry::Registry;
use eagle_results::Comparison;
use serde_json::{Value, json};

use crate::page::pictures::Pictures;
use crate::{Failure, print, trained};

/// Show what two runs don't have in common: settings, program and machine, losses, scores, answers
#[derive(clap::Args)]
pub struct Arguments {
    /// A run: its id or the beginning of it, its folder, its trial's name, or an experiment's file
    /// that was run once.
    left: PathBuf,
    /// Another one.
    right: PathBuf,
    /// text, json, or html (with the questions' pictures).
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// The file to write; a page of HTML, unless another format is asked for.
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// Questions to show for each benchmark and direction. JSON has all.
    #[arg(long, default_value_t = 5, value_name = "N")]
    questions: usize,
    /// The results folder.
    #[arg(long, default_value = "results", value_name = "DIR")]
    out: PathBuf,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    Json,
    Html,
}

/// Everything that two runs differ in.
struct Diff {
    left: Side,
    right: Side,
    /// Their settings, by the paths that `--set` takes; `None` where one of them has left none.
    settings: Option<Vec<Difference>>,
    /// Whatever else may explain a difference: the program, the machine.
    program: Vec<Difference>,
    /// Stages that are one and the same piece of work.
    shared: Vec<String>,
    results: Comparison,
}

/// A run.
struct Side {
    manifest: Manifest,
    folder: PathBuf,
}

/// Compares, and prints or writes what was found.
pub fn main(arguments: &Arguments, registry: &Registry) -> Result<(), Failure> {
    let diff = diff(arguments)?;
    let format = match (arguments.format, &arguments.to) {
        (Format::Text, Some(to)) if to.extension().is_none_or(|end| end != "txt") => Format::Html,
        (format, _) => format,
    };
    let rendered = match format {
        Format::Text => text::text(&diff, arguments.questions),
        Format::Json => {
            let text = serde_json::to_string_pretty(&diff.json()).map_err(Failure::running)?;
            text + "\n"
        }
        Format::Html => {
            let mut pictures = Pictures::default();
            for side in [&diff.left, &diff.right] {
                // Without the experiments' files there are no pictures, and all else.
                if let Ok(run) = Trained::open(&side.folder)
                    && let Ok((graph, base)) = trained::experiment(&run, registry)
                {
                    pictures.open(&graph.benchmarks, &base);
                }
            }
            html::page(&diff, arguments.questions, &mut pictures)
        }
    };
    let Some(to) = &arguments.to else {
        print(&rendered);
        return Ok(());
    };
    record::write_text(to, &rendered).map_err(Failure::running)?;
    print(&format!("{}: {} KiB\n", to.display(), rendered.len().div_ceil(1024)));
    Ok(())
}

fn diff(arguments: &Arguments) -> Result<Diff, Failure> {
    let side = |name: &Path| {
        let folder = trained::folder(name, &arguments.out)?;
        let manifest = Manifest::read(&folder).map_err(Failure::running)?;
        let manifest = manifest.ok_or_else(|| Failure::input("the run is gone"))?;
        Ok::<_, Failure>(Side { manifest, folder })
    };
    let (left, right) = (side(&arguments.left)?, side(&arguments.right)?);
    let results = eagle_results::compare(&left.folder, &right.folder).map_err(Failure::running)?;
    let settings = settings::of(&left)?.zip(settings::of(&right)?);
    let stages = |side: &Side| {
        let of = side.manifest.sources.iter().chain(&side.manifest.stages).cloned();
        of.collect::<Vec<_>>()
    };
    let others = stages(&right);
    let shared = stages(&left).into_iter();
    let shared = shared.filter(|stage| others.iter().any(|other| other.id == stage.id));
    Ok(Diff {
        settings: settings.map(|(left, right)| settings::differences(&left, &right)),
        program: settings::program(&left.manifest, &right.manifest),
        shared: shared.map(|stage| stage.name).collect(),
        results,
        left,
        right,
    })
}

impl Side {
    /// The first digits of its id.
    fn id(&self) -> &str {
        &self.manifest.run[..12.min(self.manifest.run.len())]
    }

    fn title(&self) -> String {
        let Manifest { study, experiment, trial, seed, .. } = &self.manifest;
        match study {
            Some(study) => format!("{study}, trial {trial}, seed {seed}"),
            None => format!("{experiment}, seed {seed}"),
        }
    }

    fn status(&self) -> String {
        format!("{:?}", self.manifest.status).to_lowercase()
    }
}

impl Diff {
    /// Whether they computed the same.
    fn is_same(&self) -> bool {
        let Comparison { losses, scores, answers } = &self.results;
        let losses = losses
            .iter()
            .all(|pair| pair.parts_at.is_none() && pair.left.is_some() == pair.right.is_some());
        losses
            && scores.iter().all(|pair| pair.left == pair.right)
            && answers.iter().all(|pair| pair.same == pair.n)
    }

    fn json(&self) -> Value {
        let side = |side: &Side| {
            let Manifest { run, experiment, study, trial, seed, started, .. } = &side.manifest;
            json!({
                "run": run, "experiment": experiment, "study": study, "trial": trial, "seed": seed,
                "status": side.status(), "started": started, "folder": side.folder,
            })
        };
        let differences = |of: &[Difference]| {
            let one =
                |one: &Difference| json!({ "path": one.input, "a": one.there, "b": one.here });
            of.iter().map(one).collect::<Vec<_>>()
        };
        json!({
            "a": side(&self.left),
            "b": side(&self.right),
            "settings": self.settings.as_deref().map(differences),
            "program": differences(&self.program),
            "shared_stages": self.shared,
            "losses": self.results.losses,
            "scores": self.results.scores,
            "answers": self.results.answers,
        })
    }
}
