//! What is found out of a large file once: where its samples lie. It is kept beside the file, or in
//! the system's folder for temporary files where that can't be written, and made again when the
//! file's size or time changes.
//!
//! It is written under another name, synced and renamed: a kill leaves none or a whole one. Who makes
//! it holds the operating system's lock, so that of several processes one does.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use eagle_core::data::DataError;

/// Raised when an index comes to mean something else.
const MAGIC: &[u8; 16] = b"eagle-index 1\n\0\0";

/// Files below this many bytes are indexed again each time.
const KEPT_FROM: u64 = 4 << 20;

/// Where one sample lies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Record {
    /// The first byte of its text.
    pub text: u64,
    /// The text's length.
    pub text_len: u32,
    /// Words of the conversation; negative without a picture.
    pub words: i32,
    /// A hash of its id.
    pub id: u64,
    /// The first byte of its picture, or its row.
    pub picture: u64,
    /// The picture's length; 0 if there is none.
    pub picture_len: u32,
    /// How its text is written.
    pub form: u32,
    /// Where its name begins among the kept texts, times 2^16, and the name's length; 0 if it has none.
    pub name: u64,
}

/// The bytes of a record on disk.
const RECORD: usize = 48;
/// The bytes behind the records: the file's size and time, their number, the text's length, two hashes.
const FOOTER: usize = 96;

/// The samples of one file.
#[derive(Debug)]
pub(super) struct Index {
    /// In order.
    pub records: Vec<Record>,
    /// A hash of the file's bytes.
    pub hash: [u8; 32],
    /// Texts that don't lie in the file itself.
    texts: Texts,
}

/// Where texts lie.
#[derive(Debug)]
enum Texts {
    Held(Vec<u8>),
    /// In the index's file, from a byte on.
    In(PathBuf, u64),
}

/// An index that is being made.
pub(super) struct Maker {
    /// In order.
    pub records: Vec<Record>,
    /// A hash of the file's bytes.
    pub hash: [u8; 32],
    sink: Sink,
    written: u64,
}

enum Sink {
    Held(Vec<u8>),
    File(BufWriter<File>),
}

impl Maker {
    /// Keeps a text that doesn't lie in the file itself; returns its place.
    ///
    /// # Errors
    /// The disk is full.
    pub fn keep(&mut self, text: &[u8]) -> io::Result<u64> {
        let at = self.written;
        self.written += text.len() as u64;
        match &mut self.sink {
            Sink::Held(held) => held.extend_from_slice(text),
            Sink::File(file) => file.write_all(text)?,
        }
        Ok(at)
    }
}

impl Index {
    /// The index of `source`: the kept one if it is the file's, or what `make` finds.
    ///
    /// # Errors
    /// The file can't be read or isn't what it should be.
    pub fn of(
        source: &Path,
        make: impl FnOnce(&mut Maker) -> Result<(), DataError>,
    ) -> Result<Index, DataError> {
        let read = |error| DataError::Read { path: source.to_owned(), error };
        let state = state(source).map_err(read)?;
        if state.0 < KEPT_FROM {
            let (records, sink) = (Vec::new(), Sink::Held(Vec::new()));
            let mut maker = Maker { records, hash: [0; 32], sink, written: 0 };
            make(&mut maker)?;
            let Maker { records, hash, sink: Sink::Held(texts), .. } = maker else {
                return Err(read(io::Error::other("the index has no text")));
            };
            return Ok(Index { records, hash, texts: Texts::Held(texts) });
        }
        let place = place(source).map_err(read)?;
        let written = |error| DataError::Read { path: place.clone(), error };
        let lock = lock(&place).map_err(written)?;
        if let Some(index) = kept(&place, state) {
            return Ok(index);
        }
        let partial = partial(&place);
        let file = File::create(&partial).map_err(written)?;
        let mut sink = BufWriter::with_capacity(1 << 20, file);
        sink.write_all(MAGIC).map_err(written)?;
        let sink = Sink::File(sink);
        let mut maker = Maker { records: Vec::new(), hash: [0; 32], sink, written: 0 };
        make(&mut maker)?;
        let index = finish(maker, state, &partial, &place).map_err(written)?;
        drop(lock);
        Ok(index)
    }

    /// A kept text.
    ///
    /// # Errors
    /// What the system says.
    pub fn text(&self, at: u64, len: usize) -> io::Result<Vec<u8>> {
        match &self.texts {
            Texts::In(path, start) => part(path, start + at, len),
            Texts::Held(held) => {
                let at = usize::try_from(at).unwrap_or(usize::MAX);
                let text = at.checked_add(len).and_then(|end| held.get(at..end));
                text.map(<[u8]>::to_vec).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
            }
        }
    }
}

/// Bytes of a file.
///
/// # Errors
/// What the system says.
pub(super) fn part(path: &Path, at: u64, len: usize) -> io::Result<Vec<u8>> {
    // One handle each: the position of a shared one would be shared between threads.
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(at))?;
    let mut bytes = vec![0; len];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// A file's size, and when it was written, in nanoseconds.
pub(super) fn state(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::metadata(path)?;
    let since = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok((metadata.len(), since.as_nanos() as u64))
}

/// Where what was found out of a file is kept, with this extension: beside it, or where this can be.
pub(super) fn beside(source: &Path, extension: &str) -> io::Result<PathBuf> {
    let mut name = source.file_name().unwrap_or_default().to_owned();
    name.push(extension);
    let own = source.with_file_name(name);
    if own.exists() || writable(own.parent().unwrap_or(Path::new("."))) {
        return Ok(own);
    }
    Ok(temporary()?.join(key(source)? + extension))
}

fn place(source: &Path) -> io::Result<PathBuf> {
    beside(source, ".eagle-index")
}

/// Whether files can be made in a folder: permission bits don't tell on every system.
fn writable(folder: &Path) -> bool {
    let probe = folder.join(format!(".eagle-probe-{}", std::process::id()));
    let made = File::create(&probe).is_ok();
    made && fs::remove_file(&probe).is_ok()
}

fn temporary() -> io::Result<PathBuf> {
    let folder = std::env::temp_dir().join("eagle-lab-index");
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

fn key(path: &Path) -> io::Result<String> {
    let path = std::path::absolute(path)?;
    Ok(blake3::hash(path.as_os_str().as_encoded_bytes()).to_hex()[..32].to_owned())
}

/// Waits until no other process makes this file; it may while the result is held.
fn lock(place: &Path) -> io::Result<File> {
    let lock = temporary()?.join(key(place)? + ".lock");
    let lock = File::options().create(true).truncate(false).write(true).open(lock)?;
    lock.lock()?;
    Ok(lock)
}

fn partial(place: &Path) -> PathBuf {
    let mut name = place.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    place.with_file_name(name)
}

/// Writes a small file whole or not at all.
///
/// # Errors
/// What the system says.
pub(super) fn write(place: &Path, bytes: &[u8]) -> io::Result<()> {
    let _lock = lock(place)?;
    let partial = partial(place);
    let mut file = File::create(&partial)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(partial, place)
}

fn finish(maker: Maker, state: (u64, u64), partial: &Path, place: &Path) -> io::Result<Index> {
    let Maker { records, hash, sink, written } = maker;
    let Sink::File(mut file) = sink else { return Err(io::Error::other("no file")) };
    let mut sum = blake3::Hasher::new();
    let mut put = |bytes: &[u8]| {
        sum.update(bytes);
        file.write_all(bytes)
    };
    for record in &records {
        put(&record.bytes())?;
    }
    for number in [state.0, state.1, records.len() as u64, written] {
        put(&number.to_le_bytes())?;
    }
    put(&hash)?;
    let sum = sum.finalize();
    file.write_all(sum.as_bytes())?;
    let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    fs::rename(partial, place)?;
    Ok(Index { records, hash, texts: Texts::In(place.to_owned(), MAGIC.len() as u64) })
}

/// The index that was kept, if it is whole and of the file as it is.
fn kept(place: &Path, state: (u64, u64)) -> Option<Index> {
    let mut file = File::open(place).ok()?;
    let len = file.metadata().ok()?.len();
    let mut magic = [0; MAGIC.len()];
    file.read_exact(&mut magic).ok()?;
    file.seek(SeekFrom::Start(len.checked_sub(FOOTER as u64)?)).ok()?;
    let mut footer = [0; FOOTER];
    file.read_exact(&mut footer).ok()?;
    let (size, time) = (number(&footer, 0), number(&footer, 8));
    let (count, texts) = (number(&footer, 16), number(&footer, 24));
    let whole = count.checked_mul(RECORD as u64)?.checked_add(texts)?;
    let whole = whole.checked_add((MAGIC.len() + FOOTER) as u64)?;
    if magic != *MAGIC || (size, time) != state || whole != len {
        return None;
    }
    file.seek(SeekFrom::Start(MAGIC.len() as u64 + texts)).ok()?;
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let (mut sum, mut record) = (blake3::Hasher::new(), [0; RECORD]);
    let mut records = Vec::with_capacity(usize::try_from(count).ok()?);
    for _ in 0..count {
        reader.read_exact(&mut record).ok()?;
        sum.update(&record);
        records.push(Record::of(&record));
    }
    sum.update(&footer[..FOOTER - 32]);
    let hash = footer[32..64].try_into().ok()?;
    let texts = Texts::In(place.to_owned(), MAGIC.len() as u64);
    (sum.finalize().as_bytes() == &footer[64..]).then_some(Index { records, hash, texts })
}

fn number(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + 8].iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

impl Record {
    fn bytes(&self) -> [u8; RECORD] {
        let mut bytes = [0; RECORD];
        bytes[..8].copy_from_slice(&self.text.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.text_len.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.words.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.id.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.picture.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.picture_len.to_le_bytes());
        bytes[36..40].copy_from_slice(&self.form.to_le_bytes());
        bytes[40..].copy_from_slice(&self.name.to_le_bytes());
        bytes
    }

    fn of(bytes: &[u8; RECORD]) -> Record {
        let (lengths, forms) = (number(bytes, 8), number(bytes, 32));
        Record {
            text: number(bytes, 0),
            text_len: lengths as u32,
            words: (lengths >> 32) as u32 as i32,
            id: number(bytes, 16),
            picture: number(bytes, 24),
            picture_len: forms as u32,
            form: (forms >> 32) as u32,
            name: number(bytes, 40),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(name: &str, bytes: usize) -> io::Result<PathBuf> {
        let folder =
            std::env::temp_dir().join(format!("eagle-index-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let path = folder.join("data");
        fs::write(&path, vec![b'x'; bytes])?;
        Ok(path)
    }

    fn record(number: u64) -> Record {
        let words = -(number as i32) - 1;
        Record { text: number, words, picture: u64::MAX - number, form: 7, ..Record::default() }
    }

    fn made(path: &Path, calls: &mut usize) -> Result<Index, DataError> {
        Index::of(path, |maker| {
            *calls += 1;
            for number in 0..1000u64 {
                let text = maker
                    .keep(&number.to_le_bytes())
                    .map_err(|error| DataError::Read { path: path.to_owned(), error })?;
                maker.records.push(Record { text, text_len: 8, ..record(number) });
            }
            Ok(())
        })
    }

    #[test]
    fn an_index_is_made_once_and_again_when_the_file_or_the_index_changes() -> io::Result<()> {
        let path = source("once", KEPT_FROM as usize)?;
        let mut calls = 0;
        let mut open = || {
            let index = made(&path, &mut calls).map_err(io::Error::other)?;
            assert_eq!(index.records.len(), 1000);
            let seventh = index.records[7];
            assert_eq!(seventh, Record { text: 56, text_len: 8, ..record(7) });
            assert_eq!(index.text(seventh.text, 8)?, 7u64.to_le_bytes());
            io::Result::Ok(calls)
        };
        assert_eq!((open()?, open()?), (1, 1));
        let kept = path.with_file_name("data.eagle-index");
        let whole = fs::read(&kept)?;
        // Cut off, or a bit of a record or of the footer flipped.
        fs::write(&kept, &whole[..whole.len() - 1])?;
        assert_eq!((open()?, open()?), (2, 2));
        for at in [8 * 1000 + 100, whole.len() - 70, 3] {
            let mut wrong = fs::read(&kept)?;
            wrong[at] ^= 4;
            fs::write(&kept, wrong)?;
            let before = open()?;
            assert_eq!(open()?, before);
        }
        assert_eq!(open()?, 5);
        fs::write(&path, vec![b'y'; KEPT_FROM as usize + 1])?;
        assert_eq!(open()?, 6);
        fs::remove_dir_all(path.parent().unwrap_or(&path))
    }

    #[test]
    fn what_a_killed_process_leaves_is_no_index() -> io::Result<()> {
        let path = source("killed", KEPT_FROM as usize)?;
        let failed = Index::of(&path, |maker| {
            let _ = maker.keep(&[1; 5000]);
            Err(DataError::Picture { detail: "as if killed".into() })
        });
        assert!(failed.is_err());
        let kept = path.with_file_name("data.eagle-index");
        assert!(partial(&kept).exists() && !kept.exists());
        let mut calls = 0;
        assert_eq!(made(&path, &mut calls).map_err(io::Error::other)?.records.len(), 1000);
        assert!(calls == 1 && kept.exists() && !partial(&kept).exists());
        fs::remove_dir_all(path.parent().unwrap_or(&path))
    }

    #[test]
    fn a_small_file_leaves_nothing_beside_it() -> io::Result<()> {
        let path = source("small", 10)?;
        let mut calls = 0;
        let index = made(&path, &mut calls).map_err(io::Error::other)?;
        assert_eq!(index.text(index.records[7].text, 8)?, 7u64.to_le_bytes());
        let folder = path.parent().unwrap_or(&path);
        assert_eq!(fs::read_dir(folder)?.count(), 1);
        fs::remove_dir_all(folder)
    }
}
