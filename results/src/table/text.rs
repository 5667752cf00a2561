//! A table as Markdown, as LaTeX and as CSV.

use super::notes::{ONE_SEED, UNSURE, from_one_seed, unsure};
use super::{RowKind, SpreadOver, Table, TableCell, TableColumn, TableRow};
use crate::cell::{Cell, csv_field};
use crate::findings::below;

/// GitHub's Markdown, notes as a list.
pub fn markdown(table: &Table) -> String {
    let escape = |text: &str| text.replace('|', "\\|").replace('\n', " ");
    let shown = |text: &Shown| match text.strong.as_str() {
        "" => escape(&text.rest),
        strong => format!("**{}**{}", escape(strong), escape(&text.rest)),
    };
    let line = |cells: Vec<Shown>| {
        let cells: Vec<String> = cells.iter().map(shown).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let mut out = format!("**{}**\n\n{}", escape(&table.selection), line(header(table)));
    out += &format!("|---|---|{}\n", "--:|".repeat(header(table).len() - 2));
    for (index, row) in table.rows.iter().enumerate() {
        out += &line(texts(table, index, row));
    }
    let notes: String = table.notes.iter().map(|note| format!("- {note}\n")).collect();
    format!("{out}\n{notes}{}", below::markdown(&table.findings))
}

/// A `tabular` for the booktabs package.
pub fn latex(table: &Table) -> String {
    let shown = |text: &Shown| match text.strong.as_str() {
        "" => tex(&text.rest),
        strong => format!("\\textbf{{{}}}{}", tex(strong), tex(&text.rest)),
    };
    let line = |cells: Vec<Shown>| {
        let cells: Vec<String> = cells.iter().map(shown).collect();
        format!("{} \\\\\n", cells.join(" & "))
    };
    let mut out = format!(
        "% {}\n\\begin{{tabular}}{{ll{}}}\n\\toprule\n",
        tex(&table.selection),
        "r".repeat(header(table).len() - 2)
    );
    out += &line(header(table));
    for (index, row) in table.rows.iter().enumerate() {
        if matches!(row.kind, RowKind::Model | RowKind::Chance) {
            out += "\\midrule\n";
        }
        out += &line(texts(table, index, row));
    }
    out += "\\bottomrule\n\\end{tabular}\n\n\\smallskip\n\\begin{minipage}{\\linewidth}\\footnotesize\n";
    for note in &table.notes {
        out += &format!("{}\\par\n", tex(note));
    }
    out + &below::latex(&table.findings) + "\\end{minipage}\n"
}

/// One line a cell, in the benchmark's own scale (published numbers: as published).
pub fn csv(table: &Table) -> String {
    let mut out = String::from(
        "selection,trial,row,benchmark,metric,value,spread,spread_over,seeds,samples,low,high,p,p_holm,test,source,confidence\n",
    );
    for row in &table.rows {
        for (column, cell) in table.columns.iter().zip(&row.cells) {
            if let Some(cell) = cell {
                out += &csv_line(table, row, column, cell);
            }
        }
    }
    out
}

fn csv_line(table: &Table, row: &TableRow, column: &TableColumn, cell: &TableCell) -> String {
    let number = |value: Option<f64>| value.map_or(Cell::Null, Cell::Float).csv();
    let text = |value: Option<&str>| value.map(csv_field).unwrap_or_default();
    let over = cell.spread.map(|(_, over)| match over {
        SpreadOver::Seeds => "seeds",
        SpreadOver::Samples => "samples",
    });
    let count = |n: usize| if of_no_run(row.kind) { String::new() } else { n.to_string() };
    let interval = cell.test.as_ref().and_then(|test| test.interval);
    let fields = [
        csv_field(&table.selection),
        csv_field(&row.trial),
        row.kind.name().to_owned(),
        csv_field(&column.benchmark),
        csv_field(&column.metric),
        number(Some(cell.value)),
        number(cell.spread.map(|(spread, _)| spread)),
        text(over),
        count(cell.seeds),
        count(cell.samples),
        number(interval.map(|(low, _)| low)),
        number(interval.map(|(_, high)| high)),
        number(cell.test.as_ref().map(|test| test.p)),
        number(cell.test.as_ref().map(|test| test.adjusted)),
        text(cell.test.as_ref().map(|test| test.test.name())),
        text(cell.source.as_ref().map(|(source, _)| source.as_str())),
        text(cell.source.as_ref().map(|(_, confidence)| confidence.as_str())),
    ];
    fields.join(",") + "\n"
}

impl RowKind {
    /// As it is written in a CSV table.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            RowKind::Model => "model",
            RowKind::Blind => "blind",
            RowKind::Difference => "difference",
            RowKind::Published => "published",
            RowKind::Chance => "chance",
        }
    }
}

/// Rows that no run of ours stands behind.
fn of_no_run(kind: RowKind) -> bool {
    matches!(kind, RowKind::Published | RowKind::Chance)
}

const COSTS: [&str; 3] = ["parameters", "trained", "samples/s"];

/// A cell as it is read: its first part in bold.
#[derive(Default)]
struct Shown {
    strong: String,
    rest: String,
}

impl From<String> for Shown {
    fn from(rest: String) -> Self {
        Self { rest, ..Self::default() }
    }
}

fn header(table: &Table) -> Vec<Shown> {
    let repeated = |column: &TableColumn| {
        table.columns.iter().filter(|other| other.benchmark == column.benchmark).count() > 1
    };
    let titles = table.columns.iter().enumerate().map(|(index, column)| {
        let metric = if repeated(column) { format!(" ({})", column.metric) } else { String::new() };
        format!("{}{metric}{}", column.benchmark, questions(table, index))
    });
    let lead: &[&str] = &["trial", "row", "seeds", "visual tokens"];
    let costs: &[&str] = if table.costs { &COSTS } else { &[] };
    let names = lead.iter().chain(costs).map(|&name| name.to_owned());
    names.chain(titles).map(Shown::from).collect()
}

/// How many questions a column's models were asked: `, n = 200`.
fn questions(table: &Table, index: usize) -> String {
    let models = table.rows.iter().filter(|row| row.kind == RowKind::Model);
    let asked = models.filter_map(|row| Some(row.cells.get(index)?.as_ref()?.samples));
    match (asked.clone().min(), asked.max()) {
        (Some(least), Some(most)) if least == most => format!(", n = {most}"),
        (Some(least), Some(most)) => format!(", n = {least} to {most}"),
        _ => String::new(),
    }
}

fn texts(table: &Table, index: usize, row: &TableRow) -> Vec<Shown> {
    let first = index == 0 || table.rows[index - 1].trial != row.trial;
    let label = match row.kind {
        RowKind::Model => "model".to_owned(),
        RowKind::Blind => "blind (image withheld)".to_owned(),
        RowKind::Difference => "difference".to_owned(),
        RowKind::Published => "published".to_owned(),
        RowKind::Chance => "chance".to_owned(),
    };
    let baseline = first && table.baseline.as_ref() == Some(&row.trial);
    let trial = match (first, baseline) {
        (true, true) => format!("{} (baseline)", row.trial),
        (true, false) => row.trial.clone(),
        (false, _) => String::new(),
    };
    let seeds = if of_no_run(row.kind) { String::new() } else { row.seeds.to_string() };
    let with_tokens = matches!(row.kind, RowKind::Model | RowKind::Published);
    let mark = if row.cells.iter().flatten().any(unsure) { UNSURE } else { "" };
    let tokens = row
        .visual_tokens
        .filter(|_| with_tokens)
        .map_or(String::new(), |n| Cell::Float(n).text() + mark);
    let cells = row.cells.iter().enumerate().map(|(at, cell)| match cell {
        Some(cell) => Shown {
            strong: if strong(table, row, at) {
                number(row, &table.columns[at], cell)
            } else {
                String::new()
            },
            rest: cell_text(row, &table.columns[at], cell, !strong(table, row, at)),
        },
        None if row.kind == RowKind::Model => "—".to_owned().into(),
        None => Shown::default(),
    });
    let shown = if table.costs { COSTS.len() } else { 0 };
    let costs = [row.parameters, row.trained, row.speed].map(|cost| {
        let cost = cost.filter(|_| row.kind == RowKind::Model);
        cost.map_or(String::new(), large)
    });
    let costs = costs.into_iter().take(shown);
    let lead = [trial, label, seeds, tokens].into_iter().chain(costs).map(Shown::from);
    lead.chain(cells).collect()
}

/// A large number as a person writes it: `303.5M`.
fn large(n: f64) -> String {
    match n {
        n if n < 1e4 => format!("{n:.0}"),
        n if n < 1e6 => format!("{:.1}k", n / 1e3),
        n if n < 1e10 => format!("{:.1}M", n / 1e6),
        n => format!("{:.1}G", n / 1e9),
    }
}

/// Whether a number is bold: a significant difference, and the score that it makes better.
fn strong(table: &Table, row: &TableRow, at: usize) -> bool {
    let significant = |row: &TableRow| {
        let cell = row.cells.get(at)?.as_ref()?;
        cell.test.as_ref().filter(|test| test.is_significant()).map(|_| cell.value)
    };
    match row.kind {
        RowKind::Difference => significant(row).is_some(),
        RowKind::Model => table
            .rows
            .iter()
            .filter(|other| other.kind == RowKind::Difference && other.trial == row.trial)
            .any(|other| significant(other).is_some_and(|value| value > 0.0)),
        RowKind::Blind | RowKind::Published | RowKind::Chance => false,
    }
}

fn scale(row: &TableRow, column: &TableColumn) -> f64 {
    // Published numbers keep their own scale.
    if column.percent && row.kind != RowKind::Published { 100.0 } else { 1.0 }
}

fn number(row: &TableRow, column: &TableColumn, cell: &TableCell) -> String {
    let value = cell.value * scale(row, column);
    match row.kind {
        RowKind::Difference => format!("{value:+.1}"),
        RowKind::Published => value.to_string(),
        RowKind::Model | RowKind::Blind | RowKind::Chance => format!("{value:.1}"),
    }
}

/// A cell with its number, or what follows the number.
fn cell_text(row: &TableRow, column: &TableColumn, cell: &TableCell, with_number: bool) -> String {
    let scale = scale(row, column);
    let mut text = if with_number { number(row, column, cell) } else { String::new() };
    if let Some((spread, _)) = cell.spread.filter(|_| row.kind != RowKind::Difference) {
        text += &format!(" ± {:.1}", spread * scale);
    }
    if from_one_seed(row.kind, cell) {
        text += ONE_SEED;
    }
    if unsure(cell) {
        text += UNSURE;
    }
    if let Some(test) = &cell.test {
        if let Some((low, high)) = test.interval {
            text += &format!(" [{:+.1}, {:+.1}]", low * scale, high * scale);
        }
        text += &format!(" ({})", p_text(test.adjusted));
    }
    if !of_no_run(row.kind) && cell.seeds != row.seeds {
        text += &format!(" [{} of {} seeds]", cell.seeds, row.seeds);
    }
    text
}

/// A p-value as it is read.
pub fn p_text(p: f64) -> String {
    if p < 0.001 { "p < 0.001".to_owned() } else { format!("p = {p:.3}") }
}

/// Text with what LaTeX would read as a command escaped.
pub fn tex(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out += "\\textbackslash{}",
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => {
                out.push('\\');
                out.push(c);
            }
            '~' => out += "\\textasciitilde{}",
            '^' => out += "\\textasciicircum{}",
            '<' | '>' => out += &format!("${c}$"),
            '±' => out += "$\\pm$",
            '†' => out += "$^\\dagger$",
            '‡' => out += "$^\\ddagger$",
            '—' => out += "---",
            '–' => out += "--",
            '…' => out += "\\ldots{}",
            c => out.push(c),
        }
    }
    out
}
