//! What a reader of a table must know; only what applies to this one.

use std::collections::BTreeSet;

use super::{RowKind, SpreadOver, Table, TableCell};
use crate::stats::{DRAWS, Test};

/// The mark of a spread that comes from one seed.
pub const ONE_SEED: &str = "†";

/// The mark of a published number that is less than certain.
pub const UNSURE: &str = "‡";

/// Whether a cell's `±` must be marked: from one seed, where others come from several.
pub fn from_one_seed(kind: RowKind, cell: &TableCell) -> bool {
    kind != RowKind::Difference && matches!(cell.spread, Some((_, SpreadOver::Samples)))
}

/// Whether a cell is published with less than full confidence.
pub fn unsure(cell: &TableCell) -> bool {
    cell.source.as_ref().is_some_and(|(_, confidence)| confidence != "primary")
}

/// The notes of a table whose rows are filled.
pub fn notes(table: &Table) -> Vec<String> {
    let mut notes = Vec::new();
    let cells = || {
        let of_row = |row| -> Vec<(RowKind, &TableCell)> {
            let row: &super::TableRow = row;
            row.cells.iter().flatten().map(|cell| (row.kind, cell)).collect()
        };
        table.rows.iter().flat_map(of_row)
    };
    let has = |kind| table.rows.iter().any(|row| row.kind == kind);
    if table.columns.iter().any(|column| column.percent) {
        notes.push("Scores in 0..1 are shown in percent.".to_owned());
    }
    if cells().any(|(_, cell)| matches!(cell.spread, Some((_, SpreadOver::Seeds)))) {
        notes.push("±: sample standard deviation over seeds.".to_owned());
    }
    if cells().any(|(kind, cell)| from_one_seed(kind, cell)) {
        notes.push(format!(
            "{ONE_SEED} One seed: ± is the standard error over the benchmark's samples, \
             not a spread over seeds."
        ));
    }
    if has(RowKind::Blind) {
        notes.push(
            "Blind: the same model asked without its image, so what a score owes to seeing \
             is the distance between the two rows."
                .to_owned(),
        );
    }
    if has(RowKind::Chance) {
        notes.push("Chance: what a guess is expected to score, as the benchmark tells.".to_owned());
    }
    if table.columns.iter().any(|c| c.is_mean)
        && table.columns.iter().any(|c| c.maximum != Some(1.0))
    {
        notes.push("Mean: of each benchmark's share of its best score.".to_owned());
    }
    if has(RowKind::Difference)
        && let Some(baseline) = &table.baseline
    {
        let used: BTreeSet<&str> =
            cells().filter_map(|(_, cell)| Some(cell.test.as_ref()?.test.name())).collect();
        notes.push(difference_note(baseline, &used));
        notes.push(bold_note(table));
    }
    if table.columns.iter().any(|column| column.is_normalised) {
        notes.push(super::normalised::NOTE.to_owned());
    }
    notes.extend(published_notes(table));
    notes.push(format!("Scores: `eagle-lab query \"{}\"`.", table.sql));
    notes
}

/// How the differences of this table were tested.
fn difference_note(baseline: &str, used: &BTreeSet<&str>) -> String {
    let mut tests = Vec::new();
    if used.contains(Test::PairedT.name()) {
        tests.push("Student's paired t-test over the seeds that both have run".to_owned());
    }
    let questions: Vec<String> = [
        (Test::McNemar, "McNemar's exact test".to_owned()),
        (Test::Permutation, format!("{DRAWS} random sign flips")),
    ]
    .into_iter()
    .filter(|(test, _)| used.contains(test.name()))
    .map(|(_, text)| text)
    .collect();
    if !questions.is_empty() {
        let when = if tests.is_empty() { "" } else { ", where there is one seed (or all agree)" };
        tests.push(format!(
            "{} over the questions that both have answered{when}, which speaks of these trained \
             models and not of other seeds",
            questions.join(" or ")
        ));
    }
    format!(
        "Difference: to {baseline}, with its 95 % interval; p is two-sided, from {}.",
        tests.join("; from ")
    )
}

fn bold_note(table: &Table) -> String {
    let compared = table.rows.iter().filter(|row| row.kind == RowKind::Difference).count();
    let corrected = match compared {
        1 => String::new(),
        rows => format!(", p corrected by Holm for the {rows} rows that a column compares"),
    };
    format!(
        "Bold: a difference with p < 0.05{corrected}, and the score of a row that is better by one."
    )
}

fn published_notes(table: &Table) -> Vec<String> {
    let rows: Vec<_> = table.rows.iter().filter(|row| row.kind == RowKind::Published).collect();
    let sources: BTreeSet<(&str, &str)> = rows
        .iter()
        .flat_map(|row| row.cells.iter().flatten())
        .filter_map(|cell| cell.source.as_ref())
        .map(|(source, confidence)| (source.as_str(), confidence.as_str()))
        .collect();
    let mut notes: Vec<String> = sources
        .iter()
        .map(|(source, confidence)| {
            let mark = if *confidence == "primary" { "" } else { UNSURE };
            format!("{mark} Published: {source}; {}.", meaning(confidence)).trim_start().to_owned()
        })
        .collect();
    let mean = table.columns.iter().position(|column| column.is_mean);
    if mean.is_some_and(|mean| rows.iter().any(|row| row.cells[mean].is_some())) {
        notes.push(
            "The published mean is the paper's `avg` over its own benchmarks, on a scale that it \
             does not state: compare the order of the rows, never the numbers."
                .to_owned(),
        );
    }
    notes
}

fn meaning(confidence: &str) -> String {
    match confidence {
        "primary" => "read in the authors' repository".to_owned(),
        "two-secondary" => "two independent reviews agree".to_owned(),
        "single-secondary" => "one review only: the direction, not the number".to_owned(),
        other => other.to_owned(),
    }
}
