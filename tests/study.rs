//! Studies as their users run them: searches, trials side by side, processes that share the work,
//! trials that fail.
#![allow(clippy::expect_used, clippy::panic)]

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use support::{assert_same, call, folder, program, refuse, succeed, text, write};

/// Three experts in one fusion; a first stage that every learning rate of the second one shares.
fn experts(name: &str) -> String {
    format!(
        "Experiment(
            name: {name:?},
            nodes: [
                (id: \"clip\", plugin: ClipVit(image_size: 32, patch_size: 8, width: 16, layers: 1,
                    heads: 2, fit: Stretch), from: [\"image\"], weights: Random),
                (id: \"wide\", plugin: ClipVit(image_size: 32, patch_size: 16, width: 24, layers: 1,
                    heads: 2, fit: Stretch), from: [\"image\"], weights: Random),
                (id: \"convnext\", plugin: ConvNext(image_size: 32, depths: [1, 1], widths: [8, 16],
                    fit: Stretch), from: [\"image\"], weights: Random),
                (id: \"fuse\", plugin: ChannelConcat(grid: 4), from: [\"clip\", \"wide\", \"convnext\"]),
                (id: \"project\", plugin: Linear(), from: [\"fuse\"]),
                (id: \"llm\", plugin: Llama(width: 32, layers: 1, heads: 2, hidden: 64,
                    vocabulary: 256, context: 128), from: [\"project\", \"text\"], weights: Random),
            ],
            stages: [
                (name: \"warming-up\", train: [\"project\"], data: MiniWorld(samples: 64), batch: 8,
                 lr: 1e-3, template: \"mini\", checkpoint_every: 2),
                (name: \"tuning\", train: [\"clip\", \"wide\", \"convnext\", \"project\", \"llm\"],
                 data: MiniWorld(samples: 64), batch: 8, lr: 1e-2, lr_of: [(\"wide\", 1e-3)],
                 template: \"mini\", checkpoint_every: 2),
            ],
            evaluate: [MiniVqa(family: Colour, samples: 24), MiniVqa(family: Count, samples: 24)],
        )"
    )
}

/// A study of six trials that share their first stage.
fn rates(home: &Path) -> std::path::PathBuf {
    write(home, "base.ron", &experts("base"));
    let rates = "[1e-2, 5e-3, 2e-3, 1e-3, 5e-4, 2e-4]";
    let study = format!(
        "Study(name: \"rates\", base: \"base.ron\", vary: [Set(\"stages.tuning.lr\", {rates})])"
    );
    write(home, "rates.ron", &study)
}

/// The values of a query, row by row.
fn rows(out: &Path, sql: &str) -> Vec<String> {
    let csv = succeed(&["query", sql, "--out", text(out), "--format", "csv"]);
    csv.lines().skip(1).map(str::to_owned).collect()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// How often a stage was begun from its first step.
fn begun(said: &str) -> usize {
    said.matches(": batch").count() - said.matches("goes on from step").count()
}

fn stages(out: &Path) -> usize {
    std::fs::read_dir(out.join("cache/stages")).expect("stages").count()
}

#[test]
fn a_greedy_search_adds_the_best_expert_and_a_rerun_decides_the_same_without_training() {
    let (home, out) = (folder(), folder());
    write(home.path(), "base.ron", &experts("base"));
    let greedy = "Study(name: \"greedy\", base: \"base.ron\", seeds: [0, 1],
        search: Greedy(experts: [\"clip\", \"wide\", \"convnext\"], start: [\"clip\"], rounds: 1,
            score: Mean([\"mini-colour\", \"mini-count\"])))";
    let greedy = write(home.path(), "greedy.ron", greedy);
    let checked = succeed(&["check", text(&greedy)]);
    assert!(checked.contains("at most 3 sets, 6 trials"), "{checked}");
    assert!(succeed(&["plan", text(&greedy)]).contains("at most 3 sets, 6 trials"));
    let run = || call(&["run", text(&greedy), "--out", text(out.path())]);
    let first = run();
    assert!(first.status.success(), "{}", said(&first));
    let told = printed(&first);
    assert!(told.contains("search greedy: round 0: best clip "), "{told}");
    assert!(told.contains("search greedy: round 1: best clip+") && told.contains(", gain "));
    assert!(told.contains("search greedy: stopped, "), "{told}");
    let axes = "SELECT DISTINCT axis_round, axis_experts, trial FROM runs ORDER BY axis_experts";
    let expected = [
        "0,clip,experts=clip",
        "1,clip+convnext,experts=clip+convnext",
        "1,clip+wide,experts=clip+wide",
    ];
    assert_eq!(rows(out.path(), axes), expected);
    // The winner is the one whose scores say so, and its gain is what they say.
    let mean = |experts: &str| {
        let sql = format!(
            "SELECT AVG(value) AS mean FROM scores JOIN runs ON scores.run = runs.run
             WHERE NOT blind AND axis_experts = '{experts}'"
        );
        rows(out.path(), &sql)[0].parse::<f64>().expect("a number") * 100.0
    };
    let (wide, convnext) = (mean("clip+wide"), mean("clip+convnext"));
    // Equal ones: the first of the file.
    let (winner, best) =
        if convnext > wide + 1e-6 { ("convnext", convnext) } else { ("wide", wide) };
    let line = format!("round 1: best clip+{winner} {best:.1}, gain {:+.1}", best - mean("clip"));
    assert!(told.contains(&line), "no {line} in\n{told}");
    let again = run();
    assert!(!said(&again).contains(": batch"), "trained again:\n{}", said(&again));
    assert_eq!(printed(&again), told);
}

#[test]
fn another_search_trains_only_the_sets_that_no_search_has_tried() {
    let (home, out) = (folder(), folder());
    write(home.path(), "base.ron", &experts("base"));
    let search = |name: &str, search: &str| {
        let study = format!(
            "Study(name: {name:?}, base: \"base.ron\", search: {search}(
                experts: [\"clip\", \"wide\", \"convnext\"], score: Mean([\"mini-colour\"])))"
        );
        let file = write(home.path(), &format!("{name}.ron"), &study);
        let output = call(&["run", text(&file), "--out", text(out.path())]);
        assert!(output.status.success(), "{}", said(&output));
        output
    };
    let greedy = search("greedy", "Greedy");
    let tried = begun(&said(&greedy));
    assert_eq!(tried, stages(out.path()), "{}", said(&greedy));
    let exhaustive = search("exhaustive", "Exhaustive");
    // Seven sets of two stages each; the greedy search stops before the last one or has it.
    assert_eq!(tried + begun(&said(&exhaustive)), 14, "{}", said(&exhaustive));
    assert_eq!(stages(out.path()), 14);
    let told = printed(&exhaustive);
    assert!(told.contains("stopped, all sets are tried: "), "{told}");
    assert_eq!(rows(out.path(), "SELECT trial FROM runs WHERE study = 'exhaustive'").len(), 7);
    // The trials of both studies together take the steps of seven sets, once.
    let files = [home.path().join("greedy.ron"), home.path().join("exhaustive.ron")];
    let both = succeed(&["run", text(&files[0]), text(&files[1]), "--out", text(out.path())]);
    let scratch = (7 * 16) + tried / 2 * 16;
    let line = format!("optimiser steps: 112 run for {scratch} that the same trials would take");
    assert!(both.contains(&line), "no {line} in\n{both}");
}

#[test]
fn steps_count_each_stage_once_and_the_sources_of_every_trial() {
    let (home, out) = (folder(), folder());
    write(home.path(), "base.ron", &experts("base"));
    let from = "from: [\"project\", \"text\"], weights: From(\"base.ron\")";
    let next = experts("next").replace("from: [\"project\", \"text\"], weights: Random", from);
    write(home.path(), "next.ron", &next);
    let study = "Study(name: \"next\", base: \"next.ron\", vary: [Set(\"stages.tuning.lr\", [1e-3, 1e-4])])";
    let study = write(home.path(), "study.ron", study);
    let table = succeed(&["run", text(&study), "--out", text(out.path())]);
    // The source has 16 steps, the stage that both trials share 8, each one's own 8.
    let line = "optimiser steps: 40 run for 64 that the same trials would take one by one from scratch: ratio 0.62";
    assert!(table.contains(line) || table.contains(&line.replace("0.62", "0.63")), "{table}");
    let steps = rows(out.path(), "SELECT steps, steps_from_scratch FROM runs WHERE study = 'next'");
    assert_eq!(steps, ["16,32", "16,32"]);
}

#[test]
fn side_by_side_or_one_by_one_the_bytes_are_the_same() {
    let (home, one, many) = (folder(), folder(), folder());
    let study = rates(home.path());
    let run = |out: &Path, more: &[&str]| {
        let output = call(&[&["run", text(&study), "--out", text(out)], more].concat());
        assert!(output.status.success(), "{}", said(&output));
        output
    };
    let alone = run(one.path(), &[]);
    for (jobs, threads) in [("2", "2"), ("3", "7"), ("8", "1")] {
        let out = folder();
        let output = run(out.path(), &["--jobs", jobs, "--threads", threads]);
        assert_same(one.path(), out.path());
        // The table is the same, too: its rows don't stand in the order in which trials began.
        assert_eq!(printed(&output), printed(&alone));
        assert_eq!(begun(&said(&output)), 7, "{}", said(&output));
        assert!(said(&output).contains("[lr=1e-2, seed 0] base: stage"), "{}", said(&output));
    }
    let (code, said) = refuse(&["run", text(&study), "--out", text(many.path()), "--jobs", "0"]);
    assert!(code == 2 && said.contains("--jobs 0"), "{said}");
}

fn start(file: &Path, out: &Path) -> std::process::Child {
    program()
        .args(["run", text(file), "--out", text(out), "--jobs", "2"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts")
}

#[test]
fn two_processes_share_a_study_and_do_nothing_twice() {
    let (home, alone, out) = (folder(), folder(), folder());
    let study = rates(home.path());
    succeed(&["run", text(&study), "--out", text(alone.path())]);
    let both = [start(&study, out.path()), start(&study, out.path())];
    let both = both.map(|child| child.wait_with_output().expect("a child"));
    let all: String = both.iter().map(said).collect();
    assert!(both.iter().all(|output| output.status.success()), "{all}");
    assert_eq!(begun(&all), stages(out.path()), "a stage was trained twice:\n{all}");
    assert_same(alone.path(), out.path());
}

#[test]
fn what_a_killed_process_was_at_is_taken_over_by_the_other() {
    let (home, alone) = (folder(), folder());
    let study = rates(home.path());
    succeed(&["run", text(&study), "--out", text(alone.path())]);
    let mut met = 0;
    for delay in [20, 60, 120, 200] {
        let out = folder();
        let mut first = start(&study, out.path());
        let metrics = || {
            let stages = std::fs::read_dir(out.path().join("cache/stages")).into_iter().flatten();
            let files = stages.flatten().map(|stage| stage.path().join("metrics.jsonl"));
            files.filter(|path| path.metadata().is_ok_and(|file| file.len() > 0)).count()
        };
        while metrics() == 0 && first.try_wait().expect("a child").is_none() {
            std::thread::sleep(Duration::from_millis(2));
        }
        let second = start(&study, out.path());
        std::thread::sleep(Duration::from_millis(delay));
        met += usize::from(first.try_wait().expect("a child").is_none());
        first.kill().expect("SIGKILL");
        first.wait().expect("a child");
        let second = second.wait_with_output().expect("a child");
        assert!(second.status.success(), "{}", said(&second));
        assert_same(alone.path(), out.path());
    }
    assert!(met >= 2, "only {met} kills met a running program");
}

#[test]
fn a_failed_trial_is_a_row_and_only_what_failed_is_run_again() {
    let (home, out) = (folder(), folder());
    write(
        home.path(),
        "base.ron",
        &experts("base").replace(
            "MiniWorld(samples: 64), batch: 8, lr: 1e-2",
            "LlavaJson(path: \"good.jsonl\"), batch: 8, lr: 1e-2",
        ),
    );
    let line = r#"{"id": "a", "conversations": [{"from": "human", "value": "what"}, {"from": "gpt", "value": "red"}]}"#;
    write(home.path(), "good.jsonl", line);
    write(home.path(), "broken.jsonl", &line.replace("gpt", "nobody"));
    let study = "Study(name: \"failing\", base: \"base.ron\", vary: [Cases(\"case\", [
        (\"missing\", [(\"stages.tuning.data.path\", \"none.jsonl\")]),
        (\"good\", []),
        (\"broken\", [(\"stages.tuning.data.path\", \"broken.jsonl\")]),
        (\"huge\", [(\"nodes.llm.plugin.hidden\", 1000000), (\"nodes.llm.plugin.layers\", 20000)]),
        (\"diverging\", [(\"stages.tuning.lr\", 1e30), (\"stages.tuning.clip\", None), (\"stages.tuning.epochs\", 40)]),
    ])])";
    let study = write(home.path(), "study.ron", study);
    let run = || call(&["run", text(&study), "--out", text(out.path()), "--jobs", "2"]);
    let failed = |output: &Output| -> BTreeSet<String> {
        assert_eq!(output.status.code(), Some(1), "{}", said(output));
        let trials = said(output);
        let names =
            trials.lines().filter_map(|line| line.strip_prefix("failed: failing, trial case="));
        names.filter_map(|line| Some(line.split_once(',')?.0.to_owned())).collect()
    };
    let first = run();
    let all = ["broken", "diverging", "huge", "missing"].map(str::to_owned);
    assert_eq!(failed(&first), BTreeSet::from(all.clone()), "{}", said(&first));
    let sql = "SELECT axis_case, status FROM runs ORDER BY axis_case";
    let rows_now =
        ["broken,failed", "diverging,failed", "good,done", "huge,failed", "missing,failed"];
    assert_eq!(rows(out.path(), sql), rows_now);
    for (case, why) in [
        ("missing", "none.jsonl"),
        ("broken", "nobody"),
        ("diverging", "step"),
        ("huge", "out of memory"),
    ] {
        let sql = format!("SELECT error FROM runs WHERE axis_case = '{case}'");
        let error = rows(out.path(), &sql).join("\n");
        assert!(error.contains(why), "{case}: {error}");
    }
    let good = "SELECT started FROM runs WHERE axis_case = 'good'";
    let before = rows(out.path(), good);
    let second = run();
    assert_eq!(failed(&second), BTreeSet::from(all));
    assert!(!said(&second).contains("case=good, seed 0]"), "{}", said(&second));
    assert_eq!(rows(out.path(), good), before);
    // Repaired data: no row and no note is left of what was wrong with it.
    write(home.path(), "none.jsonl", &line.replace("red", "blue"));
    write(home.path(), "broken.jsonl", &line.replace("red", "green"));
    let third = run();
    assert_eq!(failed(&third), BTreeSet::from(["diverging", "huge"].map(str::to_owned)));
    let table = printed(&third);
    assert!(
        !table.contains("nobody") && !table.contains("case=missing, seed 0: failed"),
        "{table}"
    );
    assert!(table.contains("case=diverging, seed 0: failed"), "{table}");
    let missing = "SELECT status FROM runs WHERE axis_case = 'missing'";
    assert_eq!(rows(out.path(), missing), ["done"]);
}
