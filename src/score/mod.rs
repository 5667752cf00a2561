//! `eagle-lab score`: the official rules, on predictions made anywhere.

mod against;
mod name;
mod read;
mod samples;

use std::path::{Path, PathBuf};

use eagle_core::evaluate;
use eagle_core::record::{Prediction, Score};
use eagle_core::registry::{BenchmarkConfig, Registry};

use crate::{Failure, print};

/// Score predictions made anywhere with a benchmark's own rules: every metric with its standard
/// error and 95 % confidence interval, and how many answers the rules can't judge
#[derive(clap::Args)]
pub struct Arguments {
    /// A benchmark: its plugin, with its files where the predictions lack the answers:
    /// `ChartQa`, 'Gqa(path: "questions.json")'. Paths start at the current folder.
    benchmark: String,
    /// One JSON object a line: a run's predictions/NAME.jsonl, lmms-eval's samples (`--log_samples`),
    /// or `question_id` and `prediction` (or `text`) with the benchmark's files.
    #[arg(value_name = "PREDICTIONS.jsonl")]
    predictions: PathBuf,
    /// Other predictions for the same questions, to compare with, question by question.
    #[arg(long, value_name = "OTHER.jsonl")]
    against: Option<PathBuf>,
    /// Score what is there, although questions of the benchmark's files have no prediction.
    #[arg(long)]
    partial: bool,
    /// Write the judged predictions in the form of lmms-eval's samples.
    #[arg(long, value_name = "FILE")]
    samples: Option<PathBuf>,
    /// text, or json: all digits, for programs.
    #[arg(long, value_enum, default_value_t = Form::Text)]
    format: Form,
}

#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum Form {
    Text,
    Json,
}

/// Scores, compares, writes what is asked for.
pub fn main(arguments: &Arguments, registry: &Registry) -> Result<(), Failure> {
    let benchmark = name::benchmark(&arguments.benchmark, registry).map_err(Failure::input)?;
    let benchmark = benchmark.as_ref();
    let read =
        |path: &Path| read::judged(benchmark, path, arguments.partial).map_err(Failure::input);
    let predictions = read(&arguments.predictions)?;
    let scores = evaluate::score(benchmark, &predictions, false);
    let compared = match &arguments.against {
        None => None,
        Some(path) => {
            let others = read(path)?;
            let pair =
                against::compare(benchmark, &predictions, &others).map_err(Failure::input)?;
            Some(pair)
        }
    };
    if let Some(path) = &arguments.samples {
        samples::write(path, benchmark, &predictions).map_err(Failure::running)?;
    }
    print(&match arguments.format {
        Form::Text => text(benchmark, &predictions, &scores, compared.as_ref()),
        Form::Json => json(&scores, compared.as_ref()),
    });
    Ok(())
}

fn text(
    benchmark: &dyn BenchmarkConfig,
    predictions: &[Prediction],
    scores: &[Score],
    compared: Option<&against::Comparison>,
) -> String {
    let name = benchmark.name();
    let mut text = format!("{name}: {} predictions\n\n", predictions.len());
    let width = scores.iter().map(|score| score.metric.chars().count()).max().unwrap_or(0).max(6);
    text += &format!(
        "{:width$} {:>9} {:>9} {:>21} {:>8} {:>7}\n",
        "metric", "value", "error", "95 % interval", "n", "chance"
    );
    for score in scores {
        text += &line(score, width);
    }
    if scores.iter().any(|score| score.maximum == 1.0) {
        text += "\nShares are in percent.\n";
    }
    if let Some(undecided) = scores.first().map(|score| score.undecided).filter(|n| *n > 0) {
        let of = predictions.len();
        text += &format!(
            "Undecided: {undecided} of {of} answers; the rules can't judge them, they score 0.\n"
        );
    }
    if let Some(compared) = compared {
        text += &format!("\n{compared}");
    }
    text
}

fn line(score: &Score, width: usize) -> String {
    let scale = if score.maximum == 1.0 { 100.0 } else { 1.0 };
    let number = |value: Option<f64>| value.map_or("—".into(), |v| format!("{:.2}", v * scale));
    let interval = match (score.low, score.high) {
        (Some(low), Some(high)) => format!("{:.2} … {:.2}", low * scale, high * scale),
        _ => "—".into(),
    };
    format!(
        "{:width$} {:>9} {:>9} {:>21} {:>8} {:>7}\n",
        score.metric,
        number(Some(score.value)),
        number(score.standard_error),
        interval,
        score.n,
        number(score.chance)
    )
}

fn json(scores: &[Score], compared: Option<&against::Comparison>) -> String {
    let value =
        serde_json::json!({ "scores": scores, "against": compared.map(against::Comparison::json) });
    serde_json::to_string_pretty(&value).unwrap_or_default() + "\n"
}
