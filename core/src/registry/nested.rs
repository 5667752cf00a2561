//! A data set within the configuration of another one.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::traits::DatasetConfig;
use crate::data::{DataError, Dataset};

/// `data: LlavaJson(path: "…")` within another plugin. What stands there is kept as text when the outer
/// plugin is read; linking finds the plugin that it names, and reports what is wrong at its place.
#[derive(Debug, Clone, Default)]
pub struct NestedData {
    text: String,
    known: Option<(Arc<dyn DatasetConfig>, Value)>,
}

impl NestedData {
    /// A data set that is known already.
    pub fn of(config: Arc<dyn DatasetConfig>, identity: Value) -> NestedData {
        NestedData { text: String::new(), known: Some((config, identity)) }
    }

    /// The plugin's name, version and the fields that differ from their defaults; what was typed
    /// before it is linked.
    pub fn identity(&self) -> Value {
        match &self.known {
            Some((_, identity)) => identity.clone(),
            None => Value::from(self.text.as_str()),
        }
    }

    /// The data set. A relative path starts at `base`, the experiment file's folder.
    ///
    /// # Errors
    /// It can't be opened.
    pub fn open(&self, base: &Path) -> Result<Arc<dyn Dataset>, DataError> {
        match &self.known {
            Some((config, _)) => config.open(base),
            None => Err(DataError::File {
                path: base.to_owned(),
                detail: format!("`{}` was not linked", self.text),
            }),
        }
    }

    /// Whether its samples have annotations.
    pub fn annotates(&self) -> bool {
        self.known.as_ref().is_some_and(|(config, _)| config.annotates())
    }

    pub(crate) fn link(&mut self, config: Arc<dyn DatasetConfig>, identity: Value) {
        self.known = Some((config, identity));
    }
}

impl PartialEq for NestedData {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.identity() == other.identity()
    }
}

impl Serialize for NestedData {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.identity().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for NestedData {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&ron::value::RawValue>::deserialize(deserializer)?;
        Ok(NestedData { text: raw.get_ron().trim().to_owned(), known: None })
    }
}
