//! `eagle-lab why` and `eagle-lab cache`: what is kept, why it was not found, and whether it is whole.
#![allow(clippy::expect_used)]

mod support;

use std::path::{Path, PathBuf};

use support::{assert_same, fixture, folder, refuse, succeed, text};

fn run(out: &Path, more: &[&str]) {
    let file = fixture("runs/tiny.ron");
    succeed(&[&["run", text(&file), "--out", text(out)], more].concat());
}

fn why(out: &Path, more: &[&str]) -> String {
    let file = fixture("runs/tiny.ron");
    succeed(&[&["why", text(&file), "--out", text(out)], more].concat())
}

/// The folders of finished stages.
fn stages(out: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(out.join("cache/stages")).expect("stages");
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

#[test]
fn why_names_the_input_that_changed_and_nothing_else() {
    let out = folder();
    let said = why(out.path(), &[]);
    assert!(said.contains("there was no other stage"), "{said}");
    run(out.path(), &[]);
    let said = why(out.path(), &[]);
    assert_eq!(said.matches("found: ").count(), 2, "{said}");

    let said = why(out.path(), &["--set", "stages.fine-tuning.lr=5e-4"]);
    assert_eq!(said.matches("found: ").count(), 1, "{said}");
    assert!(said.contains("\n  recipe.lr: 0.001 there, 0.0005 here\n"), "{said}");
    assert_eq!(said.matches(" there, ").count(), 1, "{said}");

    // What changes the first stage changes the second one for the same reason.
    let said = why(out.path(), &["--set", "nodes.clip.plugin.width=24"]);
    let change = "graph.clip.plugin.fields.width: 16 there, 24 here";
    assert_eq!(said.matches(change).count(), 2, "{said}");
    assert_eq!(said.matches(" there, ").count(), 2, "{said}");
}

#[test]
fn why_tells_of_a_run_what_it_found_and_what_it_trained() {
    let out = folder();
    run(out.path(), &[]);
    run(out.path(), &["--set", "stages.fine-tuning.lr=5e-4"]);
    let mut runs: Vec<PathBuf> = std::fs::read_dir(out.path().join("runs"))
        .expect("runs")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    let begun = |run: &PathBuf| {
        let text = std::fs::read_to_string(run.join("manifest.json")).expect("a manifest");
        let at = text.find("\"started\"").expect("a time");
        text[at..].lines().next().expect("a line").to_owned()
    };
    runs.sort_by_key(begun);
    let name = runs[1].file_name().expect("a name").to_str().expect("UTF-8").to_owned();
    let said = succeed(&["why", &name, "--out", text(out.path())]);
    assert!(said.contains("stage pre-training") && said.contains("found: "), "{said}");
    assert!(said.contains("recipe.lr: 0.001 there, 0.0005 here"), "{said}");
    let (code, said) = refuse(&["why", "no-such-run", "--out", text(out.path())]);
    assert!(code == 2 && said.contains("no run `no-such-run`"), "{said}");
}

#[test]
fn a_flipped_bit_is_found_refused_and_repaired() {
    let (whole, damaged) = (folder(), folder());
    run(whole.path(), &[]);
    run(damaged.path(), &[]);
    let verify = ["cache", "verify", "--out", text(damaged.path())];
    assert!(succeed(&verify).contains("as they were written"));
    for stage in stages(damaged.path()) {
        let path = stage.join("weights.safetensors");
        let mut bytes = std::fs::read(&path).expect("weights");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, bytes).expect("weights");
    }
    let (code, said) = refuse(&verify);
    assert!(code == 1 && said.matches("weights.safetensors").count() == 2, "{said}");
    // A run doesn't go on from what is damaged.
    let file = fixture("runs/tiny.ron");
    let change = ["--set", "stages.fine-tuning.lr=5e-4"];
    let (_, said) =
        refuse(&[&["run", text(&file), "--out", text(damaged.path())], &change[..]].concat());
    assert!(said.contains("cache verify"), "{said}");
    succeed(&[&verify[..], &["--remove"]].concat());
    assert!(stages(damaged.path()).is_empty());
    run(damaged.path(), &["--force"]);
    let runs = damaged.path().join("runs");
    let failed = std::fs::read_dir(&runs).expect("runs").map(|run| run.expect("an entry").path());
    for run in failed {
        let manifest = std::fs::read_to_string(run.join("manifest.json")).expect("a manifest");
        if manifest.contains("\"failed\"") {
            std::fs::remove_dir_all(run).expect("the refused run");
        }
    }
    assert_same(whole.path(), damaged.path());
}

#[test]
fn a_stage_that_no_run_needs_is_garbage_and_the_others_stay() {
    let out = folder();
    run(out.path(), &[]);
    run(out.path(), &["--seed", "9"]);
    let list = succeed(&["cache", "list", "--out", text(out.path())]);
    assert_eq!(list.matches("1 run ").count(), 4, "{list}");
    assert_eq!(list.matches("features ").count(), 4, "two encoders of two seeds:\n{list}");
    let gc = |more: &[&str]| succeed(&[&["cache", "gc", "--out", text(out.path())], more].concat());
    assert!(gc(&[]).starts_with("0 entries"));
    let run = std::fs::read_dir(out.path().join("runs")).expect("runs").next().expect("a run");
    std::fs::remove_dir_all(run.expect("an entry").path()).expect("removed");
    let said = gc(&["--dry-run"]);
    assert_eq!(said.matches("would be removed: stage").count(), 2, "{said}");
    assert_eq!(stages(out.path()).len(), 4);
    let said = gc(&["--features"]);
    assert_eq!(said.matches("removed: stage").count(), 2, "{said}");
    assert_eq!(said.matches("removed: features").count(), 4, "{said}");
    assert_eq!(stages(out.path()).len(), 2);
}
