//! All tables of a results folder as files.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod fixture;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use eagle_results::{ResultsError, publication, publish};
use fixture::Results;

fn read(folder: &Path) -> BTreeMap<String, String> {
    let entries = [folder.to_owned(), folder.join("tables")];
    let files = entries.iter().flat_map(|folder| fs::read_dir(folder).unwrap()).flatten();
    files
        .filter(|entry| entry.path().is_file())
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read_to_string(entry.path()).unwrap())
        })
        .collect()
}

#[test]
fn every_study_and_the_findings_are_written_in_every_format_and_twice_the_same() {
    let results = Results::new().with_fusions().with_pre_alignment();
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let files = publish(results.out(), first.path()).unwrap();
    publish(results.out(), second.path()).unwrap();
    let written = read(first.path());
    assert_eq!(written.len(), files.len());
    assert_eq!(written, read(second.path()));
    let names: Vec<&str> = written.keys().map(String::as_str).collect();
    let expected = [
        "README.md",
        "findings.csv",
        "findings.json",
        "findings.md",
        "mini-fusion.csv",
        "mini-fusion.md",
        "mini-fusion.tex",
        "mini-pre-alignment.csv",
        "mini-pre-alignment.md",
        "mini-pre-alignment.tex",
    ];
    assert_eq!(names, expected);
}

#[test]
fn the_readme_says_how_the_runs_were_made_and_holds_the_findings_and_tables() {
    let results = Results::new().with_fusions();
    let command = "/somewhere/eagle-lab run fusion.ron";
    let keys = serde_json::json!({"commit": "abc123", "command": command, "status": "done"});
    results.edit("mini-fusion-0-0", keys);
    let readme = publication(results.out()).unwrap().readme();
    for wanted in [
        "- runs of studies: 15 done\n",
        "0.1 h of training and evaluation",
        "- machine: linux x86_64, 2 threads a trial\n",
        "- commit: `abc123`\n",
        "- command: `eagle-lab run fusion.ron`\n",
        "## mini-fusion\n",
        "(tables/mini-fusion.csv)",
        "| **holds** |",
    ] {
        assert!(readme.contains(wanted), "no {wanted} in\n{readme}");
    }
    assert_eq!(readme.matches("A finding *holds* where").count(), 1, "the rule once");
}

#[test]
fn a_folder_without_runs_says_so() {
    let results = Results::new();
    let error = publish(results.out(), results.out()).unwrap_err();
    assert!(matches!(error, ResultsError::NoRuns { .. }), "{error}");
}
