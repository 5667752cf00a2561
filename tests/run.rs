//! `eagle-lab run`: reproducible to the last bit, resumable from any instant, nothing done twice.
#![allow(clippy::expect_used)]

mod support;

use std::process::{Command, Stdio};
use std::time::Duration;

use support::{assert_same, call, fixture, folder, program, refuse, root, succeed, text, write};

fn run(out: &std::path::Path, more: &[&str]) -> String {
    let file = fixture("runs/tiny.ron");
    let mut arguments = vec!["run", text(&file), "--out", text(out)];
    arguments.extend(more);
    succeed(&arguments)
}

#[test]
fn a_run_gives_the_same_bytes_again_and_with_any_number_of_threads() {
    let (one, two, three) = (folder(), folder(), folder());
    let table = run(one.path(), &["--threads", "1"]);
    assert!(table.contains("mini-colour"), "no table at the end:\n{table}");
    run(two.path(), &["--threads", "2"]);
    run(three.path(), &["--threads", "3"]);
    assert_same(one.path(), two.path());
    assert_same(one.path(), three.path());
}

#[test]
fn another_seed_gives_other_numbers() {
    let (one, two) = (folder(), folder());
    run(one.path(), &[]);
    run(two.path(), &["--seed", "4"]);
    let loss = "SELECT value FROM metrics WHERE name = 'loss' ORDER BY stage, step";
    let ask =
        |out: &std::path::Path| succeed(&["query", loss, "--out", text(out), "--format", "csv"]);
    assert_ne!(ask(one.path()), ask(two.path()));
}

#[test]
fn a_run_killed_at_twenty_instants_ends_with_the_same_bytes() {
    let (whole, killed) = (folder(), folder());
    run(whole.path(), &[]);
    let file = fixture("runs/tiny.ron");
    let mut kills = 0;
    // A fixed, uneven list of delays, from before anything is read to the middle of a stage.
    let delays =
        [5, 90, 35, 150, 60, 210, 20, 120, 75, 180, 45, 240, 10, 135, 55, 165, 30, 105, 195, 85];
    for delay in delays {
        let mut child = program()
            .args(["run", text(&file), "--out", text(killed.path())])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        std::thread::sleep(Duration::from_millis(delay));
        if child.try_wait().expect("a child").is_none() {
            kills += 1;
            child.kill().expect("SIGKILL");
        }
        child.wait().expect("a child");
    }
    assert!(kills >= 10, "only {kills} of {} kills met a running program", delays.len());
    run(killed.path(), &[]);
    assert_same(whole.path(), killed.path());
}

#[test]
fn an_interrupt_writes_a_checkpoint_and_says_how_to_go_on() {
    let (whole, stopped) = (folder(), folder());
    run(whole.path(), &[]);
    let file = fixture("runs/tiny.ron");
    let mut child = program()
        .args(["run", text(&file), "--out", text(stopped.path())])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // Once there is a metric, it is in the middle of a stage.
    let stages = stopped.path().join("cache/stages");
    let begun = || {
        let entries = std::fs::read_dir(&stages).into_iter().flatten().flatten();
        entries
            .map(|e| e.path().join("metrics.jsonl"))
            .any(|p| p.metadata().is_ok_and(|m| m.len() > 0))
    };
    while !begun() && child.try_wait().expect("a child").is_none() {
        std::thread::sleep(Duration::from_millis(2));
    }
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().expect("kill").success());
    let output = child.wait_with_output().expect("a child");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("to go on, run it again"), "{said}");
    let statuses = succeed(&["query", "SELECT status FROM runs", "--out", text(stopped.path())]);
    assert!(statuses.contains("interrupted"), "{statuses}");
    // What a process that is killed while it writes leaves behind.
    let folders = |name: &str| std::fs::read_dir(stopped.path().join(name)).into_iter().flatten();
    let folders = folders("cache/stages").chain(folders("runs"));
    let left: Vec<_> = folders.map(|f| f.expect("a folder").path().join("x.1.tmp")).collect();
    left.iter().for_each(|path| std::fs::write(path, "half").expect("a file"));
    assert!(left.len() >= 2);
    let again = call(&["run", text(&file), "--out", text(stopped.path())]);
    let said = String::from_utf8_lossy(&again.stderr);
    assert!(again.status.success() && said.contains("goes on from step"), "{said}");
    assert!(!left.iter().any(|path| path.exists()), "half-written files are still there");
    assert_same(whole.path(), stopped.path());
}

#[test]
fn what_is_done_is_not_done_again_and_a_shared_stage_is_trained_once() {
    let out = folder();
    run(out.path(), &[]);
    let file = fixture("runs/tiny.ron");
    let again = call(&["run", text(&file), "--out", text(out.path())]);
    let said = String::from_utf8_lossy(&again.stderr);
    assert!(again.status.success() && !said.contains("step"), "trained again:\n{said}");
    // Another second stage starts from the first one, which is the same work.
    let change = ["--set", "stages.fine-tuning.lr=5e-4"];
    let mut arguments = vec!["run", text(&file), "--out", text(out.path())];
    arguments.extend(change);
    let other = call(&arguments);
    let said = String::from_utf8_lossy(&other.stderr);
    assert!(said.contains("stage pre-training was trained before"), "{said}");
    assert!(!said.contains("stage fine-tuning was trained before"), "{said}");
}

#[test]
fn forced_work_is_done_again_with_the_same_bytes() {
    let (one, two) = (folder(), folder());
    run(one.path(), &[]);
    run(two.path(), &[]);
    run(two.path(), &["--force"]);
    assert_same(one.path(), two.path());
}

#[test]
fn force_trains_a_stage_that_trials_share_once_and_no_source() {
    let (home, out) = (folder(), folder());
    write(home.path(), "source.ron", &language_model("source", "seed: 1,"));
    let start = "weights: From(\"source.ron\")";
    write(home.path(), "base.ron", &language_model("base", "").replace("weights: Random", start));
    let study = "Study(name: \"s\", base: \"base.ron\",
        vary: [Set(\"evaluate\", [[MiniVqa(samples: 8)], [MiniVqa(samples: 9)]])])";
    let study = write(home.path(), "study.ron", study);
    let run = |more: &[&str]| {
        let arguments = [&["run", text(&study), "--out", text(out.path())], more].concat();
        String::from_utf8_lossy(&call(&arguments).stderr).into_owned()
    };
    let trained =
        |said: &str, name: &str| said.matches(&format!("{name}: stage tuning: batch")).count();
    let said = run(&[]);
    assert_eq!((trained(&said, "source"), trained(&said, "base")), (1, 1), "{said}");
    let said = run(&["--force"]);
    assert_eq!((trained(&said, "source"), trained(&said, "base")), (0, 1), "{said}");
}

/// An LLM that reads no picture, trained on a little of the mini world.
fn language_model(name: &str, more: &str) -> String {
    format!(
        "Experiment(
            name: {name:?}, {more}
            nodes: [(id: \"llm\", plugin: Llama(width: 32, layers: 1, heads: 2, hidden: 64,
                vocabulary: 256, context: 96), from: [\"text\"], weights: Random)],
            stages: [(name: \"tuning\", train: [\"llm\"], data: MiniWorld(samples: 64), batch: 16,
                lr: 1e-2, template: \"mini\")],
            evaluate: [MiniVqa(samples: 16)],
        )"
    )
}

/// The same, with answers but no training.
fn asked(name: &str, from: &str) -> String {
    let text = language_model(name, "");
    let start = text.find("stages:").expect("stages");
    let end = text.find("evaluate:").expect("benchmarks");
    let text = format!("{}{}", &text[..start], &text[end..]);
    text.replace("weights: Random", &format!("weights: From({from:?})"))
}

/// The values of a query, row by row.
fn rows(out: &std::path::Path, sql: &str) -> Vec<String> {
    let csv = succeed(&["query", sql, "--out", text(out), "--format", "csv"]);
    csv.lines().skip(1).map(str::to_owned).collect()
}

#[test]
fn an_llm_that_reads_no_picture_is_trained_and_asked_without_it() {
    let (home, out) = (folder(), folder());
    let file = write(home.path(), "words.ron", &language_model("words", ""));
    succeed(&["run", text(&file), "--out", text(out.path())]);
    assert_eq!(rows(out.path(), "SELECT visual_tokens FROM runs"), ["0"]);
    let values = rows(out.path(), "SELECT DISTINCT value FROM scores");
    assert_eq!(values.len(), 1, "seeing and blind differ: {values:?}");
}

#[test]
fn a_model_that_is_only_asked_is_asked_as_it_was_trained() {
    let (home, out) = (folder(), folder());
    let trained = write(home.path(), "trained.ron", &language_model("trained", ""));
    write(home.path(), "asked.ron", &asked("asked", "trained.ron"));
    let asked = write(home.path(), "again.ron", &asked("again", "asked.ron"));
    succeed(&["run", text(&trained), text(&asked), "--out", text(out.path())]);
    let said = |experiment: &str| {
        let sql = format!(
            "SELECT sample, prediction FROM samples JOIN runs ON samples.run = runs.run
             WHERE experiment = '{experiment}' AND NOT blind ORDER BY sample"
        );
        rows(out.path(), &sql)
    };
    assert_eq!(said("trained").len(), 16);
    assert_eq!(said("trained"), said("again"));
    // A template that is written wins.
    let file = home.path().join("again.ron");
    let changed = ["--set", "template=vicuna_v1", "--set", "nodes.llm.plugin.context=512"];
    let (code, _) =
        refuse(&[&["run", text(&file), "--out", text(out.path())], &changed[..2]].concat());
    assert_eq!(code, 1, "Vicuna's prompt fits into a context of 96");
}

#[test]
fn other_start_weights_are_another_run() {
    let (home, out) = (folder(), folder());
    write(home.path(), "trained.ron", &language_model("trained", ""));
    write(home.path(), "asked.ron", &asked("asked", "trained.ron"));
    let again = write(home.path(), "again.ron", &asked("again", "asked.ron"));
    let run = || succeed(&["run", text(&again), "--out", text(out.path())]);
    run();
    run();
    let runs = "SELECT run FROM runs WHERE experiment = 'again'";
    assert_eq!(rows(out.path(), runs).len(), 1);
    write(home.path(), "trained.ron", &language_model("trained", "seed: 1,"));
    run();
    assert_eq!(rows(out.path(), runs).len(), 2, "the old weights' scores were taken");
}

#[test]
fn moved_files_are_the_same_work_and_changed_ones_are_not() {
    let (one, two, out) = (folder(), folder(), folder());
    let tokenizer = std::fs::read_to_string(root().join("plugins/src/world/tokenizer.json"));
    let tokenizer = tokenizer.expect("the tokenizer");
    let line = r#"{"conversations": [{"from": "human", "value": "what"}, {"from": "gpt", "value": "red"}]}"#;
    let model = |folder: &str| {
        language_model("moved", "")
            .replace("context: 96", &format!("context: 96, tokenizer: File(\"{folder}t.json\")"))
            .replace("MiniWorld(samples: 64)", &format!("LlavaJson(path: \"{folder}d.jsonl\")"))
    };
    let run = |home: &std::path::Path, folder: &str, tokenizer: &str, line: &str| {
        std::fs::create_dir_all(home.join(folder)).expect("a folder");
        write(home, &format!("{folder}t.json"), tokenizer);
        write(home, &format!("{folder}d.jsonl"), line);
        let file = write(home, "moved.ron", &model(folder));
        let output = call(&["run", text(&file), "--out", text(out.path())]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        said.contains("moved: stage tuning: batch")
    };
    assert!(run(one.path(), "", &tokenizer, line));
    assert!(!run(two.path(), "elsewhere/", &tokenizer, line), "moved, and trained again");
    assert!(run(one.path(), "", &format!("{tokenizer}\n"), line), "another tokenizer, not trained");
    assert!(
        run(one.path(), "", &tokenizer, &line.replace("red", "blue")),
        "other data, not trained"
    );
}

#[test]
fn a_trial_is_a_row_of_every_study_that_has_it() {
    let (home, out) = (folder(), folder());
    let base = write(home.path(), "base.ron", &language_model("base", ""));
    let study = |name: &str, vary: &str| {
        let study = format!("Study(name: {name:?}, base: \"base.ron\", vary: [{vary}])");
        write(home.path(), &format!("{name}.ron"), &study)
    };
    let one = study("one", "Set(\"stages.0.lr\", [1e-2, 2e-2])");
    let two = study("two", "Set(\"stages.0.lr\", [1e-2, 3e-2])");
    let none = study("none", "");
    succeed(&["run", text(&base), text(&one), text(&two), text(&none), "--out", text(out.path())]);
    for (name, rows) in [
        ("one", &["lr=1e-2", "lr=2e-2"][..]),
        ("two", &["lr=1e-2", "lr=3e-2"]),
        ("none", &["base"]),
        ("base", &["base", "lr=1e-2", "lr=2e-2", "lr=3e-2"]),
    ] {
        let table = succeed(&["table", name, "--out", text(out.path())]);
        rows.iter().for_each(|row| assert!(table.contains(row), "{name} has no {row}:\n{table}"));
        assert_eq!(table.matches("| model | 1 |").count(), rows.len(), "{table}");
        let first = format!("| {} (baseline) |", rows[0]);
        assert!(table.contains(&first), "the first trial is not the baseline:\n{table}");
    }
}

#[test]
fn a_failed_trial_stops_no_study_and_is_said_at_the_end() {
    let (home, out) = (folder(), folder());
    let data = "LlavaJson(path: \"good.jsonl\")";
    let base = language_model("base", "").replace("MiniWorld(samples: 64)", data);
    write(home.path(), "base.ron", &base);
    let line = r#"{"id": "a", "conversations": [{"from": "human", "value": "what"}, {"from": "gpt", "value": "red"}]}"#;
    write(home.path(), "good.jsonl", line);
    write(home.path(), "broken.jsonl", &line.replace("gpt", "nobody"));
    let study = |values: &str| {
        let vary = format!("[Set(\"stages.0.data.path\", [{values}])]");
        let study = format!("Study(name: \"data\", base: \"base.ron\", vary: {vary})");
        write(home.path(), "data.ron", &study)
    };
    let file = study("\"none.jsonl\"");
    let (code, said) = refuse(&["run", text(&file), "--out", text(out.path())]);
    assert!(code == 1 && said.contains("none.jsonl") && !said.contains("no runs"), "{said}");
    let file = study("\"none.jsonl\", \"broken.jsonl\", \"good.jsonl\"");
    let output = call(&["run", text(&file), "--out", text(out.path())]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let list = &said[said.find("\nerror:").expect("an error")..];
    assert!(list.contains("none.jsonl") && list.contains("nobody"), "{said}");
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(table.contains("good.jsonl"), "{table}");
    let failed = "SELECT trial FROM runs WHERE status = 'failed' AND error LIKE '%nobody%'";
    assert_eq!(rows(out.path(), failed), ["path=broken.jsonl"]);
}

#[test]
fn the_log_says_why_a_stage_is_trained() {
    let (home, out) = (folder(), folder());
    let file = write(home.path(), "words.ron", &language_model("words", ""));
    let output = program()
        .args(["run", text(&file), "--out", text(out.path())])
        .env("EAGLE_LAB_LOG", "eagle_core=info")
        .output()
        .expect("the program starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("not done: no stage.json"), "{said}");
}

#[test]
fn every_score_has_its_blind_twin() {
    let out = folder();
    run(out.path(), &[]);
    let sql = "SELECT benchmark, blind, n FROM scores ORDER BY benchmark, blind";
    let rows = succeed(&["query", sql, "--out", text(out.path()), "--format", "csv"]);
    let want = "benchmark,blind,n\nmini-colour,false,40\nmini-colour,true,40\nmini-exist,false,40\n\
                mini-exist,true,40\n";
    assert_eq!(rows, want);
}

#[test]
fn gradient_checkpointing_gives_the_same_bytes() {
    let (plain, less) = (folder(), folder());
    run(plain.path(), &[]);
    run(less.path(), &["--set", "stages.fine-tuning.gradient_checkpointing=true"]);
    let stages = |out: &std::path::Path| {
        let files = ["weights.safetensors", "metrics.jsonl"];
        let ids = std::fs::read_dir(out.join("cache/stages")).expect("stages");
        let mut ids: Vec<_> = ids.map(|entry| entry.expect("a stage").path()).collect();
        ids.sort();
        let read = |path: &std::path::PathBuf| {
            files.map(|file| std::fs::read(path.join(file)).expect("a file"))
        };
        let names: Vec<_> = ids.iter().map(|id| id.file_name().map(ToOwned::to_owned)).collect();
        (names, ids.iter().map(read).collect::<Vec<_>>())
    };
    assert_eq!(stages(plain.path()), stages(less.path()));
}

#[test]
fn mirrored_pictures_give_other_numbers_and_the_same_ones_again() {
    let (plain, one, two) = (folder(), folder(), folder());
    let flip = ["--set", "stages.pre-training.flip=true"];
    run(plain.path(), &[]);
    run(one.path(), &flip);
    run(two.path(), &["--set", "stages.pre-training.flip=true", "--threads", "1"]);
    assert_same(one.path(), two.path());
    let losses = |out: &std::path::Path| {
        let sql = "SELECT value FROM metrics WHERE stage = 'pre-training' AND name = 'loss' ORDER BY step";
        succeed(&["query", sql, "--out", text(out), "--format", "csv"])
    };
    assert_ne!(losses(plain.path()), losses(one.path()));
}

#[test]
fn a_plugin_from_another_repository_runs_end_to_end() {
    let third_party = root().join("tests/third-party");
    // The same compiled dependencies as this workspace's, so that it builds in seconds.
    let target = std::path::Path::new(env!("CARGO_BIN_EXE_eagle-lab"))
        .parent()
        .and_then(std::path::Path::parent)
        .expect("a target folder");
    let build = Command::new(env!("CARGO"))
        .args(["build", "--release", "--locked", "--target-dir", text(target)])
        .current_dir(&third_party)
        .output()
        .expect("cargo starts");
    assert!(build.status.success(), "{}", String::from_utf8_lossy(&build.stderr));
    let lab = target.join("release/colour-lab");
    let lab = |arguments: &[&str]| {
        let output = Command::new(&lab).args(arguments).output().expect("the lab starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}:\n{said}");
        String::from_utf8(output.stdout).expect("it prints UTF-8")
    };
    let listed = lab(&["plugins", "ColourGrid"]);
    assert!(listed.contains("vision encoder of the crate colour-grid"), "{listed}");
    let (out, file) = (folder(), third_party.join("colour.ron"));
    let table = lab(&["run", text(&file), "--out", text(out.path())]);
    assert!(table.contains("mini-colour"), "{table}");
    // This program doesn't know it, and says so.
    let (code, said) = refuse(&["check", text(&file)]);
    assert_eq!(code, 2);
    assert!(said.contains("ColourGrid"), "{said}");
}
