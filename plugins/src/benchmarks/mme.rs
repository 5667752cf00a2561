//! MME: two yes-or-no questions about each picture, in 14 categories of perception and cognition.
//!
//! Source: lmms-eval `tasks/mme`: of each category accuracy and the share of pictures with both
//! answers right, in percent, added; summed over 10 categories of perception (at most 2,000) and 4
//! of cognition (800). Rows with `question_id`, `category`, `question`, `answer`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use eagle_core::data::{AnswerKey, DataError, Dataset, Sample};
use eagle_core::registry::{BenchmarkConfig, Misfit};
use eagle_core::score::{Judged, Question, Statistic, Verdict, by_category, mean, pairs::{accuracy_and_plus, all_of_group}, yes_no};
use serde_json::Value;

use crate::rows::{self, FromRows, Item, Row, SHORT};

/// The categories of cognition; all others are of perception.
const COGNITION: [&str; 4] =
    ["commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning"];

eagle_core::config! {
    /// MME: yes or no, twice about each picture (perception of 2,000 first, then cognition of 800,
    /// their sum, accuracy, accuracy+, and each category).
    pub struct Mme {
        /// What tables call it.
        name: String = "mme".to_string(),
        /// Its rows as .json, .jsonl, .tsv or .parquet. A relative path starts at the experiment
        /// file's folder.
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

eagle_core::register!(benchmark Mme);

impl FromRows for Mme {
    fn files(&self) -> Vec<(&Path, Option<&str>)> {
        vec![(&self.path, None)]
    }

    fn images(&self) -> Option<&PathBuf> {
        self.images.as_ref()
    }

    fn item(&self, row: &Row<'_>) -> Result<Option<Item>, String> {
        let asked = row.text(&["question"])?.trim().replace(" Please answer yes or no.", "");
        let picture = row.text(&["question_id", "image"])?;
        let category = Some(row.text(&["category"])?);
        let key = AnswerKey { group: Some(picture.clone()), category, ..AnswerKey::default() };
        let question = asked + &self.suffix;
        let sample = rows::sample(picture, question, row.text(&["answer"])?, key);
        Ok(Some(Item { sample, picture: Some(row.picture(&["image", "question_id"])?) }))
    }
}

impl BenchmarkConfig for Mme {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn metric(&self) -> &'static str {
        "perception"
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
        let truth = yes_no::read(&question.answer.replace('.', ""));
        let said = yes_no::read_beginning(prediction);
        let verdict = Verdict::right(said.is_some() && said == truth);
        match said {
            Some(yes) => verdict.reading(yes_no::word(yes)),
            None => verdict,
        }
    }

    fn summarise(&self, answers: &[Judged<'_>]) -> Vec<Statistic> {
        let cognitive = |judged: &&Judged<'_>| {
            let category = judged.question.key.category.as_deref().unwrap_or_default();
            COGNITION.contains(&category)
        };
        let (cognition, perception): (Vec<Judged<'_>>, Vec<Judged<'_>>) =
            answers.iter().copied().partition(|judged| cognitive(&judged));
        let mut all = vec![
            accuracy_and_plus("perception", &perception),
            accuracy_and_plus("cognition", &cognition),
            accuracy_and_plus("total", answers),
            mean("accuracy", answers),
            all_of_group("accuracy+", answers, Some(0.5)),
        ];
        all[3].scale.chance = Some(0.5);
        for (category, part) in by_category(answers) {
            all.push(accuracy_and_plus(&format!("score/{category}"), &part));
        }
        all
    }
}
