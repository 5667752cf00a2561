//! The words of RON text. Every problem is noted and reading goes on.

use crate::spec::{Problem, Span};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Word,
    Number,
    Text(String),
    Char,
    Open(char),
    Close(char),
    Colon,
    Comma,
    /// `=`, which some write for `:`.
    Equals,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub kind: Kind,
    pub span: Span,
}

#[derive(Debug, Default)]
pub(super) struct Tokens {
    pub tokens: Vec<Token>,
    pub problems: Vec<Problem>,
    /// Whether every text and comment is closed, so that brackets can be trusted.
    pub closed: bool,
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
    out: Tokens,
}

pub(super) fn tokens(source: &str) -> Tokens {
    let out = Tokens { closed: true, ..Tokens::default() };
    let mut lexer = Lexer { source, at: 0, out };
    while let Some(c) = lexer.peek() {
        lexer.next(c);
    }
    lexer.out
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.source[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn eat_while(&mut self, keep: impl Fn(char) -> bool) {
        let rest = self.rest();
        self.at += rest.find(|c| !keep(c)).unwrap_or(rest.len());
    }

    fn push(&mut self, kind: Kind, start: usize) {
        self.out.tokens.push(Token { kind, span: start..self.at });
    }

    fn next(&mut self, c: char) {
        let start = self.at;
        let single = match c {
            '(' | '[' | '{' => Some(Kind::Open(c)),
            ')' | ']' | '}' => Some(Kind::Close(c)),
            ':' => Some(Kind::Colon),
            ',' => Some(Kind::Comma),
            '=' => Some(Kind::Equals),
            _ => None,
        };
        if let Some(kind) = single {
            self.at += 1;
            return self.push(kind, start);
        }
        match c {
            // A byte-order mark is no character of the file.
            '\u{feff}' => self.at += c.len_utf8(),
            _ if c.is_whitespace() => self.eat_while(char::is_whitespace),
            '/' if self.rest().starts_with("//") => self.eat_while(|c| c != '\n'),
            '/' if self.rest().starts_with("/*") => self.block_comment(),
            '"' => self.text(),
            'r' if self.rest()[1..].trim_start_matches('#').starts_with('"') => self.raw_text(),
            '\'' if self.char_len().is_some() => {
                self.at += self.char_len().unwrap_or(1);
                self.push(Kind::Char, start);
            }
            '+' | '-' | '.' | '0'..='9' => self.number(),
            _ if c.is_alphabetic() || c == '_' => self.word(),
            _ => self.stray(c),
        }
    }

    /// The length of `'c'` or `'\n'`.
    fn char_len(&self) -> Option<usize> {
        let mut chars = self.rest().char_indices().skip(1);
        let (_, first) = chars.next()?;
        if first == '\\' {
            chars.next()?;
        }
        let (at, last) = chars.next()?;
        (last == '\'' && first != '\'').then_some(at + 1)
    }

    fn stray(&mut self, c: char) {
        let start = self.at;
        self.at += c.len_utf8();
        if self.source[start..].starts_with("#![") {
            self.eat_while(|c| c != '\n');
            let text = "extensions can't be switched here";
            let problem =
                Problem::new("an attribute has no place in this file", start..self.at, text);
            return self.out.problems.push(problem.help("remove this line"));
        }
        let message = format!("`{c}` has no meaning here");
        let mut problem = Problem::new(message, start..self.at, "unexpected character");
        if c == '\'' || c == '\u{201c}' || c == '\u{201d}' {
            problem = problem.help("text stands between straight double quotes: \"…\"");
        } else {
            problem =
                problem.help("remove it, or put it between double quotes if it is part of a text");
        }
        self.out.problems.push(problem);
    }

    /// `clip`, and also what was meant to be a text: `fine-tuning`, `zoo/clip.ron`.
    fn word(&mut self) {
        let start = self.at;
        let rest = self.rest();
        let mut end = 0;
        for (at, c) in rest.char_indices() {
            let after = rest[at + c.len_utf8()..].chars().next();
            let joins = matches!(c, '-' | '.' | '/') && after.is_some_and(char::is_alphanumeric);
            if !(c.is_alphanumeric() || c == '_' || joins) {
                break;
            }
            end = at + c.len_utf8();
        }
        self.at += end.max(1);
        let word = &self.source[start..self.at];
        if !word.contains(['-', '.', '/']) {
            return self.push(Kind::Word, start);
        }
        let word = word.to_owned();
        let problem = Problem::new(
            format!("`{word}` is text and needs quotes"),
            start..self.at,
            "not a name or a number",
        );
        self.out.problems.push(problem.help(format!("write \"{word}\"")));
        self.push(Kind::Text(word), start);
    }

    fn number(&mut self) {
        let start = self.at;
        let rest = self.rest();
        let mut end = 1;
        let mut before = rest.chars().next().unwrap_or('0');
        for (at, c) in rest.char_indices().skip(1) {
            let sign = matches!(c, '+' | '-') && matches!(before, 'e' | 'E');
            if !(c.is_alphanumeric() || c == '_' || c == '.' || sign) {
                break;
            }
            end = at + c.len_utf8();
            before = c;
        }
        self.at += end;
        self.push(Kind::Number, start);
    }

    fn block_comment(&mut self) {
        let start = self.at;
        let mut depth = 0;
        while self.at < self.source.len() {
            if self.rest().starts_with("/*") {
                depth += 1;
                self.at += 2;
            } else if self.rest().starts_with("*/") {
                depth -= 1;
                self.at += 2;
                if depth == 0 {
                    return;
                }
            } else {
                self.at += self.peek().map_or(1, char::len_utf8);
            }
        }
        self.unclosed(start, 2, "this comment is never closed", "close it with `*/`");
    }

    fn unclosed(&mut self, start: usize, len: usize, message: &str, help: &str) {
        let problem = Problem::new(message, start..start + len, "opened here").help(help);
        self.out.problems.push(problem);
        self.out.closed = false;
    }

    fn raw_text(&mut self) {
        let start = self.at;
        self.at += 1;
        self.eat_while(|c| c == '#');
        let hashes = self.at - start - 1;
        let close = format!("\"{}", "#".repeat(hashes));
        let from = self.at + 1;
        match self.source[from..].find(&close) {
            Some(len) => {
                self.at = from + len + close.len();
                let text = self.source[from..from + len].to_owned();
                self.push(Kind::Text(text), start);
            }
            None => {
                self.at = self.source.len();
                let help = format!("close it with `{close}`");
                self.unclosed(start, hashes + 2, "this raw text is never closed", &help);
            }
        }
    }

    /// A text ends on its line, so that a forgotten quote doesn't swallow the rest of the file.
    fn text(&mut self) {
        let start = self.at;
        self.at += 1;
        let mut text = String::new();
        while let Some(c) = self.peek().filter(|&c| c != '\n') {
            let at = self.at;
            self.at += c.len_utf8();
            match c {
                '"' => return self.push(Kind::Text(text), start),
                '\\' => match self.escape() {
                    Some(c) => text.push(c),
                    None => self.bad_escape(at),
                },
                _ => text.push(c),
            }
        }
        let help =
            "close it with `\"`; a text can't go over the end of a line (`\\n` is a line break)";
        self.unclosed(start, 1, "the quotes on this line don't pair up", help);
    }

    fn escape(&mut self) -> Option<char> {
        let c = self.peek().filter(|&c| c != '\n')?;
        self.at += c.len_utf8();
        Some(match c {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            '0' => '\0',
            '\\' | '"' | '\'' => c,
            'x' => {
                let digits = self.rest().get(..2)?;
                let code = u8::from_str_radix(digits, 16).ok()?;
                self.at += 2;
                char::from(code)
            }
            'u' => {
                let digits = self.rest().strip_prefix('{')?;
                let digits = &digits[..digits.find('}')?];
                let code = u32::from_str_radix(digits, 16).ok()?;
                let len = digits.len() + 2;
                self.at += len;
                char::from_u32(code)?
            }
            _ => return None,
        })
    }

    fn bad_escape(&mut self, start: usize) {
        let problem = Problem::new("unknown escape in a text", start..self.at, "means nothing");
        let help =
            "a backslash is written `\\\\`; the escapes are \\n \\t \\r \\0 \\\" \\' \\xNN \\u{N}";
        self.out.problems.push(problem.help(help));
    }
}
