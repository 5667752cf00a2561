//! What a plugin promises before anything is allocated: shapes and costs, or why it can't.

use serde::Serialize;

/// Why a configuration can't do what is asked of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Misfit {
    /// The field at fault, if it is one.
    pub field: Option<&'static str>,
    /// The input at fault, by its position in `from`, if it is one.
    pub input: Option<usize>,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
}

impl Misfit {
    /// A misfit of the whole configuration.
    pub fn new(message: impl Into<String>) -> Self {
        Misfit { field: None, input: None, message: message.into(), help: None }
    }

    /// A misfit of one field.
    pub fn field(field: &'static str, message: impl Into<String>) -> Self {
        Misfit { field: Some(field), ..Misfit::new(message) }
    }

    /// A misfit of the input at `position` in `from`.
    pub fn input(position: usize, message: impl Into<String>) -> Self {
        Misfit { input: Some(position), ..Misfit::new(message) }
    }

    /// Says what would be right.
    #[must_use]
    pub fn help(self, help: impl Into<String>) -> Self {
        Misfit { help: Some(help.into()), ..self }
    }
}

/// The promise of a feature map: `tokens` vectors of `width`, on `grid` where they lie on one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MapShape {
    /// Rows and columns; `None` when the tokens don't lie on a grid (a kept class token).
    pub grid: Option<(usize, usize)>,
    /// Vectors per image.
    pub tokens: usize,
    /// Channels.
    pub width: usize,
    /// The stages before the last of a hierarchical encoder, highest resolution first:
    /// (rows, columns, channels).
    pub pyramid: Vec<(usize, usize, usize)>,
    /// The blocks after which a [`Tap`](super::Tap) sees a map of this width, its last vectors on
    /// this grid; 0 where the blocks' outputs have other shapes. A fusion can inject only between
    /// such blocks.
    #[serde(skip)]
    pub blocks: usize,
}

impl MapShape {
    /// A map on a grid, without a pyramid.
    pub fn on_grid(grid: (usize, usize), width: usize) -> Self {
        MapShape {
            grid: Some(grid),
            tokens: grid.0 * grid.1,
            width,
            pyramid: Vec::new(),
            blocks: 0,
        }
    }

    /// The stages of the pyramid, and then the map itself: (rows, columns, channels).
    pub fn levels(&self) -> Vec<(usize, usize, usize)> {
        let (h, w) = self.grid.unwrap_or((self.tokens, 1));
        let mut levels = self.pyramid.clone();
        levels.push((h, w, self.width));
        levels
    }

    /// Promises `blocks` blocks that all give maps of this grid and width, so that a fusion may
    /// inject between them.
    #[must_use]
    pub fn with_blocks(self, blocks: usize) -> Self {
        MapShape { blocks, ..self }
    }
}

/// The promise of visual tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TokensShape {
    /// Tokens per image.
    pub tokens: usize,
    /// Channels.
    pub width: usize,
}

/// What one forward pass costs, per sample.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// Floating-point operations of the forward pass (a multiply-add is two).
    pub flops: u64,
    /// f32 values that stay alive for the backward pass.
    pub activations: u64,
    /// The part of `flops` in blocks that gradient checkpointing computes twice.
    pub block_flops: u64,
    /// The part of `activations` in such blocks.
    pub block_activations: u64,
    /// The values that the blocks keep under gradient checkpointing: their inputs.
    pub block_inputs: u64,
    /// The activations of the largest such block, which lives again in the backward pass.
    pub largest_block: u64,
}

impl Cost {
    /// The f32 values that stay alive under gradient checkpointing, the block counted whose turn it
    /// is.
    pub fn checkpointed_activations(&self) -> u64 {
        let outside = self.activations.saturating_sub(self.block_activations);
        outside.saturating_add(self.block_inputs).saturating_add(self.largest_block)
    }
}

impl std::ops::Add for Cost {
    type Output = Cost;
    fn add(self, other: Cost) -> Cost {
        Cost {
            flops: self.flops.saturating_add(other.flops),
            activations: self.activations.saturating_add(other.activations),
            block_flops: self.block_flops.saturating_add(other.block_flops),
            block_activations: self.block_activations.saturating_add(other.block_activations),
            block_inputs: self.block_inputs.saturating_add(other.block_inputs),
            largest_block: self.largest_block.max(other.largest_block),
        }
    }
}
