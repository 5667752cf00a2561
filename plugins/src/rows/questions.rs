//! A benchmark's questions, made of rows.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use eagle_core::data::{DataError, Dataset, Picture, Sample};
use image::ImageReader;
use rayon::prelude::*;

use super::{FromRows, Item, Row, Shown, base64, read};
use crate::files::parquet::Parquet;
use crate::files::shards;

/// The questions of a benchmark's files.
#[derive(Debug)]
struct Questions {
    entries: Vec<Entry>,
    images: PathBuf,
    hash: blake3::Hash,
}

#[derive(Debug)]
struct Entry {
    id: String,
    /// The file that holds its picture, and the row there.
    parquet: Option<(Arc<Parquet>, usize)>,
    content: Result<Content, String>,
}

#[derive(Debug)]
struct Content {
    sample: Sample,
    picture: Option<Shown>,
}

pub(super) fn open(of: &dyn FromRows, base: &Path) -> Result<Arc<dyn Dataset>, DataError> {
    let mut hasher = blake3::Hasher::new();
    let mut entries = Vec::new();
    let mut first = None;
    let mut index = 0;
    for (path, category) in files(of, base)? {
        let mut table = read::table(&path)?;
        of.join(base, &mut table.rows)?;
        for (at, value) in table.rows.iter().enumerate() {
            let columns = table.columns(at);
            let row = Row { value, index, file_category: category, columns: &columns, bare: false };
            let parquet = table.parquet.clone().map(|parquet| (parquet, at));
            entries.extend(entry(of, &row).map(|entry| Entry { parquet, ..entry }));
            index += 1;
        }
        hash(&mut hasher, &path)?;
        first.get_or_insert(path);
    }
    for path in of.aside() {
        hash(&mut hasher, &base.join(path))?;
    }
    number_repeats(&mut entries);
    // The prompts, too: they depend on the plugin's fields.
    for Entry { content, .. } in &entries {
        let Ok(content) = content else { continue };
        for turn in &content.sample.turns {
            hasher.update(&(turn.question.len() as u64).to_le_bytes());
            hasher.update(turn.question.as_bytes());
        }
    }
    let first = first.unwrap_or_default();
    if entries.is_empty() {
        let detail = "none of its rows belongs to the benchmark".to_owned();
        return Err(DataError::File { path: first, detail });
    }
    let images = match of.images() {
        Some(folder) => base.join(folder),
        None => first.parent().unwrap_or(base).to_path_buf(),
    };
    Ok(Arc::new(Questions { entries, images, hash: hasher.finalize() }))
}

/// The files with the category of their rows; of a folder, its Parquet files by their names.
fn files<'a>(
    of: &'a dyn FromRows,
    base: &Path,
) -> Result<Vec<(PathBuf, Option<&'a str>)>, DataError> {
    let mut files = Vec::new();
    for (path, category) in of.files() {
        let parts = shards(base, &[path.to_owned()], "parquet")?;
        files.extend(parts.into_iter().map(|path| (path, category)));
    }
    Ok(files)
}

fn hash(hasher: &mut blake3::Hasher, path: &Path) -> Result<(), DataError> {
    let bytes =
        std::fs::read(path).map_err(|error| DataError::Read { path: path.to_owned(), error })?;
    hasher.update(blake3::hash(&bytes).as_bytes());
    Ok(())
}

fn entry(of: &dyn FromRows, row: &Row<'_>) -> Option<Entry> {
    match of.item(row) {
        Ok(None) => None,
        Ok(Some(Item { sample, picture })) => {
            let id = sample.id.clone();
            Some(Entry { id, parquet: None, content: Ok(Content { sample, picture }) })
        }
        Err(detail) => {
            let id = row.maybe(&["id", "question_id", "questionId", "index", "pid"]);
            let id = id.unwrap_or_else(|| format!("row {}", row.index));
            Some(Entry { id, parquet: None, content: Err(detail) })
        }
    }
}

/// Several questions under one id (MME's pair) become `id`, `id#2`; the same question twice is a
/// fault of the file.
fn number_repeats(entries: &mut [Entry]) {
    let mut seen: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for entry in entries {
        let asked = entry.content.as_ref().ok().and_then(|c| c.sample.turns.last());
        let asked = asked.map(|turn| turn.question.clone()).unwrap_or_default();
        let before = seen.entry(entry.id.clone()).or_default();
        if before.contains(&asked) {
            entry.content = Err("it stands in the file twice, with the same question".into());
        }
        before.push(asked);
        if before.len() > 1 {
            entry.id = format!("{}#{}", entry.id, before.len());
            if let Ok(content) = &mut entry.content {
                content.sample.id = entry.id.clone();
            }
        }
    }
}

impl Questions {
    fn picture(&self, entry: &Entry, content: &Content) -> Result<Option<Picture>, DataError> {
        Ok(match &content.picture {
            None => None,
            Some(Shown::File(name)) => Some(Picture::File(self.images.join(name))),
            Some(Shown::Base64(text)) => {
                let bytes = base64::decode(text).ok_or_else(|| DataError::Sample {
                    sample: content.sample.id.clone(),
                    detail: "its picture is not base64".into(),
                })?;
                Some(Picture::Bytes(bytes.into()))
            }
            Some(Shown::Column(name)) => {
                let bytes = match &entry.parquet {
                    Some((parquet, row)) => parquet.bytes(*row, name)?.into_iter().next(),
                    None => None,
                };
                let detail = || format!("there is no picture in its column `{name}`");
                let sample = || content.sample.id.clone();
                Some(Picture::Bytes(
                    bytes
                        .ok_or_else(|| DataError::Sample { sample: sample(), detail: detail() })?,
                ))
            }
        })
    }

    fn problem(&self, entry: &Entry) -> Option<DataError> {
        let fault = |detail: String| Some(DataError::Sample { sample: entry.id.clone(), detail });
        let content = match &entry.content {
            Err(detail) => return fault(detail.clone()),
            Ok(content) => content,
        };
        match self.picture(entry, content) {
            Err(error) => Some(error),
            Ok(Some(Picture::File(path))) => {
                let reader = ImageReader::open(&path).and_then(ImageReader::with_guessed_format);
                let error = match reader {
                    Err(error) => error.to_string(),
                    Ok(reader) => reader.into_dimensions().err()?.to_string(),
                };
                fault(format!("{}: {error}", path.display()))
            }
            Ok(_) => None,
        }
    }
}

impl Dataset for Questions {
    fn len(&self) -> usize {
        self.entries.len()
    }

    fn sample(&self, index: usize) -> Result<Sample, DataError> {
        let entry @ Entry { id, content, .. } = &self.entries[index];
        match content {
            Ok(content) => {
                Ok(Sample { picture: self.picture(entry, content)?, ..content.sample.clone() })
            }
            Err(detail) => Err(DataError::Sample { sample: id.clone(), detail: detail.clone() }),
        }
    }

    /// Of the files' bytes, the prompts and every picture's bytes.
    fn fingerprint(&self) -> String {
        let pictures = self.entries.par_iter().map(|entry| {
            let Ok(Content { picture: Some(Shown::File(name)), .. }) = &entry.content else {
                return [0; 32];
            };
            let bytes = std::fs::read(self.images.join(name));
            bytes.map_or([0; 32], |bytes| *blake3::hash(&bytes).as_bytes())
        });
        let pictures: Vec<[u8; 32]> = pictures.collect();
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.hash.as_bytes());
        pictures.iter().for_each(|hash| {
            hasher.update(hash);
        });
        hasher.finalize().to_hex().to_string()
    }

    /// Rows that can't be used, and pictures that are missing or whose headers are broken.
    fn problems(&self) -> Vec<DataError> {
        self.entries.par_iter().filter_map(|entry| self.problem(entry)).collect()
    }
}
