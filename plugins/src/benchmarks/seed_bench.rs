//! SEED-Bench: multiple choice about pictures (its questions about films are left out).
//!
//! Source: lmms-eval `tasks/seedbench`: the first character of the answer. The file of
//! <https://huggingface.co/datasets/AILab-CVC/SEED-Bench>: `SEED-Bench.json`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use eagle_core::data::{AnswerKey, DataError, Dataset, Sample};
use eagle_core::registry::{BenchmarkConfig, Misfit};
use eagle_core::score::{Judged, Question, Statistic, Verdict, choice, mean, mean_by_category, python};
use serde_json::Value;

use crate::rows::{self, FromRows, Item, Row, LETTER};

eagle_core::config! {
    /// SEED-Bench, its questions about pictures: the first character is the letter (accuracy, by type
    /// of question, too).
    pub struct SeedBench {
        /// What tables call it.
        name: String = "seed".to_string(),
        /// `SEED-Bench.json`, or its rows as .jsonl or .parquet. A relative path starts at the
        /// experiment file's folder.
        #[location]
        path: PathBuf = PathBuf::new(),
        /// The folder that its pictures' paths start from; none: the file's own.
        #[location]
        images: Option<PathBuf> = None,
        /// Follows the choices.
        suffix: String = LETTER.to_string(),
        /// The longest answer, in tokens.
        max_new_tokens: usize = 16,
    }
}

eagle_core::register!(benchmark SeedBench);

impl FromRows for SeedBench {
    fn files(&self) -> Vec<(&Path, Option<&str>)> {
        vec![(&self.path, None)]
    }

    fn images(&self) -> Option<&PathBuf> {
        self.images.as_ref()
    }

    fn item(&self, row: &Row<'_>) -> Result<Option<Item>, String> {
        if row.maybe(&["data_type"]).is_some_and(|kind| kind != "image") {
            return Ok(None);
        }
        let choices = ["choice_a", "choice_b", "choice_c", "choice_d"].map(|name| row.text(&[name]));
        let choices: Vec<String> = choices.into_iter().collect::<Result<_, _>>()?;
        let listed = choice::listed(&choices);
        let question = format!("{}\n{listed}{}", row.text(&["question"])?, self.suffix);
        let category = row.maybe(&["question_type_id"]);
        let key = AnswerKey { choices, category, ..AnswerKey::default() };
        let sample = rows::sample(row.text(&["question_id"])?, question, row.text(&["answer"])?, key);
        Ok(Some(Item { sample, picture: Some(row.picture(&["image", "data_id"])?) }))
    }
}

impl BenchmarkConfig for SeedBench {
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
        let said = choice::first_letter(prediction);
        let plain = |text: &str| python::strip(&text.to_lowercase()).to_owned();
        Verdict::right(plain(&said) == plain(question.answer)).reading(said)
    }

    fn summarise(&self, answers: &[Judged<'_>]) -> Vec<Statistic> {
        let mut all = vec![mean(self.metric(), answers)];
        all.extend(mean_by_category(self.metric(), answers));
        all
    }
}
