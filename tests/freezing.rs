//! Freezing is what a stage trains, down to parts of a node: trained bytes move, frozen ones don't.
#![allow(clippy::expect_used)]

mod support;

use std::path::Path;

use eagle_core::weights::Bundle;
use support::{fixture, folder, succeed, text};

/// Runs the tiny experiment with another first and second list of what is trained.
fn run(out: &Path, first: &str, second: &str) {
    let file = fixture("runs/tiny.ron");
    let set = |stage: &str, targets: &str| format!("stages.{stage}.train={targets}");
    let (first, second) = (set("pre-training", first), set("fine-tuning", second));
    let rates = "stages.fine-tuning.lr_of=[]";
    let layers = "nodes.clip.plugin.layers=3";
    let rest = ["--set", &first, "--set", &second, "--set", rates, "--set", layers];
    succeed(&[&["run", text(&file), "--out", text(out)], &rest[..]].concat());
}

/// The weights after the stage that trained `targets` nodes.
fn weights(out: &Path, steps: usize) -> Bundle {
    let stages = std::fs::read_dir(out.join("cache/stages")).expect("stages");
    let of_steps = |folder: &std::path::PathBuf| {
        let totals = std::fs::read_to_string(folder.join("stage.json")).expect("a finished stage");
        totals.contains(&format!("\"steps\": {steps},"))
    };
    let folder = stages.map(|entry| entry.expect("an entry").path()).find(of_steps);
    Bundle::read(&folder.expect("the stage").join("weights.safetensors")).expect("weights")
}

const ALL: &str = r#"["clip", "convnext", "project", "llm"]"#;

#[test]
fn a_part_that_is_trained_moves_and_the_rest_of_its_node_keeps_its_bytes() {
    let out = folder();
    run(out.path(), ALL, r#"["clip.blocks[-1:]", "llm.lm_head"]"#);
    let (before, after) = (weights(out.path(), 16), weights(out.path(), 32));
    let mut moved = Vec::new();
    for (name, tensor) in &after.tensors {
        if before.tensors[name] != *tensor {
            moved.push(name.as_str());
        }
    }
    let trained = |name: &&str| {
        name.starts_with("clip/vision_model.encoder.layers.2.") || *name == "llm/lm_head.weight"
    };
    assert!(moved.iter().all(trained), "more moved than is trained: {moved:?}");
    let wanted = after.tensors.keys().filter(|name| trained(&name.as_str())).count();
    assert_eq!(moved.len(), wanted, "less moved than is trained: {moved:?}");
    assert!(wanted > 10, "the block has more parameters than {wanted}");
}

#[test]
fn a_frozen_node_behind_a_trained_one_passes_gradients_and_keeps_its_bytes() {
    let out = folder();
    run(out.path(), ALL, r#"["clip"]"#);
    let (before, after) = (weights(out.path(), 16), weights(out.path(), 32));
    // Only what is trained is in a stage's file: the others are as the stage before left them.
    assert!(after.tensors.keys().all(|name| name.starts_with("clip/")));
    let moved = after.tensors.iter().filter(|(name, tensor)| before.tensors[*name] != **tensor);
    let moved = moved.count();
    assert_eq!(moved, after.tensors.len(), "some of the trained encoder got no gradient");
}

#[test]
fn a_plan_says_how_much_of_a_node_is_trained() {
    let file = fixture("runs/tiny.ron");
    let change = r#"stages.pre-training.train=["project.0", "llm.blocks[0].mlp"]"#;
    let plan = succeed(&["plan", text(&file), "--set", change]);
    // Mlp(depth 2) of 32 channels: 32 x 32 + 32 of its 2,112; the LLM's gate, up and down: 3 x 32 x 64.
    assert!(plan.contains("trained in part (1056)"), "{plan}");
    assert!(plan.contains("trained in part (6144)"), "{plan}");
    assert!(plan.contains("trained 7200"), "{plan}");
}
