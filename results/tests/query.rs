//! SQL over the frames, its errors, and the renderings of what it returns.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod fixture;

use std::fs;

use eagle_results::{Cell, Format, ResultsError, query};
use fixture::{Results, answers};
use serde_json::json;

fn runs() -> Results {
    let results = Results::new();
    results.add("ChannelConcat(grid: 8)", 0, 0, &[("mini-colour", &answers(3, 1), &answers(1, 3))]);
    results.add("ChannelConcat(grid: 8)", 1, 1, &[("mini-colour", &answers(2, 2), &answers(1, 3))]);
    results.add("LlavaHr()", 0, 2, &[("mini-colour", &answers(4, 0), &answers(2, 2))]);
    results
}

fn csv(results: &Results, sql: &str) -> String {
    match query(results.out(), sql) {
        Ok(frame) => frame.render(&Format::Csv).unwrap(),
        Err(error) => panic!("{sql}\n{error}"),
    }
}

#[test]
fn tables_join_group_and_order() {
    let sql = "SELECT axis_fuse, COUNT(*) AS n, AVG(value) AS mean \
               FROM scores JOIN runs ON scores.run = runs.run \
               WHERE NOT blind GROUP BY axis_fuse ORDER BY mean DESC";
    assert_eq!(
        csv(&runs(), sql),
        "axis_fuse,n,mean\nLlavaHr(),1,1.0\nChannelConcat(grid: 8),2,0.625\n"
    );
}

/// Runs of every study that the documentation asks about.
fn studies() -> Results {
    let results = Results::new().with_fusions().with_pre_alignment();
    results.add("ChannelConcat()", 0, 0, &[("mini-colour", &answers(3, 1), &answers(1, 3))]);
    let add = |study: &str, at: u64, axes: &[(&str, &str)], right: usize| {
        for seed in 0..3 {
            // The first question is never answered.
            let run =
                results.add_to(study, axes, (at, seed), &[("mini-colour", right + seed as usize)]);
            let path = results.run_folder(&run).join("predictions/mini-colour.jsonl");
            let text = fs::read_to_string(&path).unwrap();
            fs::write(path, text.replacen("\"score\":1.0", "\"score\":0.0", 1)).unwrap();
        }
    };
    for (at, (size, expert)) in [("40", "unlocked"), ("40", "frozen")].into_iter().enumerate() {
        add("mini-resolution", at as u64, &[("image_size", size), ("expert", expert)], 20 - 9 * at);
    }
    for (at, expert) in ["clip", "eva"].into_iter().enumerate() {
        add("mini-experts", at as u64, &[("round", "1"), ("experts", expert)], 10 + 9 * at);
    }
    for (at, (round, set)) in [("0", "clip"), ("1", "clip+eva")].into_iter().enumerate() {
        add("mini-selection", at as u64, &[("round", round), ("experts", set)], 10 + 9 * at);
    }
    results
}

fn documented() -> Vec<String> {
    let docs =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/results.md")).unwrap();
    let blocks = docs.split("```sql\n").skip(1);
    blocks.filter_map(|rest| rest.split("```").next()).map(str::to_owned).collect()
}

#[test]
fn every_query_in_the_docs_finds_rows() {
    let examples = documented();
    assert!(examples.len() >= 15, "{}", examples.len());
    let results = studies();
    for sql in examples {
        let sql = sql.replace("'RUN'", "'mini-fusion-0-0'").replace("'OTHER'", "'mini-fusion-2-0'");
        let rows = csv(&results, &sql).lines().count() - 1;
        assert!(rows > 0, "nothing found by\n{sql}");
    }
}

fn answer(title: &str) -> String {
    let sql = documented().into_iter().find(|sql| sql.contains(title)).unwrap();
    csv(&studies(), &sql)
}

#[test]
fn the_docs_best_fusion_is_the_best_within_its_tokens() {
    // SequenceAppend has 50 tokens, all others 25.
    let found = answer("visual_tokens <= 64");
    let best = "DeformableAttention(heads: 4),0.875,3,25";
    assert!(found.contains(&format!("mini-colour,{best}")), "{found}");
}

#[test]
fn the_docs_gain_from_unlocking_has_student_s_interval() {
    // Nine questions of 40 in each of three seeds.
    let found = answer("axis_image_size AS size");
    let row: Vec<&str> = found.lines().nth(1).unwrap().split(',').collect();
    assert_eq!((row[0], row[4]), ("40", "3"));
    let mean: f64 = row[1].parse().unwrap();
    assert!((mean - 0.225).abs() < 1e-12, "{found}");
}

#[test]
fn the_docs_greedy_rounds_show_what_an_expert_adds() {
    let found = answer("axis_round AS round");
    let row: Vec<&str> = found.lines().nth(2).unwrap().split(',').collect();
    assert_eq!((row[0], row[1]), ("1", "clip+eva"));
    assert!((row[3].parse::<f64>().unwrap() - 0.225).abs() < 1e-12, "{found}");
}

#[test]
fn the_schema_shows_every_column_and_what_the_runs_vary() {
    let text = eagle_results::describe(studies().out()).unwrap();
    assert!(text.contains("axis_fuse"), "{text}");
    assert!(text.contains("ChannelConcat(grid: 5), DeformableAttention(heads: 4)"), "{text}");
    assert!(text.contains("\"axis_pre-alignment\" text     with, without\n"), "{text}");
}

#[test]
fn common_sql_runs() {
    let results = runs();
    for sql in [
        "WITH best AS (SELECT run, MAX(value) AS top FROM scores GROUP BY run) \
         SELECT * FROM best WHERE top > 0.6 ORDER BY run",
        "SELECT run, CASE WHEN correct THEN 'right' ELSE 'wrong' END AS verdict FROM samples LIMIT 3",
        "SELECT run, step, value - LAG(value) OVER (PARTITION BY run ORDER BY step) AS change FROM metrics",
        "SELECT run, RANK() OVER (ORDER BY value DESC) AS place FROM scores WHERE NOT blind",
        "SELECT run FROM runs WHERE run IN (SELECT run FROM scores WHERE value > 0.9)",
        "SELECT * FROM runs LEFT JOIN scores ON runs.run = scores.run WHERE scores.blind",
        "SELECT run FROM runs UNION ALL SELECT run FROM scores",
        "SELECT DISTINCT UPPER(trial) AS name, LENGTH(trial) AS length, ROUND(seconds, 1) AS s FROM runs WHERE trial LIKE 'Ch%'",
        "SELECT benchmark, STDDEV(value) AS spread, MEDIAN(value) AS middle, COUNT(DISTINCT run) AS runs \
         FROM scores GROUP BY benchmark HAVING COUNT(*) > 1",
        "SELECT CAST(started AS TIMESTAMP) AS at FROM runs",
        "SELECT a.sample FROM samples a JOIN samples b ON a.sample = b.sample AND a.benchmark = b.benchmark \
         WHERE a.run = 'LlavaHr-0' AND b.run = 'ChannelConcat-0' AND a.score > b.score",
        "SELECT run FROM runs EXCEPT SELECT run FROM scores WHERE value > 0.9",
        "SELECT run, ROW_NUMBER() OVER (PARTITION BY benchmark ORDER BY value) FROM scores",
        "SELECT samples.run FROM samples NATURAL JOIN scores",
        "SELECT trial, STRFTIME(CAST(started AS TIMESTAMP), '%Y') AS year FROM runs",
        "SELECT run FROM runs WHERE EXISTS (SELECT 1 FROM scores WHERE scores.run = runs.run AND value > 0.9)",
        "SHOW TABLES",
    ] {
        csv(&results, sql);
    }
}

#[test]
fn grouped_rows_come_in_the_same_order_every_time() {
    let results = Results::new();
    for seed in 0..20 {
        results.add("A()", seed, 0, &[("mini-colour", &answers(3, 1), &[])]);
    }
    let sql = "SELECT run, AVG(value) AS mean FROM scores GROUP BY run";
    let ordered = csv(&results, &format!("{sql} ORDER BY run"));
    assert_eq!(csv(&results, sql), ordered);
}

#[test]
fn sql_that_polars_refuses_says_why_in_one_line() {
    let sql = "SELECT UPPER(run), LENGTH(run) FROM runs HAVING COUNT(*) > 1";
    let error = query(runs().out(), sql).unwrap_err().to_string();
    assert_eq!(
        error,
        "SQL: HAVING clause not valid outside of GROUP BY\nhelp: tables are runs, metrics, scores, \
         samples; `eagle-lab query --schema` lists their columns"
    );
}

#[test]
fn a_run_that_changes_is_seen_by_the_next_query() {
    let results = runs();
    assert_eq!(csv(&results, "SELECT COUNT(*) AS n FROM runs"), "n\n3\n");
    results.add("MiniGemini()", 0, 3, &[]);
    assert_eq!(csv(&results, "SELECT COUNT(*) AS n FROM runs"), "n\n4\n");
    fs::remove_dir_all(results.run_folder("LlavaHr-0")).unwrap();
    assert_eq!(csv(&results, "SELECT COUNT(*) AS n FROM runs"), "n\n3\n");
}

#[test]
fn frames_are_not_rebuilt_while_runs_stay_the_same() {
    let results = runs();
    csv(&results, "SELECT run FROM runs");
    let built = fs::metadata(results.frame("runs")).unwrap().modified().unwrap();
    csv(&results, "SELECT run FROM runs");
    assert_eq!(fs::metadata(results.frame("runs")).unwrap().modified().unwrap(), built);
}

#[test]
fn published_frames_without_runs_answer() {
    let results = runs();
    csv(&results, "SELECT run FROM runs");
    fs::remove_dir_all(results.out().join("runs")).unwrap();
    assert_eq!(csv(&results, "SELECT COUNT(*) AS n FROM runs"), "n\n3\n");
}

#[test]
fn without_runs_the_error_says_how_to_make_some() {
    let results = Results::new();
    let error = query(results.out(), "SELECT * FROM runs").unwrap_err();
    assert!(matches!(error, ResultsError::NoRuns { .. }));
    assert!(error.to_string().contains("help: `eagle-lab run FILE.ron --out "), "{error}");
}

#[test]
fn an_unknown_table_lists_the_tables() {
    let error = query(runs().out(), "SELECT * FROM score").unwrap_err();
    assert_eq!(
        error.to_string(),
        "no table `score`; did you mean `scores`?\nhelp: tables are runs, metrics, scores, samples"
    );
}

#[test]
fn an_unknown_column_lists_the_columns_and_the_nearest() {
    for sql in [
        "SELECT benchmrk FROM scores",
        "SELECT s.benchmrk FROM scores s JOIN runs r ON s.run = r.run",
        "SELECT run FROM scores WHERE benchmrk = 'x'",
        "SELECT run FROM scores ORDER BY benchmrk",
        "SELECT AVG(value) FROM scores GROUP BY benchmrk",
    ] {
        let error = query(runs().out(), sql).unwrap_err();
        let ResultsError::UnknownColumn { column, nearest, .. } = &error else {
            panic!("{sql}: {error:?}")
        };
        assert_eq!((column.as_str(), nearest.as_deref()), ("benchmrk", Some("benchmark")), "{sql}");
        let text = error.to_string();
        assert!(text.contains(
            "scores(run, benchmark, metric, blind, value, n, standard_error, main, low,"
        ));
        assert!(text.contains("threads, axis_fuse)"), "{text}");
    }
}

#[test]
fn sql_that_does_not_parse_says_where() {
    let error = query(runs().out(), "SELEC * FROM runs").unwrap_err().to_string();
    assert!(error.starts_with("SQL: "), "{error}");
    assert!(error.contains("SELEC"), "{error}");
    let error = query(runs().out(), "SELECT 1; SELECT 2").unwrap_err().to_string();
    assert!(error.contains("one (and only one) statement"), "{error}");
}

#[test]
fn a_frame_that_is_damaged_says_to_delete_it() {
    let results = runs();
    csv(&results, "SELECT run FROM runs");
    fs::write(results.frame("scores"), "not parquet").unwrap();
    let error = query(results.out(), "SELECT * FROM scores").unwrap_err().to_string();
    assert!(error.contains("scores.parquet"), "{error}");
    assert!(error.contains("help: delete it"), "{error}");
}

#[test]
fn a_text_table_shows_every_row_and_column_in_full() {
    let results = Results::new();
    for seed in 0..40 {
        results.add(&format!("Trial{}(a name that is long)", "x".repeat(60)), seed, 0, &[]);
    }
    let frame = query(results.out(), "SELECT * FROM runs").unwrap();
    let text = frame.render(&Format::Table).unwrap();
    assert_eq!(text.lines().count(), 2 + 40 + 1);
    assert!(!text.contains('…') && !text.contains("..."));
    assert!(text.ends_with("(40 rows)\n"));
    assert!(text.contains(&format!("Trial{}(a name that is long)", "x".repeat(60))));
}

#[test]
fn a_text_table_aligns_numbers_and_wide_characters() {
    let results = runs();
    results.edit("LlavaHr-0", json!({"trial": "視覚"}));
    let sql = "SELECT trial, seed, seconds / 7 AS share, error, status = 'done' AS done \
               FROM runs ORDER BY trial, seed";
    let text = query(results.out(), sql).unwrap().render(&Format::Table).unwrap();
    insta::assert_snapshot!(text, @r"
    trial                   seed    share  error  done
    ----------------------  ----  -------  -----  ----
    ChannelConcat(grid: 8)     0  4.28571         true
    ChannelConcat(grid: 8)     1  4.28571         true
    視覚                       0  4.28571         true
    (3 rows)
    ");
}

#[test]
fn json_and_csv_are_exact() {
    let sql = "SELECT runs.run, 0.1 + 0.2 AS x, error, question \
               FROM samples JOIN runs ON samples.run = runs.run LIMIT 1";
    let frame = query(runs().out(), sql).unwrap();
    assert_eq!(
        frame.render(&Format::Csv).unwrap(),
        "run,x,error,question\nChannelConcat-0,0.30000000000000004,,\"What colour, \"\"exactly\"\"?\"\n"
    );
    let json: serde_json::Value =
        serde_json::from_str(&frame.render(&Format::Json).unwrap()).unwrap();
    let expected = json!([{"run": "ChannelConcat-0", "x": 0.1 + 0.2, "error": null,
                           "question": "What colour, \"exactly\"?"}]);
    assert_eq!(json, expected);
}

#[test]
fn a_result_written_as_parquet_reads_back_the_same() {
    let results = runs();
    let path = results.out().join("frames").join("scores.parquet");
    let frame =
        query(results.out(), "SELECT * FROM scores ORDER BY run, benchmark, blind").unwrap();
    let copy = results.out().join("copy.parquet");
    let line = frame.render(&Format::Parquet(copy.clone())).unwrap();
    assert!(line.ends_with("copy.parquet: 6 rows, 13 columns\n"), "{line}");
    assert_eq!(fs::read(copy).unwrap(), fs::read(path).unwrap());
    assert_eq!(frame.rows().next().unwrap()[0], Cell::Text("ChannelConcat-0".to_owned()));
}
