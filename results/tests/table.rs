//! Tables of a study, against numbers worked out by hand.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod fixture;

use eagle_results::{
    ResultsError, RowKind, SpreadOver, Table, TableCell, TableFormat, TableOptions, Test, table,
};
use fixture::{Results, answers, fields};
use serde_json::{Value, json};

/// Two trials at three seeds, ten samples a benchmark.
fn fusion() -> Results {
    let results = Results::new();
    for (seed, right) in [(0, 5), (1, 6), (2, 7)] {
        let (seen, blind) = (answers(right, 10 - right), answers(3, 7));
        results.add(
            "ChannelConcat(grid: 8)",
            seed,
            seed as u32,
            &[("mini-colour", &seen, &blind), ("mini-ocr", &answers(2, 8), &[])],
        );
        let better = answers(right + 2, 8 - right);
        results.add(
            "LlavaHr()",
            seed,
            10 + seed as u32,
            &[("mini-colour", &better, &blind), ("mini-ocr", &answers(2, 8), &[])],
        );
    }
    results
}

fn cell<'a>(table: &'a Table, trial: &str, kind: RowKind, benchmark: &str) -> &'a TableCell {
    let column = table.columns.iter().position(|c| c.benchmark == benchmark).expect("a column");
    let row =
        table.rows.iter().find(|r| r.trial.starts_with(trial) && r.kind == kind).expect("a row");
    row.cells[column].as_ref().expect("a cell")
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-9
}

#[test]
fn a_cell_is_the_mean_and_sample_standard_deviation_over_seeds() {
    let table = table(fusion().out(), "fusion", &TableOptions::default()).unwrap();
    let concat = cell(&table, "ChannelConcat", RowKind::Model, "mini-colour");
    // 0.5, 0.6, 0.7.
    assert!(near(concat.value, 0.6));
    let (spread, over) = concat.spread.unwrap();
    assert!(near(spread, 0.1) && over == SpreadOver::Seeds);
    assert_eq!((concat.seeds, concat.samples), (3, 10));
    let mean = cell(&table, "ChannelConcat", RowKind::Model, "mean");
    // 0.35, 0.4, 0.45.
    assert!(near(mean.value, 0.4) && near(mean.spread.unwrap().0, 0.05));
    assert!(near(cell(&table, "LlavaHr", RowKind::Blind, "mini-colour").value, 0.3));
}

#[test]
fn one_seed_shows_the_standard_error_over_samples_and_says_so() {
    let results = Results::new();
    results.add("ChannelConcat()", 0, 0, &[("mini-colour", &answers(5, 5), &[])]);
    let table = table(results.out(), "fusion", &TableOptions::default()).unwrap();
    let (spread, over) = cell(&table, "Channel", RowKind::Model, "mini-colour").spread.unwrap();
    // sqrt(0.5 x 0.5 / 10).
    assert!((spread - 0.158_113_883).abs() < 1e-9 && over == SpreadOver::Samples);
    let text = table.render(TableFormat::Md);
    assert!(text.contains("50.0 ± 15.8†"), "{text}");
    assert!(text.contains("† One seed: ±"), "{text}");
}

#[test]
fn one_seed_is_compared_by_mcnemar_s_exact_test() {
    let results = Results::new();
    results.add("A()", 0, 0, &[("mini-colour", &answers(4, 16), &[])]);
    // Right on samples 0..3 and 4..11: eight better, none worse.
    results.add("B()", 0, 1, &[("mini-colour", &answers(12, 8), &[])]);
    let table = table(results.out(), "fusion", &TableOptions::default()).unwrap();
    let difference = cell(&table, "B", RowKind::Difference, "mini-colour");
    assert!(near(difference.value, 0.4));
    let test = difference.test.as_ref().unwrap();
    // 2 / 2^8.
    assert!(near(test.p, 0.007_812_5) && test.test == Test::McNemar);
    // scipy: 0.4 plus and minus t.ppf(0.975, 19) x 0.112390.
    let (low, high) = test.interval.unwrap();
    assert!(
        (low - 0.164_764_404).abs() < 1e-8 && (high - 0.635_235_596).abs() < 1e-6,
        "{low} {high}"
    );
    // Differences: eight 1, twelve 0: variance (8 x 0.36 + 12 x 0.16) / 19, over 20 samples.
    assert!(near(difference.spread.unwrap().0, (4.8_f64 / 19.0 / 20.0).sqrt()));
    assert!(!table.rows.iter().any(|r| r.trial == "A()" && r.kind == RowKind::Difference));
}

#[test]
fn seeds_that_all_agree_say_nothing_of_their_spread_so_questions_are_compared() {
    let table = table(fusion().out(), "fusion", &TableOptions::default()).unwrap();
    let difference = cell(&table, "LlavaHr", RowKind::Difference, "mini-colour");
    // Samples 5..8 are better at 1, 2, 2 and 1 of three seeds: 1/3, 2/3, 2/3, 1/3.
    assert!(near(difference.value, 0.2));
    let test = difference.test.as_ref().unwrap();
    assert_eq!(test.test, Test::Permutation);
    // All four signs must agree: 2 / 16.
    assert!((test.p - 0.125).abs() < 0.01, "{test:?}");
    let mean = cell(&table, "LlavaHr", RowKind::Difference, "mean");
    assert!(near(mean.value, 0.1));
}

/// Three trials whose scores differ from seed to seed: 0.5, 0.6, 0.7 against 0.8, 0.95, 0.95 and 0.55,
/// 0.6, 0.8.
fn three() -> Results {
    let results = Results::new();
    for (trial, right) in [("A()", [10, 12, 14]), ("B()", [16, 19, 19]), ("C()", [11, 12, 16])] {
        for (seed, right) in right.into_iter().enumerate() {
            let seen = answers(right, 20 - right);
            results.add(trial, seed as u64, seed as u32, &[("mini-colour", &seen, &[])]);
        }
    }
    results
}

#[test]
fn several_seeds_are_compared_by_a_paired_t_test_and_corrected_by_holm() {
    let table = table(three().out(), "fusion", &TableOptions::default()).unwrap();
    let of = |trial| cell(&table, trial, RowKind::Difference, "mini-colour").test.clone().unwrap();
    let (b, c) = (of("B"), of("C"));
    assert_eq!((b.test, c.test), (Test::PairedT, Test::PairedT));
    // scipy.stats.ttest_rel([.8, .95, .95], [.5, .6, .7]) and its confidence_interval(0.95).
    assert!((b.p - 0.009_132_611_386_275_451).abs() < 1e-9, "{b:?}");
    let (low, high) = b.interval.unwrap();
    assert!((low - 0.175_793_114_4).abs() < 1e-8 && (high - 0.424_206_885_6).abs() < 1e-8);
    // scipy.stats.ttest_rel([.55, .6, .8], [.5, .6, .7]).
    assert!((c.p - 0.225_403_330_758_516_65).abs() < 1e-9, "{c:?}");
    assert!(near(b.adjusted, 2.0 * b.p) && near(c.adjusted, c.p));
    assert!(b.is_significant() && !c.is_significant());
}

#[test]
fn only_what_differs_significantly_is_bold() {
    let table = table(three().out(), "fusion", &TableOptions::default()).unwrap();
    let text = table.render(TableFormat::Md);
    let bold = |line: &str| line.matches("**").count() / 2;
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).skip(2).collect();
    assert_eq!(rows.iter().map(|row| bold(row)).collect::<Vec<_>>(), [0, 1, 1, 0, 0], "{text}");
    assert!(rows[1].contains("| **90.0** ± 8.7 |"), "{text}");
    assert!(rows[2].contains("| **+30.0** [+17.6, +42.4] (p = 0.018) |"), "{text}");
    assert!(text.contains("p corrected by Holm for the 2 rows"), "{text}");
    assert!(table.render(TableFormat::Tex).contains("\\textbf{90.0} $\\pm$ 8.7"));
}

#[test]
fn the_baseline_can_be_named() {
    let results = fusion();
    let named =
        |name: &str| TableOptions { baseline: Some(name.to_owned()), ..TableOptions::default() };
    let table_ = table(results.out(), "fusion", &named("LlavaHr()")).unwrap();
    let difference = cell(&table_, "ChannelConcat", RowKind::Difference, "mini-colour");
    assert!(near(difference.value, -0.2));
    let error = table(results.out(), "fusion", &named("LavaHr()")).unwrap_err();
    assert!(
        error.to_string().starts_with("no trial `LavaHr()`; did you mean `LlavaHr()`?"),
        "{error}"
    );
}

#[test]
fn a_metric_that_is_not_the_mean_of_its_samples_is_tested_over_seeds_only() {
    let results = fusion();
    let f1 = |run: &str, value: f64| {
        let scores = json!([{"benchmark": "mini-colour", "metric": "f1", "value": value, "n": 10,
                             "standard_error": null, "blind": false}]);
        results.edit(run, json!({"scores": scores}));
    };
    f1("ChannelConcat-0", 0.8);
    f1("LlavaHr-0", 0.9);
    let of = || {
        let table = table(results.out(), "fusion", &TableOptions::default()).unwrap();
        let column = table.columns.iter().position(|c| c.metric == "f1").unwrap();
        let row = table.rows.iter().find(|r| r.kind == RowKind::Difference).unwrap();
        row.cells[column].clone().unwrap()
    };
    assert!(near(of().value, 0.1) && of().test.is_none() && of().spread.is_none());
    f1("ChannelConcat-1", 0.7);
    f1("LlavaHr-1", 0.9);
    assert!(near(of().value, 0.15) && of().test.unwrap().test == Test::PairedT);
}

#[test]
fn tables_show_the_main_metric_and_say_what_could_not_be_judged() {
    let results = fusion();
    let score = |metric: &str, value: f64, main: bool| {
        json!({"benchmark": "mini-pope", "metric": metric, "value": value, "n": 10, "blind": false,
               "standard_error": null, "main": main, "undecided": 3})
    };
    let scores = json!([score("f1", 0.8, true), score("recall", 0.7, false)]);
    results.edit("LlavaHr-0", json!({"scores": scores}));
    let table = table(results.out(), "fusion", &TableOptions::default()).unwrap();
    let shown = table.columns.iter().filter(|c| c.benchmark == "mini-pope");
    assert_eq!(shown.map(|c| c.metric.as_str()).collect::<Vec<_>>(), ["f1"]);
    let note = "Undecided: LlavaHr(), mini-pope: 3 answers (n = 10)";
    assert!(table.notes.iter().any(|n| n.starts_with(note)), "{:?}", table.notes);
}

#[test]
fn the_normalised_average_runs_from_a_guess_to_the_best() {
    let results = fusion();
    let score = |benchmark: &str, value: f64, chance: Value, maximum: f64| {
        json!({"benchmark": benchmark, "metric": "m", "value": value, "n": 10, "blind": false,
               "standard_error": 0.1 * maximum, "chance": chance, "maximum": maximum})
    };
    let options = TableOptions { normalised: true, ..TableOptions::default() };
    let scores =
        json!([score("mme", 1375.0, json!(750.0), 2000.0), score("seed", 0.25, json!(0.25), 1.0)]);
    results.edit("LlavaHr-0", json!({"scores": scores}));
    for seed in [1, 2] {
        results.edit(&format!("LlavaHr-{seed}"), json!({"status": "failed"}));
    }
    let of = |row: &str| {
        let table = table(results.out(), "fusion", &options).unwrap();
        let column = table.columns.iter().position(|c| c.is_normalised).unwrap();
        let row = table.rows.iter().find(|r| r.trial == row && r.kind == RowKind::Model).unwrap();
        (row.cells[column].clone(), table.notes.join("\n"))
    };
    // The other trial has other benchmarks, so no seed has them all.
    assert_eq!(of("LlavaHr()").0, None);
    for seed in 0..3 {
        results.edit(&format!("ChannelConcat-{seed}"), json!({"status": "failed"}));
    }
    let (cell, notes) = of("LlavaHr()");
    let cell = cell.unwrap();
    assert!(near(cell.value, 0.25), "half of the way, and none: {cell:?}");
    let (first, second) = (200.0 / 1250.0, 0.1 / 0.75);
    let error = f64::hypot(first, second) / 2.0;
    assert!(near(cell.spread.unwrap().0, error), "{cell:?}");
    assert!(notes.contains("The paper's own normalisation is unknown"), "{notes}");
    let unknown = json!([score("mme", 1375.0, Value::Null, 2000.0)]);
    results.edit("LlavaHr-0", json!({"scores": unknown}));
    assert_eq!(of("LlavaHr()").0, None, "without a chance there is no scale");
}

#[test]
fn unfinished_runs_and_repeated_seeds_count_once_and_are_named() {
    let results = fusion();
    results.edit("LlavaHr-2", json!({"status": "failed", "error": "out of memory"}));
    results.edit("ChannelConcat-2", json!({"seed": 1}));
    let table = table(results.out(), "fusion", &TableOptions::default()).unwrap();
    // Seed 1 counts with its later run: 0.5 and 0.7.
    let concat = cell(&table, "ChannelConcat", RowKind::Model, "mini-colour");
    assert!(near(concat.value, 0.6));
    assert_eq!(concat.seeds, 2);
    let notes = table.notes.join("\n");
    assert!(
        notes.contains("Not counted: LlavaHr(), seed 2: failed: out of memory (run LlavaHr-2).")
    );
    assert!(notes.contains("Not counted: 1 older run(s)"), "{notes}");
}

#[test]
fn what_failed_before_it_was_done_is_no_note_and_what_failed_after_it_is_one() {
    let results = fusion();
    // Another run of the same trial and seed: its data was repaired in between.
    results.edit(
        "LlavaHr-2",
        json!({"status": "failed", "error": "broken picture", "seed": 1,
                                     "started": "2026-01-01T09:00:00Z"}),
    );
    let notes = |results: &Results| {
        let table = table(results.out(), "fusion", &TableOptions::default()).unwrap();
        table.notes.join("\n")
    };
    assert!(!notes(&results).contains("broken picture"), "{}", notes(&results));
    results.edit("LlavaHr-2", json!({"started": "2027-01-01T09:00:00Z"}));
    assert!(notes(&results).contains("broken picture"), "{}", notes(&results));
}

#[test]
fn rows_stand_in_the_order_of_the_study_whichever_trial_was_started_first() {
    let results = fusion();
    let first = |results: &Results| {
        let table = table(results.out(), "fusion", &TableOptions::default()).unwrap();
        table.baseline.unwrap()
    };
    assert_eq!(first(&results), "ChannelConcat(grid: 8)");
    for run in ["LlavaHr-1", "LlavaHr-2"] {
        results.edit(run, json!({"position": 0}));
    }
    for run in ["ChannelConcat-1", "ChannelConcat-2"] {
        results.edit(run, json!({"position": 1}));
    }
    assert_eq!(first(&results), "LlavaHr()");
}

#[test]
fn a_table_of_an_experiment_takes_its_trials() {
    let table = table(fusion().out(), "x2", &TableOptions::default()).unwrap();
    assert_eq!(table.rows.iter().filter(|r| r.kind == RowKind::Model).count(), 2);
}

#[test]
fn an_unknown_study_lists_what_there_is() {
    let error = table(fusion().out(), "fusoin", &TableOptions::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no study or experiment `fusoin`; did you mean `fusion`?\nhelp: there are fusion, x2"
    );
    let error = table(Results::new().out(), "fusion", &TableOptions::default()).unwrap_err();
    assert!(matches!(error, ResultsError::NoRuns { .. }), "{error}");
}

#[test]
fn a_published_model_stands_beside_ours_in_its_own_units() {
    let results = Results::new();
    let run = results.add("Eagle-X5-7B", 0, 0, &[("gqa", &answers(6, 4), &[])]);
    results.edit(&run, json!({"study": null}));
    let options =
        TableOptions { published: Some("released_models".to_owned()), ..TableOptions::default() };
    let table_ = table(results.out(), "x2", &options).unwrap();
    assert!(near(cell(&table_, "Eagle", RowKind::Published, "gqa").value, 64.9));
    let options =
        TableOptions { published: Some("released".to_owned()), ..TableOptions::default() };
    let error = table(results.out(), "x2", &options).unwrap_err().to_string();
    assert!(error.contains("no published table `released`"), "{error}");
}

#[test]
fn a_study_is_found_by_the_table_that_it_is_named_after() {
    let results = Results::new().with_fusions();
    let of = |name| table(results.out(), name, &TableOptions::default());
    assert_eq!(of("fusion").unwrap().selection, "mini-fusion");
    results.add_to("paper-fusion", &[("fuse", "MiniGemini()")], (0, 0), &[("gqa", 20)]);
    let error = of("fusion").unwrap_err().to_string();
    assert!(error.ends_with("there are mini-fusion, paper-fusion, x2"), "{error}");
}

fn rendered(format: TableFormat) -> String {
    let results = Results::new().with_fusions();
    table(results.out(), "fusion", &TableOptions::default()).unwrap().render(format)
}

#[test]
fn the_markdown_table_reads_like_this() {
    insta::assert_snapshot!("fusion_md", rendered(TableFormat::Md));
}

#[test]
fn the_latex_table_reads_like_this() {
    insta::assert_snapshot!("fusion_tex", rendered(TableFormat::Tex));
}

#[test]
fn the_csv_table_has_one_line_a_cell() {
    insta::assert_snapshot!("fusion_csv", rendered(TableFormat::Csv));
}

#[test]
fn latex_is_balanced_and_has_no_character_that_it_would_read_as_a_command() {
    let results = Results::new();
    let trial = "A_b & 50% #1 {x} ~ ^ \\ $ < > …";
    results.add_to("mini-fusion", &[("fuse", trial)], (0, 0), &[("mini_colour", 3)]);
    results.add_to("mini-fusion", &[("fuse", "B()")], (1, 0), &[("mini_colour", 30)]);
    let table = table(results.out(), "fusion", &TableOptions::default()).unwrap();
    let text = table.render(TableFormat::Tex);
    let bare = |wanted: char| {
        let mut before = ' ';
        text.chars()
            .filter(|c| {
                let found = *c == wanted && before != '\\';
                before = *c;
                found
            })
            .count()
    };
    assert_eq!(bare('{'), bare('}'), "{text}");
    assert_eq!(bare('$') % 2, 0, "{text}");
    assert_eq!(bare('#') + bare('~') + bare('…') + bare('—') + bare('±'), 0, "{text}");
    // The comment in the first line alone begins with a per cent sign.
    assert_eq!(bare('%'), 1, "{text}");
    // As many columns in each row as the head has.
    let columns = |line: &str| line.replace("\\&", "").matches('&').count();
    let rows: Vec<&str> = text.lines().filter(|line| line.ends_with("\\\\")).collect();
    assert!(rows.len() > 2 && rows.iter().all(|row| columns(row) == columns(rows[0])), "{text}");
}

#[test]
fn a_csv_table_reads_back() {
    let text = rendered(TableFormat::Csv);
    let rows: Vec<Vec<String>> = text.lines().map(fields).collect();
    assert!(rows.iter().all(|row| row.len() == rows[0].len()), "{text}");
    let at = |name: &str| rows[0].iter().position(|title| title == name).unwrap();
    let results = Results::new().with_fusions();
    let table = table(results.out(), "fusion", &TableOptions::default()).unwrap();
    let cells: usize = table.rows.iter().map(|row| row.cells.iter().flatten().count()).sum();
    assert_eq!(rows.len(), 1 + cells);
    for row in &rows[1..] {
        let kind = table
            .rows
            .iter()
            .find(|known| known.trial == row[at("trial")] && known.kind.name() == row[at("row")]);
        let column =
            table.columns.iter().position(|c| c.benchmark == row[at("benchmark")]).unwrap();
        let cell = kind.unwrap().cells[column].as_ref().unwrap();
        assert_eq!(row[at("value")].parse::<f64>().unwrap().to_bits(), cell.value.to_bits());
        let p = cell.test.as_ref().map(|test| test.p.to_bits());
        assert_eq!(row[at("p")].parse::<f64>().ok().map(f64::to_bits), p);
    }
}

#[test]
fn costs_are_shown_where_they_are_asked_for() {
    let results = fusion();
    let plain = table(results.out(), "fusion", &TableOptions::default()).unwrap();
    assert!(!plain.render(TableFormat::Md).contains("samples/s"));
    let options = TableOptions { costs: true, ..TableOptions::default() };
    let costs = table(results.out(), "fusion", &options).unwrap();
    let row = &costs.rows[0];
    let of_runs = "SELECT parameters_trained, parameters_frozen, samples_per_second FROM runs \
                   WHERE trial = 'ChannelConcat(grid: 8)'";
    let frame = eagle_results::query(results.out(), of_runs).unwrap();
    let number = |cell: &eagle_results::Cell| match cell {
        eagle_results::Cell::Int(n) => *n as f64,
        eagle_results::Cell::Float(n) => *n,
        other => panic!("{other:?}"),
    };
    let runs: Vec<Vec<f64>> = frame.rows().map(|row| row.iter().map(number).collect()).collect();
    let mean = |of: &dyn Fn(&Vec<f64>) -> f64| runs.iter().map(of).sum::<f64>() / 3.0;
    assert_eq!(runs.len(), 3);
    assert_eq!(row.parameters, Some(mean(&|run| run[0] + run[1])));
    assert_eq!(row.trained, Some(mean(&|run| run[0])));
    assert_eq!(row.speed, Some(mean(&|run| run[2])));
    let text = costs.render(TableFormat::Md);
    let head = "| trial | row | seeds | visual tokens | parameters | trained | samples/s |";
    assert!(text.contains(head), "{text}");
    let bars = |line: &str| line.matches('|').count();
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
    assert!(lines.iter().all(|line| bars(line) == bars(lines[0])), "{text}");
}
