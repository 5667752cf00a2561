//! Conversations in one or more files, whatever the files' format: a data set that holds where its
//! samples lie, and reads each when it is asked for.

use std::path::{Path, PathBuf};

use eagle_core::data::{DataError, Dataset, Picture, Sample, Turn};
use image::ImageReader;
use rayon::prelude::*;
use serde_json::Value;

use super::conversation::{Entry, entry, id};
use super::index::{Index, Record, part};
use super::parquet::Parquet;
use super::{pictures, scan};

/// A tar member's text is a caption and no JSON.
pub(super) const CAPTION: u32 = 1;

/// One file of samples.
#[derive(Debug)]
pub(crate) struct Shard {
    path: PathBuf,
    index: Index,
    format: Format,
}

#[derive(Debug)]
enum Format {
    /// Texts in the file, pictures in files of their own below a folder.
    Json { images: PathBuf },
    /// Texts and pictures in the file.
    Tar,
    /// Texts in the index, pictures in the file's rows.
    Parquet { file: Parquet, columns: Columns },
}

/// What a Parquet file's columns are called.
#[derive(Debug, Clone)]
pub(crate) struct Columns {
    /// Of the pictures, if there are any.
    pub image: Option<String>,
    /// Of the conversations.
    pub conversations: String,
}

impl Shard {
    /// An array of entries, or one entry per line.
    ///
    /// # Errors
    /// A file that can't be read or isn't JSON.
    pub fn json(path: PathBuf, images: PathBuf) -> Result<Shard, DataError> {
        let index = Index::of(&path, |maker| scan::json(&path, maker))?;
        Ok(Shard { path, index, format: Format::Json { images } })
    }

    /// Members `KEY.json` or `KEY.txt`, each beside its `KEY.jpg` or `KEY.png`.
    ///
    /// # Errors
    /// A file that can't be read or isn't a tar file.
    pub fn tar(path: PathBuf) -> Result<Shard, DataError> {
        let index = Index::of(&path, |maker| scan::tar_members(&path, maker))?;
        Ok(Shard { path, index, format: Format::Tar })
    }

    /// A row per sample, its picture embedded.
    ///
    /// # Errors
    /// A file that can't be read, isn't Parquet or hasn't these columns.
    pub fn parquet(path: PathBuf, columns: Columns) -> Result<Shard, DataError> {
        let file = Parquet::open(&path)?;
        let known = file.columns();
        for column in columns.image.iter().chain([&columns.conversations]) {
            if !known.contains(&column.as_str()) {
                let detail = format!("it has no column `{column}`; it has {known:?}");
                return Err(DataError::File { path, detail });
            }
        }
        let index = Index::of(&path, |maker| scan::rows(&path, &file, &columns, maker))?;
        Ok(Shard { path, index, format: Format::Parquet { file, columns } })
    }

    /// The entry of a record, and its text's own JSON.
    fn value(&self, record: &Record) -> Result<Value, DataError> {
        let read = |error| DataError::Read { path: self.path.clone(), error };
        let len = record.text_len as usize;
        let text = match self.format {
            Format::Parquet { .. } => self.index.text(record.text, len).map_err(read)?,
            Format::Json { .. } | Format::Tar => {
                part(&self.path, record.text, len).map_err(read)?
            }
        };
        if record.form == CAPTION {
            return Ok(Value::from(String::from_utf8_lossy(&text).trim()));
        }
        // Read once when the index was made: only a file that changed since is wrong here.
        let broken = |error: serde_json::Error| DataError::File {
            path: self.path.clone(),
            detail: error.to_string(),
        };
        serde_json::from_slice(&text).map_err(broken)
    }

    /// What it is called where its entry has no id.
    fn name(&self, record: &Record, at: usize) -> String {
        let (start, len) = (record.name >> 16, (record.name & 0xffff) as usize);
        let name = if len > 0 { self.index.text(start, len).ok() } else { None };
        name.map_or_else(|| format!("#{at}"), |name| String::from_utf8_lossy(&name).into_owned())
    }

    fn entry(&self, record: &Record, value: &Value) -> Result<Entry, String> {
        if record.form == CAPTION {
            let answer = value.as_str().unwrap_or_default().to_owned();
            if answer.is_empty() {
                return Err("its caption is empty".into());
            }
            let question = if record.picture_len > 0 { "<image>" } else { "" }.to_owned();
            return Ok(Entry { turns: vec![Turn { question, answer }], ..Entry::default() });
        }
        let pictured = record.picture_len > 0;
        match &self.format {
            Format::Json { .. } => entry(value, &value["conversations"], false),
            Format::Tar => entry(&without_image(value), &value["conversations"], pictured),
            Format::Parquet { columns, .. } => {
                entry(&without_image(value), &value[&columns.conversations], pictured)
            }
        }
    }

    fn picture(&self, record: &Record, entry: &Entry) -> Result<Option<Picture>, DataError> {
        let embedded = record.picture_len > 0;
        match &self.format {
            Format::Json { images } => {
                Ok(entry.image.as_ref().map(|name| Picture::File(images.join(name))))
            }
            Format::Tar if embedded => {
                let read = |error| DataError::Read { path: self.path.clone(), error };
                let len = record.picture_len as usize;
                let bytes = part(&self.path, record.picture, len).map_err(read)?;
                Ok(Some(Picture::Bytes(bytes.into())))
            }
            Format::Parquet { file, columns: Columns { image: Some(image), .. } } if embedded => {
                let row = usize::try_from(record.picture).unwrap_or(usize::MAX);
                let bytes = file.bytes(row, image)?;
                if bytes.len() > 1 {
                    let detail = format!("{} pictures, for a model that reads one", bytes.len());
                    return Err(DataError::Picture { detail });
                }
                Ok(bytes.into_iter().next().map(Picture::Bytes))
            }
            Format::Tar | Format::Parquet { .. } => Ok(None),
        }
    }
}

/// A picture that came with the entry is not named by it.
fn without_image(value: &Value) -> Value {
    let mut value = value.clone();
    if let Some(fields) = value.as_object_mut() {
        fields.remove("image");
    }
    value
}

/// Samples in files.
#[derive(Debug)]
pub(crate) struct Collection {
    shards: Vec<Shard>,
    /// The first sample of each file, and the number of samples.
    starts: Vec<usize>,
    /// The samples whose id another one before them has, in order.
    repeated: Vec<u32>,
}

impl Collection {
    /// The samples of all files, in order.
    ///
    /// # Errors
    /// There are none.
    pub fn of(shards: Vec<Shard>) -> Result<Collection, DataError> {
        let mut starts = vec![0];
        for shard in &shards {
            starts.push(starts[starts.len() - 1] + shard.index.records.len());
        }
        let len = starts[starts.len() - 1];
        if len == 0 || u32::try_from(len).is_err() {
            let path = shards.into_iter().next().map(|shard| shard.path).unwrap_or_default();
            let detail = if len == 0 { "it has no entries" } else { "more samples than 2^32" };
            return Err(DataError::File { path, detail: detail.into() });
        }
        let ids = shards.iter().flat_map(|shard| shard.index.records.iter().map(|one| one.id));
        let mut ids: Vec<(u64, u32)> = ids.zip(0..).collect();
        ids.par_sort_unstable();
        // LLaVA's own mixture repeats ids; an error has to name one sample.
        let again = ids.windows(2).filter(|pair| pair[0].0 == pair[1].0).map(|pair| pair[1].1);
        let mut repeated: Vec<u32> = again.collect();
        repeated.sort_unstable();
        Ok(Collection { shards, starts, repeated })
    }

    fn place(&self, index: usize) -> (&Shard, &Record, usize) {
        let shard = self.starts.partition_point(|start| *start <= index) - 1;
        let at = index - self.starts[shard];
        (&self.shards[shard], &self.shards[shard].index.records[at], at)
    }

    /// Its entry, and its id in messages.
    fn read(&self, index: usize) -> Result<(String, Result<Entry, String>), DataError> {
        let (shard, record, at) = self.place(index);
        let value = shard.value(record)?;
        let entry = shard.entry(record, &value);
        let own = entry.as_ref().ok().and_then(|entry| entry.id.clone()).or_else(|| id(&value));
        let own = own.unwrap_or_else(|| shard.name(record, at));
        let repeated = self.repeated.binary_search(&(index as u32)).is_ok();
        Ok((if repeated { format!("{own}#{index}") } else { own }, entry))
    }
}

impl Dataset for Collection {
    fn len(&self) -> usize {
        self.starts[self.starts.len() - 1]
    }

    fn sample(&self, index: usize) -> Result<Sample, DataError> {
        let (id, entry) = self.read(index)?;
        let entry = entry.map_err(|detail| DataError::Sample { sample: id.clone(), detail })?;
        let (shard, record, _) = self.place(index);
        let picture = shard.picture(record, &entry).map_err(|error| error.of_sample(&id))?;
        Ok(Sample { id, picture, turns: entry.turns, ..Sample::default() })
    }

    /// Of the files' bytes, and of every picture that lies outside of them.
    fn fingerprint(&self) -> String {
        let mut all = blake3::Hasher::new();
        for shard in &self.shards {
            all.update(&shard.index.hash);
            if let Format::Json { images } = &shard.format {
                let names = shard.index.records.par_iter().filter(|record| record.words > 0);
                let named = |record| shard.value(record).ok()?["image"].as_str().map(Box::from);
                let mut names: Vec<Box<str>> = names.filter_map(named).collect();
                names.par_sort_unstable();
                names.dedup();
                pictures::feed(&mut all, &shard.path, &shard.index.hash, images, &names);
            }
        }
        all.finalize().to_hex().to_string()
    }

    /// Entries that can't be used, and pictures that are missing or whose headers are broken.
    fn problems(&self) -> Vec<DataError> {
        let problem = |index: usize| {
            let sample = match self.sample(index) {
                Err(error) => return Some(error),
                Ok(sample) => sample,
            };
            let Some(Picture::File(path)) = &sample.picture else { return None };
            let detail = format!("{}: {}", path.display(), picture_fault(path)?);
            Some(DataError::Sample { sample: sample.id, detail })
        };
        (0..self.len()).into_par_iter().filter_map(problem).collect()
    }

    fn words(&self, index: usize) -> Result<i32, DataError> {
        Ok(self.place(index).1.words)
    }

    fn remarks(&self, index: usize) -> Vec<String> {
        let mut remarks = match self.read(index) {
            Ok((_, Ok(entry))) => entry.remarks,
            _ => Vec::new(),
        };
        if self.repeated.binary_search(&(index as u32)).is_ok() {
            remarks.push("an earlier sample has the same id".to_owned());
        }
        remarks
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
