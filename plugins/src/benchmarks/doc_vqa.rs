//! DocVQA: questions about scanned documents.
//!
//! Source: lmms-eval `tasks/docvqa`; the files of <https://www.docvqa.org>:
//! `val_v1.0_withQT.json`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use eagle_core::data::{AnswerKey, DataError, Dataset, Sample};
use eagle_core::registry::{BenchmarkConfig, Misfit};
use eagle_core::score::{Question, Verdict, anls::anls};
use serde_json::Value;

use crate::rows::{self, FromRows, Item, Row, SHORT};

eagle_core::config! {
    /// DocVQA: a phrase read in a document (ANLS).
    pub struct DocVqa {
        /// What tables call it.
        name: String = "docvqa".to_string(),
        /// `val_v1.0_withQT.json`, or its rows as .jsonl or .parquet. A relative path
        /// starts at the experiment file's folder.
        #[location]
        path: PathBuf = PathBuf::new(),
        /// The folder that its pictures' paths start from; none: the file's own.
        #[location]
        images: Option<PathBuf> = None,
        /// Follows the question.
        suffix: String = SHORT.to_string(),
        /// The longest answer, in tokens.
        max_new_tokens: usize = 32,
    }
}

eagle_core::register!(benchmark DocVqa);

impl FromRows for DocVqa {
    fn files(&self) -> Vec<(&Path, Option<&str>)> {
        vec![(&self.path, None)]
    }

    fn images(&self) -> Option<&PathBuf> {
        self.images.as_ref()
    }

    fn item(&self, row: &Row<'_>) -> Result<Option<Item>, String> {
        let question = row.text(&["question"])? + &self.suffix;
        let answers = row.texts(&["answers"]);
        let answer = answers.first().cloned().ok_or("it has no `answers`")?;
        let key = AnswerKey { answers, ..AnswerKey::default() };
        let sample = rows::sample(row.text(&["questionId"])?, question, answer, key);
        Ok(Some(Item { sample, picture: Some(row.picture(&["image"])?) }))
    }
}

impl BenchmarkConfig for DocVqa {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn metric(&self) -> &'static str {
        "anls"
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
        Verdict::scored(anls(prediction, &question.answers()))
    }
}
