//! The published row of a trial, where one is known.

use super::runs::{Selected, Trial};
use super::{RowKind, TableCell, TableColumn, TableOptions, TableRow};
use crate::ResultsError;
use crate::error::nearest;
use crate::findings::place_of;
use crate::paper::{Published, published, same_name};

/// The published numbers that may stand in this table: those of the table asked for, else of the
/// one that the selection is named after ("fusion", "mini-fusion"), else all.
pub fn published_rows(
    selected: &Selected,
    options: &TableOptions,
) -> Result<Vec<Published>, ResultsError> {
    let all = published();
    let named = |table: &str| -> Vec<Published> {
        all.iter().filter(|p| p.table == table).cloned().collect()
    };
    if let Some(table) = &options.published {
        let rows = named(table);
        if rows.is_empty() {
            let mut known: Vec<String> = all.iter().map(|p| p.table.to_owned()).collect();
            known.dedup();
            let nearest = nearest(table, known.iter().map(String::as_str));
            let (kind, name) = ("published table", table.clone());
            return Err(ResultsError::UnknownName { kind, name, known, nearest });
        }
        return Ok(rows);
    }
    let after = all.iter().map(|p| p.table).find(|table| {
        selected.name.strip_suffix(table).is_some_and(|rest| rest.is_empty() || rest.ends_with('-'))
    });
    Ok(after.map_or_else(|| all.clone(), named))
}

/// What was published under the trial's name, its experiment's, or that of a plugin it varies.
pub fn published_row(
    trial: &Trial,
    all: &[Trial],
    known: &[Published],
    columns: &[TableColumn],
) -> Option<TableRow> {
    let ours = || std::iter::once(&trial.name).chain(&trial.experiments).chain(trial.axes.values());
    let same = |p: &&Published| {
        place_of(p.table, p.row).is_some_and(|place| place.admits(trial, all))
            || ours().any(|name| same_name(name, p.row))
    };
    let matching: Vec<&Published> = known.iter().filter(same).collect();
    // One publication a row: the same model may be in two tables.
    let table = matching.first()?.table;
    let of = |metric: &str| {
        matching.iter().find(|p| p.table == table && same_name(p.metric, metric)).copied()
    };
    let cells: Vec<Option<TableCell>> = columns
        .iter()
        // The paper's normalisation is unknown: its `avg` stands beside the mean alone.
        .map(|column| match column.is_normalised {
            true => None,
            false => of(if column.is_mean { "avg" } else { &column.benchmark }).map(cell),
        })
        .collect();
    cells.iter().any(Option::is_some).then(|| TableRow {
        trial: trial.name.clone(),
        kind: RowKind::Published,
        seeds: 0,
        visual_tokens: of("visual_tokens").map(|p| p.value),
        parameters: None,
        trained: None,
        speed: None,
        cells,
    })
}

fn cell(published: &Published) -> TableCell {
    TableCell {
        value: published.value,
        spread: None,
        seeds: 0,
        samples: 0,
        test: None,
        source: Some((published.source.to_owned(), published.confidence.to_owned())),
    }
}
