//! Records of one size in one sparse file, each behind a checksum.
//!
//! ```text
//! CACHE/features/ID/   shelf.json (what it holds), records.bin, lock
//! ```
//!
//! A record that a kill tore, or whose bits flipped, fails its checksum and counts as absent, so a
//! write needs no order and no sync: the record is computed again, with the same bytes. For the same
//! reason two processes may write one shelf. Who uses a shelf holds its lock with others; who
//! removes it must have the lock alone.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use half::f16;
use serde_json::{Value, json};

use super::FeatureCache;
use crate::weights::write_atomically;

/// A shelf that can't be opened, read or written.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {error}", path = path.display())]
pub struct ShelfError {
    path: PathBuf,
    error: Error,
}

fn failed(path: &Path) -> impl FnOnce(Error) -> ShelfError + use<> {
    let path = path.to_owned();
    |error| ShelfError { path, error }
}

pub(super) const CHECKSUM: usize = 16;
const RECORDS: &str = "records.bin";
const WHAT: &str = "shelf.json";
const LOCK: &str = "lock";

/// All shelves of a results folder.
#[derive(Debug, Clone)]
pub struct Shelves {
    folder: PathBuf,
    limit: u64,
}

/// One encoder's features of one data set.
#[derive(Debug)]
pub struct Shelf {
    path: PathBuf,
    records: File,
    values: usize,
    precision: FeatureCache,
    /// Bytes that may still be written.
    room: AtomicU64,
    _in_use: File,
}

impl Shelves {
    /// The shelves under `cache`, which may take `limit` bytes of disk together.
    pub fn new(cache: &Path, limit: u64) -> Shelves {
        Shelves { folder: cache.join("features"), limit }
    }

    /// The shelf of `slots` records of `values` values. Where it would go over the limit, the
    /// shelves that were not used for longest are removed; if it wouldn't fit even alone, none is,
    /// and it is filled as far as there is room.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(
        &self,
        id: &str,
        what: &Value,
        (slots, values): (usize, usize),
        precision: FeatureCache,
    ) -> Result<Shelf, ShelfError> {
        let folder = self.folder.join(id);
        std::fs::create_dir_all(&folder).map_err(failed(&folder))?;
        let lock = folder.join(LOCK);
        let in_use = File::create(&lock).map_err(failed(&lock))?;
        in_use.lock_shared().map_err(failed(&lock))?;
        // The time of its last use.
        in_use.set_modified(SystemTime::now()).map_err(failed(&lock))?;
        let record = precision.record_bytes(values) as usize;
        let note = json!({ "what": what, "slots": slots, "record": record, "values": values, "precision": precision });
        let path = folder.join(WHAT);
        if !path.exists() {
            let text = format!("{note:#}\n");
            write_atomically(&path, text.as_bytes()).map_err(failed(&path))?;
        }
        let path = folder.join(RECORDS);
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let records = options.open(&path).map_err(failed(&path))?;
        let room = self.make_room(&folder, (slots * record) as u64)?;
        Ok(Shelf { path, records, values, precision, room: AtomicU64::new(room), _in_use: in_use })
    }

    /// What a shelf of `wanted` bytes at `own` may still write, after removing others for it.
    fn make_room(&self, own: &Path, wanted: u64) -> Result<u64, ShelfError> {
        let present = size(own);
        let mut others: Vec<(SystemTime, PathBuf, u64)> = Vec::new();
        for entry in std::fs::read_dir(&self.folder).map_err(failed(&self.folder))? {
            let path = entry.map_err(failed(&self.folder))?.path();
            let used = path.join(LOCK).metadata().and_then(|lock| lock.modified());
            if path != own {
                others.push((used.unwrap_or(SystemTime::UNIX_EPOCH), path.clone(), size(&path)));
            }
        }
        others.sort();
        let mut taken: u64 = others.iter().map(|(_, _, size)| size).sum();
        for (_, path, size) in &others {
            if wanted > self.limit || taken + wanted <= self.limit {
                break;
            }
            if remove(path)? {
                tracing::info!(shelf = %path.display(), "removed: not used for longest");
                taken -= size;
            }
        }
        Ok(self.limit.saturating_sub(taken + present))
    }
}

/// Removes a shelf, unless somebody uses it.
fn remove(folder: &Path) -> Result<bool, ShelfError> {
    let Ok(lock) = File::open(folder.join(LOCK)) else { return Ok(false) };
    if lock.try_lock().is_err() {
        return Ok(false);
    }
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed(folder)(error)),
        _ => Ok(true),
    }
}

/// The bytes of disk that a shelf takes.
pub fn size(folder: &Path) -> u64 {
    folder.join(RECORDS).metadata().map_or(0, |file| allocated(&file))
}

#[cfg(unix)]
fn allocated(file: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::blocks(file) * 512
}

/// Elsewhere holes are counted, too.
#[cfg(not(unix))]
fn allocated(file: &Metadata) -> u64 {
    file.len()
}

/// Reads from a place of a file, until the buffer is full or the file ends.
fn read_at(file: &File, buffer: &mut [u8], at: u64) -> std::io::Result<usize> {
    let mut read = 0;
    while read < buffer.len() {
        #[cfg(unix)]
        let more = std::os::unix::fs::FileExt::read_at(file, &mut buffer[read..], at + read as u64);
        #[cfg(windows)]
        let more =
            std::os::windows::fs::FileExt::seek_read(file, &mut buffer[read..], at + read as u64);
        match more {
            Ok(0) => break,
            Ok(count) => read += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

/// Writes all bytes at a place of a file.
fn write_at(file: &File, bytes: &[u8], at: u64) -> std::io::Result<()> {
    let mut written = 0;
    while written < bytes.len() {
        #[cfg(unix)]
        let more =
            std::os::unix::fs::FileExt::write_at(file, &bytes[written..], at + written as u64);
        #[cfg(windows)]
        let more =
            std::os::windows::fs::FileExt::seek_write(file, &bytes[written..], at + written as u64);
        match more {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => written += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn checksum(slot: usize, payload: &[u8]) -> [u8; CHECKSUM] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(slot as u64).to_le_bytes()).update(payload);
    let mut sum = [0; CHECKSUM];
    sum.copy_from_slice(&hasher.finalize().as_bytes()[..CHECKSUM]);
    sum
}

impl Shelf {
    fn record(&self) -> usize {
        self.precision.record_bytes(self.values) as usize
    }

    /// The values in a slot, if they are there whole.
    pub fn read(&self, slot: usize) -> Option<Vec<f32>> {
        let mut record = vec![0; self.record()];
        let at = (slot * record.len()) as u64;
        if read_at(&self.records, &mut record, at).ok()? < record.len() {
            return None;
        }
        let (sum, payload) = record.split_at(CHECKSUM);
        (*sum == checksum(slot, payload)).then(|| decoded(payload, self.precision))
    }

    /// Puts values into a slot, if there is room.
    ///
    /// # Errors
    /// The disk is full or fails.
    pub fn write(&self, slot: usize, values: &[f32]) -> Result<(), ShelfError> {
        let payload = encoded(values, self.precision);
        let mut record = checksum(slot, &payload).to_vec();
        record.extend(payload);
        let size = record.len() as u64;
        let take = |room: u64| room.checked_sub(size);
        if self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_err() {
            return Ok(());
        }
        let at = slot as u64 * size;
        write_at(&self.records, &record, at).map_err(failed(&self.path))
    }
}

fn encoded(values: &[f32], precision: FeatureCache) -> Vec<u8> {
    match precision {
        FeatureCache::F16 => values.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect(),
        FeatureCache::Off | FeatureCache::F32 => {
            values.iter().flat_map(|value| value.to_le_bytes()).collect()
        }
    }
}

fn decoded(payload: &[u8], precision: FeatureCache) -> Vec<f32> {
    match precision {
        FeatureCache::F16 => payload
            .as_chunks::<2>()
            .0
            .iter()
            .map(|bytes| f16::from_le_bytes(*bytes).to_f32())
            .collect(),
        FeatureCache::Off | FeatureCache::F32 => {
            payload.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
        }
    }
}

/// Reads every record of a shelf: how many are whole, and the slots of those that are damaged.
///
/// # Errors
/// What the system says.
pub fn check(folder: &Path) -> Result<(usize, Vec<usize>), ShelfError> {
    let path = folder.join(WHAT);
    let note = std::fs::read(&path).map_err(failed(&path))?;
    let note: Value = serde_json::from_slice(&note).unwrap_or_default();
    let size = note["record"].as_u64().unwrap_or(0) as usize;
    if size <= CHECKSUM {
        return Err(failed(&path)(Error::new(ErrorKind::InvalidData, "not a shelf's note")));
    }
    let path = folder.join(RECORDS);
    let file = File::open(&path).map_err(failed(&path))?;
    let slots = (file.metadata().map_err(failed(&path))?.len() as usize).div_ceil(size);
    let (mut whole, mut damaged) = (0, Vec::new());
    let mut record = vec![0; size];
    for slot in 0..slots {
        record.fill(0);
        // The last record may be cut short.
        read_at(&file, &mut record, (slot * size) as u64).map_err(failed(&path))?;
        let (sum, payload) = record.split_at(CHECKSUM);
        if *sum == checksum(slot, payload) {
            whole += 1;
        } else if record.iter().any(|byte| *byte != 0) {
            damaged.push(slot);
        }
    }
    Ok((whole, damaged))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn shelf(shelves: &Shelves, id: &str, precision: FeatureCache) -> Shelf {
        shelves.open(id, &json!("test"), (8, 3), precision).unwrap()
    }

    fn folder(name: &str) -> PathBuf {
        let folder =
            std::env::temp_dir().join(format!("eagle-shelf-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        folder
    }

    #[test]
    fn a_record_comes_back_as_it_was_and_an_empty_slot_is_empty() {
        let folder = folder("back");
        let shelf = shelf(&Shelves::new(&folder, 1 << 20), "a", FeatureCache::F32);
        let values = [1.5, -0.0, f32::MIN_POSITIVE];
        shelf.write(5, &values).unwrap();
        assert_eq!(shelf.read(5).unwrap().map_bits(), values.to_vec().map_bits());
        assert!(shelf.read(4).is_none() && shelf.read(7).is_none());
    }

    trait Bits {
        fn map_bits(&self) -> Vec<u32>;
    }
    impl Bits for Vec<f32> {
        fn map_bits(&self) -> Vec<u32> {
            self.iter().map(|v| v.to_bits()).collect()
        }
    }

    #[test]
    fn a_flipped_bit_and_a_torn_write_count_as_absent_and_are_found() {
        let folder = folder("bit");
        let shelves = Shelves::new(&folder, 1 << 20);
        let shelf = shelf(&shelves, "a", FeatureCache::F16);
        (0..8).for_each(|slot| shelf.write(slot, &[slot as f32, 2.0, 3.0]).unwrap());
        let path = folder.join("features/a");
        assert_eq!(check(&path).unwrap(), (8, vec![]));
        let file = OpenOptions::new().write(true).open(path.join(RECORDS)).unwrap();
        write_at(&file, &[7], 2 * 22 + 18).unwrap();
        file.set_len(8 * 22 - 3).unwrap();
        assert!(shelf.read(2).is_none() && shelf.read(7).is_none());
        assert_eq!(shelf.read(3).unwrap(), [3.0, 2.0, 3.0]);
        assert_eq!(check(&path).unwrap(), (6, vec![2, 7]));
    }

    #[test]
    fn the_shelf_that_was_not_used_for_longest_makes_room_and_one_in_use_stays() {
        let folder = folder("room");
        // Files take whole blocks of the disk.
        let shelves = Shelves::new(&folder, 10_000);
        for id in ["old", "young"] {
            let shelf = shelf(&shelves, id, FeatureCache::F32);
            shelf.write(0, &[1.0; 3]).unwrap();
            drop(shelf);
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let held = shelf(&shelves, "young", FeatureCache::F32);
        let large = shelves.open("large", &json!(""), (100, 10), FeatureCache::F32).unwrap();
        assert!(!folder.join("features/old").exists(), "the oldest is still there");
        assert!(held.read(0).is_some(), "one in use was removed");
        // One that can't fit pushes nobody out, and keeps what fits.
        let room = large.room.load(Ordering::Relaxed);
        assert!(room < 10_000 && room > 0, "{room}");
        let huge = shelves.open("huge", &json!(""), (9_999, 10), FeatureCache::F32).unwrap();
        assert!(folder.join("features/young").exists());
        let written = (0..9_999).filter(|slot| {
            huge.write(*slot, &[0.5; 10]).unwrap();
            huge.read(*slot).is_some()
        });
        let written = written.count();
        assert!(written > 0 && written * 56 <= 10_000, "{written}");
    }
}
