//! The commands that don't train: what they print, and what they refuse.
#![allow(clippy::expect_used)]

mod support;

use support::{call, fixture, folder, refuse, root, succeed, text, write};

fn experiments() -> Vec<std::path::PathBuf> {
    fn walk(folder: &std::path::Path, found: &mut Vec<std::path::PathBuf>) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "ron") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join("experiments"), &mut found);
    found.sort();
    found
}

#[test]
fn every_experiment_of_this_repository_passes_check_and_plan() {
    let files = experiments();
    assert!(!files.is_empty());
    for file in files {
        succeed(&["check", text(&file)]);
        succeed(&["plan", text(&file)]);
    }
}

#[test]
fn check_reports_every_error_with_its_place_and_exits_with_2() {
    let file = fixture("runs/several-errors.ron");
    let (code, said) = refuse(&["check", text(&file)]);
    assert_eq!(code, 2);
    for part in [
        "several-errors.ron:5:",
        "`ClipVitt`",
        "ClipVit",
        "`learning_rate`",
        "`lr`",
        "`fuze`",
        "fuse",
    ] {
        assert!(said.contains(part), "no {part} in\n{said}");
    }
}

#[test]
fn check_of_a_file_that_is_not_there_names_it() {
    let (code, said) = refuse(&["check", "no-such.ron"]);
    assert_eq!(code, 2);
    assert!(said.contains("no-such.ron"), "{said}");
}

#[test]
fn run_refuses_a_wrong_file_before_anything_is_written() {
    let out = folder();
    let results = out.path().join("results");
    let file = fixture("runs/several-errors.ron");
    let (code, _) = refuse(&["run", text(&file), "--out", text(&results)]);
    assert_eq!(code, 2);
    assert!(!results.exists(), "something was written");
}

#[test]
fn plan_shows_who_trains_and_what_a_stage_costs() {
    let file = fixture("runs/tiny.ron");
    let plan = succeed(&["plan", text(&file)]);
    for part in [
        "pre-training",
        "frozen prefix (depends on the sample alone): clip, convnext, fuse",
        "frozen, passes gradients",
        "16 visual tokens",
    ] {
        assert!(plan.contains(part), "no {part} in\n{plan}");
    }
    let json = succeed(&["plan", text(&file), "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let stage = &json[0]["stages"][0];
    assert_eq!(stage["plan"]["visual_tokens"], 16);
    assert_eq!(stage["frozen_prefix"], serde_json::json!(["clip", "convnext", "fuse"]));
    let dot = succeed(&["plan", text(&file), "--format", "dot"]);
    assert!(dot.starts_with("digraph") && dot.contains("\"project\" -> \"llm\""), "{dot}");
}

#[test]
fn a_value_is_changed_by_its_path_and_a_wrong_path_says_what_is_there() {
    let file = fixture("runs/tiny.ron");
    let changed = ["--set", "nodes.fuse.plugin.grid=2"];
    let plan = succeed(&["plan", text(&file), changed[0], changed[1]]);
    assert!(plan.contains("4 visual tokens"), "{plan}");
    let (code, said) = refuse(&["plan", text(&file), "--set", "nodes.fuze.plugin.grid=2"]);
    assert_eq!(code, 2);
    assert!(said.contains("fuse"), "{said}");
    let (code, said) = refuse(&["plan", text(&file), "--set", "seed"]);
    assert_eq!(code, 2);
    assert!(said.contains("PATH=VALUE"), "{said}");
}

#[test]
fn what_is_wrong_in_a_study_is_said_at_its_place_in_the_study() {
    let home = folder();
    let base = text(&fixture("runs/tiny.ron")).to_owned();
    let study = |more: &str| {
        let study = format!("Study(\n    name: \"s\",\n    base: {base:?},\n    {more}\n)");
        write(home.path(), "study.ron", &study)
    };
    let file =
        study("vary: [Set(\"nodes.fuse.plugin.grid\", [2, -3]), Set(\"stages.1.lr\", [0])],");
    let (code, said) = refuse(&["check", text(&file)]);
    assert_eq!(code, 2);
    assert_eq!(said.matches("study.ron:4:").count(), 2, "{said}");
    let (_, said) = refuse(&["check", text(&study("vary: [], sede: [1],"))]);
    assert!(said.contains("`sede`") && !said.contains("not an experiment"), "{said}");
}

#[test]
fn what_a_study_sets_can_not_be_set_on_the_command_line() {
    let home = folder();
    let study = format!(
        "Study(name: \"s\", base: {:?}, seeds: [0, 1],
            vary: [Node(\"fuse\", [ChannelConcat(grid: 2), ChannelConcat(grid: 4)])])",
        text(&fixture("runs/tiny.ron"))
    );
    let file = write(home.path(), "study.ron", &study);
    for path in ["nodes.fuse.plugin.grid=4", "nodes.2.plugin.grid=4", "nodes.fuse.plugin=Mlp()"] {
        let (code, said) = refuse(&["check", text(&file), "--set", path]);
        assert!(code == 2 && said.contains("varies `fuse`"), "{said}");
    }
    let (code, said) = refuse(&["check", text(&file), "--seed", "4"]);
    assert!(code == 2 && said.contains("seeds of its own (0, 1)"), "{said}");
    succeed(&["check", text(&file), "--set", "nodes.project.plugin.depth=1"]);
}

#[test]
fn plugins_are_listed_with_their_crates_and_fields() {
    let list = succeed(&["plugins"]);
    for part in
        ["vision encoders", "ClipVit", "eagle-plugins", "fusions", "data sets", "benchmarks"]
    {
        assert!(list.contains(part), "no {part} in\n{list}");
    }
    let one = succeed(&["plugins", "ClipVit"]);
    assert!(one.contains("patch_size: usize = 14"), "{one}");
    let (code, said) = refuse(&["plugins", "ClipVitt"]);
    assert_eq!(code, 2);
    assert!(said.contains("ClipVit,"), "{said}");
}

#[test]
fn docs_plugins_md_is_what_the_program_says() {
    let path = root().join("docs/plugins.md");
    let said = succeed(&["plugins", "--format", "markdown"]);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &said).expect("docs/plugins.md");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == said, "docs/plugins.md is stale; UPDATE_DOCS=1 cargo test --release writes it");
}

#[test]
fn query_without_runs_says_how_to_make_some() {
    let out = folder();
    let (code, said) = refuse(&["query", "SELECT 1 FROM runs", "--out", text(out.path())]);
    assert_eq!(code, 2);
    assert!(said.contains("eagle-lab run"), "{said}");
}

#[test]
fn wrong_sql_names_what_is_there() {
    let out = folder();
    let file = fixture("runs/tiny.ron");
    let small = ["--set", "stages.0.data.samples=16", "--set", "stages.1.data.samples=16"];
    let mut arguments = vec!["run", text(&file), "--out", text(out.path())];
    arguments.extend(small);
    succeed(&arguments);
    let (code, said) = refuse(&["query", "SELECT scor FROM scores", "--out", text(out.path())]);
    assert_eq!(code, 2);
    assert!(said.contains("benchmark"), "no columns in\n{said}");
    let schema = succeed(&["query", "--schema"]);
    assert!(schema.contains("standard_error"), "{schema}");
}

#[test]
fn no_arguments_show_the_help() {
    let output = call(&[]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("Usage") && said.contains("check"), "{said}");
}

#[test]
fn sample_writes_one_page_with_everything_on_it() {
    let out = folder();
    let page = out.path().join("page.html");
    let show = |arguments: &[&str]| {
        let arguments = [&["sample"], arguments, &["--side", "32", "--out", text(&page)]].concat();
        succeed(&arguments);
        std::fs::read_to_string(&page).expect("a page")
    };
    let html = show(&["mini-chartqa", "--n", "6"]);
    assert_eq!(html.matches("<article>").count(), 6);
    assert_eq!(html.matches("src=\"data:image/png;base64,iVBOR").count(), 6);
    assert!(html.contains("prefers-color-scheme: dark") && !html.contains("http"));
    assert!(html.contains("what is the value of") && html.contains("<polygon"), "{html}");
    let html = show(&["MiniWorld(families: [Count], seed: 3)", "--n", "2", "--from", "5"]);
    assert!(html.contains("mini-world/train/3/5") && html.contains("how many"), "{html}");
    let html = show(&["MiniText", "--n", "3"]);
    assert!(!html.contains("<img") && html.contains("say "), "{html}");
    let file = root().join("experiments/mini/quickstart.ron");
    let html = show(&[text(&file), "--n", "1"]);
    for title in ["stage one-thing", "stage fine-tuning", "benchmark mini-colour"] {
        assert!(html.contains(&format!("<h2>{title} ")), "{title}");
    }
    let file_of_expert = root().join("experiments/mini/zoo/sam.ron");
    let html = show(&[text(&file_of_expert), "--n", "1", "--only", "evaluation"]);
    assert!(html.contains("<h2>evaluation ") && !html.contains("<h2>stage"));
    for (what, more, part) in [
        ("mini-nothing", vec![], "mini-chartqa"),
        ("ClipVit", vec![], "neither a data set nor a benchmark"),
        ("MiniWorld(samples: 0)", vec![], "samples"),
        ("mini-gqa", vec!["--from", "500"], "has 200 samples"),
        (text(&file), vec!["--only", "nothing"], "mini-position"),
    ] {
        let (code, said) = refuse(&[&["sample", what], &more[..]].concat());
        assert!(code == 2 && said.contains(part), "{what}: {said}");
    }
}
