//! Benchmarks read their own files: a few rows of each form, written by hand, in
//! tests/fixtures/benchmarks/.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use eagle_core::data::preprocess::decode;
use eagle_core::data::{DataError, Dataset, Sample};
use eagle_core::registry::{BenchmarkConfig, Kind, Plugin};

/// Every benchmark that reads files, with its fields.
const EXAMS: [&str; 16] = [
    r#"Gqa(path: "gqa.json", images: "pictures")"#,
    r#"VqaV2(path: "vqa_v2_questions.json", annotations: "vqa_v2_annotations.json", images: "pictures")"#,
    r#"VizWiz(path: "viz_wiz.json", images: "pictures")"#,
    r#"TextVqa(path: "text_vqa.json", tokens: "text_vqa_tokens.json", images: "pictures")"#,
    r#"OcrBench(path: "ocr_bench.json", images: "pictures")"#,
    r#"ChartQa(path: "chart_qa_human.json", augmented: "chart_qa_augmented.json", images: "pictures")"#,
    r#"DocVqa(path: "doc_vqa.json", images: "pictures")"#,
    r#"InfoVqa(path: "info_vqa.json", images: "pictures")"#,
    r#"Mme(path: "mme.tsv", images: "pictures")"#,
    r#"MmBench(path: "mm_bench.tsv")"#,
    r#"SeedBench(path: "seed_bench.json", images: "pictures")"#,
    r#"MathVista(path: "math_vista.json", images: "pictures")"#,
    r#"Mmmu(path: "mmmu.jsonl", images: "pictures")"#,
    r#"ScienceQa(path: "science_qa.json", images: "pictures")"#,
    r#"Pope(path: "pope_adversarial.json", random: "pope_random.json", images: "pictures")"#,
    r#"Ai2d(path: "ai2d.jsonl", images: "pictures")"#,
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/benchmarks")
}

fn benchmark(text: &str) -> Arc<dyn BenchmarkConfig> {
    let registry = eagle_plugins::registry().unwrap();
    let entry = registry.get(text.split('(').next().unwrap()).unwrap();
    match (entry.parse)(text).unwrap().plugin {
        Plugin::Benchmark(benchmark) => benchmark,
        other => panic!("{text} is {other:?}"),
    }
}

fn open(text: &str) -> Result<Arc<dyn Dataset>, DataError> {
    let benchmark = benchmark(text);
    benchmark.validate().unwrap();
    benchmark.open(&folder())
}

fn shown(sample: &Sample) -> String {
    let turn = &sample.turns[0];
    let (width, height) = decode(sample.picture.as_ref().unwrap()).unwrap().dimensions();
    let key = serde_json::to_string(sample.key.as_deref().unwrap()).unwrap();
    format!("{} ({width} x {height})\n{}\n-> {}\n{key}\n\n", sample.id, turn.question, turn.answer)
}

#[test]
fn every_benchmark_reads_its_own_files() {
    let mut text = String::new();
    for exam in EXAMS {
        let questions = open(exam).unwrap_or_else(|error| panic!("{exam}: {error}"));
        let problems = questions.problems();
        assert!(problems.is_empty(), "{exam}: {problems:?}");
        let _ = writeln!(text, "=== {exam}\n");
        for index in 0..questions.len() {
            text += &shown(&questions.sample(index).unwrap());
        }
    }
    insta::assert_snapshot!(text);
}

#[test]
fn every_benchmark_with_files_is_tested_here() {
    let registry = eagle_plugins::registry().unwrap();
    let with_files = registry.iter().filter(|entry| {
        entry.kind == Kind::Benchmark
            && entry.name != "LlavaVqa"
            && entry.fields.iter().any(|field| field.name == "path")
    });
    for entry in with_files {
        let named = |exam: &&str| exam.split('(').next() == Some(entry.name);
        assert!(EXAMS.iter().any(named), "{}: no files", entry.name);
    }
}

#[test]
fn a_right_answer_counts_and_another_does_not() {
    for exam in EXAMS {
        let (benchmark, questions) = (benchmark(exam), open(exam).unwrap());
        for index in 0..questions.len() {
            let sample = questions.sample(index).unwrap();
            let none = Default::default();
            let question = eagle_core::score::Question::of(&sample, &none);
            let right = benchmark.judge(&question, question.answer);
            assert!(right.score > 0.5, "{exam}: {question:?} is {right:?}");
            let wrong = benchmark.judge(&question, "grey elephants!");
            assert_eq!(wrong.score, 0.0, "{exam}: {question:?} is {wrong:?}");
        }
    }
}

#[test]
fn the_prompt_and_the_pictures_are_part_of_the_fingerprint() {
    let fingerprint = |text: &str| open(text).unwrap().fingerprint();
    let doc = r#"DocVqa(path: "doc_vqa.json", images: "pictures")"#;
    assert_eq!(fingerprint(doc), fingerprint(doc));
    let asked = r#"DocVqa(path: "doc_vqa.json", images: "pictures", suffix: "?")"#;
    assert_ne!(fingerprint(doc), fingerprint(asked));
    let elsewhere = r#"DocVqa(path: "doc_vqa.json", images: "pictures/7")"#;
    assert_ne!(fingerprint(doc), fingerprint(elsewhere));
}

#[test]
fn pictures_may_lie_in_parquet_beside_the_rows() {
    for exam in [r#"DocVqa(path: "doc_vqa.parquet")"#, r#"Mmmu(path: "mmmu.parquet")"#] {
        let questions = open(exam).unwrap();
        assert!(questions.problems().is_empty(), "{exam}: {:?}", questions.problems());
        let json = open(
            &exam
                .replace(".parquet\"", ".json\", images: \"pictures\"")
                .replace("mmmu.json", "mmmu.jsonl"),
        )
        .unwrap();
        assert_eq!(questions.len(), json.len(), "{exam}");
        for index in 0..questions.len() {
            let (here, there) = (questions.sample(index).unwrap(), json.sample(index).unwrap());
            assert_eq!(shown(&here), shown(&there), "the same question, and a picture of its size");
        }
    }
}

#[test]
fn a_row_that_another_tool_wrote_down_is_a_question() {
    let row =
        serde_json::json!({"questionId": "7", "question": "When?", "answers": ["1998", "'98"]});
    let sample = benchmark("DocVqa()").question(&row).unwrap();
    assert_eq!(sample.key.unwrap().answers, ["1998", "'98"]);
    let error = benchmark("DocVqa()").question(&serde_json::json!({"id": 3})).unwrap_err();
    assert_eq!(error.to_string(), "sample \"3\": it has no `question`, but [\"id\"]");
    assert!(benchmark("MiniVqa()").question(&row).is_err(), "it has no files");
}

fn problem(name: &str, content: &str, exam: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(name), content).unwrap();
    let said = match benchmark(exam).open(folder.path()) {
        Err(error) => error.to_string(),
        Ok(questions) => {
            questions.problems().iter().map(|problem| format!("{problem}\n")).collect()
        }
    };
    said.replace(folder.path().to_str().unwrap(), "DIR")
}

#[test]
fn wrong_files_say_what_is_wrong_and_where() {
    let gqa = r#"Gqa(path: "x.json")"#;
    let tsv = r#"MmBench(path: "x.tsv")"#;
    let text = [
        problem("x.json", "[]", gqa),
        problem("x.json", "[{\"id\": 1, \"imageId\": \"a\"}]", gqa),
        problem("x.json", "[1, 2", gqa),
        problem("x.txt", "a", r#"Gqa(path: "x.txt")"#),
        problem(
            "x.json",
            "[{\"id\": 1, \"imageId\": \"a\", \"question\": \"q\", \"answer\": \"b\"}]",
            gqa,
        ),
        problem("x.tsv", "index\tquestion\n1\n", tsv),
        problem("x.tsv", "index\tquestion\tA\tanswer\timage\none\tq\ta\tA\tb.png\n", tsv),
        problem(
            "x.json",
            "[{\"question_id\": 1, \"question\": \"a\", \"image_id\": 1}]",
            r#"VqaV2(path: "x.json", annotations: "x.json")"#,
        ),
        problem(
            "x.json",
            "[{\"question_id\": 1, \"question\": \"a\", \"answers\": [\"b\"], \"image_id\": 1}]",
            r#"TextVqa(path: "x.json")"#,
        ),
    ];
    insta::assert_snapshot!(text.join("\n"));
}
