//! From a claim to the trials that it compares.

use std::collections::{BTreeMap, BTreeSet};

use super::claims::{Claim, RowsOf, Value, places};
use crate::table::{Selected, Trial};

/// The studies of one scale, by the table that each belongs to.
pub type Studies = BTreeMap<String, Selected>;

/// The trials that a claim compares, each with its weight, and those of each side by name.
pub struct Compared<'a> {
    pub contrast: Vec<(f64, &'a Trial)>,
    pub more: Vec<String>,
    pub less: Vec<String>,
}

/// What the rows of one group have in common: the axes that the claim leaves open.
type Key<'a> = Vec<(&'a str, &'a str)>;

type ByKey<'a> = BTreeMap<Key<'a>, Vec<&'a Trial>>;

/// The comparison, or what is missing for it. Rows are compared where they agree in all axes that the
/// claim leaves open, and the mean is taken over those.
pub fn compared<'a>(
    claim: &Claim,
    studies: &'a Studies,
    score: &dyn Fn(&Trial) -> Option<f64>,
) -> Result<Compared<'a>, String> {
    let sides = || {
        let more = claim.more.iter().map(|rows| (1.0, rows));
        more.chain(claim.less.iter().map(|rows| (-1.0, rows)))
    };
    let table = |rows: &RowsOf| rows.of.clone().unwrap_or_else(|| claim.table.clone());
    // Rows of several studies have nothing that could be held equal.
    let across = sides().any(|(_, rows)| table(rows) != claim.table);
    let fixed: BTreeSet<&str> =
        sides().flat_map(|(_, rows)| &rows.axes).map(|(axis, _)| axis.as_str()).collect();
    let mut groups: Vec<(f64, &RowsOf, ByKey<'a>)> = Vec::new();
    for (sign, rows) in sides() {
        let study = studies.get(&table(rows)).ok_or_else(|| table(rows))?;
        let mut by_key = ByKey::new();
        for trial in candidates(rows, study) {
            let open =
                trial.axes.iter().filter(|(axis, _)| !across && !fixed.contains(axis.as_str()));
            let key = open.map(|(axis, value)| (axis.as_str(), value.as_str())).collect();
            by_key.entry(key).or_default().push(trial);
        }
        if by_key.is_empty() {
            return Err(format!("no finished row with {}", told(rows)));
        }
        groups.push((sign, rows, by_key));
    }
    let [(_, _, first), ..] = &groups[..] else { return Err("nothing to compare".to_owned()) };
    let keys: Vec<&Key<'a>> =
        first.keys().filter(|key| groups.iter().all(|(_, _, of)| of.contains_key(*key))).collect();
    if keys.is_empty() {
        return Err("no two finished rows that differ in nothing else".to_owned());
    }
    let mut found = Compared { contrast: Vec::new(), more: Vec::new(), less: Vec::new() };
    for (sign, rows, by_key) in &groups {
        for key in &keys {
            let trials = chosen(rows, by_key.get(*key).map_or(&[][..], Vec::as_slice), score);
            let weight = sign / (keys.len() * trials.len()) as f64;
            for trial in trials {
                found.contrast.push((weight, trial));
                let side = if *sign > 0.0 { &mut found.more } else { &mut found.less };
                side.push(trial.name.clone());
            }
        }
    }
    Ok(found)
}

/// The finished trials of a study that have the axes' values.
fn candidates<'a>(rows: &RowsOf, study: &'a Selected) -> Vec<&'a Trial> {
    let finished = study.trials.iter().filter(|trial| !trial.runs.is_empty());
    finished.filter(|trial| rows.admits(trial, &study.trials)).collect()
}

impl RowsOf {
    /// Whether a trial has the axes' values; `all` are the trials of its study.
    pub fn admits(&self, trial: &Trial, all: &[Trial]) -> bool {
        self.axes.iter().all(|(axis, wanted)| match trial.axes.get(axis) {
            Some(value) => wanted.admits(value, &values(axis, all)),
            None => matches!(wanted, Value::IsIfVaried(_)) && values(axis, all).is_empty(),
        })
    }
}

/// The values of an axis, in the order of the study.
fn values(axis: &str, trials: &[Trial]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for value in trials.iter().filter_map(|trial| trial.axes.get(axis)) {
        if !all.contains(value) {
            all.push(value.clone());
        }
    }
    all
}

/// Which trials a published row of a study is about; None where it is matched by its name.
pub fn place_of(table: &str, row: &str) -> Option<RowsOf> {
    places().into_iter().find(|place| place.table == table && place.row == row).map(|p| p.rows)
}

/// All of them, or the best.
fn chosen<'a>(
    rows: &RowsOf,
    trials: &[&'a Trial],
    score: &dyn Fn(&Trial) -> Option<f64>,
) -> Vec<&'a Trial> {
    if !rows.best {
        return trials.to_vec();
    }
    let scored = trials.iter().filter_map(|trial| Some((score(trial)?, *trial)));
    // Of equal ones the first.
    let best = scored.reduce(|best, next| if next.0 > best.0 { next } else { best });
    best.map(|(_, trial)| trial).or_else(|| trials.first().copied()).into_iter().collect()
}

fn told(rows: &RowsOf) -> String {
    let parts: Vec<String> = rows.axes.iter().map(|(axis, value)| value.told(axis)).collect();
    parts.join(", ")
}
