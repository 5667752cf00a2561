//! `eagle-lab findings`: which of the paper's findings hold in the runs that there are.

use std::path::PathBuf;

use eagle_results::{FindingsFormat, findings, render_findings};

use crate::{Failure, print};

/// Show which of the paper's findings hold here, with the evidence for each
#[derive(clap::Args)]
pub struct Arguments {
    /// md, json or csv.
    #[arg(long, value_enum, default_value_t = Form::Md)]
    format: Form,
    /// The results folder.
    #[arg(long, default_value = "results", value_name = "DIR")]
    out: PathBuf,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Form {
    Md,
    Json,
    Csv,
}

/// Prints every finding.
pub fn main(arguments: &Arguments) -> Result<(), Failure> {
    let format = match arguments.format {
        Form::Md => FindingsFormat::Md,
        Form::Json => FindingsFormat::Json,
        Form::Csv => FindingsFormat::Csv,
    };
    let findings = findings(&arguments.out).map_err(Failure::input)?;
    print(&(render_findings(&findings, format).trim_end().to_owned() + "\n"));
    Ok(())
}
