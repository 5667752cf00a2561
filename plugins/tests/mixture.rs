//! Mixtures: how many samples of which source, always the same ones; and nested errors at their place.
#![allow(clippy::expect_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use eagle_core::data::Dataset;
use eagle_core::graph::{self, Context, Graph};
use eagle_core::spec::Problem;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/llava")
}

fn source(data: &str) -> String {
    format!(
        "Experiment(name: \"mixed\", nodes: [
            (id: \"clip\", plugin: ClipVit(image_size: 28, patch_size: 14, width: 8, layers: 1, heads: 2), from: [\"image\"]),
            (id: \"project\", plugin: Linear(), from: [\"clip\"]),
            (id: \"llm\", plugin: Llama(), from: [\"project\", \"text\"]),
        ], stages: [(name: \"s\", train: [\"project\"], data: {data}, batch: 2, lr: 1e-3)])"
    )
    .replace("from: [\"image\"])", "from: [\"image\"], weights: Random)")
    .replace("\"text\"])", "\"text\"], weights: Random)")
}

fn link(data: &str) -> Result<Graph, Vec<Problem>> {
    let registry = eagle_plugins::registry().expect("no duplicates");
    let base = fixtures();
    graph::check(&source(data), &registry, &Context { base: &base, file: None })
}

fn open(data: &str) -> Arc<dyn Dataset> {
    let graph = link(data).unwrap_or_else(|problems| panic_with(&problems));
    graph.stages[0].data.plugin.open(&fixtures()).expect("it opens")
}

fn panic_with(problems: &[Problem]) -> Graph {
    assert!(problems.is_empty(), "{problems:#?}");
    unreachable!()
}

fn identity(data: &str) -> String {
    link(data).unwrap_or_else(|p| panic_with(&p)).stages[0].data.identity.to_string()
}

const WORLD: &str = "MiniWorld(samples: 50)";
const ENTRIES: &str = r#"LlavaJson(path: "entries.json", images: "pictures")"#;

#[test]
fn counts_are_exact_and_the_same_samples_are_drawn_again() {
    let text = format!(
        "Mixture(sources: [(data: {WORLD}, samples: 20, repeat: 3), (data: {ENTRIES}), (data: {ENTRIES}, samples: 2)])"
    );
    let data = open(&text);
    assert_eq!(data.len(), 20 * 3 + 5 + 2);
    let ids: Vec<String> = (0..data.len()).map(|i| data.sample(i).expect("a sample").id).collect();
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    for id in &ids[..60] {
        *times.entry(id.split('+').next().unwrap_or_default()).or_default() += 1;
    }
    assert_eq!(times.len(), 20, "20 different ones");
    assert!(times.values().all(|times| *times == 3), "{times:?}");
    assert!(ids[60..65].iter().all(|id| id.starts_with("1/")), "{ids:?}");
    let distinct: std::collections::BTreeSet<&String> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len(), "ids are unique");
    let again = open(&text);
    assert!((0..data.len()).all(|i| again.sample(i).expect("a sample").id == ids[i]));
    assert_eq!(again.fingerprint(), data.fingerprint());
    // Which samples a source gives doesn't depend on its neighbours, but on the seed.
    let alone = open(&format!("Mixture(sources: [(data: {WORLD}, samples: 20)])"));
    assert!((0..20).all(|i| alone.sample(i).expect("a sample").id == ids[i]));
    let other = open(&format!("Mixture(sources: [(data: {WORLD}, samples: 20)], seed: 1)"));
    assert!((0..20).any(|i| other.sample(i).expect("a sample").id != ids[i]));
    assert_eq!(data.source(0), "0");
    assert_eq!(data.source(66), "2");
}

#[test]
fn prompts_stand_around_the_question_and_not_the_picture() {
    let data = open(&format!(
        "Mixture(sources: [(data: {ENTRIES}, prefix: \"Look.\", suffix: \"Be brief.\")])"
    ));
    let plain = open(ENTRIES);
    let question = |i: usize| data.sample(i).expect("a sample").turns[0].question.clone();
    assert_eq!(question(0), "<image>\nLook.\nwhat?\nBe brief.");
    assert_eq!(question(1), "Look.\nwhich \"one\"?\nBe brief.\n<image>");
    assert_eq!(question(2), "Look.\nno picture\nBe brief.");
    let sample = data.sample(0).expect("a sample");
    assert_eq!(sample.turns[1].question, "Look.\nand?\nBe brief.", "every turn");
    assert_eq!(data.words(0).expect("words"), plain.words(0).expect("words") + 2 * 3);
    assert_eq!(data.words(2).expect("words"), plain.words(2).expect("words") - 3);
}

#[test]
fn a_mixture_may_hold_a_mixture() {
    let data = open(&format!(
        "Mixture(sources: [(data: Mixture(sources: [(data: {ENTRIES}, samples: 3)]), repeat: 2)])"
    ));
    assert_eq!(data.len(), 6);
    assert_eq!(data.source(5), "0/0");
}

#[test]
fn a_mixture_is_what_its_sources_are_however_they_are_written() {
    let one = identity(&format!("Mixture(sources: [(data: {WORLD}, samples: 20)])"));
    let same = "Mixture(sources: [(data: MiniWorld( // a comment\n samples: 50, seed: 0), repeat: 1, samples: 20)])";
    assert_eq!(one, identity(same));
    for other in [
        "Mixture(sources: [(data: MiniWorld(samples: 51), samples: 20)])",
        "Mixture(sources: [(data: MiniWorld(samples: 50), samples: 21)])",
        "Mixture(sources: [(data: MiniWorld(samples: 50), samples: 20, prefix: \"x\")])",
    ] {
        assert_ne!(one, identity(other), "{other}");
    }
    let moved =
        r#"Mixture(sources: [(data: LlavaJson(path: "entries.jsonl", images: "elsewhere"))])"#;
    let here = format!("Mixture(sources: [(data: {ENTRIES})])");
    assert_eq!(identity(&here), identity(moved), "a place is no part of it");
}

#[test]
fn what_is_missing_is_noted_at_its_place_and_too_few_samples_are_an_error() {
    let data = "Mixture(sources: [(data: LlavaJson(path: \"gone.json\")), (data: MiniWorld())])";
    let graph = link(data).unwrap_or_else(|problems| panic_with(&problems));
    let text = source(data);
    let places: Vec<&str> =
        graph.missing.iter().map(|problem| &text[problem.primary.span.clone()]).collect();
    assert_eq!(places, ["\"gone.json\""]);
    let opened = graph.stages[0].data.plugin.open(&fixtures());
    assert!(opened.expect_err("it is gone").to_string().contains("gone.json"));
    let data = format!("Mixture(sources: [(data: {ENTRIES}, samples: 6)])");
    let graph = link(&data).unwrap_or_else(|problems| panic_with(&problems));
    let error = graph.stages[0].data.plugin.open(&fixtures()).expect_err("too few").to_string();
    assert!(error.contains("has 5 samples, fewer than the 6"), "{error}");
}
