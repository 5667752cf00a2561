//! `LlavaParquet`: conversations in LLaVA's format in Parquet files with embedded pictures, as Hugging
//! Face stores data sets.
//!
//! A row is a sample: a column of conversations (a list of `struct<from, value>`, or that as a text of
//! JSON), one of pictures (bytes, or `struct<bytes, path>`) and, if there is one, `id`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use eagle_core::data::{DataError, Dataset};
use eagle_core::registry::{DatasetConfig, Misfit};

use crate::files::collection::{Collection, Columns, Shard};
use crate::files::shards;

eagle_core::config! {
    /// Conversations in LLaVA's format in Parquet files with embedded pictures.
    pub struct LlavaParquet {
        /// The files, in order; of a folder every `.parquet` file, by name. A relative path starts
        /// at the experiment file's folder.
        #[location]
        paths: Vec<PathBuf> = Vec::new(),
        /// The column of the pictures' bytes; `None`: text alone.
        image: Option<String> = Some("image".to_string()),
        /// The column of the conversations.
        conversations: String = "conversations".to_string(),
    }
}

eagle_core::register!(dataset LlavaParquet);

impl DatasetConfig for LlavaParquet {
    fn validate(&self) -> Result<(), Misfit> {
        if self.paths.is_empty() {
            let misfit = Misfit::field("paths", "names no file");
            return Err(misfit.help("write `paths: [\"FOLDER\"]` or `paths: [\"a.parquet\"]`"));
        }
        Ok(())
    }

    fn open(&self, base: &Path) -> Result<Arc<dyn Dataset>, DataError> {
        let columns =
            Columns { image: self.image.clone(), conversations: self.conversations.clone() };
        let shard = |path| Shard::parquet(path, columns.clone());
        let shards = shards(base, &self.paths, "parquet")?;
        let shards: Result<Vec<Shard>, DataError> = shards.into_iter().map(shard).collect();
        Ok(Arc::new(Collection::of(shards?)?))
    }

    fn files(&self) -> Vec<(&'static str, &Path)> {
        self.paths.iter().map(|path| ("paths", path.as_path())).collect()
    }
}
