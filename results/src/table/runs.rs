//! Which runs a table stands on: the latest finished run of each trial and seed, by SQL.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::cell::Cell;
use crate::error::nearest;
use crate::frame::Frame;
use crate::schema::AXIS_PREFIX;
use crate::{ResultsError, query};

/// The runs and scores behind a table.
pub struct Selected {
    pub name: String,
    /// In the order of the study; those of an experiment in the order in which they were started.
    pub trials: Vec<Trial>,
    /// Runs that count for nothing, and why.
    pub notes: Vec<String>,
    pub sql: String,
}

pub struct Trial {
    pub name: String,
    /// Its place in the study, as its latest run has it.
    position: Option<i64>,
    pub experiments: BTreeSet<String>,
    /// Its axes and their values, which name its plugins.
    pub axes: BTreeMap<String, String>,
    pub visual_tokens: Vec<f64>,
    /// Of each run: parameters trained and frozen, samples a second.
    pub costs: Vec<(f64, f64, f64)>,
    /// By seed: the run that counts.
    pub runs: BTreeMap<i64, String>,
    pub scores: Vec<Score>,
}

pub struct Score {
    pub seed: i64,
    pub benchmark: String,
    pub metric: String,
    pub blind: bool,
    pub value: f64,
    pub n: usize,
    pub standard_error: Option<f64>,
    pub undecided: usize,
    /// What a guess is expected to score, where known.
    pub chance: Option<f64>,
    /// The best value, where known.
    pub maximum: Option<f64>,
}

/// Everything that the table of `name` needs, except samples.
pub fn select(out: &Path, name: &str) -> Result<Selected, ResultsError> {
    let (column, name) = selecting(out, name)?;
    let name = name.as_str();
    let condition = format!("{column} = {}", quoted(name));
    let runs = query(out, &format!("SELECT * FROM runs WHERE {condition} ORDER BY started, run"))?;
    let (mut trials, mut notes) = trials(&runs);
    // Trials that run side by side start in any order; places in several studies mean nothing.
    if column == "study" {
        trials.sort_by_key(|trial| (trial.position.is_none(), trial.position));
    }
    let sql = format!(
        "SELECT scores.* FROM scores JOIN runs ON scores.run = runs.run \
         WHERE {condition} AND status = 'done' AND main"
    );
    attach_scores(&mut trials, &query(out, &sql)?);
    notes.extend(undecided(&trials));
    Ok(Selected { name: name.to_owned(), trials, notes, sql })
}

/// A text as an SQL literal.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The column and value that select the runs of `name`: a study, else an experiment, else the only study
/// that is named after the table `name` ("fusion": mini-fusion).
fn selecting(out: &Path, name: &str) -> Result<(&'static str, String), ResultsError> {
    let frame =
        query(out, "SELECT DISTINCT study, experiment FROM runs ORDER BY study, experiment")?;
    let names = Rows::new(&frame);
    let column = |column| -> BTreeSet<String> {
        names.rows.iter().filter_map(|row| names.text(row, column)).collect()
    };
    let (studies, experiments) = (column("study"), column("experiment"));
    if studies.contains(name) {
        return Ok(("study", name.to_owned()));
    }
    if experiments.contains(name) {
        return Ok(("experiment", name.to_owned()));
    }
    let after: Vec<&String> =
        studies.iter().filter(|study| study.ends_with(&format!("-{name}"))).collect();
    if let [only] = after[..] {
        return Ok(("study", only.clone()));
    }
    let known: BTreeSet<String> = studies.into_iter().chain(experiments).collect();
    let nearest = nearest(name, known.iter().map(String::as_str));
    let known = known.into_iter().collect();
    Err(ResultsError::UnknownName {
        kind: "study or experiment",
        name: name.to_owned(),
        known,
        nearest,
    })
}

fn trials(frame: &Frame) -> (Vec<Trial>, Vec<String>) {
    let table = Rows::new(frame);
    let mut trials: Vec<Trial> = Vec::new();
    let (mut uncounted, mut older) = (Vec::new(), 0);
    for row in &table.rows {
        let (Some(name), Some(run), Some(seed)) =
            (table.text(row, "trial"), table.text(row, "run"), table.int(row, "seed"))
        else {
            continue;
        };
        let index = trials.iter().position(|t| t.name == name).unwrap_or_else(|| {
            trials.push(Trial::new(name.clone()));
            trials.len() - 1
        });
        trials[index].position = table.int(row, "position").or(trials[index].position);
        let status = table.text(row, "status").unwrap_or_default();
        if status != "done" {
            let why = table.text(row, "error").map(|e| format!(": {e}")).unwrap_or_default();
            let note = format!("Not counted: {name}, seed {seed}: {status}{why} (run {run}).");
            uncounted.push((index, seed, note));
            continue;
        }
        // What went wrong before it went right (the data was repaired) is over.
        uncounted.retain(|(trial, failed, _)| (*trial, *failed) != (index, seed));
        let trial = &mut trials[index];
        trial.experiments.extend(table.text(row, "experiment"));
        let axes = table.columns.iter().filter(|c| c.starts_with(AXIS_PREFIX));
        let value = |axis: &String| {
            let name = axis.trim_start_matches(AXIS_PREFIX).to_owned();
            Some((name, table.text(row, axis)?))
        };
        trial.axes.extend(axes.filter_map(value));
        trial.visual_tokens.extend(table.int(row, "visual_tokens").map(|n| n as f64));
        let count = |name| table.int(row, name).map(|n| n as f64);
        let (trained, frozen) = (count("parameters_trained"), count("parameters_frozen"));
        if let (Some(trained), Some(frozen)) = (trained, frozen) {
            let speed = table.float(row, "samples_per_second").unwrap_or_default();
            trial.costs.push((trained, frozen, speed));
        }
        // Rows come by starting time: a later run of a seed replaces an earlier one.
        older += usize::from(trial.runs.insert(seed, run).is_some());
    }
    let mut notes: Vec<String> = uncounted.into_iter().map(|(_, _, note)| note).collect();
    if older > 0 {
        notes
            .push(format!("Not counted: {older} older run(s) of a trial and seed that ran again."));
    }
    (trials, notes)
}

impl Trial {
    fn new(name: String) -> Self {
        Self {
            name,
            position: None,
            experiments: BTreeSet::new(),
            axes: BTreeMap::new(),
            visual_tokens: Vec::new(),
            costs: Vec::new(),
            runs: BTreeMap::new(),
            scores: Vec::new(),
        }
    }
}

fn attach_scores(trials: &mut [Trial], frame: &Frame) {
    let table = Rows::new(frame);
    for row in &table.rows {
        let run = table.text(row, "run");
        let owner = trials.iter_mut().find_map(|trial| {
            let seed = trial.runs.iter().find(|(_, r)| Some(*r) == run.as_ref()).map(|(s, _)| *s);
            seed.map(|seed| (trial, seed))
        });
        let (Some((trial, seed)), Some(value)) = (owner, table.float(row, "value")) else {
            continue;
        };
        trial.scores.push(Score {
            seed,
            benchmark: table.text(row, "benchmark").unwrap_or_default(),
            metric: table.text(row, "metric").unwrap_or_default(),
            blind: table.cell(row, "blind") == &Cell::Bool(true),
            value,
            n: table.int(row, "n").unwrap_or_default().max(0) as usize,
            standard_error: table.float(row, "standard_error"),
            undecided: table.int(row, "n_undecided").unwrap_or_default().max(0) as usize,
            chance: table.float(row, "chance"),
            maximum: table.float(row, "maximum"),
        });
    }
    for trial in trials {
        trial.scores.sort_by(|a, b| {
            (&a.benchmark, &a.metric, a.blind, a.seed).cmp(&(
                &b.benchmark,
                &b.metric,
                b.blind,
                b.seed,
            ))
        });
    }
}

/// What a benchmark's rules could not judge, over the seeds of each trial.
fn undecided(trials: &[Trial]) -> Vec<String> {
    let mut notes = Vec::new();
    for trial in trials {
        let mut counts: BTreeMap<(&str, bool), (usize, usize)> = BTreeMap::new();
        for score in &trial.scores {
            let count = counts.entry((&score.benchmark, score.blind)).or_default();
            count.0 += score.undecided;
            count.1 += score.n;
        }
        for ((benchmark, blind), (count, n)) in counts {
            let blind = if blind { ", blind" } else { "" };
            if count > 0 {
                let trial = &trial.name;
                notes.push(format!(
                    "Undecided: {trial}, {benchmark}{blind}: {count} answers (n = {n}) that the \
                     benchmark's rules can't judge; they score 0."
                ));
            }
        }
    }
    notes
}

/// A frame's rows with cells by column name.
pub struct Rows {
    columns: Vec<String>,
    pub rows: Vec<Vec<Cell>>,
}

impl Rows {
    pub fn new(frame: &Frame) -> Self {
        let columns = frame.columns().into_iter().map(str::to_owned).collect();
        Self { columns, rows: frame.rows().collect() }
    }

    pub fn cell<'a>(&self, row: &'a [Cell], column: &str) -> &'a Cell {
        let index = self.columns.iter().position(|c| c == column);
        index.and_then(|index| row.get(index)).unwrap_or(&Cell::Null)
    }

    pub fn text(&self, row: &[Cell], column: &str) -> Option<String> {
        if let Cell::Text(value) = self.cell(row, column) { Some(value.clone()) } else { None }
    }

    pub fn int(&self, row: &[Cell], column: &str) -> Option<i64> {
        if let Cell::Int(value) = self.cell(row, column) { Some(*value) } else { None }
    }

    pub fn float(&self, row: &[Cell], column: &str) -> Option<f64> {
        if let Cell::Float(value) = self.cell(row, column) { Some(*value) } else { None }
    }
}
