//! The members of a tar file: ustar, with the long names of GNU and pax. Nothing but headers is
//! read; what a member holds is read later, at its place.

use std::io::{self, Read, Seek, SeekFrom};

/// A tar file's block.
const BLOCK: u64 = 512;

/// A file within a tar file.
#[derive(Debug)]
pub(super) struct Member {
    /// Its path.
    pub name: String,
    /// Where its bytes begin.
    pub offset: u64,
    /// How many they are.
    pub len: u64,
}

/// The regular files of a tar file, in order.
///
/// # Errors
/// It can't be read, is cut off, or isn't a tar file.
pub(super) fn members(
    tar: &mut (impl Read + Seek),
    mut each: impl FnMut(Member) -> io::Result<()>,
) -> io::Result<()> {
    let end = tar.seek(SeekFrom::End(0))?;
    let mut at = 0;
    // What headers before a member say of it.
    let (mut long_name, mut long_size) = (None, None);
    while at + BLOCK <= end {
        tar.seek(SeekFrom::Start(at))?;
        let mut header = [0; BLOCK as usize];
        tar.read_exact(&mut header)?;
        if header.iter().all(|byte| *byte == 0) {
            return Ok(());
        }
        if !checked(&header) {
            return Err(damaged(&format!("no tar header at byte {at}")));
        }
        let offset = at + BLOCK;
        let kind = header[156];
        let len = match (kind, long_size) {
            (b'0' | 0, Some(len)) => len,
            _ => number(&header[124..136]).ok_or_else(|| damaged("a size isn't a number"))?,
        };
        if offset.checked_add(len).is_none_or(|past| past > end) {
            return Err(damaged(&format!("it is cut off within the member at byte {at}")));
        }
        at = offset + len.div_ceil(BLOCK) * BLOCK;
        match kind {
            b'0' | 0 => {
                let name = long_name.take().unwrap_or_else(|| short_name(&header));
                long_size = None;
                each(Member { name, offset, len })?;
            }
            b'L' => long_name = Some(text(&content(tar, len)?)),
            b'x' => {
                for (key, value) in records(&content(tar, len)?) {
                    match key.as_str() {
                        "path" => long_name = Some(value),
                        "size" => long_size = value.parse().ok(),
                        _ => {}
                    }
                }
            }
            _ => (long_name, long_size) = (None, None),
        }
    }
    Err(damaged("it is cut off: the blocks of zeros that end a tar file are missing"))
}

fn damaged(detail: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, detail)
}

/// The bytes of a header's own member; the reader stands there.
fn content(tar: &mut impl Read, len: u64) -> io::Result<Vec<u8>> {
    const LONGEST: u64 = 1 << 20;
    if len > LONGEST {
        return Err(damaged("a member's name is longer than any"));
    }
    let mut bytes = Vec::new();
    tar.take(len).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Whether the header's checksum is right: the sum of its bytes, with blanks in place of the sum.
fn checked(header: &[u8; BLOCK as usize]) -> bool {
    let sum = |bytes: &[u8]| bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>();
    let own = sum(&header[..148]) + 8 * u64::from(b' ') + sum(&header[156..]);
    number(&header[148..156]) == Some(own)
}

/// Octal digits, or GNU's big-endian bytes behind a set first bit.
fn number(field: &[u8]) -> Option<u64> {
    if field[0] & 0x80 != 0 {
        let bytes = &field[field.len() - 8..];
        return Some(bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)));
    }
    let digits = text(field);
    let digits = digits.trim();
    if digits.is_empty() { Some(0) } else { u64::from_str_radix(digits, 8).ok() }
}

fn text(field: &[u8]) -> String {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).into_owned()
}

fn short_name(header: &[u8; BLOCK as usize]) -> String {
    let name = text(&header[..100]);
    let prefix =
        if &header[257..262] == b"ustar" { text(&header[345..500]) } else { String::new() };
    if prefix.is_empty() { name } else { format!("{prefix}/{name}") }
}

/// Pax records, `LENGTH KEY=VALUE\n` each.
fn records(bytes: &[u8]) -> Vec<(String, String)> {
    let mut records = Vec::new();
    let mut rest = bytes;
    while let Some(blank) = rest.iter().position(|byte| *byte == b' ') {
        let len = std::str::from_utf8(&rest[..blank]).ok().and_then(|len| len.parse().ok());
        let Some(record) = len.and_then(|len: usize| rest.get(blank + 1..len)) else { break };
        let record = String::from_utf8_lossy(record);
        if let Some((key, value)) = record.trim_end_matches('\n').split_once('=') {
            records.push((key.to_owned(), value.to_owned()));
        }
        rest = &rest[len.unwrap_or(rest.len())..];
    }
    records
}
