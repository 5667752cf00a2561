//! `eagle-lab score`: predictions of several tools, judged by the official rules.
#![allow(clippy::expect_used)]

mod support;

use support::{fixture, folder, refuse, succeed, text, write};

/// Of our own form: right, wrong, right within 5 %, empty.
const OURS: &str = r#"{"sample": "1", "question": "?", "prediction": "14", "answer": "14", "category": "human"}
{"sample": "2", "question": "?", "prediction": "red", "answer": "blue", "category": "human"}
{"sample": "3", "question": "?", "prediction": "51%", "answer": "0.52", "category": "augmented"}
{"sample": "4", "question": "?", "prediction": "", "answer": "7", "category": "augmented"}
"#;

#[test]
fn every_metric_has_its_error_and_interval() {
    let folder = folder();
    let file = write(folder.path(), "ours.jsonl", OURS);
    let said = succeed(&["score", "ChartQa", text(&file)]);
    let expected = "\
chartqa: 4 predictions

metric                         value     error         95 % interval        n  chance
relaxed-accuracy               50.00     28.87         15.00 … 85.00        4    0.00
relaxed-accuracy/augmented     50.00     50.00          9.45 … 90.55        2    0.00
relaxed-accuracy/human         50.00     50.00          9.45 … 90.55        2    0.00

Shares are in percent.
";
    assert_eq!(said, expected);
    assert_eq!(
        succeed(&["score", "chart-qa", text(&file)]),
        expected,
        "the name as tables have it"
    );
}

#[test]
fn two_files_are_compared_question_by_question() {
    let folder = folder();
    let file = write(folder.path(), "ours.jsonl", OURS);
    let other = OURS.replace("\"prediction\": \"14\"", "\"prediction\": \"20\"");
    let other = other.lines().take(3).collect::<Vec<_>>().join("\n");
    let other = write(folder.path(), "other.jsonl", &other);
    let said = succeed(&["score", "ChartQa", text(&file), "--against", text(&other)]);
    let expected = "\
relaxed-accuracy 66.67 against 33.33: +33.33
Paired over 3 questions or groups: +33.33 ± 33.33 points, p = 1.0000 (mcnemar-exact); 1 predictions have no counterpart and are left out.
";
    assert!(said.ends_with(expected), "{said}");
    let json =
        succeed(&["score", "ChartQa", text(&file), "--against", text(&other), "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["against"]["n"], 3);
    assert_eq!(json["scores"][0]["value"], 0.5);
}

#[test]
fn what_the_rules_cannot_judge_is_counted() {
    let folder = folder();
    let line = |id: &str, group: &str, said: &str| {
        format!(
            "{{\"sample\": \"{id}\", \"prediction\": \"{said}\", \"answer\": \"A\", \
             \"choices\": [\"cat\", \"dog\"], \"group\": \"{group}\"}}\n"
        )
    };
    let lines = [
        line("1", "1", "A"),
        line("2", "1", "it must be the cat"),
        line("3", "2", "A"),
        line("4", "2", "who knows"),
    ];
    let file = write(folder.path(), "ours.jsonl", &lines.concat());
    let said = succeed(&["score", "MmBench", text(&file)]);
    assert!(said.contains("circular-accuracy     50.00"), "{said}");
    assert!(said.contains("\nundecided             50.00"), "{said}");
    assert!(said.contains("Undecided: 1 of 4 answers"), "{said}");
}

#[test]
fn lmms_evals_samples_are_read_and_written() {
    let folder = folder();
    let samples = r#"{"doc_id": 0, "doc": {"questionId": "5", "question": "When?", "answers": ["1998", "'98"]}, "target": "['1998', \"'98\"]", "resps": [["1997"]], "filtered_resps": ["1997"]}
{"doc_id": 1, "doc": {"questionId": "6", "question": "Who?", "answers": ["Ann"]}, "target": "['Ann']", "filtered_resps": "Ann"}
"#;
    let file = write(folder.path(), "samples.jsonl", samples);
    let out = folder.path().join("out.jsonl");
    let said = succeed(&["score", "DocVqa", text(&file), "--samples", text(&out)]);
    assert!(said.contains("anls       87.50"), "{said}");
    let written = std::fs::read_to_string(&out).expect("samples");
    let first: serde_json::Value =
        serde_json::from_str(written.lines().next().expect("a line")).expect("JSON");
    assert_eq!((&first["doc_id"], &first["anls"]), (&0.into(), &0.75.into()));
    assert_eq!(first["filtered_resps"], serde_json::json!(["1997"]));
    assert_eq!(succeed(&["score", "DocVqa", text(&out)]), said, "what it wrote it reads");
}

#[test]
fn predictions_without_answers_are_joined_with_the_benchmarks_files() {
    let folder = folder();
    let exam = format!("Gqa(path: {:?})", text(&fixture("benchmarks/gqa.json")));
    let both = "{\"question_id\": \"201307251\", \"text\": \"Yes.\"}\n{\"question_id\": \"201640614\", \"text\": \"red\"}\n";
    let file = write(folder.path(), "llava.jsonl", both);
    let said = succeed(&["score", &exam, text(&file)]);
    assert!(said.contains("accuracy     50.00"), "{said}");

    let one = write(folder.path(), "one.jsonl", both.lines().next().expect("a line"));
    let (code, said) = refuse(&["score", &exam, text(&one)]);
    assert_eq!(code, 2);
    assert!(said.contains("1 of 2 questions have no prediction: `201640614`; --partial"), "{said}");
    assert!(succeed(&["score", &exam, text(&one), "--partial"]).contains("gqa: 1 predictions"));

    let stranger =
        write(folder.path(), "stranger.jsonl", "{\"question_id\": \"7x\", \"text\": \"Yes.\"}");
    let (_, said) = refuse(&["score", &exam, text(&stranger)]);
    assert!(said.contains("no such question: `7x` (line 1)"), "{said}");
    let (_, said) = refuse(&["score", "Gqa", text(&file)]);
    assert!(said.contains("name the benchmark's file, as in 'Gqa(path:"), "{said}");
}

#[test]
fn wrong_input_says_what_would_be_right() {
    let folder = folder();
    let file = write(folder.path(), "ours.jsonl", OURS);
    let twice = write(folder.path(), "twice.jsonl", &OURS.replace("\"2\"", "\"1\""));
    let columns = write(folder.path(), "columns.jsonl", "{\"output\": \"a\", \"nr\": 1}");
    let broken = write(folder.path(), "broken.jsonl", "{\"sample\": ");
    let cases: [(&[&str], &str); 7] = [
        (
            &["score", "ChartQaa", text(&file)],
            "no benchmark is called `ChartQaa`; did you mean `ChartQa`?",
        ),
        (
            &["score", "ClipVit", text(&file)],
            "`ClipVit` is a plugin of the kind vision encoder, not a benchmark",
        ),
        (
            &["score", "ChartQa(pth: 1)", text(&file)],
            "`eagle-lab plugins ChartQa` shows its fields",
        ),
        (&["score", "ChartQa", "no-such.jsonl"], "no-such.jsonl"),
        (
            &["score", "ChartQa", text(&twice)],
            "twice.jsonl:2: `1` is answered twice: here and in line 1",
        ),
        (
            &["score", "ChartQa", text(&columns)],
            "columns.jsonl:1: it has none of `prediction`, `filtered_resps`, `resps`, `text`; it has `nr`, `output`",
        ),
        (&["score", "ChartQa", text(&broken)], "broken.jsonl:1: expected one JSON object a line"),
    ];
    for (arguments, expected) in cases {
        let (code, said) = refuse(arguments);
        assert_eq!(code, 2);
        assert!(said.contains(expected), "no {expected:?} in\n{said}");
    }
}
