//! The official scorers agree with their references to the last digit, prediction by prediction
//! (tests/fixtures/scorers/, made by scorers.py there from lmms-eval).

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use eagle_core::data::AnswerKey;
use eagle_core::registry::{BenchmarkConfig, Plugin};
use eagle_core::score::{Judged, Question, Verdict};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Head {
    plugin: String,
    reference: String,
    summary: serde_json::Map<String, Value>,
}

#[derive(Deserialize)]
struct Line {
    prediction: String,
    answer: String,
    #[serde(flatten)]
    key: AnswerKey,
    score: f64,
    #[serde(default)]
    undecided: bool,
}

fn fixtures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/scorers");
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "jsonl"));
    files.sort();
    files
}

fn read(path: &Path) -> (Head, Vec<Line>) {
    let text = fs::read_to_string(path).unwrap();
    let mut lines = text.lines();
    let head = serde_json::from_str(lines.next().unwrap()).unwrap();
    (head, lines.map(|line| serde_json::from_str(line).unwrap()).collect())
}

fn benchmark(text: &str) -> Arc<dyn BenchmarkConfig> {
    let registry = eagle_plugins::registry().unwrap();
    let entry = registry.get(text.split('(').next().unwrap()).unwrap();
    match (entry.parse)(text).unwrap().plugin {
        Plugin::Benchmark(benchmark) => benchmark,
        other => panic!("{text} is {other:?}"),
    }
}

fn question(line: &Line) -> Question<'_> {
    Question { text: "", answer: &line.answer, key: &line.key }
}

#[test]
fn every_official_scorer_agrees_with_its_reference_on_every_prediction() {
    let fixtures = fixtures();
    assert_eq!(fixtures.len(), 16);
    let mut wrong = Vec::new();
    for path in fixtures {
        let (head, lines) = read(&path);
        let benchmark = benchmark(&head.plugin);
        let decided = lines.iter().filter(|line| !line.undecided).count();
        assert!(decided >= 200, "{}: {decided} predictions", head.plugin);
        for line in &lines {
            let found = benchmark.judge(&question(line), &line.prediction);
            if found.score.to_bits() != line.score.to_bits() || found.undecided != line.undecided {
                let (plugin, reference) = (&head.plugin, &head.reference);
                wrong.push(format!(
                    "{plugin}, {reference}: {:?} for {:?} ({:?}) is {found:?}, there {} {}",
                    line.prediction, line.answer, line.key, line.score, line.undecided
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn what_all_answers_come_to_agrees_with_the_references() {
    for path in fixtures() {
        let (head, lines) = read(&path);
        let benchmark = benchmark(&head.plugin);
        let verdicts: Vec<Verdict> =
            lines.iter().map(|line| benchmark.judge(&question(line), &line.prediction)).collect();
        let judged = |(line, verdict)| Judged { question: question(line), verdict };
        let judged: Vec<Judged<'_>> = lines.iter().zip(&verdicts).map(judged).collect();
        let summary = benchmark.summarise(&judged);
        assert_eq!(
            summary[0].name,
            benchmark.metric(),
            "{}: the main metric is first",
            head.plugin
        );
        assert!(!head.summary.is_empty());
        for (name, expected) in &head.summary {
            let expected = expected.as_f64().unwrap();
            let found = summary.iter().find(|s| s.name == *name);
            let found = found.unwrap_or_else(|| panic!("{}: no {name}", head.plugin));
            let off = (found.value - expected).abs();
            assert!(
                off <= 1e-12 * expected.max(1.0),
                "{} {name}: {found:?}, there {expected}",
                head.plugin
            );
            let (low, high) = found.interval.unwrap();
            assert!(low <= found.value && found.value <= high, "{found:?}");
        }
    }
}

#[test]
fn popes_other_reading_is_llavas() {
    let pope = benchmark("Pope(reading: Sentence)");
    let key = AnswerKey::default();
    let question = Question { text: "", answer: "no", key: &key };
    for (said, right) in [("No, it isn't.", true), ("There is not", true), ("Yes. No", false)] {
        assert_eq!(pope.judge(&question, said).correct(), right, "{said}");
    }
}
