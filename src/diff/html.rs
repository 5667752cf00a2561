//! A diff as a page, with the pictures of the questions whose answers flipped.

use std::fmt::Write;

use eagle_core::lab::why::Difference;
use eagle_results::{AnswerPair, Flip, LossPair, ScorePair};

use super::{Diff, Side, text::p_value};
use crate::page::chart::{self, Chart, Series};
use crate::page::pictures::Pictures;
use crate::page::{document, escape, table};

/// The whole page.
pub fn page(diff: &Diff, questions: usize, pictures: &mut Pictures) -> String {
    let title = format!("{} against {}", diff.left.title(), diff.right.title());
    let mut body = format!("<h1>{}</h1>\n", escape(&title));
    body += &runs(&diff.left, &diff.right);
    if diff.is_same() {
        body += "<p><strong>They computed the same: losses, scores and answers are equal.</strong></p>\n";
    }
    body += "<h2 id=\"settings\">Settings</h2>\n";
    body += &match &diff.settings {
        None => "<p>Unknown: a run’s plan.json and its stages are gone.</p>\n".to_owned(),
        Some(settings) => differences(settings, "default"),
    };
    body += "<h2 id=\"program\">Program and machine</h2>\n";
    body += &differences(&diff.program, "none");
    body += "<h2 id=\"losses\">Losses</h2>\n<div class=\"figures\">\n";
    for (at, pair) in diff.results.losses.iter().enumerate() {
        body += &losses(at, pair, diff);
    }
    body += "</div>\n<h2 id=\"scores\">Scores</h2>\n";
    body += &scores(&diff.results.scores);
    body += "<h2 id=\"answers\">Answers</h2>\n";
    for answers in &diff.results.answers {
        body += &flipped(answers, questions, pictures);
    }
    document(&title, &body)
}

fn runs(left: &Side, right: &Side) -> String {
    let row = |name: &str, side: &Side| {
        let started = side.manifest.started.clone();
        vec![name.to_owned(), side.title(), side.manifest.run.clone(), side.status(), started]
    };
    let head = ["", "run", "id", "status", "started"].map(str::to_owned).to_vec();
    table("", &[head, row("A", left), row("B", right)])
}

fn differences(differences: &[Difference], absent: &str) -> String {
    if differences.is_empty() {
        return "<p>The same.</p>\n".to_owned();
    }
    let value = |value: &Option<String>| value.clone().unwrap_or_else(|| format!("({absent})"));
    let mut rows = vec![["setting", "A", "B"].map(str::to_owned).to_vec()];
    rows.extend(
        differences.iter().map(|one| vec![one.input.clone(), value(&one.there), value(&one.here)]),
    );
    table("", &rows)
}

fn losses(at: usize, pair: &LossPair, diff: &Diff) -> String {
    let sides = [(&pair.left, &diff.left), (&pair.right, &diff.right)];
    let series: Vec<Series> = sides
        .iter()
        .enumerate()
        .filter_map(|(look, (loss, side))| {
            let loss = loss.as_ref()?;
            let points = loss.curve.iter().map(|(step, value)| (*step as f64, *value)).collect();
            let name = ["A", "B"][look];
            let name = format!("{name}: {}, {:.4} at the end", side.title(), loss.last);
            Some(Series { name, points, look })
        })
        .collect();
    let parts = match pair.parts_at {
        Some(step) => format!("equal before step {step}"),
        None if series.len() == 2 => "equal in every step".to_owned(),
        None => "of one of the runs only".to_owned(),
    };
    let title = format!("Loss of stage {}: {parts}", pair.stage);
    let id = format!("loss-{at}");
    let description = series.iter().map(|one| one.name.as_str()).collect::<Vec<_>>().join("; ");
    let (x, y) = ("optimiser step", "loss, nats per token");
    chart::lines(&Chart { id: &id, title: &title, description: &description, x, y }, &series)
}

fn scores(pairs: &[ScorePair]) -> String {
    let heads = ["benchmark", "metric", "A", "B", "B − A ± standard error", "p", "n"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    for pair in pairs {
        let of = |value: Option<f64>| {
            value.map_or("–".into(), |value| format!("{:.1}", pair.shown(value)))
        };
        let blind = if pair.blind { " (image withheld)" } else { "" };
        let mut row = vec![format!("{}{blind}", pair.benchmark), pair.metric.clone()];
        row.extend([of(pair.left), of(pair.right)]);
        row.extend(match &pair.difference {
            None => ["–".to_owned(), "–".to_owned(), "–".to_owned()],
            Some(found) => {
                let error = found.standard_error.map_or(0.0, |error| pair.shown(error));
                let value = format!("{:+.1} ± {error:.1}", pair.shown(found.value));
                [value, p_value(found.p), found.n.to_string()]
            }
        });
        rows.push(row);
    }
    table("Shares in percent; differences are paired over the questions that both answered.", &rows)
}

fn flipped(answers: &AnswerPair, most: usize, pictures: &mut Pictures) -> String {
    let AnswerPair { benchmark, n, same, both_right, both_wrong, flips } = answers;
    let gained = flips.iter().filter(|flip| flip.gained()).count();
    let mut html = format!(
        "<h3>{}</h3>\n<p>{n} questions, {same} answered alike; both right {both_right}, both wrong \
         {both_wrong}, better in B {gained}, worse in B {}.</p>\n",
        escape(benchmark),
        flips.len() - gained
    );
    for (name, better) in [("Better in B", true), ("Worse in B", false)] {
        let of: Vec<&Flip> = flips.iter().filter(|flip| flip.gained() == better).collect();
        if of.is_empty() || most == 0 {
            continue;
        }
        let shown = most.min(of.len());
        let _ = write!(
            html,
            "<p><strong>{name}</strong>, {shown} of {}:</p>\n<ul class=\"questions\">\n",
            of.len()
        );
        for flip in of.iter().take(most) {
            html += &question(benchmark, flip, pictures);
        }
        html += "</ul>\n";
    }
    html
}

fn question(benchmark: &str, flip: &Flip, pictures: &mut Pictures) -> String {
    let Flip { sample, question, answer, left, right } = flip;
    let picture = match pictures.uri(benchmark, sample) {
        Some(uri) => format!("<img src=\"{uri}\" alt=\"the picture of {}\"/>", escape(sample)),
        None => "<span class=\"quiet\">no picture</span>".to_owned(),
    };
    let said = |name: &str, (said, score): &(String, f64)| {
        let class = if *score >= 1.0 { "good" } else { "bad" };
        let mark = if *score >= 1.0 { "✓" } else { "✗" };
        format!("<li>{name}: <span class=\"{class}\">{mark} {}</span></li>", escape(said))
    };
    format!(
        "<li>{picture}<div><p>{}</p><p class=\"quiet\">right: {}</p><ul>{}{}</ul></div></li>\n",
        escape(question.trim()),
        escape(answer),
        said("A", left),
        said("B", right)
    )
}
