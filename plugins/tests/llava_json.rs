//! LLaVA-format JSON: what is read, and what is refused by name.

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use eagle_core::data::{Dataset, Picture};
use eagle_core::registry::DatasetConfig;
use eagle_plugins::datasets::llava_json::LlavaJson;
use image::RgbImage;

type Outcome = Result<(), Box<dyn Error>>;

/// A fresh folder with one picture, `a.png`.
fn folder(name: &str) -> Result<PathBuf, Box<dyn Error>> {
    let folder = std::env::temp_dir().join(format!("eagle-llava-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    RgbImage::new(3, 2).save(folder.join("a.png"))?;
    Ok(folder)
}

fn read(
    folder: &std::path::Path,
    name: &str,
    text: &str,
) -> Result<std::sync::Arc<dyn Dataset>, Box<dyn Error>> {
    fs::write(folder.join(name), text)?;
    Ok(LlavaJson { path: name.into(), images: None }.open(folder)?)
}

const GOOD: &str = r#"{"id": "one", "image": "a.png", "conversations": [
    {"from": "human", "value": "<image>\nwhat?"}, {"from": "gpt", "value": "this"},
    {"from": "human", "value": "and?"}, {"from": "gpt", "value": "that"}]}"#;
const TEXT: &str = r#"{"id": 2, "conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "ho"}]}"#;

#[test]
fn an_array_and_lines_hold_the_same_samples() -> Outcome {
    let folder = folder("forms")?;
    let array = read(&folder, "a.json", &format!("[{GOOD},\n{TEXT}]"))?;
    let lines = read(&folder, "a.jsonl", &format!("{}\n{TEXT}\n", GOOD.replace('\n', "")))?;
    for data in [array, lines] {
        assert_eq!(data.len(), 2);
        assert!(data.problems().is_empty(), "{:?}", data.problems());
        let (one, two) = (data.sample(0)?, data.sample(1)?);
        assert_eq!((one.id.as_str(), two.id.as_str()), ("one", "2"));
        assert_eq!(one.turns.len(), 2);
        assert_eq!(one.turns[0].question, "<image>\nwhat?");
        assert_eq!(one.turns[1].answer, "that");
        assert!(matches!(one.picture, Some(Picture::File(path)) if path == folder.join("a.png")));
        assert!(two.picture.is_none());
    }
    Ok(fs::remove_dir_all(folder)?)
}

#[test]
fn every_problem_names_its_sample() -> Outcome {
    let folder = folder("problems")?;
    fs::write(folder.join("broken.png"), b"not a picture")?;
    let ask = r#"{"from": "human", "value": "q"}"#;
    let say = r#"{"from": "gpt", "value": "a"}"#;
    let show = r#"{"from": "human", "value": "<image> q"}"#;
    let cases = [
        ("gone", r#""image": "b.png","#, format!("{ask}, {say}"), "b.png"),
        ("broken", r#""image": "broken.png","#, format!("{ask}, {say}"), "broken.png"),
        (
            "empty",
            "",
            format!(r#"{ask}, {{"from": "gpt", "value": " "}}"#),
            "message 1, an answer, is empty",
        ),
        ("order", "", format!("{ask}, {ask}"), "message 1 is from \"human\", not from \"gpt\""),
        ("half", "", format!("{say}, {ask}"), "2 messages"),
        ("none", "", String::new(), "0 messages"),
        ("blind", "", format!("{show}, {say}"), "but has no `image`"),
        ("twice", r#""image": "a.png","#, format!("{show}, {say}, {show}, {say}"), "2 times"),
        (
            "said",
            "",
            format!(r#"{ask}, {{"from": "gpt", "value": "<image>"}}"#),
            "an answer, says `<image>`",
        ),
        ("list", r#""image": ["a.png"],"#, format!("{ask}, {say}"), "not a path"),
    ];
    let entries = cases.iter().map(|(id, image, said, _)| {
        format!(r#"{{"id": "{id}", {image} "conversations": [{said}]}}"#)
    });
    let text = format!("[{}]", entries.collect::<Vec<_>>().join(",\n"));
    let problems = read(&folder, "bad.json", &text)?.problems();
    assert_eq!(problems.len(), cases.len(), "{problems:#?}");
    for (problem, (id, _, _, detail)) in problems.iter().zip(&cases) {
        let message = problem.to_string();
        assert!(message.contains(&format!("sample {id:?}")), "{message}");
        assert!(message.contains(detail), "{message} should say {detail}");
    }
    Ok(fs::remove_dir_all(folder)?)
}

#[test]
fn a_file_that_is_no_json_is_refused_with_its_line() -> Outcome {
    let folder = folder("syntax")?;
    for text in ["[{\"id\": 1},\n{]", "{\"id\": 1}\n{oops}", "[]", "3 ]"] {
        let message = match read(&folder, "bad.json", text) {
            Ok(data) => data.problems().iter().map(ToString::to_string).collect(),
            Err(error) => error.to_string(),
        };
        let named = message.contains("line 2") || message.contains("no entries") || text == "3 ]";
        assert!(named && !message.is_empty(), "{text}: {message}");
    }
    Ok(fs::remove_dir_all(folder)?)
}

#[test]
fn the_fingerprint_knows_the_pictures_and_the_text() -> Outcome {
    let folder = folder("fingerprint")?;
    let text = format!("[{GOOD}]");
    let before = read(&folder, "a.json", &text)?.fingerprint();
    assert_eq!(before, read(&folder, "b.json", &text)?.fingerprint(), "a name is no content");
    RgbImage::from_pixel(3, 2, image::Rgb([9; 3])).save(folder.join("a.png"))?;
    let pictures = read(&folder, "a.json", &text)?.fingerprint();
    let words = read(&folder, "a.json", &text.replace("that", "this"))?.fingerprint();
    assert!(before != pictures && pictures != words);
    Ok(fs::remove_dir_all(folder)?)
}

#[test]
fn repeated_ids_are_told_apart() -> Outcome {
    let folder = folder("repeated")?;
    let data = read(&folder, "a.json", &format!("[{TEXT}, {TEXT}]"))?;
    assert_eq!(data.sample(0)?.id, "2");
    assert_eq!(data.sample(1)?.id, "2#1");
    Ok(fs::remove_dir_all(folder)?)
}
