//! AI2D: multiple choice about diagrams of school books.
//!
//! Source: lmms-eval `tasks/ai2d`: a capital letter and a period at the beginning, or else the whole
//! text, in lower case without punctuation. Rows with `question`, `options`, `answer` (from 0).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use eagle_core::data::{AnswerKey, DataError, Dataset, Sample};
use eagle_core::registry::{BenchmarkConfig, Misfit};
use eagle_core::score::{Question, Verdict, choice, text::same_without_punctuation};
use serde_json::Value;

use crate::rows::{self, FromRows, Item, Row, LETTER};

eagle_core::config! {
    /// AI2D: a letter (accuracy).
    pub struct Ai2d {
        /// What tables call it.
        name: String = "ai2d".to_string(),
        /// Its rows as .json, .jsonl, .tsv or .parquet. A relative path starts at the experiment
        /// file's folder.
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

eagle_core::register!(benchmark Ai2d);

impl FromRows for Ai2d {
    fn files(&self) -> Vec<(&Path, Option<&str>)> {
        vec![(&self.path, None)]
    }

    fn images(&self) -> Option<&PathBuf> {
        self.images.as_ref()
    }

    fn item(&self, row: &Row<'_>) -> Result<Option<Item>, String> {
        let choices = row.texts(&["options"]);
        let right: usize = row.text(&["answer"])?.parse().map_err(|_| "its `answer` is no number")?;
        if right >= choices.len() {
            return Err(format!("its `answer` is {right}, of {} options", choices.len()));
        }
        let listed = choice::listed(&choices);
        let question = format!("{}\n{listed}{}", row.text(&["question"])?, self.suffix);
        let key = AnswerKey { choices, ..AnswerKey::default() };
        let id = row.maybe(&["id", "question_id"]).unwrap_or_else(|| row.index.to_string());
        let sample = rows::sample(id, question, choice::letter(right).to_string(), key);
        Ok(Some(Item { sample, picture: Some(row.picture(&["image"])?) }))
    }
}

impl BenchmarkConfig for Ai2d {
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
        let said = choice::leading_letter(prediction);
        Verdict::right(same_without_punctuation(said, question.answer)).reading(said)
    }
}
