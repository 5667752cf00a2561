//! Pages of HTML that need nothing but themselves: no network, no script, no font, no image beside
//! them. Charts are SVG whose colours follow the page's, light, dark and on paper.

pub mod chart;
pub mod graph;
pub mod markdown;
pub mod pictures;
pub mod scatter;

use std::fmt::Write;

const STYLE: &str = include_str!("style.css");

/// A whole document. `body` is HTML, `title` is text.
pub fn document(title: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta name=\"color-scheme\" content=\"light dark\"/>\n\
         <title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n{body}</body>\n</html>\n",
        escape(title)
    )
}

/// A text between tags or quotes.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // Control characters have no form in XML.
            c if c.is_control() && !"\n\t".contains(c) => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// A name as an `id`, the same for the same name and another for another.
pub fn anchor(name: &str) -> String {
    let mut id = String::new();
    for c in name.chars() {
        match c {
            c if c.is_ascii_alphanumeric() || c == '-' => id.push(c),
            c => drop(write!(id, "_{:x}", c as u32)),
        }
    }
    id
}

/// A table of texts, the first row its head. Cells that begin with a digit or a sign are numbers,
/// and stand on the right.
pub fn table(caption: &str, rows: &[Vec<String>]) -> String {
    let mut html = String::from("<div class=\"wide\"><table>\n");
    if !caption.is_empty() {
        let _ = writeln!(html, "<caption>{}</caption>", escape(caption));
    }
    for (at, row) in rows.iter().enumerate() {
        html.push_str("<tr>");
        for (column, cell) in row.iter().enumerate() {
            let tag = match (at, column) {
                (0, _) => "th scope=\"col\"",
                (_, 0) => "th scope=\"row\"",
                _ => "td",
            };
            let number = column > 0 && rows.iter().skip(1).all(|row| is_number(row, column));
            let class = if number { " class=\"n\"" } else { "" };
            let end = if tag == "td" { "td" } else { "th" };
            let _ = write!(html, "<{tag}{class}>{}</{end}>", escape(cell));
        }
        html.push_str("</tr>\n");
    }
    html + "</table></div>\n"
}

fn is_number(row: &[String], column: usize) -> bool {
    row.get(column).is_none_or(|cell| {
        let first = cell.chars().next();
        first.is_none_or(|c| c.is_ascii_digit() || "+-−–<".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_text_is_read_as_html() {
        assert_eq!(
            escape("<a href=\"x\">'&\u{7}"),
            "&lt;a href=&quot;x&quot;&gt;&#39;&amp;\u{fffd}"
        );
    }

    #[test]
    fn different_names_have_different_anchors() {
        let names = ["a b", "a_b", "a.b", "a_20b", "ab"];
        let ids: std::collections::BTreeSet<String> = names.iter().map(|n| anchor(n)).collect();
        assert_eq!(ids.len(), names.len());
    }
}
