//! `weights: …`: where a node's first values come from, apart from its architecture.

use std::path::PathBuf;

/// Where a node's first values come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Weights {
    /// `Random`: drawn from the seed and the parameters' names.
    Random,
    /// `File("clip.safetensors")` or `File(path: "clip.safetensors", prefix: "vision_model.")`.
    File {
        /// The checkpoint; a relative path starts at the experiment's folder.
        path: PathBuf,
        /// What stands before this node's names in the checkpoint.
        prefix: String,
    },
    /// `From("zoo/clip.ron")` or `From(experiment: "zoo/clip.ron", stage: "…", node: "…")`.
    From {
        /// The experiment's file; a relative path starts at this experiment's folder.
        experiment: PathBuf,
        /// The stage after which they are taken; the last one if absent.
        stage: Option<String>,
        /// The node there; the one of the same id if absent.
        node: Option<String>,
    },
}
