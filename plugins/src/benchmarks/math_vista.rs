//! MathVista: mathematics in pictures: choices, whole numbers, decimals, lists.
//!
//! Source: lmms-eval `tasks/mathvista` (MathVista's own rules, with `quick_extract`). What its rules
//! can't extract it asks GPT for. Before that, a choice is looked for by MMBench's rules here, as
//! VLMEvalKit does; what is left is undecided. The file of <https://mathvista.github.io>:
//! `testmini.json`, an object by question id.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use eagle_core::data::{AnswerForm, AnswerKey, DataError, Dataset, Sample};
use eagle_core::registry::{BenchmarkConfig, Misfit};
use eagle_core::score::{Judged, Question, Statistic, Verdict, choice, mean, mean_by_category, python};
use serde_json::Value;

use crate::rows::{self, FromRows, Item, Row};

eagle_core::config! {
    /// MathVista: a letter, number or list, extracted by rules (accuracy, by task, too).
    pub struct MathVista {
        /// What tables call it.
        name: String = "mathvista".to_string(),
        /// `testmini.json`, or its rows as .jsonl or .parquet. A relative path starts at the
        /// experiment file's folder.
        #[location]
        path: PathBuf = PathBuf::new(),
        /// The folder that its pictures' paths start from; none: the file's own.
        #[location]
        images: Option<PathBuf> = None,
        /// The longest answer, in tokens.
        max_new_tokens: usize = 16,
    }
}

eagle_core::register!(benchmark MathVista);

impl FromRows for MathVista {
    fn files(&self) -> Vec<(&Path, Option<&str>)> {
        vec![(&self.path, None)]
    }

    fn images(&self) -> Option<&PathBuf> {
        self.images.as_ref()
    }

    fn item(&self, row: &Row<'_>) -> Result<Option<Item>, String> {
        let choices = row.texts(&["choices"]);
        let form = match row.text(&["answer_type"])?.as_str() {
            "integer" => AnswerForm::Integer,
            "float" => {
                let digits = row.maybe(&["precision"]).and_then(|text| text.parse::<f64>().ok());
                AnswerForm::Decimals(digits.ok_or("it has no `precision`")? as u8)
            }
            "list" => AnswerForm::List,
            _ => AnswerForm::Text,
        };
        let mut question = row.text(&["question"])?;
        if let Some(unit) = row.maybe(&["unit"]) {
            question += &format!(" (Unit: {unit})");
        }
        if !choices.is_empty() {
            question += &format!("\n{}", choice::listed(&choices));
        }
        question += hint(form, !choices.is_empty());
        let category = row.value["metadata"]["task"].as_str().map(str::to_owned);
        let key = AnswerKey { choices, form, category, ..AnswerKey::default() };
        let sample = rows::sample(row.text(&["pid", "id"])?, question, row.text(&["answer"])?, key);
        Ok(Some(Item { sample, picture: Some(row.picture(&["decoded_image", "image"])?) }))
    }
}

impl BenchmarkConfig for MathVista {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn metric(&self) -> &'static str {
        "accuracy"
    }

    fn validate(&self) -> Result<(), Misfit> {
        rows::named(&self.path)
    }

    fn open(&self, base: &Path) -> Result<Arc<dyn Dataset>, DataError> {
        rows::open(self, base)
    }

    fn question(&self, row: &Value) -> Result<Sample, DataError> {
        rows::question(self, row)
    }

    fn max_new_tokens(&self) -> usize {
        self.max_new_tokens
    }

    fn judge(&self, question: &Question<'_>, prediction: &str) -> Verdict {
        let prediction = python::strip(prediction);
        let key = question.key;
        let Some(extracted) = extract(prediction, key) else { return Verdict::undecided() };
        let said = normalise(&extracted, key).unwrap_or_else(|| "None".into());
        let right = python::strip(&said) == python::strip(question.answer);
        Verdict::right(right).reading(said)
    }

    fn summarise(&self, answers: &[Judged<'_>]) -> Vec<Statistic> {
        let mut all = vec![mean(self.metric(), answers)];
        all.extend(mean_by_category(self.metric(), answers));
        all
    }
}

/// What the answer should look like, after MathVista's `format-prompt`.
fn hint(form: AnswerForm, choices: bool) -> &'static str {
    match form {
        _ if choices => "\nAnswer with the option's letter from the given choices directly.",
        AnswerForm::Text => "",
        AnswerForm::Integer => "\nAnswer the question using a single integer number.",
        AnswerForm::Decimals(1) => {
            "\nAnswer the question using a single floating-point number with one decimal place."
        }
        AnswerForm::Decimals(_) => {
            "\nAnswer the question using a single floating-point number with two decimal places."
        }
        AnswerForm::List => "\nAnswer the question using a Python list.",
    }
}

/// The part of a response that answers, as far as rules find it.
fn extract(response: &str, key: &AnswerKey) -> Option<String> {
    if response.is_empty() || key.choices.iter().any(|choice| choice == response) {
        return Some(response.to_owned());
    }
    let direct = match key.form {
        AnswerForm::Integer => python::int(response),
        AnswerForm::Decimals(_) => python::float(response).map(python::repr),
        AnswerForm::Text | AnswerForm::List => None,
    };
    direct.or_else(|| quoted(response)).or_else(|| {
        let letter = choice::matched(response, &key.choices)?;
        let known = (0..key.choices.len()).any(|index| choice::letter(index) == letter);
        known.then(|| letter.to_string())
    })
}

/// `The answer is "…".`, in one line.
fn quoted(response: &str) -> Option<String> {
    let (_, rest) = response.split_once("The answer is \"")?;
    let line = rest.split('\n').next().unwrap_or_default();
    match line.rfind("\".") {
        Some(end) => Some(line[..end].to_owned()),
        // Python looks for the next occurrence, too.
        None => quoted(rest),
    }
}

/// What was extracted, in the form of the answer: the text of a choice, a number as Python prints
/// it; none where it is no number.
fn normalise(extracted: &str, key: &AnswerKey) -> Option<String> {
    if !key.choices.is_empty() {
        return Some(nearest(python::strip(extracted), &key.choices));
    }
    match key.form {
        AnswerForm::Integer => python::float(extracted).and_then(python::truncated),
        AnswerForm::Decimals(digits) => {
            let number = python::float(extracted)?;
            Some(python::repr(python::round(number, usize::from(digits))))
        }
        AnswerForm::Text | AnswerForm::List => Some(extracted.to_owned()),
    }
}

/// The choice of a letter, alone or in brackets; else the one that takes the fewest edits.
fn nearest(extracted: &str, choices: &[String]) -> String {
    let named = bracketed(extracted).unwrap_or_else(|| extracted.to_owned());
    let index = (0..choices.len()).find(|index| named == choice::letter(*index).to_string());
    let index = index.or_else(|| {
        let distance = |index: &usize| strsim::levenshtein(&named, &choices[*index]);
        (0..choices.len()).min_by_key(distance)
    });
    index.map(|index| choices[index].clone()).unwrap_or_default()
}

/// The first `(a)`, as a capital letter.
fn bracketed(text: &str) -> Option<String> {
    let found = text.as_bytes().windows(3).find(|window| {
        window[0] == b'(' && window[1].is_ascii_alphabetic() && window[2] == b')'
    })?;
    Some(char::from(found[1].to_ascii_uppercase()).to_string())
}
