//! TextVQA: questions about the text in photographs.
//!
//! Source: lmms-eval `tasks/textvqa`, whose version in EAGLE shows the words that an OCR system
//! found (`ocr: true`); newer ones don't, and score lower. The files of <https://textvqa.org>:
//! `TextVQA_0.5.1_val.json`, `TextVQA_Rosetta_OCR_v0.2_val.json`, pictures `IMAGEID.jpg`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use eagle_core::data::{AnswerKey, DataError, Dataset, Sample};
use eagle_core::registry::{BenchmarkConfig, Misfit};
use eagle_core::score::{Judged, Question, Statistic, Verdict, mean, mean_by_category, python, vqa::{normalise, soft_accuracy}};
use serde_json::Value;

use crate::rows::{self, FromRows, Item, Row, SHORT, Shown};

eagle_core::config! {
    /// TextVQA: short answers, each compared with ten people's (soft accuracy).
    pub struct TextVqa {
        /// What tables call it.
        name: String = "textvqa".to_string(),
        /// `TextVQA_0.5.1_val.json`, or its rows as .jsonl or .parquet. A relative path starts at the
        /// experiment file's folder.
        #[location]
        path: PathBuf = PathBuf::new(),
        /// Whether the question is followed by the words that an OCR system found, as EAGLE's is.
        ocr: bool = true,
        /// The file of these words (`TextVQA_Rosetta_OCR_v0.2_val.json`), if the rows lack them.
        #[location]
        tokens: Option<PathBuf> = None,
        /// The folder that its pictures' paths start from; none: the file's own.
        #[location]
        images: Option<PathBuf> = None,
        /// Follows the question.
        suffix: String = SHORT.to_string(),
        /// The longest answer, in tokens.
        max_new_tokens: usize = 16,
    }
}

eagle_core::register!(benchmark TextVqa);

impl FromRows for TextVqa {
    fn files(&self) -> Vec<(&Path, Option<&str>)> {
        vec![(&self.path, None)]
    }

    fn images(&self) -> Option<&PathBuf> {
        self.images.as_ref()
    }

    fn aside(&self) -> Vec<&PathBuf> {
        self.tokens.iter().collect()
    }

    fn item(&self, row: &Row<'_>) -> Result<Option<Item>, String> {
        let mut question = python::capitalise(&row.text(&["question"])?);
        if self.ocr && row.value["ocr_tokens"].is_null() && !row.bare {
            return Err("it has no `ocr_tokens`: name the `tokens` file, or say `ocr: false`".into());
        }
        if self.ocr {
            let tokens = row.texts(&["ocr_tokens"]).join(", ");
            question += &format!("\nReference OCR token: {tokens}");
        }
        question += &self.suffix;
        let answers = row.texts(&["answers"]);
        let answer = answers.first().cloned().ok_or("it has no `answers`")?;
        let key = AnswerKey { answers, ..AnswerKey::default() };
        let sample = rows::sample(row.text(&["question_id"])?, question, answer, key);
        let picture = match row.picture(&["image"]) {
            Ok(picture) => picture,
            Err(_) => Shown::File(format!("{}.jpg", row.text(&["image_id"])?)),
        };
        Ok(Some(Item { sample, picture: Some(picture) }))
    }

    fn join(&self, base: &Path, rows: &mut Vec<Value>) -> Result<(), DataError> {
        match &self.tokens {
            Some(path) => rows::look_up(rows, &base.join(path), "image_id", &["ocr_tokens"]),
            None => Ok(()),
        }
    }
}

impl BenchmarkConfig for TextVqa {
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
