//! `eagle-lab report`: one page that says what was found, how, and from what.

mod curves;
mod examples;
mod findings;
mod graphs;
mod provenance;
mod runs;
mod scores;

use std::fmt::Write;
use std::path::PathBuf;

use eagle_core::record;
use eagle_core::registry::Registry;
use eagle_results::{TableFormat, TableOptions};

use crate::page::{anchor, document, escape, markdown};
use crate::{Failure, print};
use runs::Study;

/// Write one page of HTML: findings, tables, curves, costs, graphs, example questions, provenance
///
/// The page needs nothing but itself: no network, no script. It reads well on a phone, on paper, in
/// the light and in the dark.
#[derive(clap::Args)]
pub struct Arguments {
    /// Studies or experiments, in this order; all of them by default.
    #[arg(value_name = "STUDY")]
    studies: Vec<String>,
    /// The page to write.
    #[arg(long, value_name = "FILE", default_value = "report.html")]
    to: PathBuf,
    /// Example questions for each study; 0 leaves them and their pictures out.
    #[arg(long, default_value_t = 8, value_name = "N")]
    questions: usize,
    /// The results folder.
    #[arg(long, default_value = "results", value_name = "DIR")]
    out: PathBuf,
}

/// Writes the page and says how large it is.
pub fn main(arguments: &Arguments, registry: &Registry) -> Result<(), Failure> {
    let studies = runs::studies(&arguments.out, &arguments.studies)?;
    let mut pictures = 0;
    let mut body = head(&studies);
    body += &findings::section(&arguments.out)?;
    for study in &studies {
        body += &section(study, arguments, registry, &mut pictures)?;
    }
    body += &provenance::section(&studies);
    let page = document("eagle-lab report", &body);
    record::write_text(&arguments.to, &page).map_err(Failure::running)?;
    let kib = |bytes: usize| bytes.div_ceil(1024);
    let runs: usize = studies.iter().map(|study| study.all.len()).sum();
    print(&format!(
        "{}: {} studies and experiments, {runs} runs, {} KiB ({} KiB of pictures)\n",
        arguments.to.display(),
        studies.len(),
        kib(page.len()),
        kib(pictures)
    ));
    Ok(())
}

fn head(studies: &[Study]) -> String {
    let runs: Vec<&runs::Run> = studies.iter().flat_map(|study| &study.all).collect();
    let done = runs.iter().filter(|run| run.is_done()).count();
    // Not the time of writing: the same runs give the same page.
    let last = runs.iter().filter_map(|run| run.manifest.finished.as_deref()).max();
    let last = last.map_or(String::new(), |last| format!(", the last one on {}", day(last)));
    let mut html = format!(
        "<header>\n<h1>eagle-lab report</h1>\n<p>{done} of {} runs are done{last}.</p>\n\
         <nav aria-label=\"Contents\"><ul>\n<li><a href=\"#findings\">Findings</a></li>\n",
        runs.len()
    );
    for study in studies {
        let (id, name) = (anchor(&study.name), escape(&study.name));
        let _ = writeln!(html, "<li><a href=\"#study-{id}\">{name}</a></li>");
    }
    html + "<li><a href=\"#provenance\">Provenance</a></li>\n</ul></nav>\n</header>\n<main>\n"
}

fn day(time: &str) -> &str {
    time.split('T').next().unwrap_or(time)
}

/// A study: its table, curves, costs, graphs and examples.
fn section(
    study: &Study,
    arguments: &Arguments,
    registry: &Registry,
    pictures: &mut usize,
) -> Result<String, Failure> {
    let id = anchor(&study.name);
    let mut html = format!(
        "<section aria-labelledby=\"study-{id}\">\n<h2 id=\"study-{id}\">{}</h2>\n<p>{}</p>\n",
        escape(&study.name),
        escape(&study.summary())
    );
    if study.trials.is_empty() {
        return Ok(html + "<p>None of its runs is done.</p>\n</section>\n");
    }
    html += &match study.is_experiment() {
        // The table of its name has the trials of studies over it, too.
        true => scores::section(study),
        false => {
            let table = eagle_results::table(&arguments.out, &study.name, &TableOptions::default());
            markdown::html(&table.map_err(Failure::running)?.render(TableFormat::Md))
        }
    };
    html += &curves::losses(study, &id)?;
    html += &curves::costs(study, &id);
    html += &graphs::section(study, &id);
    if arguments.questions > 0 {
        html += &examples::section(study, arguments.questions, registry, pictures);
    }
    Ok(html + "</section>\n")
}
