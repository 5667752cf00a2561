//! MMBench: multiple choice, each question asked with its choices in every rotation.
//!
//! Source: lmms-eval `tasks/mmbench` (MMBench's own rules): a question counts if it is answered
//! rightly in every rotation (circular evaluation). An answer is read by rules; where they fail,
//! MMBench asks GPT: here it is undecided, which is reported: the official score lies between
//! `circular-accuracy` and that plus `undecided`. Rotations are the rows whose `index` differs by a
//! multiple of 1,000,000.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use eagle_core::data::{AnswerKey, DataError, Dataset, Sample};
use eagle_core::registry::{BenchmarkConfig, Misfit};
use eagle_core::score::{Judged, Question, Statistic, Verdict, by_category, choice, mean, pairs::{all_of_group, open_groups}};
use serde_json::Value;

use crate::rows::{self, FromRows, Item, LETTER, Row};

/// From one rotation's `index` to the next.
const PASSES: u64 = 1_000_000;

eagle_core::config! {
    /// MMBench: a letter, in every rotation of the choices (circular accuracy, by category, too; the
    /// share of questions that hang on answers that only a judge could read; accuracy).
    pub struct MmBench {
        /// What tables call it.
        name: String = "mmbench".to_string(),
        /// The .tsv with pictures as base64, or its rows as .jsonl or .parquet. A relative path starts
        /// at the experiment file's folder.
        #[location]
        path: PathBuf = PathBuf::new(),
        /// The folder that its pictures' paths start from; none: the file's own.
        #[location]
        images: Option<PathBuf> = None,
        /// Follows the choices; lmms-eval's two line breaks.
        suffix: String = format!("\n{LETTER}"),
        /// The longest answer, in tokens.
        max_new_tokens: usize = 16,
    }
}

eagle_core::register!(benchmark MmBench);

impl FromRows for MmBench {
    fn files(&self) -> Vec<(&Path, Option<&str>)> {
        vec![(&self.path, None)]
    }

    fn images(&self) -> Option<&PathBuf> {
        self.images.as_ref()
    }

    fn item(&self, row: &Row<'_>) -> Result<Option<Item>, String> {
        let index: u64 = row.text(&["index"])?.parse().map_err(|_| "its `index` is no number")?;
        let choices: Vec<String> = ["A", "B", "C", "D"].iter().map_while(|c| row.maybe(&[c])).collect();
        let asked = match row.maybe(&["hint"]) {
            Some(hint) => format!("{hint} {}", row.text(&["question"])?),
            None => row.text(&["question"])?,
        };
        let listed = choice::listed(&choices);
        let question = format!("{asked} There are several options:\n{listed}{}", self.suffix);
        let key = AnswerKey {
            choices,
            group: Some((index % PASSES).to_string()),
            category: row.maybe(&["category"]),
            ..AnswerKey::default()
        };
        let sample = rows::sample(index.to_string(), question, row.text(&["answer"])?, key);
        Ok(Some(Item { sample, picture: Some(row.picture(&["image"])?) }))
    }
}

impl BenchmarkConfig for MmBench {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn metric(&self) -> &'static str {
        "circular-accuracy"
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
        match choice::matched(prediction, &question.key.choices) {
            Some(letter) => Verdict::right(question.answer == letter.to_string()).reading(letter.to_string()),
            None => Verdict::undecided(),
        }
    }

    fn summarise(&self, answers: &[Judged<'_>]) -> Vec<Statistic> {
        let circular = all_of_group(self.metric(), answers, None);
        let mut all = vec![circular, open_groups("undecided", answers), mean("accuracy", answers)];
        for (category, part) in by_category(answers) {
            all.push(all_of_group(&format!("{}/{category}", self.metric()), &part, None));
        }
        all
    }
}
