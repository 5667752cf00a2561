//! `LlavaTar`: conversations in LLaVA's format in tar shards, as WebDataset packs them.
//!
//! `KEY.json` (an entry as in [`LlavaJson`](super::llava_json::LlavaJson)) or `KEY.txt` (a caption) beside
//! `KEY.jpg`, `KEY.jpeg` or `KEY.png`; members of one key stand together. No picture: a sample of text
//! alone.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use eagle_core::data::{DataError, Dataset};
use eagle_core::registry::{DatasetConfig, Misfit};

use crate::files::collection::{Collection, Shard};
use crate::files::shards;

eagle_core::config! {
    /// Conversations in LLaVA's format, or captions, with their pictures in tar shards
    /// (WebDataset).
    pub struct LlavaTar {
        /// The shards, in order; of a folder every `.tar` file, by name. A relative path starts at
        /// the experiment file's folder.
        #[location]
        paths: Vec<PathBuf> = Vec::new(),
    }
}

eagle_core::register!(dataset LlavaTar);

impl DatasetConfig for LlavaTar {
    fn validate(&self) -> Result<(), Misfit> {
        if self.paths.is_empty() {
            let misfit = Misfit::field("paths", "names no shard");
            return Err(misfit.help("write `paths: [\"FOLDER\"]` or `paths: [\"a.tar\", \"b.tar\"]`"));
        }
        Ok(())
    }

    fn open(&self, base: &Path) -> Result<Arc<dyn Dataset>, DataError> {
        let shards = shards(base, &self.paths, "tar")?;
        let shards: Result<Vec<Shard>, DataError> = shards.into_iter().map(Shard::tar).collect();
        Ok(Arc::new(Collection::of(shards?)?))
    }

    fn files(&self) -> Vec<(&'static str, &Path)> {
        self.paths.iter().map(|path| ("paths", path.as_path())).collect()
    }
}
