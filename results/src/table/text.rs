//! A table as Markdown, as LaTeX and as CSV.

use super::notes::{ONE_SEED, UNSURE, from_one_seed, unsure};
use super::{RowKind, SpreadOver, Table, TableCell, TableColumn, TableRow};
use crate::cell::{Cell, csv_field};

/// GitHub's Markdown, notes as a list.
pub fn markdown(table: &Table) -> String {
    let escape = |text: &str| text.replace('|', "\\|").replace('\n', " ");
    let line = |cells: Vec<String>| {
        let cells: Vec<String> = cells.iter().map(|cell| escape(cell)).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let mut out = format!("**{}**\n\n{}", table.selection, line(header(table)));
    out += &format!("|---|---|{}\n", "--:|".repeat(header(table).len() - 2));
    for (index, row) in table.rows.iter().enumerate() {
        out += &line(texts(table, index, row));
    }
    let notes: String = table.notes.iter().map(|note| format!("- {note}\n")).collect();
    format!("{out}\n{notes}")
}

/// A `tabular` for the booktabs package.
pub fn latex(table: &Table) -> String {
    let line = |cells: Vec<String>| {
        let cells: Vec<String> = cells.iter().map(|cell| tex(cell)).collect();
        format!("{} \\\\\n", cells.join(" & "))
    };
    let mut out = format!(
        "% {}\n\\begin{{tabular}}{{ll{}}}\n\\toprule\n",
        tex(&table.selection),
        "r".repeat(header(table).len() - 2)
    );
    out += &line(header(table));
    for (index, row) in table.rows.iter().enumerate() {
        if row.kind == RowKind::Model {
            out += "\\midrule\n";
        }
        out += &line(texts(table, index, row));
    }
    out += "\\bottomrule\n\\end{tabular}\n\n\\smallskip\n\\begin{minipage}{\\linewidth}\\footnotesize\n";
    for note in &table.notes {
        out += &format!("{}\\par\n", tex(note));
    }
    out + "\\end{minipage}\n"
}

/// One line a cell, in the benchmark's own scale (published numbers: as published).
pub fn csv(table: &Table) -> String {
    let mut out = String::from(
        "selection,trial,row,benchmark,metric,value,spread,spread_over,seeds,samples,p,test,source,confidence\n",
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
    let published = cell.source.is_some();
    let count = |n: usize| if published { String::new() } else { n.to_string() };
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
        number(cell.test.map(|(p, _)| p)),
        text(cell.test.map(|(_, test)| test.name())),
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
        }
    }
}

const COSTS: [&str; 3] = ["parameters", "trained", "samples/s"];

fn header(table: &Table) -> Vec<String> {
    let repeated = |column: &TableColumn| {
        table.columns.iter().filter(|other| other.benchmark == column.benchmark).count() > 1
    };
    let titles = table.columns.iter().map(|column| {
        if repeated(column) {
            format!("{} ({})", column.benchmark, column.metric)
        } else {
            column.benchmark.clone()
        }
    });
    let lead: &[&str] = &["trial", "row", "seeds", "visual tokens"];
    let costs: &[&str] = if table.costs { &COSTS } else { &[] };
    lead.iter().chain(costs).map(|&name| name.to_owned()).chain(titles).collect()
}

fn texts(table: &Table, index: usize, row: &TableRow) -> Vec<String> {
    let first = index == 0 || table.rows[index - 1].trial != row.trial;
    let label = match row.kind {
        RowKind::Model => "model".to_owned(),
        RowKind::Blind => "blind (image withheld)".to_owned(),
        RowKind::Difference => "difference".to_owned(),
        RowKind::Published => "published".to_owned(),
    };
    let baseline = first && table.baseline.as_ref() == Some(&row.trial);
    let trial = match (first, baseline) {
        (true, true) => format!("{} (baseline)", row.trial),
        (true, false) => row.trial.clone(),
        (false, _) => String::new(),
    };
    let seeds = if row.kind == RowKind::Published { String::new() } else { row.seeds.to_string() };
    let with_tokens = matches!(row.kind, RowKind::Model | RowKind::Published);
    let mark = if row.cells.iter().flatten().any(unsure) { UNSURE } else { "" };
    let tokens = row
        .visual_tokens
        .filter(|_| with_tokens)
        .map_or(String::new(), |n| Cell::Float(n).text() + mark);
    let cells = table.columns.iter().zip(&row.cells).map(|(column, cell)| match cell {
        Some(cell) => cell_text(row, column, cell),
        None if row.kind == RowKind::Model => "—".to_owned(),
        None => String::new(),
    });
    let shown = if table.costs { COSTS.len() } else { 0 };
    let costs = [row.parameters, row.trained, row.speed].map(|cost| {
        let cost = cost.filter(|_| row.kind == RowKind::Model);
        cost.map_or(String::new(), large)
    });
    let costs = costs.into_iter().take(shown);
    [trial, label, seeds, tokens].into_iter().chain(costs).chain(cells).collect()
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

fn cell_text(row: &TableRow, column: &TableColumn, cell: &TableCell) -> String {
    // Published numbers keep their own scale.
    let published = row.kind == RowKind::Published;
    let scale = if column.percent && !published { 100.0 } else { 1.0 };
    let value = cell.value * scale;
    let mut text = match row.kind {
        RowKind::Difference => format!("{value:+.1}"),
        RowKind::Published => value.to_string(),
        RowKind::Model | RowKind::Blind => format!("{value:.1}"),
    };
    if let Some((spread, _)) = cell.spread {
        text += &format!(" ± {:.1}", spread * scale);
    }
    if from_one_seed(row.kind, cell) {
        text += ONE_SEED;
    }
    if unsure(cell) {
        text += UNSURE;
    }
    match cell.test {
        Some((p, _)) if p < 0.001 => text += " (p < 0.001)",
        Some((p, _)) => text += &format!(" (p = {p:.3})"),
        None => {}
    }
    if !published && cell.seeds != row.seeds {
        text += &format!(" [{} of {} seeds]", cell.seeds, row.seeds);
    }
    text
}

fn tex(text: &str) -> String {
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
            c => out.push(c),
        }
    }
    out
}
