//! One value of a frame, and how it is written in a table, in CSV and in JSON.

use std::fmt::Write;

use polars::prelude::AnyValue;

/// One value of a frame.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// No value.
    Null,
    /// True or false.
    Bool(bool),
    /// Any integer type of SQL.
    Int(i64),
    /// Any float type of SQL.
    Float(f64),
    /// Text, and every other SQL type (dates, lists, integers beyond 64 bits) as text.
    Text(String),
}

impl Cell {
    /// As JSON: exact, NaN and infinities as null, which JSON cannot say.
    #[must_use]
    pub fn json(&self) -> String {
        match self {
            Cell::Null => "null".to_owned(),
            Cell::Bool(value) => value.to_string(),
            Cell::Int(value) => value.to_string(),
            Cell::Float(value) => serde_json::Value::from(*value).to_string(),
            Cell::Text(value) => serde_json::Value::from(value.as_str()).to_string(),
        }
    }

    /// As a CSV field: exact; null is empty and an empty text is `""`.
    #[must_use]
    pub fn csv(&self) -> String {
        match self {
            Cell::Null => String::new(),
            Cell::Float(value) if !value.is_finite() => value.to_string(),
            Cell::Text(value) => csv_field(value),
            other => other.json(),
        }
    }

    /// For reading: floats with six significant digits, line breaks as `\n`.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Cell::Null => String::new(),
            Cell::Float(value) => short_float(*value),
            Cell::Text(value) => value.chars().fold(String::new(), |mut text, c| {
                if c.is_control() {
                    let _ = write!(text, "{}", c.escape_default());
                } else {
                    text.push(c);
                }
                text
            }),
            other => other.json(),
        }
    }

    pub(crate) fn is_number(&self) -> bool {
        matches!(self, Cell::Int(_) | Cell::Float(_))
    }
}

/// A text as one CSV field (RFC 4180).
pub(crate) fn csv_field(text: &str) -> String {
    let plain = !text.is_empty()
        && !text.contains(['"', ',', '\n', '\r'])
        && !text.starts_with(' ')
        && !text.ends_with(' ');
    if plain { text.to_owned() } else { format!("\"{}\"", text.replace('"', "\"\"")) }
}

/// Six significant digits, without trailing zeros; an exponent only where it is shorter.
fn short_float(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() || value == 0.0 {
        return value.to_string();
    }
    if !(1e-4..1e15).contains(&size) {
        return format!("{value:.5e}");
    }
    let digits = (5 - size.log10().floor() as i32).max(0) as usize;
    let text = format!("{value:.digits$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

impl From<AnyValue<'_>> for Cell {
    fn from(value: AnyValue<'_>) -> Self {
        match value {
            AnyValue::Null => Cell::Null,
            AnyValue::Boolean(value) => Cell::Bool(value),
            AnyValue::String(value) => Cell::Text(value.to_owned()),
            AnyValue::StringOwned(value) => Cell::Text(value.to_string()),
            AnyValue::Float32(value) => Cell::Float(f64::from(value)),
            AnyValue::Float64(value) => Cell::Float(value),
            value if value.is_integer() => {
                value.extract::<i64>().map_or_else(|| Cell::Text(value.to_string()), Cell::Int)
            }
            value => Cell::Text(value.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_read_with_six_significant_digits() {
        let written = [0.1 + 0.2, 93.0, 1234567.0, 1.0 / 3.0, 0.00001, -2.5, 0.0];
        let read = ["0.3", "93", "1234567", "0.333333", "1.00000e-5", "-2.5", "0"];
        assert_eq!(written.map(|v| Cell::Float(v).text()), read);
    }

    #[test]
    fn csv_tells_null_from_empty_text_and_quotes_what_it_must() {
        let cells = [Cell::Null, Cell::Text(String::new()), Cell::Text("a \"b\", c\n".into())];
        assert_eq!(cells.map(|c| c.csv()), ["", "\"\"", "\"a \"\"b\"\", c\n\""]);
    }

    #[test]
    fn json_writes_what_is_not_finite_as_null() {
        let cells = [Cell::Float(f64::NAN), Cell::Float(1.0), Cell::Text("\u{1}\"".into())];
        assert_eq!(cells.map(|c| c.json()), ["null", "1.0", "\"\\u0001\\\"\""]);
    }
}
