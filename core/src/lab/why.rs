//! Why a stage is trained and not found: which input differs from that of the nearest stage there is.
//!
//! Every stage's folder has a note, `identity.json`: whose stage it was first, when, and everything
//! that its id is the hash of.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::LabError;
use super::stages::TOTALS;
use super::work::{self, Work};
use crate::graph::Graph;
use crate::record::{self, Manifest, RecordError};

/// What a stage's folder says of where it comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Note {
    /// Its identity.
    #[serde(default)]
    pub id: String,
    /// The experiment that began it.
    pub experiment: String,
    /// Its name there.
    pub stage: String,
    /// When it was begun, RFC 3339, UTC.
    pub begun: String,
    /// What its identity is the hash of.
    pub identity: Value,
}

const NOTE: &str = "identity.json";

impl Note {
    pub(super) fn of(work: &Work<'_>, index: usize) -> Note {
        let opened = &work.stages[index];
        Note {
            id: opened.id.clone(),
            experiment: work.graph.name.clone(),
            stage: work.graph.stages[index].spec.name.value.clone(),
            begun: record::now(),
            identity: opened.identity.clone(),
        }
    }

    /// Writes the note, unless there is one: of the sitting in which the stage was begun.
    pub(super) fn write(&self, folder: &Path) -> Result<(), RecordError> {
        let path = folder.join(NOTE);
        if path.exists() { Ok(()) } else { record::write_json(&path, self) }
    }

    /// Reads the note of a stage's folder; `None` if there is none.
    ///
    /// # Errors
    /// The file can't be read or is damaged.
    pub fn read(folder: &Path) -> Result<Option<Note>, RecordError> {
        record::read_json(&folder.join(NOTE))
    }
}

/// What is to be said of one stage.
#[derive(Debug, Clone, PartialEq)]
pub struct Account {
    /// The experiment.
    pub experiment: String,
    /// The stage.
    pub stage: String,
    /// Its identity.
    pub id: String,
    /// What became of it.
    pub verdict: Verdict,
}

/// What became of a stage, or would.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It was found trained.
    Found {
        /// By whom and when it was begun.
        by: String,
    },
    /// It is begun and not finished.
    Unfinished,
    /// No stage was the same. The nearest, by its name and id, and what differs from it.
    Missed(Option<(String, String, Vec<Difference>)>),
}

/// An input that two stages don't have in common.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Its path: `recipe.lr`, `graph.clip.plugin.fields.image_size`.
    pub input: String,
    /// Its value in the nearest stage; `None` if it has none.
    pub there: Option<String>,
    /// Its value here.
    pub here: Option<String>,
}

/// Says of every stage of an experiment, and of those that it starts from, whether it would be
/// found, and if not, why.
///
/// # Errors
/// Data or weights can't be opened, or results can't be read.
pub fn of_experiment(graph: &Graph, base: &Path, out: &Path) -> Result<Vec<Account>, LabError> {
    let known = notes(out)?;
    let work = work::open(graph, base, out)?;
    let (mut all, mut accounts) = (known.clone(), Vec::new());
    of_work(&work, &known, &mut all, &mut accounts);
    Ok(accounts)
}

/// `all` has what is not trained yet, too.
fn of_work(
    work: &Work<'_>,
    known: &BTreeMap<String, Note>,
    all: &mut BTreeMap<String, Note>,
    accounts: &mut Vec<Account>,
) {
    for source in work.sources.values() {
        of_work(source, known, all, accounts);
    }
    for (index, opened) in work.stages.iter().enumerate() {
        if accounts.iter().any(|account| account.id == opened.id) {
            continue;
        }
        let note = Note::of(work, index);
        let verdict = match known.get(&opened.id) {
            Some(first) if opened.folder.join(TOTALS).exists() => Verdict::Found { by: first.by() },
            Some(_) => Verdict::Unfinished,
            None => Verdict::Missed(nearest(&note, known.values(), all)),
        };
        all.insert(note.id.clone(), note.clone());
        let Note { experiment, stage, id, .. } = note;
        accounts.push(Account { experiment, stage, id, verdict });
    }
}

/// Says of every stage of a run whether it was found when the run began, and if not, why.
///
/// # Errors
/// Results can't be read.
pub fn of_run(manifest: &Manifest, out: &Path) -> Result<Vec<Account>, RecordError> {
    let known = notes(out)?;
    let mut accounts = Vec::new();
    for stage in manifest.sources.iter().chain(&manifest.stages) {
        let Some(note) = known.get(&stage.id) else { continue };
        let earlier = known.values().filter(|other| other.begun < note.begun);
        let verdict = match note.begun < manifest.started {
            true => Verdict::Found { by: note.by() },
            false => Verdict::Missed(nearest(note, earlier, &known)),
        };
        let (experiment, stage, id) =
            (note.experiment.clone(), stage.name.clone(), stage.id.clone());
        accounts.push(Account { experiment, stage, id, verdict });
    }
    Ok(accounts)
}

/// The notes of all stages, by id.
pub(super) fn notes(out: &Path) -> Result<BTreeMap<String, Note>, RecordError> {
    let folder = out.join("cache").join("stages");
    let mut notes = BTreeMap::new();
    let Ok(entries) = std::fs::read_dir(&folder) else { return Ok(notes) };
    for entry in entries {
        let path = entry.map_err(|error| RecordError::new(&folder, error))?.path();
        let id = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if let Some(note) = Note::read(&path)? {
            notes.insert(id.clone(), Note { id, ..note });
        }
    }
    Ok(notes)
}

impl Note {
    fn title(&self) -> String {
        format!("{} of {}", self.stage, self.experiment)
    }

    fn by(&self) -> String {
        format!("{}, begun {}", self.title(), self.begun)
    }
}

/// The stage that has most in common with `note`; of equals, one of the same names, then the latest.
fn nearest<'n>(
    note: &Note,
    others: impl Iterator<Item = &'n Note>,
    known: &BTreeMap<String, Note>,
) -> Option<(String, String, Vec<Difference>)> {
    let ranked = others.filter(|other| other.id != note.id).map(|other| {
        let differences = differences(&other.identity, &note.identity);
        let stranger = (other.stage != note.stage, other.experiment != note.experiment);
        ((differences.len(), stranger, std::cmp::Reverse(&other.begun)), other, differences)
    });
    let (_, other, found) = ranked.min_by(|a, b| a.0.cmp(&b.0))?;
    Some((other.title(), other.id.clone(), traced(found, known, 4)))
}

/// An id that differs is explained by what differs behind it.
fn traced(found: Vec<Difference>, known: &BTreeMap<String, Note>, depth: usize) -> Vec<Difference> {
    let mut all: Vec<Difference> = Vec::new();
    for difference in found {
        let behind = |id: &Option<String>| known.get(id.as_deref()?.trim_matches('"'));
        let more = match (behind(&difference.there), behind(&difference.here)) {
            (Some(there), Some(here)) if depth > 0 => {
                traced(differences(&there.identity, &here.identity), known, depth - 1)
            }
            _ => vec![difference],
        };
        // What a stage has in common with the one before it would be said twice.
        all.extend(more.into_iter().filter(|one| !all.contains(one)).collect::<Vec<_>>());
    }
    all
}

/// Every input that two identities don't have in common.
pub fn differences(there: &Value, here: &Value) -> Vec<Difference> {
    let (mut left, mut right) = (BTreeMap::new(), BTreeMap::new());
    leaves(there, String::new(), &mut left);
    leaves(here, String::new(), &mut right);
    let names: std::collections::BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    let different = names.into_iter().filter(|name| left.get(*name) != right.get(*name));
    different
        .map(|name| Difference {
            input: name.clone(),
            there: left.get(name).cloned(),
            here: right.get(name).cloned(),
        })
        .collect()
}

/// Every leaf of a value by its path. An element of a list is called by its `id`, or by its first
/// value where it is a pair.
fn leaves(value: &Value, path: String, found: &mut BTreeMap<String, String>) {
    let below = |name: &str| match path.as_str() {
        // What a model begins as is not a step of its own to a reader.
        "" | "start" => name.to_owned(),
        path => format!("{path}.{name}"),
    };
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            fields.iter().for_each(|(name, value)| leaves(value, below(name), found));
        }
        Value::Array(items) if !items.is_empty() => {
            for (i, item) in items.iter().enumerate() {
                match (item.get("id").and_then(Value::as_str), item.as_array().map(Vec::as_slice)) {
                    (Some(id), _) => leaves(item, below(id), found),
                    (None, Some([Value::String(name), value])) => leaves(value, below(name), found),
                    _ => leaves(item, below(&i.to_string()), found),
                }
            }
        }
        leaf => drop(found.insert(path, leaf.to_string())),
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = &self.id[..12.min(self.id.len())];
        write!(f, "{}, stage {} ({id}): ", self.experiment, self.stage)?;
        match &self.verdict {
            Verdict::Found { by } => write!(f, "found: {by}"),
            Verdict::Unfinished => write!(f, "begun, not finished: it goes on"),
            Verdict::Missed(None) => write!(f, "trained: there was no other stage"),
            Verdict::Missed(Some((name, other, differences))) => {
                let other = &other[..12.min(other.len())];
                write!(f, "trained: no stage was the same; the nearest is {name} ({other})")?;
                let none = || "-".to_owned();
                for Difference { input, there, here } in differences {
                    let there = there.clone().unwrap_or_else(none);
                    let here = here.clone().unwrap_or_else(none);
                    write!(f, "\n  {input}: {there} there, {here} here")?;
                }
                Ok(())
            }
        }
    }
}
