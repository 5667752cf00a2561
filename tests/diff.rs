//! `eagle-lab diff`: two runs of one file with changes, and what is said of them.
#![allow(clippy::expect_used)]

mod support;

use std::path::Path;

use serde_json::Value;
use support::{fixture, folder, refuse, succeed, text};

fn run(out: &Path, more: &[&str]) {
    let file = fixture("runs/tiny.ron");
    let small = ["--set", "stages.0.data.samples=64", "--set", "stages.fine-tuning.lr=5e-3"];
    let arguments = ["run", text(&file), "--out", text(out), "--threads", "1"];
    succeed(&[&arguments[..], &small, more].concat());
}

/// Two runs that share their first stage: another learning rate, another way to answer.
fn two(out: &Path) {
    run(out, &[]);
    run(
        out,
        &[
            "--set",
            "stages.fine-tuning.lr=1e-3",
            "--set",
            "name=other",
            "--set",
            "generate=Sample(temperature: 1.5, seed: 1)",
        ],
    );
}

fn json(out: &Path, left: &str, right: &str) -> Value {
    let said = succeed(&["diff", left, right, "--format", "json", "--out", text(out)]);
    serde_json::from_str(&said).expect("JSON")
}

#[test]
fn settings_that_differ_are_named_by_their_paths_and_no_others() {
    let out = folder();
    two(out.path());
    let found = json(out.path(), "tiny", "other");
    let settings: Vec<String> = found["settings"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| format!("{} {} {}", one["path"], one["a"], one["b"]).replace('"', ""))
        .collect();
    assert_eq!(
        settings,
        [
            "generate Greedy null",
            "generate.Sample.seed null 1",
            "generate.Sample.temperature null 1.5",
            "generate.Sample.top_k null 0",
            "generate.Sample.top_p null 1.0",
            "stages.fine-tuning.lr 0.005 0.001",
        ]
    );
    assert_eq!(found["shared_stages"], serde_json::json!(["pre-training"]));
    let losses = found["losses"].as_array().expect("a list");
    assert_eq!(losses[0]["parts_at"], Value::Null);
    // A step's loss is that of the weights before it, and the first step of a warm-up changes none.
    assert_eq!(losses[1]["parts_at"], 3);
    assert_eq!(losses[1]["a"]["curve"].as_array().expect("a curve").len(), 32);
}

#[test]
fn flipped_answers_add_up_to_the_difference_of_the_scores() {
    let out = folder();
    two(out.path());
    let found = json(out.path(), "tiny", "other");
    let scores = found["scores"].as_array().expect("a list");
    assert_eq!(scores.len(), 4, "two benchmarks, seeing and blind");
    let mut flipped = 0;
    for answers in found["answers"].as_array().expect("a list") {
        let count = |name: &str| answers[name].as_u64().expect("a number");
        let flips = answers["flips"].as_array().expect("a list");
        assert_eq!(count("both_right") + count("both_wrong") + flips.len() as u64, count("n"));
        let gain: f64 = flips
            .iter()
            .map(|flip| {
                let score = |side: &str| flip[side][1].as_f64().expect("a score");
                score("b") - score("a")
            })
            .sum();
        let score = scores
            .iter()
            .find(|one| one["benchmark"] == answers["benchmark"] && one["blind"] == false);
        let difference = score.expect("a score")["difference"]["value"].as_f64().expect("a number");
        assert!((difference - gain / count("n") as f64).abs() < 1e-12);
        flipped += flips.len();
    }
    assert!(flipped > 0, "nothing to look at");
}

#[test]
fn text_and_page_say_it_and_a_run_is_the_same_as_itself() {
    let out = folder();
    two(out.path());
    let at = ["--out", text(out.path())];
    let said = succeed(&[&["diff", "tiny", "other"][..], &at].concat());
    for part in [
        "A  ",
        "  other, seed 3, done",
        "stages.fine-tuning.lr",
        "pre-training: equal in every step (one and the same stage)",
        "fine-tuning: equal before step 3",
        "mini-colour (blind)",
        "answers to mini-exist: 40 questions",
    ] {
        assert!(said.contains(part), "no {part:?} in\n{said}");
    }
    assert!(said.contains('█') && !said.contains("they computed the same"), "{said}");
    let page = out.path().join("diff.html");
    succeed(&[&["diff", "tiny", "other", "--to", text(&page)][..], &at].concat());
    let html = std::fs::read_to_string(&page).expect("a page");
    assert!(html.contains("data:image/jpeg;base64,"), "no pictures");
    assert!(html.contains("<polyline class=\"curve s1\""), "no curves");
    assert!(!html.contains("http"), "something of the network");
    let same = succeed(&[&["diff", "tiny", "tiny"][..], &at].concat());
    assert!(same.contains("they computed the same"), "{same}");
    assert!(same.contains("settings\n  the same"), "{same}");
    let (code, wrong) = refuse(&[&["diff", "tiny", "ather"][..], &at].concat());
    assert!(code == 2 && wrong.contains("did you mean `other`?"), "{wrong}");
}
