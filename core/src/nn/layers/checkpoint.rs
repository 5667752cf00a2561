//! Activation checkpointing of a block.

use crate::tensor::{Result, Tensor};

/// `forward(block, x)`. Where the stage says `gradient_checkpointing`, only `x` is kept for the
/// backward pass, which computes the block again: `checkpointed(block, &x, Block::forward)`.
///
/// A block is its parameters, so that cloning it is cheap. `forward` must give the same values each
/// time, and take no gradient to any tensor but `x` and the parameters.
///
/// # Errors
/// What `forward` reports.
pub fn checkpointed<M: Clone + 'static>(
    block: &M,
    x: &Tensor,
    forward: impl Fn(&M, &Tensor) -> Result<Tensor> + 'static,
) -> Result<Tensor> {
    if !x.checkpoints() {
        return forward(block, x);
    }
    let block = block.clone();
    x.checkpointed(move |x| forward(&block, x))
}
