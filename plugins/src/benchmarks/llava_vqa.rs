//! Questions of one's own, in LLaVA's JSON format, judged by exact match.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use eagle_core::data::{DataError, Dataset};
use eagle_core::registry::{BenchmarkConfig, DatasetConfig, Misfit};
use eagle_core::score::{Question, Verdict, exact_match};

use crate::datasets::llava_json::LlavaJson;

eagle_core::config! {
    /// Questions in LLaVA's JSON format; the last answer of each sample is asked for, and judged
    /// by exact match.
    pub struct LlavaVqa {
        /// What tables call it.
        name: String = "llava-vqa".to_string(),
        /// The file: an array, or an object per line. A relative path starts at the experiment
        /// file's folder.
        #[location]
        path: PathBuf = PathBuf::new(),
        /// The folder that its pictures' paths start from; none: the file's own.
        #[location]
        images: Option<PathBuf> = None,
        /// The longest answer, in tokens.
        max_new_tokens: usize = 32,
    }
}

eagle_core::register!(benchmark LlavaVqa);

impl LlavaVqa {
    fn data(&self) -> LlavaJson {
        LlavaJson { path: self.path.clone(), images: self.images.clone() }
    }
}

impl BenchmarkConfig for LlavaVqa {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn metric(&self) -> &'static str {
        "accuracy"
    }

    fn validate(&self) -> Result<(), Misfit> {
        if self.max_new_tokens == 0 {
            return Err(Misfit::field("max_new_tokens", "must be at least 1"));
        }
        self.data().validate()
    }

    fn open(&self, base: &Path) -> Result<Arc<dyn Dataset>, DataError> {
        self.data().open(base)
    }

    fn max_new_tokens(&self) -> usize {
        self.max_new_tokens
    }

    fn judge(&self, question: &Question<'_>, prediction: &str) -> Verdict {
        Verdict::right(exact_match(prediction, question.answer))
    }
}
