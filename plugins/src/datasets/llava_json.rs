//! `LlavaJson`: conversations about pictures on disk, in LLaVA's format.
//!
//! ```json
//! [{"id": "1", "image": "a/1.png", "conversations": [
//!     {"from": "human", "value": "<image>\nWhat is this?"}, {"from": "gpt", "value": "A coat."}]}]
//! ```
//!
//! One array, or one object per line (JSONL). No `image`: a sample of text alone. A large file is
//! indexed once, beside it; samples are read when they are asked for.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use eagle_core::data::{DataError, Dataset};
use eagle_core::registry::{DatasetConfig, Misfit};

use crate::files::collection::{Collection, Shard};

eagle_core::config! {
    /// Conversations about pictures on disk, in LLaVA's JSON format.
    pub struct LlavaJson {
        /// The file: an array, or an object per line. A relative path starts at the experiment
        /// file's folder.
        #[location]
        path: PathBuf = PathBuf::new(),
        /// The folder that its pictures' paths start from; none: the file's own.
        #[location]
        images: Option<PathBuf> = None,
    }
}

eagle_core::register!(dataset LlavaJson);

impl DatasetConfig for LlavaJson {
    fn validate(&self) -> Result<(), Misfit> {
        if self.path.as_os_str().is_empty() {
            return Err(Misfit::field("path", "is missing").help("name a .json or .jsonl file"));
        }
        Ok(())
    }

    /// Finds where the entries lie. One that can't be used is no error yet: [`Dataset::problems`]
    /// lists them all.
    fn open(&self, base: &Path) -> Result<Arc<dyn Dataset>, DataError> {
        let path = base.join(&self.path);
        let images = match &self.images {
            Some(folder) => base.join(folder),
            None => path.parent().unwrap_or(base).to_path_buf(),
        };
        Ok(Arc::new(Collection::of(vec![Shard::json(path, images)?])?))
    }

    fn files(&self) -> Vec<(&'static str, &Path)> {
        let images = self.images.iter().map(|folder| ("images", folder.as_path()));
        std::iter::once(("path", self.path.as_path())).chain(images).collect()
    }
}
