//! What the common layers cost, for a plugin's `cost` promise: FLOPs of the forward pass (a
//! multiply-add is two) and the f32 values that stay alive until the backward pass.

use crate::registry::Cost;

/// A linear layer over `rows` positions.
pub fn linear(rows: usize, inputs: usize, outputs: usize) -> Cost {
    cost(&[2, rows, inputs, outputs], &[rows, outputs])
}

/// Attention of `queries` over `keys` positions in heads that are `width` wide together, without
/// its projections. The score matrix is never stored.
pub fn attention(queries: usize, keys: usize, width: usize) -> Cost {
    cost(&[4, queries, keys, width], &[queries, width])
}

/// A normalisation, an activation, a residual: what it computes is small, what it keeps is not.
pub fn pointwise(rows: usize, width: usize) -> Cost {
    cost(&[8, rows, width], &[rows, width])
}

/// A convolution to `rows` positions; a depthwise one has one input channel.
pub fn convolution(rows: usize, kernel: usize, inputs: usize, outputs: usize) -> Cost {
    cost(&[2, rows, kernel, kernel, inputs, outputs], &[rows, outputs])
}

/// The same layer `count` times.
pub fn times(count: usize, one: Cost) -> Cost {
    let times = |n: u64| n.saturating_mul(count as u64);
    Cost { flops: times(one.flops), activations: times(one.activations) }
}

fn cost(flops: &[usize], activations: &[usize]) -> Cost {
    // Sizes that no machine could hold stay wrong and don't become small.
    let product = |sizes: &[usize]| {
        sizes.iter().fold(1, |product: u64, size| product.saturating_mul(*size as u64))
    };
    Cost { flops: product(flops), activations: product(activations) }
}
