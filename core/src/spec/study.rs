//! `Study(…)`: a product of variations of one experiment.

use std::path::PathBuf;

use super::{PluginSpec, Problem, Span, Spanned};

/// A study as it was typed.
#[derive(Debug, Clone)]
pub struct Study {
    /// Its name in results.
    pub name: Spanned<String>,
    /// The experiment that is varied; a relative path starts at the study's folder.
    pub base: Spanned<PathBuf>,
    /// What is varied; the trials are the product.
    pub vary: Vec<Axis>,
    /// The seeds of every trial; the base's own if there are none.
    pub seeds: Vec<u64>,
    /// The table that shows it.
    pub table: Option<String>,
    /// The whole `Study(…)`.
    pub span: Span,
}

/// One thing that a study varies.
#[derive(Debug, Clone)]
pub enum Axis {
    /// `Node("fuse", [ChannelConcat(grid: 8), SequenceAppend()])`: a node's plugin.
    Node {
        /// The node's id.
        node: Spanned<String>,
        /// What stands in its place, one after the other.
        plugins: Vec<PluginSpec>,
    },
    /// `Set("nodes.clip.plugin.image_size", [48, 64])`: any value, by its path.
    Set {
        /// The path, as in `--set`.
        path: Spanned<String>,
        /// The values' raw RON.
        values: Vec<Spanned<String>>,
    },
}

/// One experiment of a study.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// What differs: `fuse=SequenceAppend,seed=1`.
    pub name: String,
    /// The base's text with the differences written into it.
    pub source: String,
    /// Each axis (a node's id or a path) with its value in this trial, in the study's order.
    pub values: Vec<(String, String)>,
    /// Its seed.
    pub seed: u64,
}

impl Study {
    /// The experiments of this study, given the text of its base.
    ///
    /// # Errors
    /// Axes that don't fit the base, at their places in the study.
    pub fn trials(&self, base: &str) -> Result<Vec<Trial>, Vec<Problem>> {
        todo!("{base}")
    }
}
