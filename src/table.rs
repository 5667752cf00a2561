//! `eagle-lab table`: the tables of studies and experiments, the published numbers beside them.

use std::path::PathBuf;

use eagle_results::{TableFormat, TableOptions};

use crate::{Failure, print};

/// Show the table of a study or experiment, with the paper's numbers beside it
#[derive(clap::Args)]
pub struct Arguments {
    /// Studies or experiments, by name, or by the table that a study is named after: fusion.
    #[arg(required_unless_present = "all", value_name = "NAME")]
    names: Vec<String>,
    /// All studies that have run.
    #[arg(long, conflicts_with = "names")]
    all: bool,
    /// Write files instead: DIR/README.md and DIR/tables/, in every format, with the findings.
    #[arg(long, value_name = "DIR", requires = "all", conflicts_with_all = ["format", "baseline", "costs", "normalised"])]
    to: Option<PathBuf>,
    /// md, csv or tex.
    #[arg(long, value_enum, default_value_t = Form::Md)]
    format: Form,
    /// The trial that the others are compared with; the first one by default.
    #[arg(long)]
    baseline: Option<String>,
    /// Show what a trial costs, too: parameters, those that are trained, training samples a second.
    #[arg(long)]
    costs: bool,
    /// Show the normalised average over the benchmarks, too: each as points from a guess (0) to the
    /// best (100).
    #[arg(long)]
    normalised: bool,
    /// The results folder.
    #[arg(long, default_value = "results", value_name = "DIR")]
    out: PathBuf,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Form {
    Md,
    Csv,
    Tex,
}

/// Prints one table a name, or writes all.
pub fn main(arguments: &Arguments) -> Result<(), Failure> {
    if let Some(to) = &arguments.to {
        let files = eagle_results::publish(&arguments.out, to).map_err(Failure::input)?;
        files.iter().for_each(|path| print(&format!("{}\n", path.display())));
        return Ok(());
    }
    let format = match arguments.format {
        Form::Md => TableFormat::Md,
        Form::Csv => TableFormat::Csv,
        Form::Tex => TableFormat::Tex,
    };
    let (baseline, costs) = (arguments.baseline.clone(), arguments.costs);
    let normalised = arguments.normalised;
    let options = TableOptions { baseline, costs, normalised, ..TableOptions::default() };
    let names = match arguments.all {
        true => eagle_results::studies(&arguments.out).map_err(Failure::input)?,
        false => arguments.names.clone(),
    };
    for name in &names {
        let table = eagle_results::table(&arguments.out, name, &options).map_err(Failure::input)?;
        print(&(table.render(format).trim_end().to_owned() + "\n"));
    }
    Ok(())
}
