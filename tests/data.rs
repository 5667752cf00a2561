//! `eagle-lab data check`, and training on mixtures in LLaVA's grouped order.
#![allow(clippy::expect_used)]

mod support;

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use image::RgbImage;
use support::{assert_same, call, fixture, folder, program, refuse, succeed, text, write};

/// One good sample and one of every kind of bad one.
fn broken(folder: &Path) {
    let picture = |name: &str, width, height| {
        RgbImage::from_fn(width, height, |x, y| image::Rgb([x as u8, y as u8, 7]))
            .save(folder.join(name))
            .expect("a picture");
    };
    picture("good.png", 40, 30);
    picture("whole.jpg", 64, 64);
    picture("long.png", 400, 4);
    let whole = std::fs::read(folder.join("whole.jpg")).expect("a file");
    std::fs::write(folder.join("cut.jpg"), &whole[..whole.len() / 2]).expect("a file");
    let png = std::fs::read(folder.join("good.png")).expect("a file");
    std::fs::write(folder.join("cut.png"), &png[..png.len() / 2]).expect("a file");
    std::fs::write(folder.join("none.png"), "no picture").expect("a file");
    let ask = r#"{"from": "human", "value": "<image>\nwhat?"}"#;
    let blind = r#"{"from": "human", "value": "what?"}"#;
    let say = r#"{"from": "gpt", "value": "this"}"#;
    let long = format!(r#"{{"from": "gpt", "value": "{}"}}"#, "xyzzy ".repeat(300));
    let cases = [
        ("good", "good.png", format!("{ask}, {say}")),
        ("whole", "whole.jpg", format!("{ask}, {say}")),
        ("text", "", format!("{blind}, {say}")),
        ("missing", "gone.png", format!("{ask}, {say}")),
        ("cut-jpeg", "cut.jpg", format!("{ask}, {say}")),
        ("cut-png", "cut.png", format!("{ask}, {say}")),
        ("no-picture", "none.png", format!("{ask}, {say}")),
        ("extreme", "long.png", format!("{ask}, {say}")),
        ("roles", "", format!("{blind}, {blind}")),
        ("empty", "", format!(r#"{blind}, {{"from": "gpt", "value": " "}}"#)),
        ("no-image", "", format!("{ask}, {say}")),
        ("no-placeholder", "good.png", format!("{blind}, {say}")),
        ("too-long", "", format!("{blind}, {long}")),
        ("good", "good.png", format!("{ask}, {say}")),
        ("greeted", "", format!("{say}, {blind}, {say}, {blind}")),
    ];
    let entry = |(id, image, said): &(&str, &str, String)| {
        let image =
            if image.is_empty() { String::new() } else { format!(r#""image": "{image}", "#) };
        format!(r#"{{"id": "{id}", {image}"conversations": [{said}]}}"#)
    };
    let entries: Vec<String> = cases.iter().map(entry).collect();
    write(folder, "data.json", &format!("[{}]", entries.join(",\n")));
}

#[test]
fn data_check_names_every_broken_sample() {
    let folder = folder();
    broken(folder.path());
    let file = folder.path().join("data.json");
    let output = call(&["data", "check", text(&file), "--threads", "2"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let place = text(folder.path()).to_owned();
    let said = said.replace(&place, "DATA");
    let lines: Vec<&str> = said.lines().collect();
    let expected = [
        r#"DATA/data.json"#,
        r#"problem (picture): sample "missing": DATA/gone.png: No such file or directory (os error 2)"#,
        r#"problem (picture): sample "cut-jpeg": DATA/cut.jpg: the file is cut off: it has no end of image"#,
        r#"problem (picture): sample "cut-png": DATA/cut.png: "#,
        r#"problem (picture): sample "no-picture": DATA/none.png: "#,
        r#"problem (picture): sample "extreme": 400 x 4 pixels: extreme"#,
        r#"problem (sample): sample "roles": message 1 is from "human", not from "gpt""#,
        r#"problem (sample): sample "empty": message 1, an answer, is empty"#,
        r#"problem (sample): sample "no-image": it says `<image>`, but has no `image`"#,
        r#"problem (placeholder): sample "no-placeholder": it has a picture, but says `<image>` nowhere"#,
        r#"remark: sample "good#13": an earlier sample has the same id"#,
        r#"remark: sample "greeted": the first message is an answer without a question: left out"#,
        r#"remark: sample "greeted": the last question has no answer: left out"#,
        r#"15 samples: 9 with a picture, 3 of text alone, 12 turns; 9 with a problem"#,
        r#"  words: "#,
        r#"  pictures' shorter sides: "#,
    ];
    assert_eq!(lines.len(), expected.len(), "{said}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.starts_with(expected), "{line}\nshould be\n{expected}");
    }
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("9 problems"));

    // The same with one thread, for other programs.
    let output = call(&["data", "check", text(&file), "--threads", "1", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(json["problems"], 9);
    assert_eq!(json["sets"][0]["findings"].as_array().map(Vec::len), Some(12));
    assert_eq!(json["sets"][0]["sources"][0]["pictures"], 9);
}

#[test]
fn data_check_of_an_experiment_counts_tokens_and_sources() {
    let folder = folder();
    broken(folder.path());
    let tiny = std::fs::read_to_string(fixture("runs/mixture.ron")).expect("a file");
    let data = "data: Mixture(sources: [(data: MiniWorld(samples: 9)), (data: LlavaJson(path: \"data.json\"))]), batch";
    let (before, rest) = tiny.split_once("data: ").expect("a stage");
    let (_, after) = rest.split_once("batch").expect("a stage");
    let file = write(folder.path(), "x.ron", &format!("{before}{data}{after}"));
    let output = call(&["data", "check", text(&file)]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    for expected in [
        "stage tuning\n",
        "remark (length): sample \"1/too-long\": ",
        "source 0: 9 samples: 9 with a picture",
        "source 1: 15 samples: 9 with a picture",
        "  tokens: ",
    ] {
        assert!(said.contains(expected), "{expected} is missing in\n{said}");
    }
    assert_eq!(output.status.code(), Some(1), "{said}");
    // What isn't there: a warning where nothing is read, and an error where it is.
    std::fs::remove_file(folder.path().join("data.json")).expect("a file");
    let checked = call(&["check", text(&file)]);
    let warned = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(
        checked.status.success() && warned.contains("there is no file or folder data.json"),
        "{warned}"
    );
    let planned = call(&["plan", text(&file)]);
    assert!(
        String::from_utf8_lossy(&planned.stderr).contains("there is no file or folder data.json")
    );
    let (_, said) = refuse(&["run", text(&file), "--out", text(folder.path())]);
    assert!(said.contains("data.json"), "{said}");
}

#[test]
fn good_data_has_no_problems() {
    let said = succeed(&["data", "check", text(&fixture("runs/mixture.ron"))]);
    assert!(said.contains("source 1: 15 samples: 9 with a picture, 6 of text alone"), "{said}");
    let shards = succeed(&["data", "check", text(&fixture("llava/shards"))]);
    let table = succeed(&["data", "check", text(&fixture("llava/struct.parquet"))]);
    for said in [shards, table] {
        assert!(said.contains("5 samples: 3 with a picture, 2 of text alone"), "{said}");
    }
}

#[test]
fn grouped_training_on_a_mixture_resumes_to_the_same_bytes() {
    let file = fixture("runs/mixture.ron");
    let (whole, killed) = (folder(), folder());
    succeed(&["run", text(&file), "--out", text(whole.path()), "--threads", "1"]);
    let mut kills = 0;
    for delay in [60, 150, 90, 240, 120, 180] {
        let mut child = program()
            .args(["run", text(&file), "--out", text(killed.path()), "--threads", "2"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        std::thread::sleep(Duration::from_millis(delay));
        if child.try_wait().expect("a child").is_none() {
            kills += 1;
            child.kill().expect("SIGKILL");
        }
        child.wait().expect("it ends");
    }
    assert!(kills > 0, "it was never killed");
    succeed(&["run", text(&file), "--out", text(killed.path()), "--threads", "3"]);
    assert_same(whole.path(), killed.path());
}
