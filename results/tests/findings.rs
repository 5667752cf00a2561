//! The paper's findings on fixture runs: evidence worked out by scipy, verdicts by the stated rule.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod fixture;

use eagle_results::{
    Evidence, Finding, FindingsFormat, Outcome, Test, Verdict, findings, render_findings,
};
use fixture::{Results, fields};

fn of(results: &Results, id: &str) -> Finding {
    let found = findings(results.out()).unwrap();
    found.into_iter().find(|finding| finding.claim.id == id).expect(id)
}

fn tested(results: &Results, id: &str) -> Evidence {
    match of(results, id).outcome {
        Outcome::Tested(evidence) => evidence,
        other => panic!("{id}: {other:?}"),
    }
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-8
}

#[test]
fn without_any_run_every_finding_names_the_command_that_makes_its_runs() {
    let results = Results::new();
    let found = findings(results.out()).unwrap();
    assert!(found.len() > 20);
    for finding in &found {
        let Outcome::NoRuns { command } = &finding.outcome else { panic!("{finding:?}") };
        let table = &finding.claim.table;
        assert_eq!(command, &format!("eagle-lab run experiments/mini/studies/{table}.ron"));
        assert_eq!(finding.verdict(), "no runs");
    }
    let text = render_findings(&found, FindingsFormat::Md);
    assert_eq!(text.matches("| **no runs** |").count(), found.len());
}

#[test]
fn a_finding_holds_fails_or_stays_undecided_by_its_interval() {
    let results = Results::new().with_fusions();
    let holds = tested(&results, "concat-over-llava-hr");
    // Over mini-colour and mini-word, of 40 questions each: (30 + 15 - 25 - 12) / 80 and so on;
    // scipy.stats.ttest_1samp([8/80, 9/80, 9/80], 0) and its confidence_interval(0.95).
    assert!(near(holds.difference, 26.0 / 240.0));
    let test = holds.significance.as_ref().unwrap();
    let (low, high) = test.interval.unwrap();
    assert!(near(test.p, 0.001_476_015_564_660_876), "{test:?}");
    assert!(near(low, 0.090_405_613_63) && near(high, 0.126_261_053_04), "{test:?}");
    assert_eq!((holds.verdict, test.test), (Verdict::Holds, Test::PairedT));
    assert_eq!((holds.seeds, holds.samples), (3, 80));
    assert_eq!(tested(&results, "concat-over-deformable").verdict, Verdict::DoesNotHold);
    assert_eq!(tested(&results, "concat-over-mini-gemini").verdict, Verdict::Undecided);
    assert_eq!(tested(&results, "append-over-concat").verdict, Verdict::DoesNotHold);
}

#[test]
fn rows_are_compared_where_they_differ_in_nothing_else() {
    let results = Results::new().with_pre_alignment();
    let unlocking = tested(&results, "unlocking-with-two-experts");
    // The mean of the gains with (10, 11, 11) and without (18, 19, 22) pre-alignment, of 40.
    assert!(near(unlocking.difference, (28.0 + 30.0 + 33.0) / 2.0 / 3.0 / 40.0));
    assert_eq!(unlocking.more.len(), 2);
    assert_eq!(unlocking.verdict, Verdict::Holds);
    // A difference of differences: (8, 9, 10) minus (0, 1, -1).
    let more = tested(&results, "pre-alignment-more-when-frozen");
    assert!(near(more.difference, (8.0 + 8.0 + 11.0) / 3.0 / 40.0));
    assert_eq!(more.verdict, Verdict::Holds);
    assert_eq!(tested(&results, "pre-alignment-unlocked").verdict, Verdict::Undecided);
}

fn resolution(frozen: [usize; 3]) -> Results {
    let results = Results::new();
    let rows = [
        ("40", "unlocked", [30, 31, 32]),
        ("40", "frozen", frozen),
        ("56", "unlocked", [33, 34, 34]),
    ];
    for (position, (size, expert, right)) in rows.into_iter().enumerate() {
        for (seed, right) in right.into_iter().enumerate() {
            let axes = [("image_size", size), ("expert", expert)];
            let at = (position as u64, seed as u64);
            results.add_to("mini-resolution", &axes, at, &[("mini-colour", right)]);
        }
    }
    results
}

#[test]
fn doing_no_harm_is_not_lower_by_more_than_the_margin() {
    let verdict = |frozen| tested(&resolution(frozen), "unlocking-at-old-resolution").verdict;
    // Questions better: 0, 0, 1 of 40 with a margin of 0.8; then 5, 6, 5 worse; then 0, 8, -8.
    assert_eq!(verdict([30, 30, 32]), Verdict::Undecided);
    assert_eq!(verdict([30, 31, 32]), Verdict::Undecided);
    assert_eq!(verdict([27, 28, 28]), Verdict::Holds);
    assert_eq!(verdict([35, 37, 37]), Verdict::DoesNotHold);
    assert_eq!(verdict([30, 23, 40]), Verdict::Undecided);
}

#[test]
fn what_is_missing_is_said() {
    let missing = |results: &Results, id: &str| match of(results, id).outcome {
        Outcome::Missing { what } => what,
        other => panic!("{other:?}"),
    };
    let results = resolution([30, 30, 30]);
    let said = missing(&results, "unlocking-at-new-resolution");
    assert_eq!(said, "no finished row with a value of image_size at place 2, expert frozen");
    assert_eq!(of(&results, "unlocking-at-new-resolution").verdict(), "undecided");
    results.add_to("mini-experts", &[("experts", "clip")], (0, 0), &[("mini-colour", 9)]);
    results.add_to("mini-experts", &[("experts", "dino")], (1, 0), &[("mini-colour", 9)]);
    let said = missing(&results, "dino-poor-on-text");
    assert!(
        said.starts_with("its rows have no score of one of its benchmarks (mini-word"),
        "{said}"
    );
    // It compares rows of two studies, of which one has not run.
    let results = Results::new().with_fusions();
    let Outcome::NoRuns { command } = of(&results, "injection-loses-text").outcome else {
        panic!()
    };
    assert_eq!(command, "eagle-lab run experiments/mini/studies/experts.ron");
}

#[test]
fn rows_of_two_studies_can_be_compared() {
    let results = Results::new().with_fusions();
    for (seed, right) in [38, 38, 40].into_iter().enumerate() {
        let axes = [("round", "1"), ("experts", "convnext")];
        let at = (0, seed as u64);
        results.add_to("mini-experts", &axes, at, &[("mini-word", right)]);
    }
    let evidence = tested(&results, "injection-loses-text");
    assert_eq!(evidence.benchmarks, ["mini-word"]);
    assert_eq!((evidence.more.len(), evidence.less.len()), (1, 3));
    // LLaVA-HR 12, 11, 12; Mini-Gemini 14, 14, 15; deformable attention 17, 17, 18.
    let lower = (12 + 11 + 12 + 14 + 14 + 15 + 17 + 17 + 18) as f64 / 9.0;
    assert!(near(evidence.difference, (116.0 / 3.0 - lower) / 40.0));
    assert_eq!(evidence.verdict, Verdict::Holds);
}

#[test]
fn the_best_of_a_round_is_compared_with_the_best_of_the_round_before() {
    let results = Results::new();
    let sets = [("0", "clip", 20), ("1", "clip+sam", 22), ("1", "clip+convnext", 30)];
    for (position, (round, experts, right)) in sets.into_iter().enumerate() {
        let axes = [("round", round), ("experts", experts)];
        results.add_to("mini-selection", &axes, (position as u64, 0), &[("mini-colour", right)]);
    }
    let two = tested(&results, "two-experts-over-one");
    assert_eq!(two.more, ["round=1,experts=clip+convnext"]);
    // One seed: over questions, ten better and none worse.
    let test = two.significance.unwrap();
    assert_eq!(test.test, Test::McNemar);
    assert!(near(test.p, 2.0 / 1024.0));
    assert_eq!((two.verdict, two.seeds), (Verdict::Holds, 1));
    assert_eq!(tested(&results, "convnext-first").verdict, Verdict::Holds);
    assert!(matches!(of(&results, "three-experts-over-two").outcome, Outcome::Missing { .. }));
}

#[test]
fn five_of_five_better_is_no_certainty() {
    let results = Results::new();
    let one = |position: u64, fuse: &str, right: usize| {
        let run = results.add_to("fusion", &[("fuse", fuse)], (position, 0), &[]);
        let file = "predictions/mini-colour.jsonl";
        let line = |i| format!("{{\"sample\": \"{i}\", \"score\": {}}}\n", u8::from(i < right));
        results.write(&run, file, &(0..5).map(line).collect::<String>());
        let scores = serde_json::json!([{"benchmark": "mini-colour", "metric": "accuracy", "n": 5,
            "value": right as f64 / 5.0, "standard_error": 0.0, "blind": false}]);
        results.edit(&run, serde_json::json!({"scores": scores}));
    };
    one(0, "ChannelConcat()", 5);
    one(1, "LlavaHr()", 0);
    let evidence = tested(&results, "concat-over-llava-hr");
    assert!(near(evidence.difference, 1.0));
    let test = evidence.significance.unwrap();
    assert!(near(test.p, 2.0 / 32.0) && test.interval.is_none());
    assert_eq!(evidence.verdict, Verdict::Undecided);
}

#[test]
fn each_scale_is_decided_by_its_own_studies() {
    let results = Results::new().with_fusions();
    for (position, fuse) in ["ChannelConcat(grid: 32)", "LlavaHr()"].into_iter().enumerate() {
        let at = (position as u64, 0);
        results.add_to("paper-fusion", &[("fuse", fuse)], at, &[("gqa", 20 + position)]);
    }
    let found = findings(results.out()).unwrap();
    let studies: Vec<_> = found
        .iter()
        .filter(|finding| finding.claim.id == "concat-over-llava-hr")
        .map(|finding| finding.study.as_deref().unwrap())
        .collect();
    assert_eq!(studies, ["mini-fusion", "paper-fusion"]);
}

#[test]
fn findings_read_like_this() {
    let results = Results::new().with_fusions().with_pre_alignment();
    let found = findings(results.out()).unwrap();
    let text = render_findings(&found, FindingsFormat::Md);
    insta::assert_snapshot!("findings_md", text);
}

#[test]
fn findings_read_back_from_json_and_csv() {
    let results = Results::new().with_fusions();
    let found = findings(results.out()).unwrap();
    let json: serde_json::Value =
        serde_json::from_str(&render_findings(&found, FindingsFormat::Json)).unwrap();
    let csv = render_findings(&found, FindingsFormat::Csv);
    let lines: Vec<Vec<String>> = csv.lines().map(fields).collect();
    assert_eq!(json.as_array().unwrap().len(), found.len());
    assert_eq!(lines.len(), found.len() + 1);
    for ((finding, object), line) in found.iter().zip(json.as_array().unwrap()).zip(&lines[1..]) {
        assert_eq!(line.len(), lines[0].len());
        assert_eq!(object["id"], finding.claim.id.as_str());
        assert_eq!(object["verdict"], line[3].as_str());
        assert_eq!(line[4], finding.claim.statement);
        if let Outcome::Tested(evidence) = &finding.outcome {
            assert_eq!(object["evidence"]["difference"], evidence.difference);
            assert_eq!(line[5].parse::<f64>().unwrap().to_bits(), evidence.difference.to_bits());
        }
    }
}
