//! Texts that are the same, or that contain one another.

use super::python;

/// Whether a prediction says the answer, case, outer white space and outer punctuation aside: the
/// rule of data sets without one of their own.
#[must_use]
pub fn exact_match(prediction: &str, answer: &str) -> bool {
    normalise(prediction) == normalise(answer)
}

/// Lower case, without white space and ASCII punctuation at the ends. What is nothing but
/// punctuation keeps it.
#[must_use]
pub fn normalise(text: &str) -> String {
    let text = text.trim();
    let bare = text.trim_matches(|c: char| c.is_whitespace() || c.is_ascii_punctuation());
    if bare.is_empty() { text } else { bare }.to_lowercase()
}

/// Whether two texts are the same in lower case and without ASCII punctuation: GQA's rule, and
/// `exact_match` of Hugging Face's evaluate with `ignore_case` and `ignore_punctuation` (lmms-eval
/// `api/metrics.py`). White space counts.
#[must_use]
pub fn same_without_punctuation(prediction: &str, answer: &str) -> bool {
    let plain = |text: &str| text.to_lowercase().replace(|c: char| c.is_ascii_punctuation(), "");
    plain(prediction) == plain(answer)
}

/// Whether an answer occurs in the prediction in lower case, full-width letters as ASCII:
/// OCRBench's rule (lmms-eval `tasks/ocrbench/utils.py`).
#[must_use]
pub fn contains_text(prediction: &str, answer: &str) -> bool {
    let plain = |text: &str| {
        let narrow: String = text.chars().map(narrow).collect();
        python::strip(&narrow.to_lowercase()).replace('\n', " ")
    };
    plain(python::strip(prediction)).contains(&plain(answer))
}

/// The same for formulas: case counts, spaces don't.
#[must_use]
pub fn contains_formula(prediction: &str, answer: &str) -> bool {
    let plain = |text: &str| python::strip(text).replace(['\n', ' '], "");
    plain(prediction).contains(&plain(answer))
}

/// ASCII for a full-width character.
fn narrow(c: char) -> char {
    match u32::from(c) {
        point @ 0xff01..=0xff5e => char::from_u32(point - 0xfee0).unwrap_or(c),
        0x3000 => ' ',
        _ => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_space_and_outer_punctuation_do_not_matter() {
        assert!(exact_match(" Top left.\n", "top left"));
        assert!(exact_match("\"T-shirt\"", "t-shirt"));
        assert!(!exact_match("tshirt", "t-shirt"), "inner punctuation matters");
        assert!(!exact_match("", "red"));
        assert!(!exact_match("?", ""), "punctuation alone is not nothing");
    }

    #[test]
    fn gqa_counts_white_space_and_no_punctuation() {
        assert!(same_without_punctuation("T-Shirt.", "tshirt"));
        assert!(!same_without_punctuation("red ", "red"));
    }

    #[test]
    fn ocrbench_looks_for_the_answer() {
        assert!(contains_text("It says ＯＰＥＮ\nnow", "open now"));
        assert!(!contains_text("op en", "open"));
        assert!(contains_formula("$ \\frac { a } {b} $", "\\frac{a}{b}"));
        assert!(!contains_formula("A+b", "a+b"));
    }
}
