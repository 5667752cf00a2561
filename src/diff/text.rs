//! A diff on a terminal.

use eagle_core::lab::why::Difference;
use eagle_results::{AnswerPair, Flip, Loss, LossPair, ScorePair};

use super::{Diff, Side};

/// Columns of a sparkline.
const COLUMNS: usize = 48;

/// The whole diff; of each benchmark's flipped questions the first ones in each direction.
pub fn text(diff: &Diff, questions: usize) -> String {
    let mut text = format!("{}{}", head("A", &diff.left), head("B", &diff.right));
    if diff.is_same() {
        text += "\nthey computed the same: losses, scores and answers are equal\n";
    }
    text += "\nsettings\n";
    text += &match &diff.settings {
        None => "  unknown: a run's plan.json and its stages are gone\n".to_owned(),
        Some(settings) => columns(settings, "default"),
    };
    text += &format!("\nprogram and machine\n{}", columns(&diff.program, "none"));
    text += "\nlosses\n";
    for pair in &diff.results.losses {
        text += &loss(pair, diff.shared.contains(&pair.stage));
    }
    text += "\nscores\n";
    text += &scores(&diff.results.scores);
    for answers in &diff.results.answers {
        text += &flips(answers, questions);
    }
    text
}

fn head(name: &str, side: &Side) -> String {
    let started = &side.manifest.started;
    format!("{name}  {}  {}, {}, started {started}\n", side.id(), side.title(), side.status())
}

/// Paths with both values, aligned.
fn columns(differences: &[Difference], absent: &str) -> String {
    if differences.is_empty() {
        return "  the same\n".to_owned();
    }
    let value = |value: &Option<String>| value.clone().unwrap_or_else(|| format!("({absent})"));
    let rows: Vec<[String; 3]> = differences
        .iter()
        .map(|one| [one.input.clone(), value(&one.there), value(&one.here)])
        .collect();
    aligned(&rows, &[false, false, false])
}

fn aligned<const N: usize>(rows: &[[String; N]], right: &[bool; N]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..N).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::from(" ");
        for ((cell, width), right) in row.iter().zip(&widths).zip(right) {
            let pad = " ".repeat(width - cell.chars().count());
            line += &if *right { format!(" {pad}{cell} ") } else { format!(" {cell}{pad} ") };
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

fn loss(pair: &LossPair, shared: bool) -> String {
    let LossPair { stage, left, right, parts_at } = pair;
    let (Some(left), Some(right)) = (left, right) else {
        let side = if left.is_some() { "A" } else { "B" };
        return format!("  {stage}: of {side} only\n");
    };
    let same = if shared { " (one and the same stage)" } else { "" };
    let Some(step) = parts_at else {
        let last = left.last;
        return format!("  {stage}: equal in every step{same}, {last:.4} at the end\n");
    };
    let both: Vec<f64> = [left, right].iter().flat_map(|loss| stretches(loss)).collect();
    let range = (
        both.iter().copied().fold(f64::MAX, f64::min),
        both.iter().copied().fold(f64::MIN, f64::max),
    );
    format!(
        "  {stage}: equal before step {step}\n    A      {}  {:.4} at the end, {:.4} on average\n    \
         B      {}  {:.4} at the end, {:.4} on average\n    B - A  {}  {:+.4} at the end, {:+.4} on \
         average\n",
        sparkline(&stretches(left), range),
        left.last,
        left.mean,
        sparkline(&stretches(right), range),
        right.last,
        right.mean,
        " ".repeat(COLUMNS),
        right.last - left.last,
        right.mean - left.mean,
    )
}

/// A curve's means, in logarithms, over as many stretches as there are columns.
fn stretches(loss: &Loss) -> Vec<f64> {
    let values: Vec<f64> = loss.curve.iter().map(|(_, value)| *value).collect();
    let means = crate::spark::stretches(&values, COLUMNS);
    // In logarithms: the first steps' fall would hide all else.
    means.into_iter().map(|mean| mean.max(1e-9).ln()).collect()
}

fn sparkline(values: &[f64], range: (f64, f64)) -> String {
    let line = crate::spark::line(values, range);
    let pad = COLUMNS.saturating_sub(line.chars().count());
    line + &" ".repeat(pad)
}

fn scores(pairs: &[ScorePair]) -> String {
    let heads = ["benchmark", "metric", "A", "B", "B - A", "p", "n"].map(str::to_owned);
    let mut rows = vec![heads];
    for pair in pairs {
        let of = |value: Option<f64>| {
            value.map_or("–".into(), |value| format!("{:.1}", pair.shown(value)))
        };
        let blind = if pair.blind { " (blind)" } else { "" };
        let (difference, p, n) = match &pair.difference {
            None => ("–".to_owned(), String::new(), String::new()),
            Some(found) => {
                let error = found.standard_error.map_or(0.0, |error| pair.shown(error));
                let value = format!("{:+.1} ± {error:.1}", pair.shown(found.value));
                (value, p_value(found.p), found.n.to_string())
            }
        };
        rows.push([
            format!("{}{blind}", pair.benchmark),
            pair.metric.clone(),
            of(pair.left),
            of(pair.right),
            difference,
            p,
            n,
        ]);
    }
    let right = [false, false, true, true, true, true, true];
    aligned(&rows, &right)
        + "  shares in percent; ± is the paired difference's standard error over questions\n"
}

/// A p-value in few digits.
pub fn p_value(p: f64) -> String {
    if p < 0.0001 { "<0.0001".to_owned() } else { format!("{p:.4}") }
}

fn flips(answers: &AnswerPair, most: usize) -> String {
    let AnswerPair { benchmark, n, same, both_right, both_wrong, flips } = answers;
    let gained = flips.iter().filter(|flip| flip.gained()).count();
    let mut text = format!(
        "\nanswers to {benchmark}: {n} questions, {same} answered alike; both right {both_right}, \
         both wrong {both_wrong}, better in B {gained}, worse in B {}\n",
        flips.len() - gained
    );
    for (name, better) in [("better in B", true), ("worse in B", false)] {
        let of: Vec<&Flip> = flips.iter().filter(|flip| flip.gained() == better).collect();
        if of.is_empty() || most == 0 {
            continue;
        }
        text += &format!("  {name}\n");
        for flip in of.iter().take(most) {
            let Flip { sample, question, answer, left, right } = flip;
            text += &format!(
                "    {sample}: {}\n      right is {answer:?}; A said {:?}, B {:?}\n",
                question.trim(),
                left.0,
                right.0
            );
        }
        if of.len() > most {
            text += &format!("    … and {} more (--questions {})\n", of.len() - most, of.len());
        }
    }
    text
}
