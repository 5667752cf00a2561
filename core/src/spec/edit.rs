//! `--set path=value`: an edit of the text, so that what is run can be read.

use super::Problem;

/// The source with the value at `path` replaced, or added where a field is absent.
///
/// # Errors
/// The path leads nowhere, or the value isn't RON.
pub fn set(source: &str, path: &str, value: &str) -> Result<String, Problem> {
    todo!("{source} {path} {value}")
}
