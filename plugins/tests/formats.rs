//! JSON, JSONL, tar shards and Parquet of the same content give the same samples. The files are
//! `tests/fixtures/llava/make.py`'s.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use eagle_core::data::{Dataset, Picture, Sample};
use eagle_core::registry::Plugin;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/llava")
}

fn open(text: &str) -> Outcome<Arc<dyn Dataset>> {
    let name = text.split('(').next().unwrap_or_default();
    let registry = eagle_plugins::registry()?;
    let entry = registry.get(name).ok_or("no such plugin")?;
    let Plugin::Dataset(config) = (entry.parse)(text)?.plugin else { return Err("no data".into()) };
    config.validate().map_err(|misfit| misfit.message)?;
    Ok(config.open(&fixtures())?)
}

/// All that is said and shown.
fn content(sample: &Sample) -> Outcome<String> {
    let picture = match &sample.picture {
        None => None,
        Some(Picture::File(path)) => Some(fs::read(path)?),
        Some(Picture::Bytes(bytes)) => Some(bytes.to_vec()),
        Some(Picture::Drawn(_)) => return Err("drawn".into()),
    };
    Ok(format!("{} {:?} {picture:?}", sample.id, sample.turns))
}

#[test]
fn every_format_gives_the_same_samples() -> Outcome {
    let sets = [
        r#"LlavaJson(path: "entries.json", images: Some("pictures"))"#,
        r#"LlavaJson(path: "entries.jsonl", images: Some("pictures"))"#,
        r#"LlavaTar(paths: ["shards"])"#,
        r#"LlavaTar(paths: ["shards/0.tar", "shards/1.tar"])"#,
        r#"LlavaParquet(paths: ["struct.parquet"])"#,
        r#"LlavaParquet(paths: ["bytes.parquet"], image: Some("picture"), conversations: "talk")"#,
    ];
    let first = open(sets[0])?;
    assert_eq!(first.sample(3)?.id, "zero#3", "a repeated id is told apart");
    for text in sets {
        let data = open(text)?;
        assert_eq!(data.len(), 5, "{text}");
        assert!(data.problems().is_empty(), "{text}: {:?}", data.problems());
        // In any order: a sample depends on its index alone.
        for index in [4, 0, 3, 2, 1, 3] {
            let (own, wanted) = (data.sample(index)?, first.sample(index)?);
            assert_eq!(content(&own)?, content(&wanted)?, "{text}: sample {index}");
            assert_eq!(data.words(index)?, first.words(index)?, "{text}: words of {index}");
            assert_eq!(data.remarks(index), first.remarks(index), "{text}: {index}");
        }
        assert_eq!(data.fingerprint(), open(text)?.fingerprint());
    }
    Ok(())
}

#[test]
fn odd_conversations_are_read_as_llava_reads_them() -> Outcome {
    let data = open(r#"LlavaJson(path: "entries.json", images: Some("pictures"))"#)?;
    let sample = data.sample(4)?;
    assert_eq!(sample.turns.len(), 1);
    assert_eq!((sample.turns[0].question.as_str(), sample.turns[0].answer.as_str()), ("q", "a"));
    let remarks = data.remarks(4).join("; ");
    assert!(remarks.contains("first message") && remarks.contains("last question"), "{remarks}");
    assert!(data.remarks(0).is_empty());
    // LLaVA counts every message's words, and a text alone below 0.
    assert_eq!([data.words(0)?, data.words(4)?], [5, -4]);
    Ok(())
}

#[test]
fn a_caption_in_a_shard_answers_a_bare_picture() -> Outcome {
    let sample = open(r#"LlavaTar(paths: ["captions.tar"])"#)?.sample(0)?;
    assert_eq!(sample.id, "x/7");
    assert_eq!(sample.turns[0].question, "<image>");
    assert_eq!(sample.turns[0].answer, "a caption");
    Ok(())
}

#[test]
fn wrong_files_are_refused_by_name() -> Outcome {
    for (text, message) in [
        (r#"LlavaTar(paths: ["struct.parquet"])"#, "no tar header at byte 0"),
        (r#"LlavaTar(paths: ["pictures"])"#, "the folder has no .tar file"),
        (r#"LlavaTar(paths: ["none.tar"])"#, "none.tar"),
        (r#"LlavaParquet(paths: ["entries.json"])"#, "entries.json"),
        (r#"LlavaParquet(paths: ["bytes.parquet"])"#, "no column `image`; it has [\"id\""),
        (
            r#"LlavaParquet(paths: ["struct.parquet"], image: Some("id"))"#,
            "no column `id` of bytes",
        ),
    ] {
        let error = open(text).err().ok_or(text)?.to_string();
        assert!(error.contains(message), "{text}: {error}");
    }
    Ok(())
}

#[test]
fn a_shard_that_is_cut_off_is_refused() -> Outcome {
    let folder = std::env::temp_dir().join(format!("eagle-cut-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let whole = fs::read(fixtures().join("shards/0.tar"))?;
    // Within the last member that a reader needs.
    let path = folder.join("cut.tar");
    fs::write(&path, &whole[..2600])?;
    let error = open(&format!("LlavaTar(paths: [{path:?}])")).err().ok_or("opened")?.to_string();
    assert!(error.contains("cut off"), "{error}");
    let path = folder.join("cut.parquet");
    fs::write(&path, &fs::read(fixtures().join("struct.parquet"))?[..500])?;
    assert!(open(&format!("LlavaParquet(paths: [{path:?}])")).is_err());
    Ok(fs::remove_dir_all(folder)?)
}
