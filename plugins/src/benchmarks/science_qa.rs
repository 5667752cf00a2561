//! ScienceQA: multiple choice from school books; the questions with a picture.
//!
//! Source: lmms-eval `tasks/scienceqa` (LLaVA's rule): the letter alone, or a capital letter and a
//! period at the beginning. The file of <https://scienceqa.github.io>: `problems.json`, an object by
//! question id, pictures `ID/image.png`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use eagle_core::data::{AnswerKey, DataError, Dataset, Sample};
use eagle_core::registry::{BenchmarkConfig, Misfit};
use eagle_core::score::{Judged, Question, Statistic, Verdict, choice, mean, mean_by_category};
use serde_json::Value;

use crate::rows::{self, FromRows, Item, Row, LETTER, Shown};

eagle_core::config! {
    /// ScienceQA, its questions with a picture: a letter (accuracy, by subject, too).
    pub struct ScienceQa {
        /// What tables call it.
        name: String = "scienceqa".to_string(),
        /// `problems.json`, or its rows as .jsonl or .parquet. A relative path starts at the
        /// experiment file's folder.
        #[location]
        path: PathBuf = PathBuf::new(),
        /// The part of the data that is asked, where the rows say to which they belong.
        split: String = "test".to_string(),
        /// The folder that its pictures' paths start from; none: the file's own.
        #[location]
        images: Option<PathBuf> = None,
        /// Follows the choices.
        suffix: String = LETTER.to_string(),
        /// The longest answer, in tokens.
        max_new_tokens: usize = 16,
    }
}

eagle_core::register!(benchmark ScienceQa);

impl FromRows for ScienceQa {
    fn files(&self) -> Vec<(&Path, Option<&str>)> {
        vec![(&self.path, None)]
    }

    fn images(&self) -> Option<&PathBuf> {
        self.images.as_ref()
    }

    fn item(&self, row: &Row<'_>) -> Result<Option<Item>, String> {
        if row.maybe(&["split"]).is_some_and(|split| split != self.split) {
            return Ok(None);
        }
        let Ok(picture) = row.picture(&["image"]) else { return Ok(None) };
        let id = row.maybe(&["id", "question_id"]).unwrap_or_else(|| row.index.to_string());
        let picture = match picture {
            Shown::File(name) if !name.contains('/') => Shown::File(format!("{id}/{name}")),
            other => other,
        };
        let choices = row.texts(&["choices"]);
        let right: usize = row.text(&["answer"])?.parse().map_err(|_| "its `answer` is no number")?;
        if right >= choices.len() {
            return Err(format!("its `answer` is {right}, of {} choices", choices.len()));
        }
        let context = row.maybe(&["hint"]).map(|hint| format!("Context: {hint}\n"));
        let asked = context.unwrap_or_default() + &row.text(&["question"])?;
        let question = format!("{asked}\n{}{}", choice::listed(&choices), self.suffix);
        let key = AnswerKey { choices, category: row.maybe(&["subject"]), ..AnswerKey::default() };
        let sample = rows::sample(id, question, choice::letter(right).to_string(), key);
        Ok(Some(Item { sample, picture: Some(picture) }))
    }
}

impl BenchmarkConfig for ScienceQa {
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
        match choice::letter_or_dotted(prediction) {
            Some(said) => Verdict::right(said == question.answer.to_lowercase()).reading(said),
            None => Verdict::right(false),
        }
    }

    fn summarise(&self, answers: &[Judged<'_>]) -> Vec<Statistic> {
        let mut all = vec![mean(self.metric(), answers)];
        all.extend(mean_by_category(self.metric(), answers));
        all
    }
}
