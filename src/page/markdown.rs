//! The little Markdown that tables and findings are written in, as HTML: tables, lists, paragraphs,
//! `code`, **strong** and *emphasis*.

use super::escape;

/// HTML of a text. A paragraph that is one strong text is left out: it repeats a heading.
pub fn html(text: &str) -> String {
    let mut html = String::new();
    let lines: Vec<&str> = text.lines().collect();
    for block in lines.split(|line| line.trim().is_empty()).filter(|block| !block.is_empty()) {
        let kind = |start: &str| block.iter().all(|line| line.starts_with(start));
        if kind("|") {
            html += &table(block);
        } else if block[0].starts_with("- ") {
            html += &list(block);
        } else if !(block.len() == 1 && is_title(block[0])) {
            html += &format!("<p>{}</p>\n", inline(&block.join(" ")));
        }
    }
    html
}

fn is_title(line: &str) -> bool {
    let inner = line.strip_prefix("**").and_then(|line| line.strip_suffix("**"));
    inner.is_some_and(|inner| !inner.contains("**"))
}

fn list(block: &[&str]) -> String {
    let mut items: Vec<String> = Vec::new();
    for line in block {
        match (line.strip_prefix("- "), items.last_mut()) {
            (Some(item), _) => items.push(item.to_owned()),
            (None, Some(last)) => *last += &format!(" {}", line.trim()),
            (None, None) => {}
        }
    }
    let items = items.iter().map(|item| format!("<li>{}</li>\n", inline(item)));
    format!("<ul class=\"small\">\n{}</ul>\n", items.collect::<String>())
}

/// The cells of a row; `\|` is no end of a cell.
fn cells(line: &str) -> Vec<String> {
    let inner = line.trim().trim_start_matches('|');
    let inner = inner.strip_suffix('|').unwrap_or(inner);
    let split = inner.replace("\\|", "\u{1}");
    split.split('|').map(|cell| cell.trim().replace('\u{1}', "|")).collect()
}

fn table(block: &[&str]) -> String {
    let [head, rule, rows @ ..] = block else { return String::new() };
    let right: Vec<bool> = cells(rule).iter().map(|cell| cell.ends_with(':')).collect();
    let class = |column: usize| match right.get(column) {
        Some(true) => " class=\"n\"",
        _ => "",
    };
    let mut html = String::from("<div class=\"wide\"><table>\n<tr>");
    for (column, cell) in cells(head).iter().enumerate() {
        html += &format!("<th scope=\"col\"{}>{}</th>", class(column), inline(cell));
    }
    html += "</tr>\n";
    for row in rows {
        let cells = cells(row);
        // What goes on with the row above has no name of its own.
        let more = if cells[0].is_empty() { " class=\"quiet\"" } else { "" };
        html += &format!("<tr{more}>");
        for (column, cell) in cells.iter().enumerate() {
            let (open, close) = if column == 0 { ("th scope=\"row\"", "th") } else { ("td", "td") };
            html += &format!("<{open}{}>{}</{close}>", class(column), inline(cell));
        }
        html += "</tr>\n";
    }
    html + "</table></div>\n"
}

/// `code`, **strong** and *emphasis* within a text; a mark without its partner is itself.
fn inline(text: &str) -> String {
    let mut html = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['`', '*']) {
        html += &escape(&rest[..at]);
        rest = &rest[at..];
        let marks = [("`", "code"), ("**", "strong"), ("*", "em")];
        let marked = marks.into_iter().find_map(|(mark, tag)| {
            let inner = rest.strip_prefix(mark)?;
            let end = inner.find(mark).filter(|end| *end > 0 && !inner.starts_with(' '))?;
            Some((tag, &inner[..end], &inner[end + mark.len()..]))
        });
        match marked {
            Some((tag, inner, after)) => {
                let inner = if tag == "code" { escape(inner) } else { inline(inner) };
                html += &format!("<{tag}>{inner}</{tag}>");
                rest = after;
            }
            None => {
                html += &rest[..1];
                rest = &rest[1..];
            }
        }
    }
    html + &escape(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_lists_and_marks_become_html() {
        let text = "**title**\n\n| a | b |\n|---|--:|\n| x \\| y | **1**.0 |\n|  | 2 |\n\n- one `a<b`\n  more\n- *two* 3 * 4\n";
        assert_eq!(
            html(text),
            "<div class=\"wide\"><table>\n<tr><th scope=\"col\">a</th><th scope=\"col\" class=\"n\">b</th></tr>\n\
             <tr><th scope=\"row\">x | y</th><td class=\"n\"><strong>1</strong>.0</td></tr>\n\
             <tr class=\"quiet\"><th scope=\"row\"></th><td class=\"n\">2</td></tr>\n</table></div>\n\
             <ul class=\"small\">\n<li>one <code>a&lt;b</code> more</li>\n<li><em>two</em> 3 * 4</li>\n</ul>\n"
        );
    }
}
