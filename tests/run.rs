//! `eagle-lab run`: reproducible to the last bit, resumable from any instant, nothing done twice.

mod support;

use std::process::{Command, Stdio};
use std::time::Duration;

use support::{assert_same, call, fixture, folder, program, refuse, root, succeed, text};

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
    run(stopped.path(), &[]);
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
