//! The elements of a JSON array, or of a row of JSON values (JSONL), one at a time: no more than one
//! is held in memory, and each is told with its place.

use std::io::{self, BufRead};

/// One element's text.
#[derive(Debug)]
pub(super) struct Element {
    /// Its first byte's place.
    pub offset: u64,
    /// Its first line, from 1.
    pub line: usize,
    /// Its JSON.
    pub text: Vec<u8>,
}

/// What is wrong with the text between elements.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// The system's.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// Of the form.
    #[error("{detail} at line {line}")]
    Form {
        /// What is wrong.
        detail: &'static str,
        /// Where, from 1.
        line: usize,
    },
}

/// A reader of elements.
pub(super) struct Elements<R> {
    from: R,
    at: u64,
    line: usize,
    /// Whether they stand in an array; unknown before the first byte.
    array: Option<bool>,
    count: usize,
    done: bool,
}

impl<R: BufRead> Elements<R> {
    /// Of a text's beginning.
    pub fn new(from: R) -> Elements<R> {
        Elements { from, at: 0, line: 1, array: None, count: 0, done: false }
    }

    /// The next one; `None` at the end.
    ///
    /// # Errors
    /// What lies between two elements isn't JSON, or the file can't be read.
    pub fn next(&mut self) -> Result<Option<Element>, Fault> {
        if self.done {
            return Ok(None);
        }
        if self.array.is_none() {
            let array = self.peek()? == Some(b'[');
            self.array = Some(array);
            if array {
                self.take(1);
            }
        }
        let found = match (self.array, self.peek()?) {
            (Some(true), None) => return Err(self.fault("the array isn't closed")),
            (_, None) => None,
            (Some(true), Some(b']')) => {
                self.take(1);
                match self.peek()? {
                    Some(_) => return Err(self.fault("something stands after the array")),
                    None => None,
                }
            }
            (Some(true), Some(b',')) if self.count > 0 => {
                self.take(1);
                match self.peek()? {
                    Some(b']' | b',') | None => return Err(self.fault("an element is missing")),
                    Some(_) => Some(self.element()?),
                }
            }
            (Some(true), Some(_)) if self.count > 0 => {
                return Err(self.fault("a comma is missing before an element"));
            }
            _ => Some(self.element()?),
        };
        self.count += 1;
        self.done = found.is_none();
        Ok(found)
    }

    fn fault(&self, detail: &'static str) -> Fault {
        Fault::Form { detail, line: self.line }
    }

    /// The next byte that is no blank.
    fn peek(&mut self) -> io::Result<Option<u8>> {
        loop {
            let buffer = self.from.fill_buf()?;
            if buffer.is_empty() {
                return Ok(None);
            }
            let blanks = buffer.iter().position(|byte| !byte.is_ascii_whitespace());
            let (used, found) = match blanks {
                Some(at) => (at, Some(buffer[at])),
                None => (buffer.len(), None),
            };
            self.line += lines(&buffer[..used]);
            self.take(used);
            if found.is_some() {
                return Ok(found);
            }
        }
    }

    fn take(&mut self, bytes: usize) {
        self.from.consume(bytes);
        self.at += bytes as u64;
    }

    fn element(&mut self) -> Result<Element, Fault> {
        let (offset, line) = (self.at, self.line);
        let mut text = Vec::new();
        let mut state = State::default();
        loop {
            let buffer = self.from.fill_buf()?;
            if buffer.is_empty() {
                // A number or a word may end with the file.
                if state.depth == 0 && !state.string {
                    break;
                }
                return Err(Fault::Form { detail: "the text ends within an element begun", line });
            }
            let end = state.end(buffer);
            let used = end.unwrap_or(buffer.len());
            text.extend_from_slice(&buffer[..used]);
            self.take(used);
            if end.is_some() {
                break;
            }
        }
        self.line += lines(&text);
        Ok(Element { offset, line, text })
    }
}

fn lines(text: &[u8]) -> usize {
    text.iter().filter(|byte| **byte == b'\n').count()
}

/// How far an element was read.
#[derive(Default)]
struct State {
    depth: usize,
    string: bool,
    escaped: bool,
    begun: bool,
}

impl State {
    /// Where the element ends in the next part of its text, if it does.
    fn end(&mut self, part: &[u8]) -> Option<usize> {
        let mut at = 0;
        while at < part.len() {
            if self.string {
                if self.escaped {
                    self.escaped = false;
                    at += 1;
                    continue;
                }
                let rest = &part[at..];
                let mark = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
                self.escaped = rest[mark] == b'\\';
                self.string = self.escaped;
                at += mark + 1;
                if !self.string && self.depth == 0 {
                    return Some(at);
                }
                continue;
            }
            match part[at] {
                b'"' => self.string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' if self.depth > 0 => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return Some(at + 1);
                    }
                }
                b',' | b']' | b'}' if self.depth == 0 => {
                    // A lone one is an element that no reader takes.
                    return Some(if self.begun { at } else { at + 1 });
                }
                byte if byte.is_ascii_whitespace() && self.depth == 0 => return Some(at),
                _ => {}
            }
            self.begun = true;
            at += 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    fn read(text: &str, buffer: usize) -> Result<Vec<(u64, usize, String)>, String> {
        let mut elements = Elements::new(BufReader::with_capacity(buffer, text.as_bytes()));
        let mut found = Vec::new();
        while let Some(element) = elements.next().map_err(|fault| fault.to_string())? {
            let text = String::from_utf8_lossy(&element.text).into_owned();
            found.push((element.offset, element.line, text));
        }
        Ok(found)
    }

    #[test]
    fn elements_are_found_whatever_the_buffer() {
        let strange = r#"{"a": "}\"]\\", "b": [1, {"c": "\\\""}]}"#;
        for text in [
            format!("[{strange},\n {strange} , 12,\"x,]\" ]\n"),
            format!("{strange}\n{strange}\n12 \"x,]\""),
        ] {
            let whole = read(&text, 1 << 20).unwrap_or_default();
            let texts: Vec<&str> = whole.iter().map(|(_, _, text)| text.as_str()).collect();
            assert_eq!(texts, [strange, strange, "12", "\"x,]\""]);
            assert_eq!(whole[1].1, 2, "its line");
            for (offset, _, found) in &whole {
                assert!(text[*offset as usize..].starts_with(found.as_str()));
            }
            for buffer in 1..40 {
                assert_eq!(read(&text, buffer).as_ref(), Ok(&whole), "{buffer} bytes at a time");
            }
        }
    }

    #[test]
    fn what_is_no_array_is_refused_with_its_line() {
        for (text, message) in [
            ("[1,\n2", "isn't closed at line 2"),
            ("[1,\n]", "is missing at line 2"),
            ("[1 2]", "a comma is missing"),
            ("[1]\n2", "after the array at line 2"),
            ("[{\"a\":\n", "ends within an element begun at line 1"),
        ] {
            let error = read(text, 8).err().unwrap_or_default();
            assert!(error.contains(message), "{text}: {error}");
        }
    }
}
