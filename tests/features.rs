//! Frozen features are computed once: the cache changes the speed and nothing else.
#![allow(clippy::expect_used)]

mod support;

use std::path::{Path, PathBuf};

use support::{assert_same, call, fixture, folder, succeed, text};

/// Runs the tiny experiment for two epochs of the projector alone, then of everything, with the
/// cache as told; what the program said.
fn run(out: &Path, cache: &str, more: &[&str]) -> String {
    let file = fixture("runs/tiny.ron");
    let cache = format!("stages.pre-training.feature_cache={cache}");
    let rest = ["--set", "stages.pre-training.epochs=2", "--set", &cache];
    let arguments = [&["run", text(&file), "--out", text(out)], &rest[..], more].concat();
    let output = call(&arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    said
}

fn shelves(out: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(out.join("cache/features")) else { return Vec::new() };
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

#[test]
fn a_cached_stage_and_one_that_is_not_have_the_same_bytes() {
    let (off, on, twice) = (folder(), folder(), folder());
    let said = run(off.path(), "Off", &[]);
    assert!(!said.contains("frozen features"), "{said}");
    assert!(shelves(off.path()).is_empty());
    // 256 samples, each seen twice by two encoders: computed once, read once.
    let said = run(on.path(), "F32", &[]);
    assert!(said.contains("frozen features: 512 of 1024 from the cache"), "{said}");
    assert_eq!(shelves(on.path()).len(), 2, "a shelf for each encoder");
    assert_same(off.path(), on.path());
    // A stage that is made again reads what the first one left.
    run(twice.path(), "F32", &[]);
    let said = run(twice.path(), "F32", &["--force"]);
    assert!(said.contains("frozen features: 1024 of 1024 from the cache"), "{said}");
    assert_same(off.path(), twice.path());
}

#[test]
fn another_recipe_reads_the_same_features_and_other_weights_do_not() {
    let out = folder();
    run(out.path(), "F32", &[]);
    let said = run(out.path(), "F32", &["--set", "stages.pre-training.lr=5e-4"]);
    assert!(said.contains("frozen features: 1024 of 1024 from the cache"), "{said}");
    let said = run(out.path(), "F32", &["--seed", "9"]);
    assert!(said.contains("frozen features: 512 of 1024 from the cache"), "{said}");
}

#[test]
fn damaged_records_are_computed_again_with_the_same_bytes() {
    let (whole, damaged) = (folder(), folder());
    run(whole.path(), "F32", &[]);
    run(damaged.path(), "F32", &[]);
    for shelf in shelves(damaged.path()) {
        let path = shelf.join("records.bin");
        let mut bytes = std::fs::read(&path).expect("records");
        let length = bytes.len();
        bytes.iter_mut().step_by(1001).for_each(|byte| *byte ^= 4);
        bytes.truncate(length - 777);
        std::fs::write(&path, bytes).expect("records");
    }
    let said = run(damaged.path(), "F32", &["--force"]);
    assert!(!said.contains("1024 of 1024"), "nothing was missed:\n{said}");
    assert_same(whole.path(), damaged.path());
}

#[test]
fn sixteen_bits_are_a_setting_of_their_own_with_the_same_bytes_again() {
    let (one, two, full) = (folder(), folder(), folder());
    run(one.path(), "F16", &[]);
    run(two.path(), "F16", &["--feature-cache", "0"]);
    run(full.path(), "F32", &[]);
    assert_same(one.path(), two.path());
    let loss = "SELECT value FROM metrics WHERE name = 'loss' ORDER BY stage, step";
    let ask = |out: &Path| succeed(&["query", loss, "--out", text(out), "--format", "csv"]);
    assert_ne!(ask(one.path()), ask(full.path()));
    let size = |out: &Path| -> u64 {
        let records = shelves(out).into_iter().map(|shelf| shelf.join("records.bin"));
        records.map(|path| path.metadata().expect("records").len()).sum()
    };
    assert!(size(one.path()) < size(full.path()) * 6 / 10);
    assert_eq!(size(two.path()), 0, "no room, and yet something was kept");
}

#[test]
fn mirrored_pictures_have_features_of_their_own() {
    let (off, on) = (folder(), folder());
    let flip = ["--set", "stages.pre-training.flip=true"];
    run(off.path(), "Off", &flip);
    run(on.path(), "F32", &flip);
    assert_same(off.path(), on.path());
}

#[test]
fn another_trial_or_seed_leaves_the_numbers_of_the_others_alone() {
    let (few, many) = (folder(), folder());
    let study = |out: &Path, rates: &str, seeds: &str| {
        let home = folder();
        let base = std::fs::read_to_string(fixture("runs/tiny.ron")).expect("the base");
        support::write(home.path(), "tiny.ron", &base);
        let study = format!(
            "Study(name: \"rates\", base: \"tiny.ron\",
                vary: [Set(\"stages.fine-tuning.lr\", {rates})], seeds: {seeds})"
        );
        let study = support::write(home.path(), "study.ron", &study);
        succeed(&["run", text(&study), "--out", text(out), "--jobs", "2"]);
    };
    study(few.path(), "[1e-3, 5e-4]", "[0]");
    study(many.path(), "[2e-3, 5e-4, 1e-3]", "[1, 0]");
    let shared = "SELECT runs.trial, metrics.stage, metrics.step, metrics.name, metrics.value FROM metrics \
                  JOIN runs ON metrics.run = runs.run \
                  WHERE runs.seed = 0 AND runs.trial <> 'lr=2e-3' AND metrics.name = 'loss' \
                  ORDER BY trial, stage, step";
    let ask = |out: &Path| succeed(&["query", shared, "--out", text(out), "--format", "csv"]);
    let rows = ask(few.path());
    assert_eq!(rows.lines().count(), 1 + 2 * (16 + 32), "{rows}");
    assert_eq!(rows, ask(many.path()));
}

#[test]
fn a_fusion_that_reads_the_questions_has_the_same_bytes_with_and_without_the_cache() {
    let tiny = std::fs::read_to_string(fixture("runs/tiny.ron")).expect("the base");
    let third = "(id: \"coarse\", plugin: ClipVit(image_size: 32, patch_size: 16, width: 8, \
                 layers: 1, heads: 2, fit: Stretch), from: [\"image\"]),";
    let mova = "Mova(layers: 1, heads: 2, top_k: 2, zero_init: false, vocabulary: 256, text_width: 8), \
                from: [\"clip\", \"convnext\", \"coarse\"]";
    let asked = tiny
        .replace("ChannelConcat(grid: 4), from: [\"clip\", \"convnext\"]", mova)
        .replace("(id: \"fuse\"", &format!("{third}\n        (id: \"fuse\""))
        .replace("train: [\"project\"]", "train: [\"fuse\", \"project\"]")
        .replace("train: [\"clip\", ", "train: [\"clip\", \"coarse\", \"fuse\", ");
    let home = folder();
    let file = support::write(home.path(), "asked.ron", &asked);
    let run = |cache: &str| {
        let out = folder();
        let cache = format!("stages.pre-training.feature_cache={cache}");
        let output = call(&["run", text(&file), "--out", text(out.path()), "--set", &cache]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        out
    };
    let (off, on) = (run("Off"), run("F32"));
    assert_eq!(shelves(on.path()).len(), 3, "a shelf for each encoder");
    assert_same(off.path(), on.path());
}
