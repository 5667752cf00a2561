//! `eagle-lab watch`: runs are seen from the files that they leave, and from nothing else.
#![allow(clippy::expect_used)]

mod support;

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use support::{fixture, folder, program, refuse, succeed, text, write};

/// A copy of the fixture's results: a trial that is done, one that is begun, one that failed, one
/// that waits.
fn copied(to: &Path) {
    fn copy(from: &Path, to: &Path) {
        std::fs::create_dir_all(to).expect("a folder");
        for entry in std::fs::read_dir(from).expect("a folder") {
            let path = entry.expect("an entry").path();
            let place = to.join(path.file_name().expect("a name"));
            if path.is_dir() {
                copy(&path, &place);
            } else {
                std::fs::copy(&path, &place).expect("copied");
            }
        }
    }
    copy(&fixture("watch"), to);
}

const RUNNING: &str = "runs/x2-000000000002";

/// Holds the running trial's lock, as the process that runs it does.
fn held(out: &Path) -> File {
    let lock = File::create(out.join(RUNNING).join("lock")).expect("a lock");
    lock.lock().expect("locked");
    lock
}

#[test]
fn a_table_shows_every_trial_with_its_state_progress_loss_and_scores() {
    let out = folder();
    copied(out.path());
    let lock = held(out.path());
    let seen = succeed(&["watch", text(out.path()), "--once"]);
    let lines: Vec<&str> = seen.lines().collect();
    assert_eq!(lines[0], "fusion: 1 running, 1 queued, 1 failed, 1 done", "{seen}");
    let line = |name: &str| *lines.iter().find(|line| line.trim().starts_with(name)).expect(name);
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let done = words(line("concat"));
    assert!(done.starts_with("concat seed 0 done took "), "{done}");
    assert!(done.ends_with("mini-colour 72.0 mini-position 26.0 mini-count 27.0"), "{done}");
    assert_eq!(
        words(line("append")),
        "append seed 0 running fine-tuning (2/2) 20/750 █▇▆▅▄▄▄▃▃▂▂▂▂▁▁▁ 1.0345 154 samples/s, 38 s left"
    );
    let failed = words(line("llava-hr"));
    assert!(
        failed.contains("failed stage `fine-tuning`: the gradient norm of step 13 is NaN"),
        "{failed}"
    );
    assert_eq!(words(line("mini-gemini")), "mini-gemini seed 0 queued");
    // Nobody holds the lock of what was killed.
    drop(lock);
    let seen = succeed(&["watch", text(out.path()), "--once"]);
    assert!(seen.contains("append       seed 0  idle"), "{seen}");
}

#[test]
fn plain_lines_say_what_changes_and_end_when_nothing_is_left() {
    let out = folder();
    copied(out.path());
    let lock = held(out.path());
    let mut child = program()
        .args(["watch", text(out.path()), "--every", "0.05"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut next = || lines.next().expect("a line").expect("UTF-8");
    let first: Vec<String> = (0..4).map(|_| next()).collect();
    assert!(
        first[1].starts_with("fusion: append, seed 0: running  fine-tuning (2/2) 20/750"),
        "{first:?}"
    );
    // A step more is nothing to tell; a benchmark is.
    let run = out.path().join(RUNNING);
    let progress = |text: &str| drop(write(&run, "progress.json", text));
    progress(
        r#"{"doing": "answering", "benchmark": "mini-colour", "blind": false, "done": 64, "of": 200, "at": ""}"#,
    );
    let told = next();
    assert!(told.starts_with("fusion: append, seed 0: running  mini-colour 64/200"), "{told}");
    let done = |folder: &Path| {
        let path = folder.join("manifest.json");
        let text = std::fs::read_to_string(&path).expect("a manifest");
        let text = text.replace("\"status\": \"running\"", "\"status\": \"done\"");
        // As a run does: the old one or the new one is there.
        write(folder, "manifest.new", &text);
        std::fs::rename(folder.join("manifest.new"), path).expect("renamed");
    };
    done(&run);
    drop(lock);
    assert!(next().starts_with("fusion: append, seed 0: done"));
    // What was never begun is planned no more.
    std::fs::remove_dir_all(out.path().join("studies")).expect("removed");
    assert!(child.wait().expect("it ends").success());
}

#[test]
fn a_real_run_is_seen_while_it_goes_on_and_leaves_nothing_behind() {
    let out = folder();
    let file = fixture("runs/tiny.ron");
    let more =
        ["--set", "stages.fine-tuning.data.samples=20000", "--set", "stages.fine-tuning.batch=1"];
    let mut child = program()
        .args(["run", text(&file), "--out", text(out.path()), "--threads", "1"])
        .args(more)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let mut seen = String::new();
    for _ in 0..600 {
        std::thread::sleep(std::time::Duration::from_millis(50));
        if out.path().join("runs").is_dir() {
            seen = succeed(&["watch", text(out.path()), "--once"]);
        }
        if seen.contains("fine-tuning (2/2)") && seen.contains(" left") {
            break;
        }
    }
    child.kill().expect("killed");
    child.wait().expect("it ends");
    assert!(seen.contains("tiny") && seen.contains("running"), "{seen}");
    assert!(seen.contains("fine-tuning (2/2)") && seen.contains("left"), "{seen}");
    let killed = succeed(&["watch", text(out.path()), "--once"]);
    assert!(killed.contains("idle"), "{killed}");
    let small = ["--set", "stages.fine-tuning.data.samples=64", "--set", "name=small"];
    succeed(&[&["run", text(&file), "--out", text(out.path())][..], &small].concat());
    let done = succeed(&["watch", text(out.path()), "--once", "--study", "small"]);
    assert!(done.contains("small: 1 done") && !done.contains("tiny"), "{done}");
    let runs = std::fs::read_dir(out.path().join("runs")).expect("runs");
    let small = runs.map(|run| run.expect("a run").path()).find(|run| text(run).contains("small-"));
    assert!(!small.expect("a run").join("progress.json").exists(), "it is over");
}

#[test]
fn what_is_not_there_is_said() {
    let out = folder();
    let (code, said) = refuse(&["watch", text(&out.path().join("none"))]);
    assert!(code == 2 && said.contains("there is no results folder"), "{said}");
    copied(out.path());
    let (code, said) = refuse(&["watch", text(out.path()), "--once", "--study", "fusoin"]);
    assert!(code == 2 && said.contains("did you mean `fusion`?"), "{said}");
    let empty = folder();
    assert!(
        succeed(&["watch", text(empty.path()), "--once"]).contains("nothing is run or planned")
    );
}
