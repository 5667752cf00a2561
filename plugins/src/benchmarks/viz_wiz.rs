//! VizWiz: questions that blind people asked about their own photographs; some can't be answered.
//!
//! Source: lmms-eval `tasks/vizwiz_vqa`; the files of <https://vizwiz.org>: `val.json`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use eagle_core::data::{AnswerKey, DataError, Dataset, Sample};
use eagle_core::registry::{BenchmarkConfig, Misfit};
use eagle_core::score::{Judged, Question, Statistic, Verdict, mean, mean_by_category, python, vqa::{normalise, soft_accuracy}};
use serde_json::Value;

use crate::rows::{self, FromRows, Item, Row};

/// LLaVA-1.5's words, and lmms-eval's.
const SUFFIX: &str = "\nWhen the provided information is insufficient, respond with 'Unanswerable'.\n\
                      Answer the question using a single word or phrase.";

eagle_core::config! {
    /// VizWiz: short answers, or "unanswerable", each compared with ten people's (soft accuracy, by
    /// type of answer, too).
    pub struct VizWiz {
        /// What tables call it.
        name: String = "vizwiz".to_string(),
        /// `val.json`, or its rows as .jsonl or .parquet. A relative path starts at the experiment
        /// file's folder.
        #[location]
        path: PathBuf = PathBuf::new(),
        /// The folder that its pictures' paths start from; none: the file's own.
        #[location]
        images: Option<PathBuf> = None,
        /// Follows the question.
        suffix: String = SUFFIX.to_string(),
        /// The longest answer, in tokens.
        max_new_tokens: usize = 16,
    }
}

eagle_core::register!(benchmark VizWiz);

impl FromRows for VizWiz {
    fn files(&self) -> Vec<(&Path, Option<&str>)> {
        vec![(&self.path, None)]
    }

    fn images(&self) -> Option<&PathBuf> {
        self.images.as_ref()
    }

    fn item(&self, row: &Row<'_>) -> Result<Option<Item>, String> {
        let question = python::capitalise(&row.text(&["question"])?) + &self.suffix;
        let answers = row.texts(&["answers"]);
        let answer = answers.first().cloned().ok_or("it has no `answers`")?;
        let category = row.maybe(&["answer_type", "category"]);
        let key = AnswerKey { answers, category, ..AnswerKey::default() };
        let id = row.text(&["question_id", "image"])?;
        let sample = rows::sample(id, question, answer, key);
        Ok(Some(Item { sample, picture: Some(row.picture(&["image"])?) }))
    }
}

impl BenchmarkConfig for VizWiz {
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
        let answers: Vec<String> = question.answers().into_iter().map(normalise).collect();
        let said = normalise(prediction);
        Verdict::scored(soft_accuracy(&said, &answers)).reading(said)
    }

    fn summarise(&self, answers: &[Judged<'_>]) -> Vec<Statistic> {
        let mut all = vec![mean(self.metric(), answers)];
        all.extend(mean_by_category(self.metric(), answers));
        all
    }
}
