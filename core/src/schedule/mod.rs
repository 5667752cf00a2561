//! What one stage does with the graph: who trains, who records, what is computed once, and what it
//! costs in parameters, FLOPs and memory. Nothing is allocated.
//!
//! A node *trains* if the stage lists it and it has parameters. A node *records* if gradients must
//! pass through it: if it trains, or if any of its inputs records. A frozen LLM behind a trained
//! projector records and is not trained; so does a frozen encoder into which a trained fusion injects.
//! The nodes that don't record are the frozen prefix: their
//! outputs depend on the sample alone.

mod memory;

use std::fmt;

use petgraph::graph::NodeIndex;
use serde::Serialize;

use crate::features::FeatureCache;
use crate::graph::{Graph, Port, Source, Tiling};
use crate::registry::{Cost, Kind};
use crate::tensor::Precision;
pub use memory::CardMemory;

/// One node in one stage.
#[derive(Debug, Clone, Serialize)]
pub struct Planned {
    /// Its id in the file.
    pub id: String,
    /// Its plugin.
    pub plugin: String,
    /// Where its inputs come from: `image`, `text` or a node's id.
    pub inputs: Vec<String>,
    /// What it promises.
    pub output: Port,
    /// Whether that is for each tile.
    #[serde(skip_serializing_if = "Tiling::is_whole")]
    pub tiling: Tiling,
    /// What it gives, in words.
    #[serde(skip)]
    pub gives: String,
    /// Its parameters, in values.
    pub parameters: u64,
    /// Whether it gets updates, all of it or a part.
    pub trained: bool,
    /// Its parameters that do, in values.
    pub parameters_trained: u64,
    /// Its parameters that no stage of the experiment trains, in values.
    #[serde(skip)]
    pub parameters_settled: u64,
    /// Whether gradients pass through it.
    pub records: bool,
    /// What its forward pass costs per sample.
    pub cost: Cost,
    /// Bytes that are kept of its output for every picture; 0 if it is computed each time.
    pub kept: u64,
    /// The fusion that injects between its blocks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub injected_by: Option<String>,
    /// Whether something that it reads, or that is injected into it, needs a gradient.
    #[serde(skip)]
    behind: bool,
    #[serde(skip)]
    index: NodeIndex,
}

/// What one stage does.
#[derive(Debug, Clone, Serialize)]
pub struct Schedule {
    /// The stage's name; `evaluation` for a graph without stages.
    pub stage: String,
    /// Every node in the order in which it runs.
    pub nodes: Vec<Planned>,
    /// Visual tokens per image; the most where that depends on the image.
    pub visual_tokens: usize,
    /// The fewest and the most tiles of an image, where that depends on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tiles: Option<(usize, usize)>,
    /// The longest sequence that the LLM reads, in tokens.
    pub length: usize,
    /// Samples per forward pass.
    pub batch: usize,
    /// Whether blocks keep their inputs alone.
    pub gradient_checkpointing: bool,
    /// In which numbers the model computes.
    #[serde(skip_serializing_if = "is_default")]
    pub precision: Precision,
}

/// Plans stage number `stage` of the graph.
pub fn plan(graph: &Graph, stage: usize) -> Schedule {
    let spec = graph.stages.get(stage);
    let mut nodes: Vec<Planned> = Vec::new();
    for &index in &graph.order {
        let node = &graph.dag[index];
        let trained_values = |index: NodeIndex| {
            let updated = |(i, _): &(usize, _)| spec.is_some_and(|s| s.trains_param(index, *i));
            let params = graph.dag[index].params.iter().enumerate().filter(updated);
            let params = params.filter(|(_, param)| !param.buffer);
            sum(params.map(|(_, param)| param.len() as u64))
        };
        let recorded = |index: NodeIndex| {
            graph.dag[index].inputs.iter().any(|source| match source {
                Source::Node(input) => nodes.iter().any(|n| n.index == *input && n.records),
                Source::Image | Source::Text => false,
            })
        };
        let injector = graph.injector(index);
        let parameters_trained = trained_values(index);
        let trained = parameters_trained > 0;
        let behind =
            recorded(index) || injector.is_some_and(|f| trained_values(f) > 0 || recorded(f));
        nodes.push(Planned {
            id: node.id.clone(),
            plugin: node.name.clone(),
            inputs: node.inputs.iter().map(|source| graph.source_name(source)).collect(),
            output: node.output.clone(),
            tiling: node.tiling,
            gives: graph.gives(node.tiling, &node.output),
            parameters: node.parameters() as u64,
            trained,
            parameters_trained,
            parameters_settled: settled(graph, index),
            records: trained || behind,
            cost: node.cost,
            kept: match spec {
                Some(stage) if !(trained || behind) && injector.is_none() => {
                    kept(graph, index, stage.spec.feature_cache)
                }
                _ => 0,
            },
            injected_by: injector.map(|fusion| graph.dag[fusion].id.clone()),
            behind,
            index,
        });
    }
    Schedule {
        stage: spec.map_or_else(|| "evaluation".into(), |stage| stage.spec.name.value.clone()),
        nodes,
        visual_tokens: graph.visual_tokens(),
        tiles: graph.tiles().map(|tiles| tiles.range()),
        length: graph.length(stage),
        batch: spec.map_or(1, |stage| stage.spec.batch),
        gradient_checkpointing: spec.is_some_and(|stage| stage.spec.gradient_checkpointing),
        precision: graph.precision,
    }
}

fn is_default(precision: &Precision) -> bool {
    *precision == Precision::default()
}

/// Parameters of a node that no stage trains, in values.
fn settled(graph: &Graph, index: NodeIndex) -> u64 {
    let params = graph.dag[index].params.iter().enumerate();
    sum(params.filter(|(i, _)| graph.settles(index, *i)).map(|(_, param)| param.len() as u64))
}

/// Bytes that a frozen encoder's features take for a picture.
fn kept(graph: &Graph, encoder: NodeIndex, precision: FeatureCache) -> u64 {
    if graph.dag[encoder].kind != Kind::Encoder {
        return 0;
    }
    let map = graph.map_shape(encoder);
    let levels = map.pyramid.iter().filter(|_| graph.pyramid_is_read(encoder));
    let values = map.tokens * map.width + levels.map(|&(h, w, c)| h * w * c).sum::<usize>();
    precision.record_bytes(values) * graph.tiles_at(encoder) as u64
}

impl Schedule {
    /// Parameters that get updates, and those that don't.
    pub fn parameters(&self) -> (u64, u64) {
        let trained = sum(self.nodes.iter().map(|n| n.parameters_trained));
        let frozen = self.nodes.iter().map(|n| n.parameters - n.parameters_trained);
        (trained, sum(frozen))
    }

    /// The ids of the frozen prefix: what can be computed once per sample.
    pub fn frozen_prefix(&self) -> Vec<&str> {
        self.nodes.iter().filter(|n| !n.records).map(|n| n.id.as_str()).collect()
    }

    /// FLOPs of one forward pass over one sample.
    pub fn forward_flops(&self) -> u64 {
        sum(self.nodes.iter().map(|node| node.cost.flops))
    }

    /// FLOPs of a training step per sample: every node's forward pass, and for those that record
    /// the input gradient, for those that train the weight gradient; under gradient checkpointing
    /// the blocks' forward pass twice.
    pub fn flops_per_sample(&self) -> u64 {
        let passes = |node: &Planned| 1 + u64::from(node.behind) + u64::from(node.trained);
        let again = |node: &Planned| match self.gradient_checkpointing && node.records {
            true => node.cost.block_flops,
            false => 0,
        };
        let flops = |n: &Planned| n.cost.flops.saturating_mul(passes(n)).saturating_add(again(n));
        sum(self.nodes.iter().map(flops))
    }
}

fn sum(numbers: impl Iterator<Item = u64>) -> u64 {
    numbers.fold(0, u64::saturating_add)
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (trained, frozen) = self.parameters();
        let tokens = match self.tiles {
            None => format!("{} visual tokens", self.visual_tokens),
            Some((fewest, most)) => {
                format!("up to {} visual tokens ({fewest} to {most} tiles)", self.visual_tokens)
            }
        };
        write!(f, "stage {}: batch {}", self.stage, self.batch)?;
        // Objectives read no sequences.
        match self.length {
            0 => writeln!(f)?,
            length => writeln!(f, ", {tokens}, sequences of up to {length}")?,
        }
        let rows: Vec<[String; 6]> = self.nodes.iter().map(Planned::row).collect();
        let head = ["node", "plugin", "from", "output", "parameters", "in this stage"];
        let widths: Vec<usize> = (0..6)
            .map(|i| rows.iter().map(|row| row[i].chars().count()).chain([head[i].len()]).max())
            .map(|width| width.unwrap_or(0))
            .collect();
        let mut line = |cells: &[&str]| {
            let mut text = String::from(" ");
            for (i, (cell, width)) in cells.iter().zip(&widths).enumerate() {
                text +=
                    &if i == 4 { format!(" {cell:>width$} ") } else { format!(" {cell:<width$} ") };
            }
            writeln!(f, "{}", text.trim_end())
        };
        line(&head)?;
        for row in &rows {
            line(&row.each_ref().map(String::as_str))?;
        }
        writeln!(f, "  trained {}, frozen {}", count(trained), count(frozen))?;
        let prefix = self.frozen_prefix();
        if !prefix.is_empty() {
            writeln!(f, "  frozen prefix (depends on the sample alone): {}", prefix.join(", "))?;
        }
        let kept: Vec<&Planned> = self.nodes.iter().filter(|node| node.kept > 0).collect();
        if !kept.is_empty() {
            let names: Vec<&str> = kept.iter().map(|node| node.id.as_str()).collect();
            let size = bytes(sum(kept.iter().map(|node| node.kept)));
            writeln!(f, "  frozen features are kept: {}, {size} a picture", names.join(", "))?;
        }
        writeln!(
            f,
            "  {} FLOPs per sample and step, {} at the peak (estimated)",
            count(self.flops_per_sample()),
            bytes(self.peak_bytes())
        )?;
        let card = self.card_memory();
        writeln!(
            f,
            "  on a card: {} (weights {}, gradients {}, moments {}, activations {}, workspace {})",
            bytes(card.total()),
            bytes(card.weights),
            bytes(card.gradients),
            bytes(card.moments),
            bytes(card.activations),
            bytes(card.workspace)
        )
    }
}

impl Planned {
    fn row(&self) -> [String; 6] {
        let in_part = format!("trained in part ({})", count(self.parameters_trained));
        let state = match (self.trained, self.records) {
            (true, _) if self.parameters_trained < self.parameters => &in_part,
            (true, _) => "trained",
            (false, true) => "frozen, passes gradients",
            (false, false) => "frozen",
        };
        let state = if self.parameters == 0 && !self.records { "" } else { state };
        let injected = self.injected_by.iter().map(|fusion| format!(" + {fusion}"));
        [
            self.id.clone(),
            self.plugin.clone(),
            injected.fold(self.inputs.join(", "), |text, more| text + &more),
            self.gives.clone(),
            count(self.parameters),
            if self.parameters == 0 && state == "frozen, passes gradients" {
                "passes gradients".into()
            } else {
                state.into()
            },
        ]
    }
}

/// A large number as a person writes it: `303.5M`.
pub fn count(n: u64) -> String {
    let scaled = |unit: f64, letter: &str| format!("{:.1}{letter}", n as f64 / unit);
    match n {
        0..10_000 => n.to_string(),
        10_000..1_000_000 => scaled(1e3, "k"),
        1_000_000..10_000_000_000 => scaled(1e6, "M"),
        10_000_000_000..10_000_000_000_000 => scaled(1e9, "G"),
        _ => scaled(1e12, "T"),
    }
}

/// A number of bytes as a person writes it: `1.4 GiB`.
pub fn bytes(n: u64) -> String {
    let n = n as f64;
    let unit = |power: i32| n / 1024f64.powi(power);
    match n {
        n if n < 1024f64.powi(2) => format!("{:.0} KiB", unit(1)),
        n if n < 1024f64.powi(3) => format!("{:.0} MiB", unit(2)),
        _ => format!("{:.1} GiB", unit(3)),
    }
}

/// The graph of the stages as Graphviz dot: trained nodes filled, recording ones outlined bold.
pub fn dot(schedule: &Schedule) -> String {
    let mut text =
        String::from("digraph {\n  rankdir = LR;\n  node [shape = box, style = rounded];\n");
    text += "  image [shape = plain];\n  text [shape = plain];\n";
    for node in &schedule.nodes {
        let style = match (node.trained, node.records) {
            (true, _) => "rounded,filled\", fillcolor = \"#ffe0b0",
            (false, true) => "rounded,bold",
            (false, false) => "rounded",
        };
        let parameters = match node.parameters {
            0 => String::new(),
            n => format!("\\n{} parameters", count(n)),
        };
        text += &format!(
            "  \"{id}\" [label = \"{id}\\n{plugin}{parameters}\", style = \"{style}\"];\n",
            id = node.id,
            plugin = node.plugin
        );
        if let Some(fusion) = &node.injected_by {
            text += &format!("  \"{fusion}\" -> \"{}\" [style = dashed];\n", node.id);
        }
        for input in &node.inputs {
            let label = schedule.nodes.iter().find(|n| n.id == *input);
            let label = label.map(|n| n.gives.clone()).unwrap_or_default();
            text += &format!("  \"{input}\" -> \"{}\" [label = \"{label}\"];\n", node.id);
        }
    }
    text + "}\n"
}
