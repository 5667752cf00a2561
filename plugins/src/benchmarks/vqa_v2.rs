//! VQAv2: ten people's answers to open questions about photographs.
//!
//! Source: lmms-eval `tasks/vqav2` (EvalAI's normalisation, soft accuracy). The files of
//! <https://visualqa.org>: `v2_OpenEnded_mscoco_val2014_questions.json`, its answers in
//! `v2_mscoco_val2014_annotations.json`, pictures `COCO_val2014_000000000042.jpg`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use eagle_core::data::{AnswerKey, DataError, Dataset, Sample};
use eagle_core::registry::{BenchmarkConfig, Misfit};
use eagle_core::score::{Judged, Question, Statistic, Verdict, mean, mean_by_category, vqa::{normalise_vqa_v2, soft_accuracy}};
use serde_json::Value;

use crate::rows::{self, FromRows, Item, Row, SHORT, Shown};

eagle_core::config! {
    /// VQAv2: short answers, each compared with ten people's (soft accuracy, by type of answer, too).
    pub struct VqaV2 {
        /// What tables call it.
        name: String = "vqav2".to_string(),
        /// `v2_OpenEnded_mscoco_val2014_questions.json`, or rows with their `answers` as .jsonl or
        /// .parquet. A relative path starts at the experiment file's folder.
        #[location]
        path: PathBuf = PathBuf::new(),
        /// The file of answers, if they are in one of their own.
        #[location]
        annotations: Option<PathBuf> = None,
        /// How the names of the pictures begin.
        prefix: String = "COCO_val2014_".to_string(),
        /// The folder that its pictures' paths start from; none: the file's own.
        #[location]
        images: Option<PathBuf> = None,
        /// Follows the question.
        suffix: String = SHORT.to_string(),
        /// The longest answer, in tokens.
        max_new_tokens: usize = 16,
    }
}

eagle_core::register!(benchmark VqaV2);

impl FromRows for VqaV2 {
    fn files(&self) -> Vec<(&Path, Option<&str>)> {
        vec![(&self.path, None)]
    }

    fn images(&self) -> Option<&PathBuf> {
        self.images.as_ref()
    }

    fn aside(&self) -> Vec<&PathBuf> {
        self.annotations.iter().collect()
    }

    fn item(&self, row: &Row<'_>) -> Result<Option<Item>, String> {
        let question = row.text(&["question"])? + &self.suffix;
        let answers = row.texts(&["answers"]);
        let key =
            AnswerKey { answers, category: row.maybe(&["answer_type"]), ..AnswerKey::default() };
        let answer = row.maybe(&["multiple_choice_answer"]).or_else(|| key.answers.first().cloned());
        let answer = answer.ok_or("it has no `answers`: name the file of `annotations`")?;
        let sample = rows::sample(row.text(&["question_id"])?, question, answer, key);
        let picture = match row.picture(&["image"]) {
            Ok(picture) => picture,
            Err(_) => Shown::File(format!("{}{:0>12}.jpg", self.prefix, row.text(&["image_id"])?)),
        };
        Ok(Some(Item { sample, picture: Some(picture) }))
    }

    fn join(&self, base: &Path, rows: &mut Vec<Value>) -> Result<(), DataError> {
        match &self.annotations {
            Some(path) => rows::look_up(rows, &base.join(path), "question_id", &["answers", "answer_type", "multiple_choice_answer"]),
            None => Ok(()),
        }
    }
}

impl BenchmarkConfig for VqaV2 {
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
        let answers: Vec<String> = question.answers().into_iter().map(normalise_vqa_v2).collect();
        let said = normalise_vqa_v2(prediction);
        Verdict::scored(soft_accuracy(&said, &answers)).reading(said)
    }

    fn summarise(&self, answers: &[Judged<'_>]) -> Vec<Statistic> {
        let mut all = vec![mean(self.metric(), answers)];
        all.extend(mean_by_category(self.metric(), answers));
        all
    }
}
