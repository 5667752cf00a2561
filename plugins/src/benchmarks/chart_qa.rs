//! ChartQA: questions about charts, by people and by machine; a number may be 5 % off.
//!
//! Source: lmms-eval `tasks/chartqa`; the files of <https://github.com/vis-nlp/ChartQA>:
//! `test_human.json`, `test_augmented.json`, pictures in `png/`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use eagle_core::data::{AnswerKey, DataError, Dataset, Sample};
use eagle_core::registry::{BenchmarkConfig, Misfit};
use eagle_core::score::{Judged, Question, Statistic, Verdict, mean, mean_by_category, relaxed::relaxed_correctness};
use serde_json::Value;

use crate::rows::{self, FromRows, Item, Row};

eagle_core::config! {
    /// ChartQA: a word or number read off a chart (relaxed accuracy, by half, too).
    pub struct ChartQa {
        /// What tables call it.
        name: String = "chartqa".to_string(),
        /// `test_human.json`, or rows of both halves (by `type`) as .jsonl or .parquet. A relative
        /// path starts at the experiment file's folder.
        #[location]
        path: PathBuf = PathBuf::new(),
        /// `test_augmented.json`, if the halves are two files.
        #[location]
        augmented: Option<PathBuf> = None,
        /// The folder that its pictures' paths start from; none: the file's own.
        #[location]
        images: Option<PathBuf> = None,
        /// Follows the question.
        suffix: String = "\nAnswer the question with a single word.".to_string(),
        /// The longest answer, in tokens.
        max_new_tokens: usize = 16,
    }
}

eagle_core::register!(benchmark ChartQa);

impl FromRows for ChartQa {
    fn files(&self) -> Vec<(&Path, Option<&str>)> {
        let halves = self.augmented.iter().map(|path| (path.as_path(), Some("augmented")));
        let human = self.augmented.is_some().then_some("human");
        std::iter::once((self.path.as_path(), human)).chain(halves).collect()
    }

    fn images(&self) -> Option<&PathBuf> {
        self.images.as_ref()
    }

    fn item(&self, row: &Row<'_>) -> Result<Option<Item>, String> {
        let question = row.text(&["question", "query"])? + &self.suffix;
        let category = row.maybe(&["type"]).or_else(|| row.file_category.map(str::to_owned));
        let key = AnswerKey { category, ..AnswerKey::default() };
        let id = row.maybe(&["id"]).unwrap_or_else(|| row.index.to_string());
        let sample = rows::sample(id, question, row.text(&["answer", "label"])?, key);
        Ok(Some(Item { sample, picture: Some(row.picture(&["image", "imgname"])?) }))
    }
}

impl BenchmarkConfig for ChartQa {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn metric(&self) -> &'static str {
        "relaxed-accuracy"
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
        Verdict::right(relaxed_correctness(prediction, question.answer))
    }

    fn summarise(&self, answers: &[Judged<'_>]) -> Vec<Statistic> {
        let mut all = vec![mean(self.metric(), answers)];
        all.extend(mean_by_category(self.metric(), answers));
        all
    }
}
