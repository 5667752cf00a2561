//! What a stage takes of a card's memory, in advance. The formula is in docs/cuda.md.

use serde::Serialize;

use super::{Schedule, sum};
use crate::registry::Cost;

/// Bytes that the driver, the kernels and cuBLAS take, whatever is computed: measured by nobody yet
/// on a card of ours, NVIDIA's documents say 300 to 500 MiB for a context and 32 MiB for cuBLAS.
const CONTEXT: u64 = 544 << 20;

/// Bytes of a stage on a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct CardMemory {
    /// Weights: 4 bytes where a stage trains them, with a copy in 16 bits if operations read that;
    /// else as the precision stores them.
    pub weights: u64,
    /// Gradients of what this stage trains: 4 bytes a value.
    pub gradients: u64,
    /// Its moments: twice 4 bytes.
    pub moments: u64,
    /// What is kept for the backward pass, and of nodes that keep nothing the largest.
    pub activations: u64,
    /// Gradients of activations and what operations take for themselves, the context included.
    pub workspace: u64,
}

impl CardMemory {
    /// All of it.
    pub fn total(self) -> u64 {
        let parts = [self.weights, self.gradients, self.moments, self.activations, self.workspace];
        sum(parts.into_iter())
    }
}

impl Schedule {
    /// What the stage takes of a card's memory.
    pub fn card_memory(&self) -> CardMemory {
        self.card_memory_with(self.batch, self.gradient_checkpointing)
    }

    fn card_memory_with(&self, batch: usize, checkpointing: bool) -> CardMemory {
        let (trained, _) = self.parameters();
        CardMemory {
            weights: self.weight_bytes(),
            gradients: trained.saturating_mul(4),
            moments: trained.saturating_mul(8),
            activations: self.activation_bytes_with(batch, checkpointing),
            workspace: self.workspace_bytes(batch).saturating_add(CONTEXT),
        }
    }

    /// Bytes of weights, gradients and optimiser moments.
    pub fn state_bytes(&self) -> u64 {
        let (trained, _) = self.parameters();
        self.weight_bytes().saturating_add(trained.saturating_mul(12))
    }

    fn weight_bytes(&self) -> u64 {
        let stored = self.precision.bytes();
        let copy = if stored < 4 { stored } else { 0 };
        sum(self.nodes.iter().map(|node| {
            let whole = node.parameters - node.parameters_settled;
            let settled = node.parameters_settled.saturating_mul(stored);
            whole.saturating_mul(4 + copy).saturating_add(settled)
        }))
    }

    /// Bytes of activations at the peak of a step: all that recording nodes keep, and the largest
    /// of those that keep nothing.
    pub fn activation_bytes(&self) -> u64 {
        self.activation_bytes_with(self.batch, self.gradient_checkpointing)
    }

    fn activation_bytes_with(&self, batch: usize, checkpointing: bool) -> u64 {
        let recording = self.nodes.iter().filter(|n| n.records).map(|n| n.cost);
        let recording = recording.fold(Cost::default(), |sum, cost| sum + cost);
        let kept = match checkpointing {
            true => recording.checkpointed_activations(),
            false => recording.activations,
        };
        let passing = self.nodes.iter().filter(|n| !n.records).map(|n| n.cost.activations).max();
        let values = kept.saturating_add(passing.unwrap_or(0));
        values.saturating_mul(self.precision.bytes().saturating_mul(batch as u64))
    }

    /// The gradients of a block's activations, which are there one block at a time.
    fn workspace_bytes(&self, batch: usize) -> u64 {
        let blocks = self.nodes.iter().filter(|n| n.records).map(|n| n.cost.largest_block);
        blocks.max().unwrap_or(0).saturating_mul(self.precision.bytes() * batch as u64)
    }

    /// The estimated peak memory of a training step, in bytes, apart from a card's workspace.
    pub fn peak_bytes(&self) -> u64 {
        self.state_bytes().saturating_add(self.activation_bytes())
    }

    /// What would fit on a card of `total` bytes, in words: a smaller batch (with more accumulation
    /// the result is the same), and with it gradient checkpointing.
    pub fn fitting(&self, total: u64) -> String {
        let most = |checkpointing| {
            let fits =
                |batch: &usize| self.card_memory_with(*batch, checkpointing).total() <= total;
            (1..=self.batch).rev().find(fits)
        };
        match (most(self.gradient_checkpointing), most(true)) {
            (Some(batch), _) if batch == self.batch => "it should fit".to_owned(),
            (Some(batch), None | Some(_)) if Some(batch) == most(true) => {
                format!("`batch: {batch}` would fit")
            }
            (Some(batch), Some(more)) => format!(
                "`batch: {batch}` would fit, or with `gradient_checkpointing: true` `batch: {more}`"
            ),
            (None, Some(more)) => {
                format!("`gradient_checkpointing: true` with `batch: {more}` would fit")
            }
            _ => "no batch of it fits; train less, or choose `precision: Bf16`".to_owned(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::tensor::Precision;

    /// A stage of one trained and one frozen node of a million parameters each, whose activations are
    /// a million values a sample.
    fn stage(precision: Precision, batch: usize) -> Schedule {
        let million = 1_000_000;
        let cost = Cost {
            activations: million,
            block_activations: million,
            block_inputs: million / 10,
            largest_block: million / 4,
            ..Cost::default()
        };
        let node = |trained: bool| super::super::Planned {
            id: "node".into(),
            plugin: "Plugin".into(),
            inputs: Vec::new(),
            output: crate::graph::Port::Loss,
            tiling: crate::graph::Tiling::default(),
            gives: String::new(),
            parameters: million,
            trained,
            parameters_trained: if trained { million } else { 0 },
            parameters_settled: if trained { 0 } else { million },
            records: trained,
            cost,
            kept: 0,
            injected_by: None,
            behind: false,
            index: petgraph::graph::NodeIndex::new(0),
        };
        Schedule {
            stage: "stage".into(),
            nodes: vec![node(false), node(true)],
            visual_tokens: 0,
            tiles: None,
            length: 0,
            batch,
            gradient_checkpointing: false,
            precision,
        }
    }

    #[test]
    fn a_card_holds_a_stage_at_its_precision() {
        let full = stage(Precision::F32, 8).card_memory();
        assert_eq!([full.weights, full.gradients, full.moments], [8_000_000, 4_000_000, 8_000_000]);
        assert_eq!(full.activations, 8 * 2 * 4_000_000, "what records keeps, what passes holds");
        assert_eq!(full.workspace, CONTEXT + 8 * 1_000_000);
        let half = stage(Precision::Bf16, 8).card_memory();
        assert_eq!(
            half.weights,
            6_000_000 + 2_000_000,
            "a copy of what is trained, half of the rest"
        );
        assert_eq!((half.gradients, half.moments), (full.gradients, full.moments));
        assert_eq!(2 * half.activations, full.activations);
    }

    #[test]
    fn what_fits_is_a_smaller_batch_or_one_with_checkpoints() {
        let stage = stage(Precision::F32, 64);
        assert_eq!(stage.fitting(u64::MAX), "it should fit");
        let total = stage.card_memory_with(16, false).total();
        let more = (1..=64).rev().find(|n| stage.card_memory_with(*n, true).total() <= total);
        let said = stage.fitting(total);
        assert!(said.starts_with("`batch: 16` would fit, or with"), "{said}");
        assert!(said.ends_with(&format!("`batch: {}`", more.unwrap())), "{said}");
        assert!(stage.fitting(CONTEXT).starts_with("no batch of it fits"));
    }
}
