//! Multiple choice: which of A, B, C, … an answer names.
//!
//! Sources: lmms-eval's `tasks/seedbench`, `tasks/scienceqa`, `tasks/ai2d` and `tasks/mmbench`
//! (MMBench's own rules, without the model that it asks where they fail).

use super::python;

/// The letter of choice `index`, from 0: A, B, C, …
#[must_use]
pub fn letter(index: usize) -> char {
    char::from(b'A' + index.min(25) as u8)
}

/// The choices as a prompt lists them: `A. red⏎B. blue`.
#[must_use]
pub fn listed(choices: &[String]) -> String {
    let line = |(index, choice): (usize, &String)| format!("{}. {choice}", letter(index));
    choices.iter().enumerate().map(line).collect::<Vec<_>>().join("\n")
}

/// SEED's rule: the first character, in any case.
#[must_use]
pub fn first_letter(prediction: &str) -> String {
    let first = python::strip(prediction).chars().next();
    first.map(String::from).unwrap_or_default()
}

/// ScienceQA's rule: the letter alone in any case, or a capital letter with a period behind it.
#[must_use]
pub fn letter_or_dotted(prediction: &str) -> Option<String> {
    let text = python::strip(prediction);
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(first), Some('.')) if first.is_uppercase() => Some(first.to_lowercase().collect()),
        (Some(_), _) => Some(text.to_lowercase()),
        (None, _) => None,
    }
}

/// AI2D's rule: a capital letter with a period behind it at the beginning, or else the whole text.
#[must_use]
pub fn leading_letter(prediction: &str) -> &str {
    let text = prediction.trim_start_matches(python::is_space);
    let dotted = text.starts_with(|c: char| c.is_ascii_uppercase()) && text[1..].starts_with('.');
    if dotted { &text[..1] } else { prediction }
}

/// What stands before and after a letter that is meant as one.
const MARKS: [(&str, &str); 12] = [
    ("", "."),
    ("", ","),
    ("", ":"),
    ("", ")"),
    ("", ")."),
    ("(", ")"),
    ("(", ")."),
    (":", ""),
    (":", ","),
    (":", "."),
    (":", ")"),
    (":", ")."),
];

/// MMBench's rule: the one letter that stands as a word or with a mark, else the one choice whose
/// text occurs; none where there is no such, and MMBench asks GPT.
#[must_use]
pub fn matched(prediction: &str, choices: &[String]) -> Option<char> {
    named(prediction).or_else(|| quoted(prediction, choices))
}

fn named(prediction: &str) -> Option<char> {
    if prediction.contains("Failed to obtain answer via API") {
        return None;
    }
    let words: Vec<&str> = python::split(prediction).collect();
    let only = |before: &str, after: &str| {
        let mut found =
            ('A'..='E').filter(|c| words.contains(&format!("{before}{c}{after}").as_str()));
        found.next().filter(|_| found.next().is_none())
    };
    // "A" in a sentence may be an article.
    let article = words.contains(&"A") && words.len() > 3;
    only("", "")
        .filter(|_| !article)
        .or_else(|| MARKS.iter().find_map(|(before, after)| only(before, after)))
}

fn quoted(prediction: &str, choices: &[String]) -> Option<char> {
    let prediction = prediction.to_lowercase();
    let said = |(_, choice): &(usize, &String)| prediction.contains(&choice.to_lowercase());
    let mut found = choices.iter().enumerate().filter(said);
    let first = found.next()?.0;
    found.next().is_none().then(|| letter(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mmbench_takes_one_letter_or_one_text() {
        let choices = ["teddy bear", "rabbit", "cat", "dog"].map(String::from);
        let matched = |text: &str| matched(text, &choices);
        assert_eq!(matched("B"), Some('B'));
        assert_eq!(matched("The answer is (C)."), Some('C'));
        assert_eq!(matched("a cute teddy bear"), Some('A'));
        assert_eq!(matched("A dog is here"), Some('D'), "an article, and a text");
        assert_eq!(matched("A or B"), None);
        assert_eq!(matched("a cat and a dog"), None);
        assert_eq!(matched(""), None);
    }

    #[test]
    fn the_short_rules_read_what_they_say() {
        assert_eq!(first_letter(" b) blue"), "b");
        assert_eq!(letter_or_dotted("B. blue").as_deref(), Some("b"));
        assert_eq!(letter_or_dotted("b. blue").as_deref(), Some("b. blue"));
        assert_eq!(leading_letter("\n B. blue"), "B");
        assert_eq!(leading_letter("It is B. "), "It is B. ");
    }
}
