//! How answers are written is a field of the experiment, and part of what a run is if it isn't greedy.
#![allow(clippy::expect_used)]

mod support;

use std::path::{Path, PathBuf};

use support::{fixture, folder, succeed, text};

/// Runs the tiny experiment with a way to answer; the runs that there are then.
fn run(out: &Path, generate: &str, more: &[&str]) -> Vec<PathBuf> {
    let file = fixture("runs/tiny.ron");
    let small = ["--set", "stages.0.data.samples=16", "--set", "stages.1.data.samples=16"];
    let generate = format!("generate={generate}");
    let arguments = ["run", text(&file), "--out", text(out), "--set", &generate];
    succeed(&[&arguments[..], &small, more].concat());
    let runs = std::fs::read_dir(out.join("runs")).expect("runs");
    let mut runs: Vec<PathBuf> = runs.map(|run| run.expect("a run").path()).collect();
    runs.sort();
    runs
}

fn predictions(run: &Path) -> Vec<u8> {
    let name = "predictions/mini-colour.jsonl";
    std::fs::read(run.join(name)).expect(name)
}

#[test]
fn sampled_answers_are_another_run_of_the_same_model_and_the_same_every_time() {
    let home = folder();
    let out = home.path();
    let greedy = run(out, "Greedy", &[]);
    assert_eq!(greedy.len(), 1);
    let sample = "Sample(temperature: 2.0, top_k: 40, seed: 1)";
    let both = run(out, sample, &[]);
    assert_eq!(both.len(), 2, "{both:?}");
    let stages = std::fs::read_dir(out.join("cache/stages")).expect("stages").count();
    assert_eq!(stages, 2, "nothing was trained again");
    let sampled = both.iter().find(|run| !greedy.contains(run)).expect("another run");
    let (first, other) = (predictions(sampled), predictions(&greedy[0]));
    assert_ne!(first, other);
    run(out, sample, &["--force"]);
    assert_eq!(predictions(sampled), first, "answered again");
    assert_eq!(run(out, "Sample(temperature: 2.0, top_k: 40, seed: 2)", &[]).len(), 3);
}

#[test]
fn an_experiment_that_says_nothing_is_greedy_and_so_is_its_identity() {
    let home = folder();
    let said = run(home.path(), "Greedy", &[]);
    let file = fixture("runs/tiny.ron");
    let small = ["--set", "stages.0.data.samples=16", "--set", "stages.1.data.samples=16"];
    succeed(&[&["run", text(&file), "--out", text(home.path())][..], &small].concat());
    let runs = std::fs::read_dir(home.path().join("runs")).expect("runs").count();
    assert_eq!(runs, said.len());
}
