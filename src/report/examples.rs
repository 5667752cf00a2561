//! Questions on which a study's trials disagree, with their pictures and everyone's answers.

use std::collections::BTreeMap;
use std::fmt::Write;

use eagle_core::lab::Trained;
use eagle_core::record::{Prediction, read_predictions};
use eagle_core::registry::Registry;

use super::runs::{Run, Study};
use crate::page::escape;
use crate::page::pictures::Pictures;
use crate::trained;

/// Trials whose answers are shown.
const MOST: usize = 8;

/// A question, and the answers of the trials that are shown.
struct Example {
    benchmark: String,
    answers: Vec<Prediction>,
}

/// At most `most` questions of a study, as many of each benchmark; adds the bytes of their pictures.
pub fn section(study: &Study, most: usize, registry: &Registry, bytes: &mut usize) -> String {
    // A seed of each trial answers for it.
    let shown: Vec<(&str, &Run)> = study
        .trials
        .iter()
        .take(MOST)
        .filter_map(|trial| Some((trial.name.as_str(), study.runs(trial).next()?)))
        .collect();
    let Some((_, first)) = shown.first() else { return String::new() };
    let runs: Vec<&Run> = shown.iter().map(|(_, run)| *run).collect();
    let examples = chosen(&runs, most);
    if examples.is_empty() {
        return String::new();
    }
    let mut pictures = Pictures::default();
    if let Ok(run) = Trained::open(&first.folder)
        && let Ok((graph, base)) = trained::experiment(&run, registry)
    {
        pictures.open(&graph.benchmarks, &base);
    }
    let mut html = String::from("<h3>Example questions</h3>\n<ul class=\"questions\">\n");
    for example in &examples {
        html += &question(example, &shown, &mut pictures);
    }
    *bytes += pictures.bytes;
    html += "</ul>\n<p class=\"small quiet\">Questions on which the trials disagree most, the first \
             of them in the order of the benchmarks";
    if study.trials.len() > MOST {
        let _ = write!(html, "; answers of the first {MOST} trials");
    }
    html + ".</p>\n"
}

/// Of each benchmark that all answered, the questions about which they are most divided.
fn chosen(runs: &[&Run], most: usize) -> Vec<Example> {
    let Some(first) = runs.first() else { return Vec::new() };
    let mut names: Vec<&str> = Vec::new();
    for score in first.manifest.scores.iter().filter(|score| !score.blind) {
        if !names.contains(&score.benchmark.as_str()) {
            names.push(&score.benchmark);
        }
    }
    let mut all: Vec<Vec<Example>> = names.iter().map(|name| divided(runs, name)).collect();
    let mut examples = Vec::new();
    // In turn, so that each benchmark has its share.
    let each = most.div_ceil(names.len().max(1));
    for of in &mut all {
        examples.extend(of.drain(..each.min(of.len())));
    }
    examples.truncate(most);
    examples
}

/// A benchmark's questions that all runs answered, the most disputed first.
fn divided(runs: &[&Run], benchmark: &str) -> Vec<Example> {
    let mut answers: BTreeMap<String, Vec<Prediction>> = BTreeMap::new();
    let mut order: Vec<String> = Vec::new();
    for run in runs {
        let path = run.folder.join("predictions").join(format!("{benchmark}.jsonl"));
        let Ok(predictions) = read_predictions(&path) else { return Vec::new() };
        for prediction in predictions {
            if !answers.contains_key(&prediction.sample) {
                order.push(prediction.sample.clone());
            }
            answers.entry(prediction.sample.clone()).or_default().push(prediction);
        }
    }
    let mut examples: Vec<Example> = order
        .into_iter()
        .filter_map(|sample| answers.remove(&sample))
        .filter(|answers| answers.len() == runs.len())
        .map(|answers| Example { benchmark: benchmark.to_owned(), answers })
        .collect();
    examples.sort_by_key(|example| {
        let right = example.answers.iter().filter(|answer| answer.correct).count();
        right.abs_diff(runs.len() - right)
    });
    examples
}

fn question(example: &Example, shown: &[(&str, &Run)], pictures: &mut Pictures) -> String {
    let Some(first) = example.answers.first() else { return String::new() };
    let text = first.question.replace("<image>", " ");
    let picture = match pictures.uri(&example.benchmark, &first.sample) {
        Some(uri) => {
            let alt = format!("The picture of {}, {}", example.benchmark, first.sample);
            format!("<img src=\"{uri}\" alt=\"{}\"/>", escape(&alt))
        }
        None => "<span class=\"quiet\">no picture</span>".to_owned(),
    };
    let mut html = format!(
        "<li>{picture}<div><p><strong>{}</strong></p><p class=\"quiet\">{}; right: {}</p><ul>",
        escape(text.trim()),
        escape(&example.benchmark),
        escape(&first.answer)
    );
    for ((name, _), answer) in shown.iter().zip(&example.answers) {
        let (class, mark) = if answer.correct { ("good", "✓") } else { ("bad", "✗") };
        let _ = write!(
            html,
            "<li>{}: <span class=\"{class}\">{mark} {}</span></li>",
            escape(name),
            escape(&answer.prediction)
        );
    }
    html + "</ul></div></li>\n"
}
