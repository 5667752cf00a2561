//! The hashes of the pictures that a large JSON file names, kept beside it: on the next opening a
//! picture is read again only if its size or time changed.

use std::path::Path;

use rayon::prelude::*;

use super::index::{beside, state, write};

const MAGIC: &[u8; 16] = b"eagle-hashes 1\n\0";
/// Size, time, hash.
const RECORD: usize = 48;
/// Fewer pictures than this are read again each time.
const KEPT_FROM: usize = 4096;

/// Adds the hash of every picture's bytes, zeros where there is none, in order.
pub(super) fn feed(
    all: &mut blake3::Hasher,
    source: &Path,
    text: &[u8; 32],
    images: &Path,
    names: &[Box<str>],
) {
    let place = match names.len() {
        KEPT_FROM.. => beside(source, ".eagle-pictures").ok(),
        _ => None,
    };
    let kept = place.as_ref().and_then(|place| std::fs::read(place).ok());
    let kept = kept.filter(|bytes| whole(bytes, text, names.len()));
    let of = |(at, name): (usize, &str)| {
        let path = images.join(name);
        let Ok((size, time)) = state(&path) else { return [0; RECORD] };
        let start = MAGIC.len() + at * RECORD;
        let mut record = [0; RECORD];
        record[..8].copy_from_slice(&size.to_le_bytes());
        record[8..16].copy_from_slice(&time.to_le_bytes());
        if let Some(known) = kept.as_ref().and_then(|bytes| bytes.get(start..start + RECORD))
            && known[..16] == record[..16]
        {
            record[16..].copy_from_slice(&known[16..]);
            return record;
        }
        match std::fs::read(&path) {
            Ok(bytes) => record[16..].copy_from_slice(blake3::hash(&bytes).as_bytes()),
            Err(_) => record = [0; RECORD],
        }
        record
    };
    let records: Vec<[u8; RECORD]> =
        names.par_iter().map(AsRef::as_ref).enumerate().map(of).collect();
    records.iter().for_each(|record| {
        all.update(&record[16..]);
    });
    if let Some(place) = place {
        let mut bytes = [&MAGIC[..], records.as_flattened(), text].concat();
        let sum = blake3::hash(&bytes);
        bytes.extend(sum.as_bytes());
        if kept.as_ref() != Some(&bytes) {
            // Nowhere to keep them: they are read again.
            let _ = write(&place, &bytes);
        }
    }
}

/// Whether these are hashes of `count` pictures that the file of this hash names.
fn whole(bytes: &[u8], text: &[u8; 32], count: usize) -> bool {
    let end = MAGIC.len() + count * RECORD;
    bytes.len() == end + 64
        && bytes.starts_with(MAGIC)
        && bytes[end..end + 32] == *text
        && blake3::hash(&bytes[..end + 32]).as_bytes() == &bytes[end + 32..]
}
