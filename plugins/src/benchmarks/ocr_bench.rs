//! OCRBench: 1,000 questions on reading: words, scenes, documents, key information, formulas.
//!
//! Source: lmms-eval `tasks/ocrbench`: right if an answer occurs in what is said. The published
//! score is the number of right answers of 1,000.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use eagle_core::data::{AnswerKey, DataError, Dataset, Sample};
use eagle_core::registry::{BenchmarkConfig, Misfit};
use eagle_core::score::{Judged, Question, Statistic, Verdict, mean, mean_by_category, text::{contains_formula, contains_text}};
use serde_json::Value;

use crate::rows::{self, FromRows, Item, Row};

/// The questions of HME100k, whose answers are formulas.
const FORMULAS: &str = "Handwritten Mathematical Expression Recognition";

eagle_core::config! {
    /// OCRBench: right if the answer occurs in what is said (accuracy, by type of question, too).
    pub struct OcrBench {
        /// What tables call it.
        name: String = "ocrbench".to_string(),
        /// `OCRBench.json`, or its rows as .jsonl or .parquet. A relative path starts at the
        /// experiment file's folder.
        #[location]
        path: PathBuf = PathBuf::new(),
        /// The folder that its pictures' paths start from; none: the file's own.
        #[location]
        images: Option<PathBuf> = None,
        /// Follows the question.
        suffix: String = String::new(),
        /// The longest answer, in tokens.
        max_new_tokens: usize = 128,
    }
}

eagle_core::register!(benchmark OcrBench);

impl FromRows for OcrBench {
    fn files(&self) -> Vec<(&Path, Option<&str>)> {
        vec![(&self.path, None)]
    }

    fn images(&self) -> Option<&PathBuf> {
        self.images.as_ref()
    }

    fn item(&self, row: &Row<'_>) -> Result<Option<Item>, String> {
        let question = row.text(&["question"])?.trim().to_owned() + &self.suffix;
        let answers = row.texts(&["answer", "answers"]);
        let answer = answers.first().cloned().ok_or("it has no `answers`")?;
        let category = row.text(&["question_type", "type"])?;
        let key = AnswerKey { answers, category: Some(category), ..AnswerKey::default() };
        let id = row.maybe(&["id"]).unwrap_or_else(|| row.index.to_string());
        let sample = rows::sample(id, question, answer, key);
        Ok(Some(Item { sample, picture: Some(row.picture(&["image", "image_path"])?) }))
    }
}

impl BenchmarkConfig for OcrBench {
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
        let contains = match question.key.category.as_deref() {
            Some(FORMULAS) => contains_formula,
            _ => contains_text,
        };
        Verdict::right(question.answers().into_iter().any(|answer| contains(prediction, answer)))
    }

    fn summarise(&self, answers: &[Judged<'_>]) -> Vec<Statistic> {
        let mut all = vec![mean(self.metric(), answers)];
        all.extend(mean_by_category(self.metric(), answers));
        all
    }
}
