//! `eagle-lab chat`: a run's model answers what it answered in its run, bit for bit.
#![allow(clippy::expect_used)]

mod support;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use eagle_core::record::{Prediction, read_predictions};
use support::{call, fixture, folder, program, refuse, root, succeed, text, write};

const PICTURES: [&str; 3] = ["wide.png", "wide-grey.png", "processors/portrait.png"];

/// Runs the tiny experiment of a temporary folder, with changes, so that its answers are by chance
/// and each depends on its picture; the only run's folder.
fn run(out: &Path, file: &Path, more: &[&str]) -> PathBuf {
    let generate = "generate=Sample(temperature: 1.5, top_k: 60, seed: 1)";
    let small = ["--set", "stages.0.data.samples=64", "--set", "stages.1.data.samples=64"];
    let arguments = ["run", text(file), "--out", text(out), "--set", generate];
    succeed(&[&arguments[..], &small, more].concat());
    let mut runs = std::fs::read_dir(out.join("runs")).expect("runs");
    runs.next().expect("a run").expect("a run").path()
}

/// What a conversation of these lines answers.
fn converse(out: &Path, run: &str, lines: &str, more: &[&str]) -> String {
    let mut child = program()
        .args(["chat", run, "--out", text(out)])
        .args(more)
        .current_dir(root())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    child.stdin.take().expect("a pipe").write_all(lines.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn predictions(run: &Path, benchmark: &str) -> Vec<Prediction> {
    let path = run.join("predictions").join(format!("{benchmark}.jsonl"));
    read_predictions(&path).expect("predictions")
}

/// The answers to the first questions of a benchmark, as the run gave them and as chat does.
fn assert_same_answers(out: &Path, run: &Path, benchmark: &str) {
    let found = predictions(run, benchmark);
    let found = &found[..12];
    let lines: String = (0..found.len()).map(|n| format!("/sample {benchmark}:{n}\n")).collect();
    let answers: Vec<&str> = found.iter().map(|one| one.prediction.as_str()).collect();
    let different: std::collections::BTreeSet<&&str> = answers.iter().collect();
    assert!(different.len() > 6, "too much alike to compare: {answers:?}");
    assert_eq!(converse(out, text(run), &lines, &[]), answers.join("\n") + "\n");
}

#[test]
fn a_question_of_a_benchmark_has_the_answer_that_the_run_gave() {
    let out = folder();
    let run = run(out.path(), &fixture("runs/tiny.ron"), &[]);
    assert_same_answers(out.path(), &run, "mini-colour");
    let sample = predictions(&run, "mini-exist")[3].sample.clone();
    let said = succeed(&[
        "chat",
        "tiny",
        "--sample",
        &format!("mini-exist:{sample}"),
        "--out",
        text(out.path()),
    ]);
    assert_eq!(said, format!("{}\n", predictions(&run, "mini-exist")[3].prediction));
}

#[test]
fn a_picture_of_one_s_own_has_the_answer_that_a_benchmark_of_it_gets() {
    let (home, out) = (folder(), folder());
    let samples = PICTURES.iter().enumerate().map(|(n, picture)| {
        let path = fixture("preprocess").join(picture);
        format!(
            r#"{{"id": "{n}", "image": {:?}, "conversations": [
            {{"from": "human", "value": "<image>\nwhat is there?"}}, {{"from": "gpt", "value": "x"}}]}}"#,
            text(&path)
        )
    });
    let questions = samples.collect::<Vec<_>>().join(",");
    let questions = write(home.path(), "own.json", &format!("[{questions}]"));
    let evaluate = format!("evaluate=[LlavaVqa(path: {:?})]", text(&questions));
    let greedy =
        ["--set", &evaluate, "--set", "generate=Greedy", "--set", "nodes.clip.plugin.width=24"];
    let learns =
        ["--set", "stages.fine-tuning.lr=5e-3", "--set", "stages.fine-tuning.data.samples=600"];
    let run = run(out.path(), &fixture("runs/tiny.ron"), &[&greedy[..], &learns].concat());
    let found = predictions(&run, "llava-vqa");
    assert!(found.iter().any(|one| !one.prediction.is_empty()), "{found:?}");
    for (picture, found) in PICTURES.iter().zip(&found) {
        let path = fixture("preprocess").join(picture);
        let arguments = ["chat", text(&run), "--out", text(out.path()), "--image", text(&path)];
        let said = succeed(&[&arguments[..], &["what is there?"]].concat());
        assert_eq!(said, format!("{}\n", found.prediction), "{picture}");
    }
}

#[test]
fn weights_of_other_experiments_are_found_where_they_were_made() {
    let (home, out) = (folder(), folder());
    let tiny = std::fs::read_to_string(fixture("runs/tiny.ron")).expect("a file");
    let source = tiny.replace("\"tiny\"", "\"source\"").replace("seed: 3", "seed: 9");
    write(home.path(), "source.ron", &source);
    // The encoders and the LLM are the source's, and nothing trains the first of them.
    let start = "from: [\"image\"], weights: From(\"source.ron\")";
    let second = tiny
        .replace("from: [\"image\"]", start)
        .replace(
            "train: [\"clip\", \"convnext\", \"project\", \"llm\"]",
            "train: [\"convnext\", \"project\", \"llm\"]",
        )
        .replace("lr_of: [(\"clip\", 5e-4)], ", "");
    let second = write(home.path(), "second.ron", &second);
    let small = |stage: &str| format!("stages.{stage}.data.samples=64");
    succeed(&[
        "run",
        text(&home.path().join("source.ron")),
        "--out",
        text(out.path()),
        "--set",
        &small("0"),
        "--set",
        &small("1"),
    ]);
    run(out.path(), &second, &[]);
    let run = std::fs::read_dir(out.path().join("runs")).expect("runs");
    let mut runs = run.map(|run| run.expect("a run").path());
    let run = runs.find(|run| text(run).contains("tiny-")).expect("the second run");
    assert_same_answers(out.path(), &run, "mini-colour");
    assert_same_answers(out.path(), &run, "mini-exist");
    std::fs::remove_dir_all(out.path().join("cache/stages")).expect("removed");
    let (code, said) = refuse(&["chat", "tiny", "hello", "--out", text(out.path())]);
    assert_eq!(code, 1);
    assert!(said.contains("not in the cache any more") && said.contains("second.ron"), "{said}");
    assert!(said.contains("--force"), "{said}");
}

#[test]
fn a_conversation_goes_on_over_lines_and_its_mistakes_are_said() {
    let out = folder();
    let run = run(out.path(), &fixture("runs/tiny.ron"), &[]);
    let picture = fixture("preprocess/wide.png");
    let say = |lines: &str| converse(out.path(), "tiny", lines, &[]);
    let one = say("what is there?\n");
    let after = say("what is there?\nand what else?\n");
    assert!(after.starts_with(&one) && after.len() > one.len(), "{after}");
    // What was said before counts, until it is forgotten.
    let again = say("what is there?\n/reset\nwhat is there?\n\n/quit\nunheard\n");
    assert_eq!(again, one.repeat(2));
    assert_ne!(say(&format!("/image {}\nwhat is there?\n", text(&picture))), one);
    let chat = |more: &[&str]| {
        let (code, said) =
            refuse(&[&["chat", "tiny", "--out", text(out.path())][..], more].concat());
        assert_eq!(code, 2, "{said}");
        said
    };
    let long = "is it so? ".repeat(60);
    assert!(chat(&[&long]).contains("leaves no room for an answer"));
    let cargo = root().join("Cargo.toml");
    assert!(chat(&["--image", text(&cargo), "what?"]).contains("Cargo.toml"));
    assert!(chat(&["--image", "no-such.png", "what?"]).contains("no-such.png"));
    assert!(chat(&["--sample", "mini-colours:1"]).contains("`mini-colour`"));
    assert!(chat(&["--sample", "mini-colour:40"]).contains("a number below 40"));
    assert!(chat(&["--temperature", "-1", "what?"]).contains("--temperature -1"));
    let (_, said) = refuse(&["chat", "tony", "what?", "--out", text(out.path())]);
    assert!(said.contains("did you mean `tiny`?"), "{said}");
    // One that is not done says how it can be.
    let manifest = run.join("manifest.json");
    let done = std::fs::read_to_string(&manifest).expect("a manifest");
    std::fs::write(&manifest, done.replace("\"done\"", "\"interrupted\"")).expect("written");
    let said = chat(&["what?"]);
    assert!(said.contains("was interrupted; to go on:") && said.contains("tiny.ron"), "{said}");
}

#[test]
fn a_name_that_two_runs_have_lists_them() {
    let out = folder();
    let file = fixture("runs/tiny.ron");
    run(out.path(), &file, &[]);
    let seed = ["run", text(&file), "--out", text(out.path()), "--seed", "4"];
    let small = ["--set", "stages.0.data.samples=64", "--set", "stages.1.data.samples=64"];
    assert!(call(&[&seed[..], &small].concat()).status.success());
    for name in ["tiny", "tiny-", text(&file)] {
        let (code, said) = refuse(&["chat", name, "what?", "--out", text(out.path())]);
        assert_eq!(code, 2);
        assert!(said.contains("several runs"), "{said}");
        assert!(said.contains("seed 3, done") && said.contains("seed 4, done"), "{said}");
    }
}
