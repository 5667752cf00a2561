//! GQA: questions about scenes, composed of objects, attributes and relations.
//!
//! Source: lmms-eval `tasks/gqa` (exact match in lower case without punctuation); the files of
//! <https://cs.stanford.edu/people/dorarad/gqa>: `testdev_balanced_questions.json`, an object by
//! question id, and pictures `IMAGEID.jpg`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use eagle_core::data::{AnswerKey, DataError, Dataset, Sample};
use eagle_core::registry::{BenchmarkConfig, Misfit};
use eagle_core::score::{Question, Verdict, text::same_without_punctuation};
use serde_json::Value;

use crate::rows::{self, FromRows, Item, Row, SHORT, Shown};

eagle_core::config! {
    /// GQA: one word or phrase about a scene, judged by exact match in lower case without punctuation.
    pub struct Gqa {
        /// What tables call it.
        name: String = "gqa".to_string(),
        /// `testdev_balanced_questions.json`, or its rows as .jsonl or .parquet. A relative path
        /// starts at the experiment file's folder.
        #[location]
        path: PathBuf = PathBuf::new(),
        /// The folder that its pictures' paths start from; none: the file's own.
        #[location]
        images: Option<PathBuf> = None,
        /// Follows the question.
        suffix: String = SHORT.to_string(),
        /// The longest answer, in tokens.
        max_new_tokens: usize = 16,
    }
}

eagle_core::register!(benchmark Gqa);

impl FromRows for Gqa {
    fn files(&self) -> Vec<(&Path, Option<&str>)> {
        vec![(&self.path, None)]
    }

    fn images(&self) -> Option<&PathBuf> {
        self.images.as_ref()
    }

    fn item(&self, row: &Row<'_>) -> Result<Option<Item>, String> {
        let image = row.text(&["imageId", "image_id"])?;
        let question = row.text(&["question"])? + &self.suffix;
        let sample = rows::sample(row.text(&["id", "question_id"])?, question, row.text(&["answer"])?, AnswerKey::default());
        let picture = match row.picture(&["image"]) {
            Ok(picture) => picture,
            Err(_) => Shown::File(format!("{image}.jpg")),
        };
        Ok(Some(Item { sample, picture: Some(picture) }))
    }
}

impl BenchmarkConfig for Gqa {
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
        Verdict::right(same_without_punctuation(prediction, question.answer))
    }
}
