//! `LlavaJson`: conversations about pictures on disk, in LLaVA's format.
//!
//! ```json
//! [{"id": "1", "image": "a/1.png", "conversations": [
//!     {"from": "human", "value": "<image>\nWhat is this?"}, {"from": "gpt", "value": "A coat."}]}]
//! ```
//!
//! One array, or one object per line (JSONL). No `image`: a sample of text alone.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use eagle_core::data::{DataError, Dataset, Picture, Sample, Turn};
use eagle_core::registry::{DatasetConfig, Misfit};
use image::ImageReader;
use rayon::prelude::*;
use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor};
use serde_json::Value;

eagle_core::config! {
    /// Conversations about pictures on disk, in LLaVA's JSON format.
    pub struct LlavaJson {
        /// The file: an array, or an object per line. A relative path starts at the experiment
        /// file's folder.
        #[location]
        path: PathBuf = PathBuf::new(),
        /// The folder that its pictures' paths start from; none: the file's own.
        #[location]
        images: Option<PathBuf> = None,
    }
}

eagle_core::register!(dataset LlavaJson);

impl DatasetConfig for LlavaJson {
    fn validate(&self) -> Result<(), Misfit> {
        if self.path.as_os_str().is_empty() {
            return Err(Misfit::field("path", "is missing").help("name a .json or .jsonl file"));
        }
        Ok(())
    }

    /// Reads the file. An entry that can't be used is no error yet: [`Dataset::problems`] lists
    /// them all.
    fn open(&self, base: &Path) -> Result<Arc<dyn Dataset>, DataError> {
        let path = base.join(&self.path);
        let text =
            std::fs::read(&path).map_err(|error| DataError::Read { path: path.clone(), error })?;
        let entries = entries(&text)
            .map_err(|error| DataError::File { path: path.clone(), detail: error.to_string() })?;
        if entries.is_empty() {
            return Err(DataError::File { path, detail: "it has no entries".into() });
        }
        let images = match &self.images {
            Some(folder) => base.join(folder),
            None => path.parent().unwrap_or(base).to_path_buf(),
        };
        Ok(Arc::new(Conversations { entries, images, hash: blake3::hash(&text) }))
    }
}

/// A file that was read.
#[derive(Debug)]
struct Conversations {
    entries: Vec<Entry>,
    images: PathBuf,
    hash: blake3::Hash,
}

/// One entry of the file, or what is wrong with it.
#[derive(Debug)]
struct Entry {
    id: String,
    content: Result<Content, String>,
}

#[derive(Debug)]
struct Content {
    image: Option<String>,
    turns: Vec<Turn>,
}

impl Dataset for Conversations {
    fn len(&self) -> usize {
        self.entries.len()
    }

    fn sample(&self, index: usize) -> Result<Sample, DataError> {
        let Entry { id, content } = &self.entries[index];
        match content {
            Ok(content) => Ok(Sample {
                id: id.clone(),
                picture: content.image.as_ref().map(|name| Picture::File(self.images.join(name))),
                turns: content.turns.clone(),
                ..Sample::default()
            }),
            Err(detail) => Err(DataError::Sample { sample: id.clone(), detail: detail.clone() }),
        }
    }

    /// Of the file's bytes and of every picture's.
    fn fingerprint(&self) -> String {
        let pictures: BTreeSet<&str> = self
            .entries
            .iter()
            .filter_map(|entry| entry.content.as_ref().ok()?.image.as_deref())
            .collect();
        let pictures: Vec<&str> = pictures.into_iter().collect();
        let hashes: Vec<Option<blake3::Hash>> = pictures
            .par_iter()
            .map(|name| std::fs::read(self.images.join(name)).ok().map(|b| blake3::hash(&b)))
            .collect();
        let mut all = blake3::Hasher::new();
        all.update(self.hash.as_bytes());
        for hash in hashes {
            all.update(hash.map_or([0; 32], |hash| *hash.as_bytes()).as_slice());
        }
        all.finalize().to_hex().to_string()
    }

    /// Entries that can't be used, and pictures that are missing or whose headers are broken.
    fn problems(&self) -> Vec<DataError> {
        let problem = |entry: &Entry| {
            let detail = match &entry.content {
                Err(detail) => detail.clone(),
                Ok(content) => {
                    let path = self.images.join(content.image.as_ref()?);
                    format!("{}: {}", path.display(), picture_fault(&path)?)
                }
            };
            Some(DataError::Sample { sample: entry.id.clone(), detail })
        };
        self.entries.par_iter().filter_map(problem).collect()
    }
}

/// What is wrong with a picture, as far as its first bytes say.
fn picture_fault(path: &Path) -> Option<String> {
    let reader = match ImageReader::open(path).and_then(ImageReader::with_guessed_format) {
        Ok(reader) => reader,
        Err(error) => return Some(error.to_string()),
    };
    reader.into_dimensions().err().map(|error| error.to_string())
}

/// The entries of an array, or of lines.
fn entries(text: &[u8]) -> Result<Vec<Entry>, serde_json::Error> {
    let mut entries = Vec::new();
    if text.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
        let mut json = serde_json::Deserializer::from_slice(text);
        Array(&mut entries).deserialize(&mut json)?;
        json.end()?;
    } else {
        for value in serde_json::Deserializer::from_slice(text).into_iter::<Value>() {
            entries.push(entry(&value?, entries.len()));
        }
    }
    let mut seen = BTreeSet::new();
    for (index, entry) in entries.iter_mut().enumerate() {
        // LLaVA's own mixture repeats ids; an error has to name one sample.
        if !seen.insert(entry.id.clone()) {
            entry.id = format!("{}#{index}", entry.id);
        }
    }
    Ok(entries)
}

/// Reads an array entry by entry: all of a large file as `Value`s would be several times its size.
struct Array<'a>(&'a mut Vec<Entry>);

impl<'de> DeserializeSeed<'de> for Array<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Array<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of conversations")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<(), A::Error> {
        while let Some(value) = sequence.next_element::<Value>()? {
            self.0.push(entry(&value, self.0.len()));
        }
        Ok(())
    }
}

fn entry(value: &Value, index: usize) -> Entry {
    let id = match &value["id"] {
        Value::String(id) if !id.is_empty() => id.clone(),
        Value::Number(id) => id.to_string(),
        _ => format!("#{index}"),
    };
    Entry { id, content: content(value) }
}

fn content(value: &Value) -> Result<Content, String> {
    let image = match &value["image"] {
        Value::Null => None,
        Value::String(name) if !name.is_empty() => Some(name.clone()),
        other => return Err(format!("`image` is {other}, not a path")),
    };
    let said = value["conversations"].as_array().ok_or("it has no `conversations`")?;
    let said = said.iter().enumerate().map(|(i, one)| message(one, i));
    let said = said.collect::<Result<Vec<&str>, String>>()?;
    if said.is_empty() || said.len() % 2 == 1 {
        return Err(format!("it has {} messages: each question needs an answer", said.len()));
    }
    let turns = said.chunks_exact(2);
    let turns = turns.map(|pair| Turn { question: pair[0].into(), answer: pair[1].into() });
    let turns: Vec<Turn> = turns.collect();
    let shown: usize = turns.iter().map(|turn| turn.question.matches("<image>").count()).sum();
    match (shown, &image) {
        (1.., None) => Err("it says `<image>`, but has no `image`".into()),
        (2.., Some(_)) => Err(format!("it says `<image>` {shown} times, for one `image`")),
        _ => Ok(Content { image, turns }),
    }
}

/// What message `i` says; even ones are questions.
fn message(one: &Value, i: usize) -> Result<&str, String> {
    let from = one["from"].as_str().unwrap_or_default();
    let (known, expected) = match i % 2 {
        0 => (matches!(from, "human" | "user"), "human"),
        _ => (matches!(from, "gpt" | "assistant"), "gpt"),
    };
    if !known {
        return Err(format!("message {i} is from {}, not from {expected:?}", one["from"]));
    }
    let value = one["value"].as_str().ok_or_else(|| format!("message {i} has no `value`"))?;
    if i % 2 == 1 && value.trim().is_empty() {
        return Err(format!("message {i}, an answer, is empty"));
    }
    if i % 2 == 1 && value.contains("<image>") {
        return Err(format!("message {i}, an answer, says `<image>`"));
    }
    Ok(value)
}
