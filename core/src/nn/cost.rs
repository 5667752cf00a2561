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
    Cost {
        flops: times(one.flops),
        activations: times(one.activations),
        block_flops: times(one.block_flops),
        block_activations: times(one.block_activations),
        block_inputs: times(one.block_inputs),
        largest_block: one.largest_block,
    }
}

/// The same module over `count` inputs at once, such as the tiles of a picture.
pub fn over(count: usize, one: Cost) -> Cost {
    let largest_block = one.largest_block.saturating_mul(count as u64);
    Cost { largest_block, ..times(count, one) }
}

/// The same block `count` times, each over `rows` positions of `width` channels and run through
/// `layers::checkpointed`.
pub fn blocks(count: usize, (rows, width): (usize, usize), one: Cost) -> Cost {
    let all = times(count, one);
    Cost {
        block_flops: all.flops,
        block_activations: all.activations,
        block_inputs: times(count, cost(&[], &[rows, width])).activations,
        largest_block: one.activations,
        ..all
    }
}

fn cost(flops: &[usize], activations: &[usize]) -> Cost {
    // Sizes that no machine could hold stay wrong and don't become small.
    let product = |sizes: &[usize]| {
        sizes.iter().fold(1, |product: u64, size| product.saturating_mul(*size as u64))
    };
    Cost { flops: product(flops), activations: product(activations), ..Cost::default() }
}
