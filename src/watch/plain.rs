//! What runs are at as plain lines: a table once, or a line whenever something changes.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::state::{State, Study, Trial, time};
use crate::{Failure, print, spark};

/// Columns of a sparkline.
const COLUMNS: usize = 16;
/// Columns of what a trial is at.
const MESSAGE: usize = 64;

/// All trials, a table a study.
pub fn table(studies: &[Study]) -> String {
    if studies.is_empty() {
        return "nothing is run or planned here\n".to_owned();
    }
    let mut text = String::new();
    for study in studies {
        text += &format!("{}: {}\n", study.name, study.summary());
        let rows: Vec<[String; 7]> = study.trials.iter().map(|trial| short(row(trial))).collect();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
        let widths: Vec<usize> = (0..7).map(|column| width(column).unwrap_or(0)).collect();
        for row in rows {
            let cells = row
                .iter()
                .zip(&widths)
                .filter(|(_, width)| **width > 0)
                .map(|(cell, width)| cell.clone() + &" ".repeat(width - cell.chars().count()));
            let line = cells.collect::<Vec<_>>().join("  ");
            text += &format!("  {}\n", line.trim_end());
        }
    }
    text
}

/// Name, seed, state, what it is at, its loss, its speed, its scores.
fn row(trial: &Trial) -> [String; 7] {
    let speed = trial.speed().map_or(String::new(), |(samples, left)| {
        let left = left.map_or(String::new(), |left| format!(", {} left", time(left)));
        format!("{samples:.0} samples/s{left}")
    });
    [
        trial.name.clone(),
        format!("seed {}", trial.seed),
        trial.state.name().to_owned(),
        trial.at(),
        loss(trial),
        speed,
        trial.told(),
    ]
}

/// A row whose message leaves room for the other columns: all of it stands in a line of its own, and
/// in the manifest.
fn short(mut row: [String; 7]) -> [String; 7] {
    if row[3].chars().count() > MESSAGE {
        row[3] = row[3].chars().take(MESSAGE - 1).chain(['…']).collect();
    }
    row
}

/// The curve and the last loss of one that trains.
fn loss(trial: &Trial) -> String {
    let out = trial.folder.as_deref().and_then(Path::parent).and_then(Path::parent);
    let (Some(out), Some(_)) = (out, trial.speed()) else { return String::new() };
    let losses = trial.losses(out);
    let last = losses.last().map_or(String::new(), |loss| format!(" {loss:.4}"));
    spark::of(&losses, COLUMNS) + &last
}

/// Prints what there is, then a line whenever a trial begins, goes on to something else, gets a
/// score or ends; ends when none is queued, running or idle any more.
pub fn follow(
    look: &dyn Fn() -> Result<Vec<Study>, Failure>,
    every: Duration,
) -> Result<(), Failure> {
    let mut known: BTreeMap<(String, String, u64), (State, String, usize)> = BTreeMap::new();
    loop {
        let studies = look()?;
        for (study, trial) in studies.iter().flat_map(|s| s.trials.iter().map(move |t| (s, t))) {
            let key = (study.name.clone(), trial.name.clone(), trial.seed);
            let now = (trial.state, doing(trial), trial.scores.len());
            if known.get(&key) != Some(&now) {
                print(&(line(study, trial) + "\n"));
                known.insert(key, now);
            }
        }
        let open = [State::Queued, State::Running, State::Idle];
        if studies.iter().all(|study| open.iter().all(|state| study.count(*state) == 0)) {
            return Ok(());
        }
        std::thread::sleep(every);
    }
}

/// What changes seldom of what it is at: a stage, a benchmark.
fn doing(trial: &Trial) -> String {
    let at = trial.at();
    let words = at.split(' ').filter(|word| !word.contains('/') || word.starts_with('('));
    words.collect::<Vec<_>>().join(" ")
}

fn line(study: &Study, trial: &Trial) -> String {
    let name = match study.name == trial.name {
        true => study.name.clone(),
        false => format!("{}: {}", study.name, trial.name),
    };
    let rest = row(trial)[2..].iter().filter(|cell| !cell.is_empty()).cloned().collect::<Vec<_>>();
    format!("{name}, seed {}: {}", trial.seed, rest.join("  "))
}
