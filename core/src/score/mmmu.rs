//! MMMU's parser: a letter found in prose, and what an open answer may mean.
//!
//! Source: MMMU `eval/eval_utils.py`, in lmms-eval `tasks/mmmu` and `tasks/_task_utils/`. Where it
//! finds no choice it takes one at random; here that is none.

use std::sync::LazyLock;

use fancy_regex::Regex;

use super::choice::letter;
use super::python;

/// The letter that a response names: in brackets, before a space, before a period, or by a choice's
/// text in a response of more than five words. Of several the last one that stands by itself.
#[must_use]
pub fn parse_choice(response: &str, choices: &[String]) -> Option<String> {
    let mut response = response;
    for mark in [',', '.', '!', '?', ';', ':', '\''] {
        response = response.trim_matches(mark);
    }
    let response = format!(" {response} ");
    let letters: Vec<String> = (0..choices.len()).map(|i| letter(i).to_string()).collect();
    let with = |form: &dyn Fn(&str) -> String| -> Vec<usize> {
        (0..letters.len()).filter(|i| response.contains(&form(&letters[*i]))).collect()
    };
    let bracketed = with(&|c| format!("({c})"));
    if !bracketed.is_empty() {
        let last = last_of(&bracketed, |i| response.rfind(&format!("({})", letters[i])));
        return last.map(|i| letters[i].clone());
    }
    let mut found = with(&|c| format!("{c} "));
    if found.is_empty() {
        found = with(&|c| format!("{c}."));
    }
    if !found.is_empty() {
        let last = last_of(&found, |i| response.rfind(&format!(" {} ", letters[i])));
        return last.map(|i| letters[i].clone());
    }
    if python::split(&response).count() <= 5 {
        return None;
    }
    let response = response.to_lowercase();
    let place = |i: usize| response.rfind(&choices[i].to_lowercase());
    let said: Vec<usize> = (0..choices.len()).filter(|i| place(*i).is_some()).collect();
    last_of(&said, place).map(|i| letters[i].clone())
}

/// The candidate that stands last; of several that stand nowhere the first.
fn last_of(candidates: &[usize], place: impl Fn(usize) -> Option<usize>) -> Option<usize> {
    let mut best: Option<(usize, Option<usize>)> = None;
    for &candidate in candidates {
        let at = place(candidate);
        if best.is_none_or(|(_, before)| at > before) {
            best = Some((candidate, at));
        }
    }
    best.map(|(candidate, _)| candidate)
}

/// What an open response may mean.
#[derive(Debug, Clone, PartialEq)]
pub enum Meaning {
    /// A number, rounded to two decimals.
    Number(f64),
    /// A text in lower case; of one character with a space on either side.
    Text(String),
}

/// Words that an answer follows.
const INDICATORS: [&str; 8] =
    ["could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result "];

/// Everything that an open response may mean: the ends of its lines behind words that announce an
/// answer, or else all of it, and the numbers in them.
#[must_use]
pub fn candidates(response: &str) -> Vec<Meaning> {
    let response = python::strip(response).trim_matches('.').to_lowercase();
    let lines: Vec<&str> = response.split('\n').collect();
    let mut ends: Vec<String> = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let equation = (index + 1 == lines.len()).then_some("=");
        let mut shortest = "";
        for indicator in INDICATORS.into_iter().chain(equation) {
            let Some((_, end)) = line.rsplit_once(indicator) else { continue };
            let end = python::strip(end);
            if shortest.is_empty() || python::len(end) < python::len(shortest) {
                shortest = end;
            }
        }
        if !["", ":", ",", ".", "!", "?", ";", "'"].contains(&shortest) {
            ends.push(shortest.to_owned());
        }
    }
    if ends.is_empty() {
        ends.push(response);
    }
    let numbers: Vec<String> = ends.iter().flat_map(|end| numbers(end)).collect();
    ends.iter().chain(&numbers).flat_map(|text| meanings(text)).collect()
}

/// Whether a candidate contains an answer, or is the same number.
#[must_use]
pub fn is_among(answers: &[&str], candidates: &[Meaning]) -> bool {
    let answers: Vec<Meaning> = answers.iter().flat_map(|answer| meanings(answer)).collect();
    let same = |said: &Meaning, answer: &Meaning| match (said, answer) {
        (Meaning::Text(said), Meaning::Text(answer)) => said.contains(answer),
        (Meaning::Number(said), Meaning::Number(answer)) => said == answer,
        _ => false,
    };
    candidates.iter().any(|said| answers.iter().any(|answer| same(said, answer)))
}

fn meanings(text: &str) -> Vec<Meaning> {
    let text = python::strip(text);
    if let Some(number) = python::float(&text.replace(',', "")) {
        return vec![Meaning::Number(python::round(number, 2))];
    }
    let text = text.to_lowercase();
    match python::len(&text) {
        1 => vec![Meaning::Text(format!(" {text}")), Meaning::Text(format!("{text} "))],
        _ => vec![Meaning::Text(text)],
    }
}

/// With thousands' commas; in scientific notation; simple ones.
static NUMBERS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    let patterns = [
        r"-?\b\d{1,3}(?:,\d{3})+\b",
        r"-?\d+(?:\.\d+)?[eE][+-]?\d+",
        r"-?(?:\d+\.\d+|\.\d+|\d+\b)(?![eE][+-]?\d+)(?![,\d])",
    ];
    patterns.iter().filter_map(|pattern| Regex::new(pattern).ok()).collect()
});

fn numbers(text: &str) -> Vec<String> {
    let of = |pattern: &Regex| -> Vec<String> {
        pattern.find_iter(text).flatten().map(|found| found.as_str().to_owned()).collect()
    };
    NUMBERS.iter().flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_is_found_in_prose() {
        let choices = ["red brick", "blue", "green"].map(String::from);
        let parse = |text: &str| parse_choice(text, &choices);
        assert_eq!(parse("(B)").as_deref(), Some("B"));
        assert_eq!(parse("A or rather C").as_deref(), Some("C"));
        assert_eq!(parse("it must surely be the RED BRICK house").as_deref(), Some("A"));
        assert_eq!(parse("blue"), None, "too short to be prose");
    }

    #[test]
    fn all_numbers_are_found() {
        assert_eq!(NUMBERS.len(), 3);
        // The simple pattern finds the ends of the others' numbers, too: so does the official parser.
        let all = ["1,234", "3e8", "234", "-5.5", "8"];
        assert_eq!(numbers("1,234 and -5.5 or 3e8"), all);
    }

    #[test]
    fn an_open_answer_is_found_behind_its_announcement() {
        assert!(is_among(&["42"], &candidates("So the result is 42.00")));
        assert!(is_among(&["newton"], &candidates("I think it is Isaac Newton.")));
        assert!(!is_among(&["a"], &candidates("banana")), "no trivial match");
        assert!(is_among(&["0.5", "1/2"], &candidates("x = 1/2")));
    }
}
