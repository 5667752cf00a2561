//! `Experiment(…)`: nodes, stages and what the result is judged by.

use super::{PluginSpec, Span, Spanned, StageSpec, Weights};

/// An experiment as it was typed.
#[derive(Debug, Clone)]
pub struct Experiment {
    /// Its name in results.
    pub name: Spanned<String>,
    /// The root of every use of chance.
    pub seed: u64,
    /// The model's parts.
    pub nodes: Vec<NodeSpec>,
    /// What is trained, in order.
    pub stages: Vec<StageSpec>,
    /// The benchmarks.
    pub evaluate: Vec<PluginSpec>,
    /// The whole `Experiment(…)`.
    pub span: Span,
    /// Fields whose error `read` has reported; empty in what `parse` returns.
    pub broken: Vec<&'static str>,
}

/// A part of a model as it was typed.
#[derive(Debug, Clone)]
pub struct NodeSpec {
    /// By what other nodes and the stages call it.
    pub id: Spanned<String>,
    /// What it is.
    pub plugin: PluginSpec,
    /// What it reads: `image`, `text` or other nodes' ids.
    pub from: Vec<Spanned<String>>,
    /// Its first values; an empty span if the file doesn't say.
    pub weights: Spanned<Weights>,
    /// The whole node.
    pub span: Span,
    /// Fields whose error `read` has reported; empty in what `parse` returns.
    pub broken: Vec<&'static str>,
}
