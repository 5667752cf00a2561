//! Content addresses: what a stage or a run *is*, apart from what it is called.
//!
//! An identity hashes the resolved configuration, the plugins' versions, the identities of what it
//! starts from, the data's fingerprint and the seed; nothing cosmetic, so that the same work is
//! found again in whichever experiment or study it appears.

use std::path::Path;

use serde_json::{Value, json};

use crate::features::FeatureCache;
use crate::graph::{Graph, Source, Stage};
use crate::spec::Weights;
use crate::tensor::Precision;
use crate::weights::{Files, WeightsError};

/// Raised when the same configuration comes to give other numbers.
const ENGINE: u32 = 2;

/// The hash of a JSON value, independent of the order of its keys, as 32 hexadecimal digits.
pub fn hash(value: &Value) -> String {
    let mut hasher = blake3::Hasher::new();
    feed(&mut hasher, value);
    hasher.finalize().to_hex()[..32].to_owned()
}

fn feed(hasher: &mut blake3::Hasher, value: &Value) {
    match value {
        Value::Object(fields) => {
            let mut sorted: Vec<_> = fields.iter().collect();
            sorted.sort_by_key(|(name, _)| name.as_str());
            hasher.update(b"{");
            for (name, value) in sorted {
                feed(hasher, &Value::String(name.clone()));
                feed(hasher, value);
            }
            hasher.update(b"}");
        }
        Value::Array(items) => {
            hasher.update(b"[");
            items.iter().for_each(|item| feed(hasher, item));
            hasher.update(b"]");
        }
        // Length first, so that neighbours can't run into each other.
        scalar => {
            let text = scalar.to_string();
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
    }
}

/// What a model is before its first stage: its nodes, its seed, its tokenizer's fingerprint, and the
/// identities of the weights that nodes start from (by node id).
pub fn start(graph: &Graph, tokenizer: &str, weights: &[(String, Value)]) -> Value {
    let mut start = json!({
        "engine": ENGINE,
        "seed": graph.seed,
        "graph": nodes(graph),
        "tokenizer": tokenizer,
        "weights": weights.iter().map(|(id, weights)| json!([id, weights])).collect::<Vec<_>>(),
    });
    // A field that came later leaves the identities of those who don't use it alone.
    if graph.precision != Precision::F32 {
        start["precision"] = json!(graph.precision);
    }
    start
}

/// What a stage is, given the fingerprint of its data, the identity of the stage before it, and
/// what the model is before the first one.
pub fn stage(
    graph: &Graph,
    index: usize,
    fingerprint: &str,
    before: Option<&str>,
    start: &Value,
) -> Value {
    let Some(stage) = graph.stages.get(index) else { return Value::Null };
    json!({
        "start": start,
        "index": index,
        "before": before,
        "trains": trained(graph, stage),
        "data": { "plugin": stage.data.identity, "fingerprint": fingerprint },
        "recipe": recipe(stage),
    })
}

/// A stage's trained nodes, sorted by their ids; of one that is trained in part, with its trained
/// parameters. One without parameters is not trained, listed or not.
fn trained(graph: &Graph, stage: &Stage) -> Vec<Value> {
    let mut trained: Vec<(&str, Value)> = Vec::new();
    for &index in &stage.trains {
        let node = &graph.dag[index];
        if node.params.is_empty() {
            continue;
        }
        let value = match stage.parts.get(&index) {
            None => json!(node.id),
            Some(part) => {
                let params = node.params.iter().zip(part).filter(|(_, trained)| **trained);
                let names: Vec<&str> = params.map(|(param, _)| param.name.as_str()).collect();
                json!({ "node": node.id, "parameters": names })
            }
        };
        trained.push((&node.id, value));
    }
    trained.sort_by_key(|(id, _)| *id);
    trained.into_iter().map(|(_, value)| value).collect()
}

/// The nodes' ids, configurations and inputs, independent of their order in the file.
pub fn nodes(graph: &Graph) -> Value {
    let mut nodes: Vec<(String, Value)> = graph
        .dag
        .node_weights()
        .map(|node| {
            let from: Vec<String> =
                node.inputs.iter().map(|source: &Source| graph.source_name(source)).collect();
            (node.id.clone(), json!({ "id": node.id, "plugin": node.identity, "from": from }))
        })
        .collect();
    nodes.sort_by(|a, b| a.0.cmp(&b.0));
    nodes.into_iter().map(|(_, node)| node).collect()
}

fn recipe(stage: &Stage) -> Value {
    let spec = &stage.spec;
    let mut lr_of: Vec<(String, f64)> =
        spec.lr_of.iter().map(|(id, lr)| (id.value.clone(), *lr)).collect();
    lr_of.sort_by(|a, b| a.0.cmp(&b.0));
    let mut recipe = json!({
        "epochs": spec.epochs,
        "batch": spec.batch,
        "accumulate": spec.accumulate,
        "lr": spec.lr,
        "lr_of": lr_of,
        "warmup": spec.warmup,
        "schedule": spec.schedule,
        "weight_decay": spec.weight_decay,
        "betas": [spec.betas.0, spec.betas.1],
        "eps": spec.eps,
        "clip": spec.clip,
        "template": spec.template.name(),
        "max_length": spec.max_length,
        "too_long": spec.too_long,
    });
    // A field that came later leaves the identities of those who don't use it alone.
    if spec.flip {
        recipe["flip"] = json!(true);
    }
    if spec.group_by_modality_length {
        recipe["group_by_modality_length"] = json!(true);
    }
    if spec.feature_cache == FeatureCache::F16 {
        recipe["feature_cache"] = json!(spec.feature_cache);
    }
    recipe
}

/// What a checkpoint is: the hash of its bytes (of all shards, one after the other) and the prefix
/// that is taken from it.
///
/// # Errors
/// A file can't be read.
pub fn file(path: &Path, weights: &Weights) -> Result<Value, WeightsError> {
    let mut hasher = blake3::Hasher::new();
    for part in Files::parts(path)? {
        let reader = std::fs::File::open(&part);
        reader
            .and_then(|mut reader| std::io::copy(&mut reader, &mut hasher))
            .map_err(|error| WeightsError::Io { path: part, error })?;
    }
    let prefix = match weights {
        Weights::File { prefix, .. } => prefix.as_str(),
        Weights::Random | Weights::From { .. } => "",
    };
    Ok(json!({ "file": hasher.finalize().to_hex().as_str(), "prefix": prefix }))
}
