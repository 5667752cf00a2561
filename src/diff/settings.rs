//! What a run was made of, as a tree whose paths are those that `--set` takes, and what two such
//! trees don't have in common.

use eagle_core::lab::plan::RunPlan;
use eagle_core::lab::why::{Difference, Note, differences as leaves};
use eagle_core::record::Manifest;
use serde_json::{Map, Value, json};

use super::Side;
use crate::Failure;

/// The settings of a run, from its plan; of one that has none from its stages' notes. `None` where
/// those are gone, too.
pub fn of(side: &Side) -> Result<Option<Value>, Failure> {
    let plan = RunPlan::read(&side.folder).map_err(Failure::running)?;
    Ok(match plan {
        Some(plan) => Some(of_plan(&plan)),
        None => noted(side)?.map(|plan| of_plan(&plan)),
    })
}

/// What differs between two runs' settings.
pub fn differences(left: &Value, right: &Value) -> Vec<Difference> {
    let mut found = leaves(left, right);
    // A fingerprint says nothing to a reader where the data's settings differ.
    let paths: Vec<String> = found.iter().map(|one| one.input.clone()).collect();
    found.retain(|one| match one.input.strip_suffix(FINGERPRINT) {
        Some(data) => !paths.iter().any(|path| path != &one.input && path.starts_with(data)),
        None => true,
    });
    found.iter_mut().for_each(|one| {
        one.there = one.there.take().map(plain);
        one.here = one.here.take().map(plain);
    });
    found
}

/// What differs in what isn't part of a run's identity.
pub fn program(left: &Manifest, right: &Manifest) -> Vec<Difference> {
    let of = |manifest: &Manifest| {
        json!({
            "version": manifest.version,
            "commit": manifest.commit,
            "command": manifest.command,
            "os": manifest.machine.os,
            "arch": manifest.machine.arch,
            "threads": manifest.machine.threads,
            "parameters_trained": manifest.parameters_trained,
            "parameters_frozen": manifest.parameters_frozen,
            "visual_tokens": manifest.visual_tokens,
        })
    };
    let mut found = leaves(&of(left), &of(right));
    found.iter_mut().for_each(|one| {
        one.there = one.there.take().map(plain);
        one.here = one.here.take().map(plain);
    });
    found
}

const FINGERPRINT: &str = "content";

/// A leaf as a person writes it: texts without their quotes, floats as short as they can be.
fn plain(leaf: String) -> String {
    match serde_json::from_str(&leaf) {
        Ok(Value::String(text)) => text,
        _ => leaf,
    }
}

fn noted(side: &Side) -> Result<Option<RunPlan>, Failure> {
    let out = side.folder.parent().and_then(std::path::Path::parent).unwrap_or(&side.folder);
    let mut plan = RunPlan::default();
    for (own, stages) in [(false, &side.manifest.sources), (true, &side.manifest.stages)] {
        for stage in stages {
            let folder = out.join("cache").join("stages").join(&stage.id);
            let Some(note) = Note::read(&folder).map_err(Failure::running)? else {
                return Ok(None);
            };
            if own && plan.identity.is_null() {
                plan.identity = json!({ "start": note.identity["start"] });
            }
            plan.stages.push(eagle_core::lab::plan::PlannedStage {
                experiment: if own { side.manifest.experiment.clone() } else { note.experiment },
                name: stage.name.clone(),
                id: stage.id.clone(),
                own,
                steps: stage.steps,
                identity: note.identity,
                plan: Value::Null,
            });
        }
    }
    Ok((!plan.identity.is_null()).then_some(plan))
}

fn of_plan(plan: &RunPlan) -> Value {
    let identity = &plan.identity;
    let start = &identity["start"];
    let mut settings = json!({
        "seed": start["seed"],
        "engine": start["engine"],
        "tokenizer": start["tokenizer"],
        "nodes": nodes(start),
        "template": identity["template"],
        "max_length": identity["max_length"],
        "precision": start.get("precision").cloned().unwrap_or_else(|| json!("F32")),
        "generate": identity.get("generation").cloned().unwrap_or_else(|| json!("Greedy")),
    });
    let (mut stages, mut sources, mut evaluate) = (Map::new(), Map::new(), Map::new());
    for stage in &plan.stages {
        let one = of_stage(&stage.identity);
        match stage.own {
            true => stages.insert(stage.name.clone(), one),
            false => sources.insert(format!("{}/{}", stage.experiment, stage.name), one),
        };
    }
    let benchmarks = identity["benchmarks"].as_array().map_or(&[][..], Vec::as_slice);
    for (name, pair) in plan.benchmarks.iter().zip(benchmarks) {
        let mut one = plugin(&pair[0]);
        one.insert(FINGERPRINT.into(), pair[1].clone());
        evaluate.insert(name.clone(), one.into());
    }
    settings["stages"] = stages.into();
    settings["sources"] = sources.into();
    settings["evaluate"] = evaluate.into();
    settings
}

/// The nodes by their ids, with the weights that they start from.
fn nodes(start: &Value) -> Value {
    let mut nodes = Map::new();
    for node in start["graph"].as_array().into_iter().flatten() {
        let id = node["id"].as_str().unwrap_or_default();
        let weights = start["weights"].as_array().into_iter().flatten();
        let weights = weights.filter(|pair| pair[0] == *id).map(|pair| pair[1].clone()).next();
        let one = json!({
            "plugin": plugin(&node["plugin"]),
            "from": joined(&node["from"]),
            "weights": weights.unwrap_or_else(|| json!("Random")),
        });
        nodes.insert(id.to_owned(), one);
    }
    nodes.into()
}

fn of_stage(identity: &Value) -> Value {
    let mut stage = identity["recipe"].as_object().cloned().unwrap_or_default();
    let mut data = plugin(&identity["data"]["plugin"]);
    data.insert(FINGERPRINT.into(), identity["data"]["fingerprint"].clone());
    stage.insert("data".into(), data.into());
    stage.insert("train".into(), joined(&identity["trains"]));
    stage.into()
}

/// A plugin's name, version and fields side by side.
fn plugin(identity: &Value) -> Map<String, Value> {
    let mut fields = identity["fields"].as_object().cloned().unwrap_or_default();
    fields.values_mut().for_each(|value| *value = joined(value));
    fields.insert("(name)".into(), identity["plugin"].clone());
    fields.insert("(version)".into(), identity["version"].clone());
    fields
}

/// A list of plain values as one text: what moved in it is seen at once.
fn joined(value: &Value) -> Value {
    match value {
        Value::Array(items) => {
            let texts = items.iter().map(|item| plain(item.to_string()));
            Value::String(format!("[{}]", texts.collect::<Vec<_>>().join(", ")))
        }
        other => other.clone(),
    }
}
