//! Frames from runs: same runs, same bytes; what a kill leaves; what is malformed.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod fixture;

use std::fs;

use eagle_results::{Format, ResultsError, build_frames, digest, query, schema};
use fixture::{Results, answers};
use serde_json::json;

fn two_runs() -> Results {
    let results = Results::new();
    results.add("ChannelConcat(grid: 8)", 0, 0, &[("mini-colour", &answers(3, 1), &[])]);
    results.add("LlavaHr()", 1, 1, &[("mini-colour", &answers(2, 2), &answers(1, 3))]);
    results
}

#[test]
fn the_same_runs_give_the_same_bytes() {
    let (one, other) = (two_runs(), two_runs());
    build_frames(one.out()).unwrap();
    build_frames(other.out()).unwrap();
    let first: Vec<_> = schema().iter().map(|t| fs::read(one.frame(t.name)).unwrap()).collect();
    let second: Vec<_> = schema().iter().map(|t| fs::read(other.frame(t.name)).unwrap()).collect();
    assert_eq!(first, second);
    build_frames(one.out()).unwrap();
    let again: Vec<_> = schema().iter().map(|t| fs::read(one.frame(t.name)).unwrap()).collect();
    assert_eq!(first, again);
}

#[test]
fn frames_hold_the_documented_columns_in_order() {
    let results = two_runs();
    let summary = build_frames(results.out()).unwrap();
    assert_eq!(summary.tables.iter().map(|(_, rows)| *rows).collect::<Vec<_>>(), [2, 4, 3, 12]);
    for table in schema() {
        let frame = query(results.out(), &format!("SELECT * FROM {}", table.name)).unwrap();
        let mut columns: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
        if table.name == "runs" {
            columns.push("axis_fuse");
        }
        assert_eq!(frame.columns(), columns);
    }
}

#[test]
fn rows_are_sorted_whatever_the_order_in_the_files() {
    let results = two_runs();
    let frame = query(results.out(), "SELECT run, step, value FROM metrics").unwrap();
    assert_eq!(
        frame.render(&Format::Csv).unwrap(),
        "run,step,value\nChannelConcat-0,1,2.5\nChannelConcat-0,2,1.25\n\
         LlavaHr-1,1,2.5\nLlavaHr-1,2,1.25\n"
    );
}

#[test]
fn an_axis_that_a_run_does_not_vary_is_null() {
    let results = two_runs();
    results.edit("LlavaHr-1", json!({"axes": {"llm.width": "192"}}));
    let sql = "SELECT axis_fuse, \"axis_llm.width\" FROM runs";
    let frame = query(results.out(), sql).unwrap();
    assert_eq!(
        frame.render(&Format::Csv).unwrap(),
        "axis_fuse,axis_llm.width\nChannelConcat(grid: 8),\n,192\n"
    );
}

#[test]
fn half_a_last_line_of_an_unfinished_run_is_left_out_and_reported() {
    let results = two_runs();
    results.edit("LlavaHr-1", json!({"status": "interrupted"}));
    let whole = "{\"stage\":\"s\",\"step\":1,\"name\":\"loss\",\"value\":2.5}\n";
    results.write("LlavaHr-1", "metrics.jsonl", &format!("{whole}{{\"stage\":\"s\",\"ste"));
    let summary = build_frames(results.out()).unwrap();
    assert_eq!(summary.truncated, [results.run_folder("LlavaHr-1").join("metrics.jsonl")]);
    assert_eq!(summary.tables[1].1, 3);
}

#[test]
fn half_a_last_line_of_a_finished_run_is_an_error_at_its_place() {
    let results = two_runs();
    let whole = "{\"stage\":\"s\",\"step\":1,\"name\":\"loss\",\"value\":2.5}\n";
    results.write("LlavaHr-1", "metrics.jsonl", &format!("{whole}{{\"stage\":\"s\",\"ste"));
    let error = build_frames(results.out()).unwrap_err();
    let ResultsError::Malformed { path, line, .. } = &error else { panic!("{error}") };
    assert!(path.ends_with("LlavaHr-1/metrics.jsonl"));
    assert_eq!(*line, 2);
}

#[test]
fn a_malformed_line_is_an_error_even_while_the_run_goes_on() {
    let results = two_runs();
    results.edit("LlavaHr-1", json!({"status": "running"}));
    let lines = "{\"sample\":\"a\",\"score\":1}\n{\"sample\":\"b\",\"score\":\"high\"}\n{\"sam";
    results.write("LlavaHr-1", "predictions/mini-colour.jsonl", lines);
    let error = build_frames(results.out()).unwrap_err().to_string();
    assert!(error.contains("LlavaHr-1/predictions/mini-colour.jsonl:2: "), "{error}");
    assert!(error.contains("invalid type: string \"high\", expected f64"), "{error}");
    assert!(error.contains("help: expected one line {\"sample\": text"), "{error}");
}

#[test]
fn a_manifest_without_a_key_names_the_key() {
    let results = two_runs();
    results.write("LlavaHr-1", "manifest.json", "{\"schema\": 1,\n \"run\": \"LlavaHr-1\"}");
    let error = build_frames(results.out()).unwrap_err().to_string();
    assert!(error.contains("manifest.json:2: "), "{error}");
    assert!(error.contains("missing field `experiment`"), "{error}");
}

#[test]
fn a_newer_manifest_asks_for_an_update() {
    let results = two_runs();
    results.edit("LlavaHr-1", json!({"schema": 2}));
    let error = build_frames(results.out()).unwrap_err();
    assert!(matches!(error, ResultsError::ManifestSchema { found: 2, known: 1, .. }), "{error}");
}

#[test]
fn a_run_recorded_twice_names_both_folders() {
    let results = two_runs();
    results.edit("LlavaHr-1", json!({"run": "ChannelConcat-0"}));
    let error = build_frames(results.out()).unwrap_err().to_string();
    assert!(error.contains("runs/ChannelConcat-0 and "), "{error}");
    assert!(error.contains("runs/LlavaHr-1\n"), "{error}");
}

#[test]
fn a_folder_without_a_manifest_is_reported_and_no_error() {
    let results = two_runs();
    fs::create_dir_all(results.run_folder("new")).unwrap();
    let summary = build_frames(results.out()).unwrap();
    assert_eq!(summary.unstarted, [results.run_folder("new")]);
}

#[test]
fn a_finished_run_that_answers_a_sample_twice_is_an_error() {
    let results = two_runs();
    let line = "{\"sample\":\"a\",\"score\":1}\n";
    results.write("LlavaHr-1", "predictions/mini-colour.jsonl", &line.repeat(2));
    let error = build_frames(results.out()).unwrap_err().to_string();
    assert!(error.contains("mini-colour.jsonl:2: sample `a` is answered twice"), "{error}");
    results.edit("LlavaHr-1", json!({"status": "interrupted"}));
    build_frames(results.out()).unwrap();
}

#[test]
fn steps_are_those_of_a_run_and_with_those_of_its_sources() {
    let results = two_runs();
    let stage = |steps: i64| json!({"name": "s", "id": "x", "steps": steps});
    results.edit("LlavaHr-1", json!({"stages": [stage(2), stage(5)], "sources": [stage(30)]}));
    let sql = "SELECT steps, steps_from_scratch FROM runs WHERE run = 'LlavaHr-1'";
    let frame = query(results.out(), sql).unwrap();
    assert_eq!(frame.render(&Format::Csv).unwrap().lines().nth(1), Some("7,37"));
}

#[test]
fn the_digest_sets_times_memory_and_machines_aside_and_nothing_else() {
    let (one, other) = (two_runs(), two_runs());
    let later = json!({"started": "2027-05-05T00:00:00Z", "seconds": 99.0, "peak_bytes": 7,
                       "machine": {"os": "macos"}, "commit": "abc", "command": "other"});
    other.edit("LlavaHr-1", later);
    assert_eq!(digest(one.out()).unwrap(), digest(other.out()).unwrap());
    other.edit("LlavaHr-1", json!({"seed": 3}));
    assert_ne!(digest(one.out()).unwrap(), digest(other.out()).unwrap());
}

#[test]
fn nothing_but_the_frames_is_left_behind() {
    let results = two_runs();
    build_frames(results.out()).unwrap();
    let entries = fs::read_dir(results.out().join("frames")).unwrap();
    let mut names: Vec<String> =
        entries.map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    let expected = [
        ".lock",
        "built-from",
        "metrics.parquet",
        "runs.parquet",
        "samples.parquet",
        "scores.parquet",
    ];
    assert_eq!(names, expected);
}

#[test]
fn builders_and_readers_share_a_folder() {
    let results = two_runs();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5 {
                    build_frames(results.out()).unwrap();
                    let frame = query(results.out(), "SELECT * FROM samples").unwrap();
                    assert_eq!(frame.height(), 12);
                }
            });
        }
    });
}
