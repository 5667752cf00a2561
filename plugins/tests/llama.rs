//! Llama's sizes, and what it says: greedy answers against transformers' own `generate`
//! (`tests/fixtures/parity/llama.py`), with and without the key/value cache.
#![allow(clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};

use eagle_core::generate::{Chooser, Prompts, generate};
use eagle_core::nn::ops::{self, Activation, Row};
use eagle_core::nn::{ParamShape, Store};
use eagle_core::registry::{KvCache, Llm, LlmConfig, NoTap, Plugin};
use eagle_core::spec::Generation;
use eagle_core::tensor::{Dev, Tensor};
use eagle_core::weights::{Files, load_files};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/parity");

fn fixtures() -> Vec<PathBuf> {
    let folder = std::fs::read_dir(FIXTURES).expect(FIXTURES);
    let mut paths: Vec<_> = folder.map(|entry| entry.expect(FIXTURES).path()).collect();
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    paths.retain(|path| name(path).starts_with("llama-") && name(path).ends_with(".safetensors"));
    paths.sort();
    assert!(paths.len() >= 3, "{paths:?}");
    paths
}

fn config(text: &str) -> std::sync::Arc<dyn LlmConfig> {
    let registry = eagle_plugins::registry().expect("no duplicates");
    let entry = registry.get("Llama").expect("Llama");
    match (entry.parse)(text).unwrap_or_else(|error| panic!("{text}: {error}")).plugin {
        Plugin::Llm(config) => config,
        _ => panic!("{text} is no LLM"),
    }
}

fn built(files: &Files) -> Box<dyn Llm> {
    let config = config(&files.notes()["plugin"]);
    let mut store = Store::new(&Dev::default(), 0);
    let llm = config.build(&mut store.root()).expect("a model");
    let params = store.into_params();
    load_files(&params, files, "weights/", &config.keys())
        .unwrap_or_else(|error| panic!("{error}"));
    llm
}

/// Whole numbers `[B, T]` of a fixture, sequence by sequence.
fn ids(files: &Files, name: &str) -> Vec<Vec<u32>> {
    let length = files.shape(name).expect(name)[1];
    let values = files.values(name).expect(name);
    values.chunks(length).map(|ids| ids.iter().map(|id| *id as u32).collect()).collect()
}

fn answers(files: &Files, generation: Generation, most: usize) -> Vec<Vec<u32>> {
    let prompts = ids(files, "generate/prompt");
    let rows = prompts.iter().flatten().map(|id| Row::Token(*id)).collect();
    let mut choosers: Vec<Chooser> =
        (0..prompts.len()).map(|i| Chooser::of(generation, &format!("answer {i}"))).collect();
    let prompts = Prompts { visual: None, rows, batch: prompts.len() };
    let stop = u32::MAX;
    generate(built(files).as_ref(), prompts, &mut choosers, stop, most).expect("answers")
}

#[test]
fn greedy_answers_are_those_of_transformers_generate() {
    for path in fixtures() {
        let files = Files::open(&path).expect("a fixture");
        let expected = ids(&files, "generate/answer");
        let most = expected[0].len();
        assert_eq!(answers(&files, Generation::Greedy, most), expected, "{}", path.display());
    }
}

#[test]
fn the_cache_changes_no_logit() {
    for path in fixtures() {
        let files = Files::open(&path).expect("a fixture");
        let llm = built(&files);
        let prompt = ids(&files, "generate/prompt").remove(0);
        let answer = ids(&files, "generate/answer").remove(0);
        let all: Vec<u32> = prompt.iter().chain(&answer).copied().collect();
        let logits = |ids: &[u32], cache: Option<&mut KvCache>| -> Tensor {
            let rows: Vec<Row> = ids.iter().map(|id| Row::Token(*id)).collect();
            let x = ops::splice(None, &llm.embeddings().tensor(), &rows, 1).expect("embeddings");
            let hidden = llm.forward(&x, cache, &mut NoTap).expect("hidden states");
            ops::linear(&hidden, &llm.head().tensor(), None, Activation::None).expect("logits")
        };
        let whole = logits(&all, None);
        let whole = whole.host();
        let mut cache = KvCache::default();
        let mut stepwise = logits(&prompt, Some(&mut cache)).host().into_owned();
        for id in &answer {
            stepwise.extend(logits(&[*id], Some(&mut cache)).host().iter());
        }
        assert_eq!(cache.len(), all.len());
        let largest = whole.iter().fold(0.0f32, |a, b| a.max(b.abs()));
        let apart = whole.iter().zip(&stepwise).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert_eq!(whole.len(), stepwise.len());
        assert!(apart <= 1e-5 * largest, "{}: {apart} of {largest}", path.display());
    }
}

#[test]
fn a_sampled_answer_depends_on_its_seed_and_not_on_its_neighbours() {
    let path = fixtures().remove(0);
    let files = Files::open(&path).expect("a fixture");
    let sample = |temperature, top_k, seed| {
        answers(&files, Generation::Sample { temperature, top_p: 1.0, top_k, seed }, 8)
    };
    let first = sample(5.0, 0, 1);
    assert_eq!(first, sample(5.0, 0, 1));
    assert_ne!(first, sample(5.0, 0, 2));
    // The same prompt alone.
    let prompt = ids(&files, "generate/prompt").remove(0);
    let rows = prompt.iter().map(|id| Row::Token(*id)).collect();
    let generation = Generation::Sample { temperature: 5.0, top_p: 1.0, top_k: 0, seed: 1 };
    let mut alone = [Chooser::of(generation, "answer 0")];
    let prompts = Prompts { visual: None, rows, batch: 1 };
    let said = generate(built(&files).as_ref(), prompts, &mut alone, u32::MAX, 8);
    assert_eq!(said.expect("an answer")[0], first[0]);
    let greedy = ids(&files, "generate/answer");
    assert_eq!(sample(5.0, 1, 1), greedy, "one token to choose from");
    assert_eq!(sample(1e-6, 0, 1), greedy, "no heat");
}

#[test]
fn an_answer_ends_before_its_stop() {
    let path = fixtures().remove(0);
    let files = Files::open(&path).expect("a fixture");
    let full = ids(&files, "generate/answer");
    let stop = full[0][3];
    let rows = ids(&files, "generate/prompt").concat().into_iter().map(Row::Token).collect();
    let prompts = Prompts { visual: None, rows, batch: full.len() };
    let mut choosers = vec![Chooser::of(Generation::Greedy, ""); full.len()];
    let said = generate(built(&files).as_ref(), prompts, &mut choosers, stop, 8).expect("answers");
    for (said, full) in said.iter().zip(&full) {
        let end = full.iter().position(|id| *id == stop).unwrap_or(full.len());
        assert_eq!(said[..], full[..end]);
    }
}

#[test]
fn the_documented_sizes_are_those_of_the_released_models() {
    let count = |text: &str| -> usize {
        let mut store = Store::counting();
        config(text).build(&mut store.root()).expect("counted");
        store.shapes().iter().map(ParamShape::len).sum()
    };
    assert_eq!(count("Llama()"), 6_738_415_616);
    assert_eq!(count("Llama(width: 5120, layers: 40, heads: 40, hidden: 13824)"), 13_015_864_320);
    let llama3 = "Llama(kv_heads: 8, hidden: 14336, vocabulary: 128256, context: 8192, rope_theta: 500000.0)";
    assert_eq!(count(llama3), 8_030_261_248);
}

#[test]
fn wrong_rotary_scalings_are_refused() {
    for (scaling, said) in [
        ("Linear(factor: 0.0)", "0 times"),
        (
            "Llama3(factor: 8.0, low_freq_factor: 4.0, high_freq_factor: 1.0, original_max_position: 8192)",
            "low_freq_factor 4",
        ),
        (
            "Llama3(factor: 8.0, low_freq_factor: 1.0, high_freq_factor: 4.0, original_max_position: 0)",
            "original_max_position",
        ),
    ] {
        let text = format!("Llama(rope_scaling: {scaling})");
        let misfit = config(&text).validate().expect_err(&text);
        assert_eq!(misfit.field, Some("rope_scaling"));
        assert!(misfit.message.contains(said), "{misfit}");
    }
}
