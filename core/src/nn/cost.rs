//! What the common layers cost, for a plugin's `cost` promise: FLOPs of the forward pass (a
//! multiply-add is two) and the f32 values that stay alive until the backward pass.

use crate::registry::Cost;

/// A linear layer over `rows` positions.
pub fn linear(rows: usize, inputs: usize, outputs: usize) -> Cost {
    cost(2 * rows * inputs * outputs, rows * outputs)
}

/// Attention of `queries` over `keys` positions in heads that are `width` wide together, without
/// its projections. The score matrix is never stored.
pub fn attention(queries: usize, keys: usize, width: usize) -> Cost {
    cost(4 * queries * keys * width, queries * width)
}

/// A normalisation, an activation, a residual: what it computes is small, what it keeps is not.
pub fn pointwise(rows: usize, width: usize) -> Cost {
    cost(8 * rows * width, rows * width)
}

/// A convolution to `rows` positions; a depthwise one has one input channel.
pub fn convolution(rows: usize, kernel: usize, inputs: usize, outputs: usize) -> Cost {
    cost(2 * rows * kernel * kernel * inputs * outputs, rows * outputs)
}

/// The same layer `count` times.
pub fn times(count: usize, one: Cost) -> Cost {
    Cost { flops: one.flops * count as u64, activations: one.activations * count as u64 }
}

fn cost(flops: usize, activations: usize) -> Cost {
    Cost { flops: flops as u64, activations: activations as u64 }
}
