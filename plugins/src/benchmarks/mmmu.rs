//! MMMU: university examinations: multiple choice, and open answers.
//!
//! Source: lmms-eval `tasks/mmmu` (MMMU's own `eval_utils.py`). Where its parser finds no choice it
//! takes one at random: here the answer is undecided, and `accuracy-guessed` is what that would give
//! on average. A question with several pictures is asked with the first that it names.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use eagle_core::data::{AnswerKey, DataError, Dataset, Sample};
use eagle_core::registry::{BenchmarkConfig, Misfit};
use eagle_core::score::{Judged, Question, Statistic, Verdict, choice, mean, mean_by_category, mmmu::{candidates, is_among, parse_choice}};
use serde_json::Value;

use crate::rows::{self, FromRows, Item, Row};

eagle_core::config! {
    /// MMMU: a letter, or a phrase or number (accuracy; accuracy if undecided answers were guessed; by
    /// subject).
    pub struct Mmmu {
        /// What tables call it.
        name: String = "mmmu".to_string(),
        /// Its rows as .json, .jsonl, .tsv or .parquet (`options` as a list, or as Python prints it).
        /// A relative path starts at the experiment file's folder.
        #[location]
        path: PathBuf = PathBuf::new(),
        /// The folder that its pictures' paths start from; none: the file's own.
        #[location]
        images: Option<PathBuf> = None,
        /// Follows the choices.
        suffix: String =
            "Answer with the option's letter from the given choices directly.".to_string(),
        /// Follows an open question.
        open_suffix: String = "Answer the question using a single word or phrase.".to_string(),
        /// The longest answer, in tokens.
        max_new_tokens: usize = 128,
    }
}

eagle_core::register!(benchmark Mmmu);

impl FromRows for Mmmu {
    fn files(&self) -> Vec<(&Path, Option<&str>)> {
        vec![(&self.path, None)]
    }

    fn images(&self) -> Option<&PathBuf> {
        self.images.as_ref()
    }

    fn item(&self, row: &Row<'_>) -> Result<Option<Item>, String> {
        let choices = match row.text(&["question_type"])?.as_str() {
            "multiple-choice" => row.texts(&["options"]),
            _ => Vec::new(),
        };
        let asked = row.text(&["question"])?;
        let question = match choices.is_empty() {
            true => format!("{asked}\n\n{}", self.open_suffix),
            false => format!("{asked}\n{}\n\n{}", choice::listed(&choices), self.suffix),
        };
        let first = (1..8).find(|n| question.contains(&format!("<image {n}>"))).unwrap_or(1);
        let picture = row.picture(&[&format!("image_{first}"), "image"])?;
        let answers = row.texts(&["answer"]);
        let answer = answers.first().cloned().ok_or("it has no `answer`")?;
        let id = row.text(&["id"])?;
        let key = AnswerKey { answers, choices, category: subject(&id), ..AnswerKey::default() };
        let sample = rows::sample(id, question, answer, key);
        Ok(Some(Item { sample, picture: Some(picture) }))
    }
}

impl BenchmarkConfig for Mmmu {
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
        let right = |said: &str| question.answers().contains(&said);
        if question.key.choices.is_empty() {
            let said = candidates(prediction);
            return Verdict::right(is_among(&question.answers(), &said));
        }
        match parse_choice(prediction, &question.key.choices) {
            Some(letter) => Verdict::right(right(&letter)).reading(letter),
            None => Verdict::undecided(),
        }
    }

    fn summarise(&self, answers: &[Judged<'_>]) -> Vec<Statistic> {
        let guessed = |judged: &Judged<'_>| match judged.verdict.undecided {
            true => judged.question.chance(),
            false => judged.verdict.score,
        };
        let guessed: Vec<f64> = answers.iter().map(guessed).collect();
        let accuracy = mean(self.metric(), answers);
        let scale = accuracy.scale;
        let guessed = Statistic { scale, ..Statistic::mean("accuracy-guessed", &guessed) };
        let mut all = vec![accuracy, guessed];
        all.extend(mean_by_category(self.metric(), answers));
        all
    }
}

/// `validation_Art_Theory_7`: Art_Theory.
fn subject(id: &str) -> Option<String> {
    let (_, rest) = id.split_once('_')?;
    rest.rsplit_once('_').map(|(subject, _)| subject.to_owned())
}
