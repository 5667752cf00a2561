//! Attention, block of queries by block of queries: no more scores at a time than one block's.
//!
//! The backward pass recomputes a block's probabilities from the saved log-sum-exp. It runs one
//! task per batch element and key head, since those share the gradients of keys and values.

mod backward;
mod bias;
mod forward;

pub use backward::{Gradients, Saved, attention_backward};
pub use bias::Bias;
pub use forward::attention;

use super::memory::Shared;
use super::simd::{LANES, simd};

/// The sizes of an attention and what each query may see.
#[derive(Debug, Clone, Copy)]
pub struct Shape<'a> {
    /// Batch elements.
    pub batch: usize,
    /// Queries, and keys.
    pub tokens: (usize, usize),
    /// Heads of the queries, and of keys and values.
    pub heads: (usize, usize),
    /// Channels of a head.
    pub width: usize,
    /// What a score is multiplied by.
    pub scale: f32,
    /// Whether a query sees no later key.
    pub causal: bool,
    /// The position of query 0 among the keys.
    pub offset: usize,
    /// Valid keys of each batch element.
    pub lengths: Option<&'a [usize]>,
    /// What is added to the scaled scores.
    pub bias: Bias<'a>,
}

impl Shape<'_> {
    /// Queries of a block: about 64 thousand scores. A block computes what any of its queries sees,
    /// so that short causal sequences have smaller ones.
    fn block(&self) -> usize {
        let most = if self.causal && self.tokens.1 <= 256 { 48 } else { 128 };
        (65_536 / self.tokens.1.max(1)).clamp(16, most).min(self.tokens.0.max(1))
    }

    /// Keys that any of the queries before `end` may see.
    fn visible(&self, b: usize, end: usize) -> usize {
        let length = self.lengths.map_or(self.tokens.1, |lengths| lengths[b].min(self.tokens.1));
        if self.causal { length.min(self.offset + end) } else { length }
    }
}

simd! {
    /// `n` rows of `width` values, `stride` apart, as the columns of `out`.
    fn turn(out: &mut [f32], x: &[f32], n: usize, stride: usize, width: usize) {
        for first in (0..n).step_by(LANES) {
            let count = LANES.min(n - first);
            for i in 0..width {
                let out = &mut out[i * n + first..][..count];
                for (j, out) in out.iter_mut().enumerate() {
                    *out = x[(first + j) * stride + i];
                }
            }
        }
    }
}
