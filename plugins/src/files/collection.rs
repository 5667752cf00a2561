//! Conversations in one or more files, whatever the files' format: a data set that holds where its
//! samples lie, and reads each when it is asked for.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use eagle_core::data::{DataError, Dataset, Picture, Sample, Turn};
use image::ImageReader;
use rayon::prelude::*;
use serde_json::Value;

use super::conversation::{Entry, entry, id, words};
use super::elements::{Element, Elements};
use super::index::{Index, Maker, Record, part};
use super::parquet::Parquet;
use super::{pictures, tar};

/// A tar member's text is a caption and no JSON.
const CAPTION: u32 = 1;

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
        let index = Index::of(&path, |maker| index_json(&path, maker))?;
        Ok(Shard { path, index, format: Format::Json { images } })
    }

    /// Members `KEY.json` or `KEY.txt`, each beside its `KEY.jpg` or `KEY.png`.
    ///
    /// # Errors
    /// A file that can't be read or isn't a tar file.
    pub fn tar(path: PathBuf) -> Result<Shard, DataError> {
        let index = Index::of(&path, |maker| index_tar(&path, maker))?;
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
        let index = Index::of(&path, |maker| index_parquet(&path, &file, &columns, maker))?;
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

fn fault(path: &Path, detail: impl ToString) -> DataError {
    DataError::File { path: path.to_owned(), detail: detail.to_string() }
}

/// What an index keeps of an entry, apart from places.
fn record(value: &Value, said: &Value, name: &str, pictured: bool) -> Record {
    let words = words(said);
    let id = id(value).unwrap_or_else(|| name.to_owned());
    let id = blake3::hash(id.as_bytes());
    let id = id.as_bytes()[..8].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    Record { words: if pictured { words } else { -words }, id, ..Record::default() }
}

/// Hashes what passes.
struct Hashed<R> {
    from: R,
    hash: blake3::Hasher,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.from.read(buffer)?;
        self.hash.update(&buffer[..read]);
        Ok(read)
    }
}

fn open(path: &Path) -> Result<File, DataError> {
    File::open(path).map_err(|error| DataError::Read { path: path.to_owned(), error })
}

fn hash(path: &Path) -> Result<[u8; 32], DataError> {
    let mut reader = BufReader::with_capacity(1 << 20, open(path)?);
    let mut hasher = blake3::Hasher::new();
    std::io::copy(&mut reader, &mut hasher)
        .map_err(|error| DataError::Read { path: path.to_owned(), error })?;
    Ok(*hasher.finalize().as_bytes())
}

fn index_json(path: &Path, maker: &mut Maker) -> Result<(), DataError> {
    /// Bytes of text that are parsed at once, in parallel.
    const AT_ONCE: usize = 16 << 20;
    let mut hashed = Hashed { from: open(path)?, hash: blake3::Hasher::new() };
    let mut elements = Elements::new(BufReader::with_capacity(1 << 20, &mut hashed));
    loop {
        let (mut some, mut bytes) = (Vec::new(), 0);
        while bytes < AT_ONCE
            && let Some(element) = elements.next().map_err(|error| fault(path, error))?
        {
            bytes += element.text.len();
            some.push(element);
        }
        if some.is_empty() {
            break;
        }
        let first = maker.records.len();
        let read = |(at, element): (usize, &Element)| {
            let value: Value = serde_json::from_slice(&element.text).map_err(|error| {
                let line = element.line + error.line().max(1) - 1;
                let error = error.to_string();
                let what = error.split(" at line ").next().unwrap_or_default();
                fault(path, format!("{what} at line {line}"))
            })?;
            let text_len = u32::try_from(element.text.len())
                .map_err(|_| fault(path, format!("an entry of 4 GB at line {}", element.line)))?;
            let pictured = !value["image"].is_null();
            let name = format!("#{}", first + at);
            let record = record(&value, &value["conversations"], &name, pictured);
            Ok(Record { text: element.offset, text_len, ..record })
        };
        let records: Result<Vec<Record>, DataError> =
            some.par_iter().enumerate().map(read).collect();
        maker.records.append(&mut records?);
    }
    drop(elements);
    maker.hash = *hashed.hash.finalize().as_bytes();
    Ok(())
}

fn index_tar(path: &Path, maker: &mut Maker) -> Result<(), DataError> {
    let mut groups: Vec<(String, Record)> = Vec::new();
    tar::members(&mut BufReader::new(open(path)?), |member| {
        // WebDataset's rule: the key ends at the first dot of the file's name.
        let at = member.name.rfind('/').map_or(0, |slash| slash + 1);
        let dot = member.name[at..].find('.').map_or(member.name.len(), |dot| at + dot);
        let (key, extension) = member.name.split_at(dot);
        if groups.last().is_none_or(|(known, _)| known != key) {
            groups.push((key.to_owned(), Record::default()));
        }
        let Some((_, record)) = groups.last_mut() else { return Ok(()) };
        let len = u32::try_from(member.len).map_err(|_| std::io::Error::other("4 GB or more"))?;
        match extension.to_ascii_lowercase().as_str() {
            form @ (".json" | ".txt") if record.text_len == 0 || form == ".json" => {
                let form = if form == ".txt" { CAPTION } else { 0 };
                (record.text, record.text_len, record.form) = (member.offset, len, form);
            }
            ".jpg" | ".jpeg" | ".png" => {
                (record.picture, record.picture_len) = (member.offset, len);
            }
            _ => {}
        }
        Ok(())
    })
    .map_err(|error| fault(path, error))?;
    maker.hash = hash(path)?;
    for (key, record) in &mut groups {
        let at = maker.keep(key.as_bytes()).map_err(|error| fault(path, error))?;
        let len = u16::try_from(key.len()).map_err(|_| fault(path, "a name of 65536 bytes"))?;
        record.name = at << 16 | u64::from(len);
    }
    let read = |(key, place): &(String, Record)| {
        if place.text_len == 0 {
            return Err(fault(path, format!("`{key}` has neither a .json nor a .txt")));
        }
        let text = part(path, place.text, place.text_len as usize)
            .map_err(|error| DataError::Read { path: path.to_owned(), error })?;
        let pictured = place.picture_len > 0;
        let found = match place.form {
            CAPTION => {
                let words = eagle_core::data::words(&String::from_utf8_lossy(&text)).max(1) as i32;
                let name = record(&Value::Null, &Value::Null, key, pictured);
                Record { words: if pictured { words } else { -words }, ..name }
            }
            _ => {
                let value: Value = serde_json::from_slice(&text)
                    .map_err(|error| fault(path, format!("`{key}.json`: {error}")))?;
                record(&value, &value["conversations"], key, pictured)
            }
        };
        Ok(Record { words: found.words, id: found.id, ..*place })
    };
    let records: Result<Vec<Record>, DataError> = groups.par_iter().map(read).collect();
    maker.records = records?;
    Ok(())
}

fn index_parquet(
    path: &Path,
    file: &Parquet,
    columns: &Columns,
    maker: &mut Maker,
) -> Result<(), DataError> {
    maker.hash = hash(path)?;
    let pictured = match &columns.image {
        Some(image) => file.filled(image)?,
        None => vec![false; file.len()],
    };
    file.rows(|mut value| {
        let row = maker.records.len();
        // A text of JSON, as some sets have it, becomes what it says.
        let said = &mut value[&columns.conversations];
        if let Some(text) = said.as_str() {
            *said = serde_json::from_str(text)
                .map_err(|error| fault(path, format!("row {row}: {error}")))?;
        }
        let text = serde_json::to_vec(&value).map_err(|error| fault(path, error))?;
        let at = maker.keep(&text).map_err(|error| fault(path, error))?;
        let found =
            record(&value, &value[&columns.conversations], &format!("#{row}"), pictured[row]);
        maker.records.push(Record {
            text: at,
            text_len: u32::try_from(text.len()).map_err(|error| fault(path, error))?,
            picture: row as u64,
            picture_len: u32::from(pictured[row]),
            ..found
        });
        Ok(())
    })
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
