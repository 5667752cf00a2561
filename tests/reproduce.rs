//! The whole study as its users run it: what it says before, what it runs, and that it goes on.
#![allow(clippy::expect_used, clippy::panic)]

mod support;

use std::path::{Path, PathBuf};

use support::{folder, refuse, succeed, text, write};

const BASE: &str = "Experiment(
    name: \"base\",
    nodes: [
        (id: \"clip\", plugin: ClipVit(image_size: 32, patch_size: 16, width: 16, layers: 1, heads: 2,
            fit: Stretch), from: [\"image\"], weights: Random),
        (id: \"wide\", plugin: ClipVit(image_size: 32, patch_size: 16, width: 24, layers: 1, heads: 2,
            fit: Stretch), from: [\"image\"], weights: Random),
        (id: \"fuse\", plugin: ChannelConcat(grid: 2), from: [\"clip\", \"wide\"]),
        (id: \"project\", plugin: Linear(), from: [\"fuse\"]),
        (id: \"llm\", plugin: Llama(width: 32, layers: 1, heads: 2, hidden: 64, vocabulary: 256,
            context: 128), from: [\"project\", \"text\"], weights: Random),
    ],
    stages: [
        (name: \"warming-up\", train: [\"project\"], data: MiniWorld(samples: 32), batch: 8, lr: 1e-3,
         template: \"mini\"),
        (name: \"tuning\", train: [\"clip\", \"wide\", \"project\", \"llm\"],
         data: MiniWorld(samples: 64), batch: 8, lr: 1e-3, template: \"mini\"),
    ],
    evaluate: [MiniVqa(family: Colour, samples: 8)],
)";

/// Experiments with two studies; the first has a quick budget.
fn experiments(home: &Path) -> PathBuf {
    let studies = home.join("mini/studies");
    std::fs::create_dir_all(&studies).expect("a folder");
    write(&home.join("mini"), "base.ron", BASE);
    let fusion = "Study(
        name: \"mini-fusion\",
        base: \"../base.ron\",
        vary: [Set(\"stages.tuning.lr\", [1e-3, 5e-4])],
        seeds: [0, 1],
        budgets: [(name: \"quick\", seeds: [0], set: [(\"stages.tuning.data.samples\", 16)])],
    )";
    write(&studies, "fusion.ron", fusion);
    let selection = "Study(
        name: \"mini-selection\",
        base: \"../base.ron\",
        search: Greedy(experts: [\"clip\", \"wide\"], score: Mean([\"mini-colour\"])),
    )";
    write(&studies, "selection.ron", selection);
    home.to_owned()
}

#[test]
fn it_says_how_much_it_is_before_and_nothing_is_left_after() {
    let home = folder();
    let experiments = experiments(home.path());
    let out = home.path().join("results");
    let reproduce = |more: &[&str]| {
        let fixed = ["--experiments", text(&experiments), "--out", text(&out), "--jobs", "1"];
        succeed(&[&["reproduce", "all", "--budget", "quick"], &fixed[..], more].concat())
    };
    let said = reproduce(&["--dry-run"]);
    // Of the search: two single experts, then both, whose first stage is the other study's, too.
    let told = "| quick-mini-fusion | 2 | 0 | 3 | 8 |\n| mini-selection | at most 3 | 0 | 6 | 36 |";
    assert!(said.contains(told), "{said}");
    assert!(
        said.contains("5 trials, 0 done. 8 different stages, used 10 times: 8 to train"),
        "{said}"
    );
    assert!(!out.join("runs").exists(), "a dry run writes nothing");

    let ran = reproduce(&[]);
    assert!(ran.contains("| lr=5e-4 |"), "{ran}");
    let again = reproduce(&["--dry-run"]);
    assert!(again.contains(" 0 to train, 0 optimiser steps"), "{again}");
    // The tables come again from what is there.
    let tables = |text: &str| text[text.find("\n| trial").expect("a table")..].to_owned();
    assert_eq!(tables(&reproduce(&[])), tables(&ran));
}

#[test]
fn a_wrong_name_is_told_with_the_right_ones() {
    let home = folder();
    let experiments = experiments(home.path());
    let with = |more: &[&str]| {
        refuse(&[&["reproduce", "--dry-run", "--experiments", text(&experiments)], more].concat())
    };
    let (code, said) = with(&["fusoin"]);
    assert!(code == 2 && said.contains("has no study `fusoin`; did you mean `fusion`?"), "{said}");
    let (code, said) = with(&["--budget", "quik"]);
    assert!(code == 2 && said.contains("--budget quik: none of these studies has it"), "{said}");
    let (code, said) = with(&["--scale", "paper"]);
    assert!(code == 2 && said.contains("name the folder of the experiments"), "{said}");
}
