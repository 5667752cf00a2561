//! A stage of training: what is trained, on what, and how.

use super::{PluginSpec, Span, Spanned};
pub use crate::text::TooLong;

/// The conversation templates that a stage may name.
pub const TEMPLATES: [&str; 2] = ["plain", "vicuna_v1"];

/// How the learning rate goes down after the warm-up.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize,
)]
pub enum Schedule {
    /// Half a cosine to zero.
    #[default]
    Cosine,
    /// A line to zero.
    Linear,
    /// Not at all.
    Constant,
}

/// A stage as it was typed.
#[derive(Debug, Clone)]
pub struct StageSpec {
    /// Its name in results.
    pub name: Spanned<String>,
    /// The nodes that get updates.
    pub train: Vec<Spanned<String>>,
    /// What it trains on.
    pub data: PluginSpec,
    /// Passes over the data, above 0 (default 1).
    pub epochs: f64,
    /// Samples per micro-batch, at least 1.
    pub batch: usize,
    /// Micro-batches per update, at least 1 (default 1).
    pub accumulate: usize,
    /// The highest learning rate, above 0.
    pub lr: f64,
    /// Another one for some nodes.
    pub lr_of: Vec<(Spanned<String>, f64)>,
    /// The share of the steps in which the rate goes up from 0, in 0..=1 (default 0).
    pub warmup: f64,
    /// How the rate goes down after it.
    pub schedule: Schedule,
    /// AdamW's decoupled weight decay, at least 0 (default 0).
    pub weight_decay: f64,
    /// AdamW's moments, each in 0..1 (default 0.9 and 0.999).
    pub betas: (f64, f64),
    /// AdamW's epsilon, above 0 (default 1e-8).
    pub eps: f64,
    /// The gradient's highest norm (default 1); `None` for no limit.
    pub clip: Option<f64>,
    /// The conversation template (default `vicuna_v1`).
    pub template: Spanned<String>,
    /// The longest sequence in tokens, visual ones included; the LLM's context if absent.
    pub max_length: Option<usize>,
    /// What becomes of longer samples.
    pub too_long: TooLong,
    /// Steps between checkpoints, at least 1 (default 100). Not part of the stage's identity.
    pub checkpoint_every: usize,
    /// The whole stage.
    pub span: Span,
    /// The place of each field's value that was typed.
    pub places: Vec<(&'static str, Span)>,
    /// Fields whose error `read` has reported; empty in what `parse` returns.
    pub broken: Vec<&'static str>,
}
