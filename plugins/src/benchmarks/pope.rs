//! POPE: whether something is in a picture; asked about random, popular and adversarial objects.
//!
//! Source: lmms-eval `tasks/pope` (`yes` or `no` alone, all 9,000 pooled) and RUCAIBox/POPE
//! `evaluate.py`, which LLaVA uses (the first sentence says "no" or "not", each category by itself).
//! The files of <https://github.com/RUCAIBox/POPE>: `coco_pope_random.json` and so on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use eagle_core::data::{AnswerKey, DataError, Dataset, Sample};
use eagle_core::registry::{BenchmarkConfig, Misfit};
use eagle_core::score::{Judged, Question, Statistic, Verdict, yes_no};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::rows::{self, FromRows, Item, Row, SHORT};

/// How an answer is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reading {
    /// `yes` or `no` alone, in any case: lmms-eval's, and so EAGLE's.
    Word,
    /// No, if the first sentence has the word "no", "No" or "not": POPE's own, LLaVA's.
    Sentence,
}

eagle_core::config! {
    /// POPE: yes or no (F1 first, accuracy, precision, recall, the share of yes; F1 and accuracy of each
    /// category).
    pub struct Pope {
        /// What tables call it.
        name: String = "pope".to_string(),
        /// `coco_pope_adversarial.json`, or rows of all categories (by `category`) as .json, .jsonl,
        /// .tsv or .parquet. A relative path starts at the experiment file's folder.
        #[location]
        path: PathBuf = PathBuf::new(),
        /// `coco_pope_popular.json`, if the categories are files of their own.
        #[location]
        popular: Option<PathBuf> = None,
        /// `coco_pope_random.json`.
        #[location]
        random: Option<PathBuf> = None,
        /// How an answer is read: Word (`yes` or `no` alone), Sentence (no, if the first one says so).
        reading: Reading = Reading::Word,
        /// The folder that its pictures' paths start from; none: the file's own.
        #[location]
        images: Option<PathBuf> = None,
        /// Follows the question.
        suffix: String = SHORT.to_string(),
        /// The longest answer, in tokens.
        max_new_tokens: usize = 16,
    }
}

eagle_core::register!(benchmark Pope);

impl FromRows for Pope {
    fn files(&self) -> Vec<(&Path, Option<&str>)> {
        let several = self.popular.is_some() || self.random.is_some();
        let mut files = vec![(self.path.as_path(), several.then_some("adversarial"))];
        files.extend(self.popular.iter().map(|path| (path.as_path(), Some("popular"))));
        files.extend(self.random.iter().map(|path| (path.as_path(), Some("random"))));
        files
    }

    fn images(&self) -> Option<&PathBuf> {
        self.images.as_ref()
    }

    fn item(&self, row: &Row<'_>) -> Result<Option<Item>, String> {
        let question = row.text(&["question", "text"])?.trim().to_owned() + &self.suffix;
        let category = row.maybe(&["category"]).or_else(|| row.file_category.map(str::to_owned));
        let number = row.text(&["question_id", "id"])?;
        let id = match &category {
            Some(category) => format!("{category}/{number}"),
            None => number,
        };
        let key = AnswerKey { category, ..AnswerKey::default() };
        let sample = rows::sample(id, question, row.text(&["answer", "label"])?, key);
        let picture = row.picture(&["image", "image_source"])?;
        Ok(Some(Item { sample, picture: Some(picture) }))
    }
}

impl BenchmarkConfig for Pope {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn metric(&self) -> &'static str {
        "f1"
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
        let said = match self.reading {
            Reading::Word => yes_no::read(prediction),
            Reading::Sentence => Some(yes_no::read_sentence(prediction)),
        };
        let verdict = Verdict::right(said.is_some() && said == yes_no::read(question.answer));
        match said {
            Some(yes) => verdict.reading(yes_no::word(yes)),
            None => verdict,
        }
    }

    fn summarise(&self, answers: &[Judged<'_>]) -> Vec<Statistic> {
        yes_no::summary(answers)
    }
}
