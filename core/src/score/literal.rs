//! Lists as Python prints them: `['a', "it's", 3]`, which some data sets hold as text.

/// The items of a list of texts and numbers; none if the text is no such list.
#[must_use]
pub fn list(text: &str) -> Option<Vec<String>> {
    let inner = text.trim().strip_prefix('[')?.strip_suffix(']')?;
    let mut items = Vec::new();
    let mut chars = inner.chars().peekable();
    loop {
        while chars.next_if(|c| c.is_whitespace() || *c == ',').is_some() {}
        let Some(&first) = chars.peek() else { return Some(items) };
        if first == '\'' || first == '"' {
            chars.next();
            items.push(quoted(&mut chars, first)?);
        } else {
            let mut item = String::new();
            while let Some(c) = chars.next_if(|c| *c != ',') {
                item.push(c);
            }
            items.push(item.trim().to_owned());
        }
    }
}

/// The rest of a text in quotes.
fn quoted(chars: &mut impl Iterator<Item = char>, quote: char) -> Option<String> {
    let mut item = String::new();
    loop {
        match chars.next()? {
            '\\' => match chars.next()? {
                'n' => item.push('\n'),
                't' => item.push('\t'),
                'x' => item.push(code(chars, 2)?),
                'u' => item.push(code(chars, 4)?),
                'U' => item.push(code(chars, 8)?),
                other => item.push(other),
            },
            c if c == quote => return Some(item),
            c => item.push(c),
        }
    }
}

fn code(chars: &mut impl Iterator<Item = char>, digits: usize) -> Option<char> {
    let text: String = chars.take(digits).collect();
    char::from_u32(u32::from_str_radix(&text, 16).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_escapes_and_numbers_are_read() {
        let items = list(r#"['a, b', "it's", 3, 'x\'y\n', '\xb5']"#);
        let expected = ["a, b", "it's", "3", "x'y\n", "µ"].map(String::from).to_vec();
        assert_eq!(items, Some(expected));
        assert_eq!(list("[]"), Some(Vec::new()));
        assert_eq!(list("['a"), None);
        assert_eq!(list("[..."), None);
    }
}
