//! `weights: …`: where a node's first values come from, apart from its architecture.

use std::path::PathBuf;

use super::form::{Form, Known};
use super::syntax::{Item, Shape, Value};
use super::values::{Place, text};
use super::{Problem, Spanned};

/// Where a node's first values come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Weights {
    /// `Random`: drawn from the seed and the parameters' names.
    Random,
    /// `File("clip.safetensors")` or
    /// `File(path: "eagle-x4-7b", prefix: "model.vision_tower.vision_towers.0.vision_tower.")`.
    File {
        /// The checkpoint: a `.safetensors` file, an index of shards, or a folder with either; a
        /// relative path starts at the experiment's folder.
        path: PathBuf,
        /// What stands before this node's names in the checkpoint, to the last dot.
        prefix: String,
    },
    /// `From("zoo/clip.ron")` or `From(experiment: "zoo/clip.ron", stage: "…", node: "…")`.
    From {
        /// The experiment's file; a relative path starts at this experiment's folder.
        experiment: PathBuf,
        /// The stage after which they are taken; the last one if absent.
        stage: Option<String>,
        /// The node there; the one of the same id if absent.
        node: Option<String>,
    },
}

const FILE: &[Known] = &[
    Known { name: "path", example: "path: \"clip.safetensors\"", means: "the checkpoint" },
    Known { name: "prefix", example: "prefix: \"model.mm_projector.\"", means: "before its names" },
];

const FROM: &[Known] = &[
    Known { name: "experiment", example: "experiment: \"zoo/clip.ron\"", means: "its file" },
    Known { name: "stage", example: "stage: \"pre-training\"", means: "after which stage" },
    Known { name: "node", example: "node: \"clip\"", means: "the node there" },
];

/// Reads `Random`, `File(…)` or `From(…)`.
pub(super) fn read(place: &Place<'_>) -> Result<Spanned<Weights>, Vec<Problem>> {
    let value = place.value;
    let weights = match &value.shape {
        Shape::Word if place.raw() == "Random" => Weights::Random,
        Shape::Group { name: Some(name), items } if name.value == "File" => file(place, items)?,
        Shape::Group { name: Some(name), items } if name.value == "From" => from(place, items)?,
        _ => return Err(vec![unknown(place)]),
    };
    Ok(Spanned::new(weights, value.span.clone()))
}

fn unknown(place: &Place<'_>) -> Problem {
    let problem = place.wrong("`Random`, `File(\"….safetensors\")` or `From(\"….ron\")`");
    match &place.value.shape {
        Shape::Text(text) if text.ends_with(".ron") => {
            problem.help(format!("write `From({text:?})`"))
        }
        Shape::Text(text) => problem.help(format!("write `File({text:?})`")),
        Shape::Word | Shape::Group { .. } => {
            let found = match &place.value.shape {
                Shape::Group { name: Some(name), .. } => &name.value,
                _ => place.raw(),
            };
            problem.help(super::problem::did_you_mean(
                found,
                "choices",
                &["Random", "File", "From"],
            ))
        }
        _ => problem,
    }
}

/// The only, nameless value of a group.
fn only(items: &[Item]) -> Option<&Value> {
    match items {
        [Item { name: None, value }] => Some(value),
        _ => None,
    }
}

/// The short form `File("…")`, if the first value has no name; more values then need the long one.
fn short(place: &Place<'_>, items: &[Item], long: &str) -> Result<Option<String>, Vec<Problem>> {
    if let Some(value) = only(items) {
        return text(&place.inside(value)).map(|text| Some(text.value));
    }
    match items {
        [Item { name: None, value }, ..] => {
            let problem = Problem::new(
                "a value without a name can only stand alone",
                value.span.clone(),
                "needs a name here",
            );
            Err(vec![
                problem.help(format!("write `{long}: {}`", &place.source[value.span.clone()])),
            ])
        }
        _ => Ok(None),
    }
}

fn file(place: &Place<'_>, items: &[Item]) -> Result<Weights, Vec<Problem>> {
    if let Some(path) = short(place, items, "path")? {
        return Ok(Weights::File { path: path.into(), prefix: String::new() });
    }
    let mut form = Form::open(place.value, place.source, "`File`", "", FILE);
    let path = form.required("path", text);
    let prefix = form.optional("prefix", text).map(|text| text.value).unwrap_or_default();
    let (_, problems) = form.close();
    match path {
        Some(path) if problems.is_empty() => Ok(Weights::File { path: path.value.into(), prefix }),
        _ => Err(problems),
    }
}

fn from(place: &Place<'_>, items: &[Item]) -> Result<Weights, Vec<Problem>> {
    if let Some(path) = short(place, items, "experiment")? {
        return Ok(Weights::From { experiment: path.into(), stage: None, node: None });
    }
    let mut form = Form::open(place.value, place.source, "`From`", "", FROM);
    let experiment = form.required("experiment", text);
    let stage = form.optional("stage", text).map(|text| text.value);
    let node = form.optional("node", text).map(|text| text.value);
    let (_, problems) = form.close();
    match experiment {
        Some(path) if problems.is_empty() => {
            Ok(Weights::From { experiment: path.value.into(), stage, node })
        }
        _ => Err(problems),
    }
}
