//! Attention on the card: [`super::super::kernels::attention`] with buffers in place of slices.

use super::done;
use crate::nn::kernels::cuda::attention as card;
use crate::nn::kernels::cuda::{Buffer, Indices};

pub use card::{Bias, Gradients, Saved};

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

impl<'a> Shape<'a> {
    fn lengths(&self, like: &Buffer) -> Option<Indices> {
        let length = |&length: &usize| length.min(self.tokens.1) as i32;
        let lengths: Vec<i32> = self.lengths?.iter().map(length).collect();
        Some(done(Indices::upload(like.gpu(), &lengths)))
    }

    fn with(self, lengths: Option<&'a Indices>) -> card::Shape<'a> {
        let Shape { batch, tokens, heads, width, scale, causal, offset, bias, .. } = self;
        card::Shape { batch, tokens, heads, width, scale, causal, offset, lengths, bias }
    }
}

/// Attention; also every query's log-sum-exp, for the backward pass.
pub fn attention(s: Shape<'_>, q: &Buffer, k: &Buffer, v: &Buffer) -> (Buffer, Buffer) {
    let lengths = s.lengths(q);
    done(card::attention(&s.with(lengths.as_ref()), q, k, v))
}

/// The gradients of queries, keys and values, and of the bias where that is wanted.
pub fn attention_backward(
    s: Shape<'_>,
    saved: Saved<'_>,
    gradient: &Buffer,
    bias_wanted: bool,
) -> Gradients {
    let lengths = s.lengths(gradient);
    done(card::attention_backward(&s.with(lengths.as_ref()), saved, gradient, bias_wanted))
}
