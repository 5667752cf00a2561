//! Attention with grouped queries, masks and an additive bias.

use super::require;
use crate::nn::device::attention as kernels;
use crate::tensor::{Result, Tensor};
use std::rc::Rc;

/// What each query sees, and how scores are scaled.
#[derive(Debug, Clone, Default)]
pub struct AttentionSpec {
    /// Whether a query sees no later key.
    pub causal: bool,
    /// What a score is multiplied by, usually `1 / sqrt(D)`.
    pub scale: f32,
    /// The position of query 0 among the keys: the length of the key/value cache.
    pub query_offset: usize,
    /// Valid keys of each batch element, the rest being padding on the right.
    pub key_lengths: Option<Rc<[usize]>>,
}

/// What is added to the scaled scores.
#[derive(Debug, Clone, Copy, Default)]
pub enum Bias<'a> {
    /// Nothing.
    #[default]
    None,
    /// `[B, H, Nq, Nk]` with 1 in place of any of them; leading axes may be missing. T5's and
    /// Swin's relative positions.
    Full(&'a Tensor),
    /// Rows `[B, H, Nq, Hk]` and columns `[B, H, Nq, Wk]` for keys on a grid of `Hk` by `Wk`: a
    /// key's row and its column add a value each. SAM's relative positions.
    Decomposed(&'a Tensor, &'a Tensor),
}

impl<'a> Bias<'a> {
    fn tensors(self) -> [Option<&'a Tensor>; 2] {
        match self {
            Bias::None => [None, None],
            Bias::Full(bias) => [Some(bias), None],
            Bias::Decomposed(rows, columns) => [Some(rows), Some(columns)],
        }
    }

    fn fits(self, [batch, heads, nq, nk]: [usize; 4]) -> bool {
        match self {
            Bias::None => true,
            Bias::Full(bias) => four_axes(bias.shape()).is_some_and(|axes| {
                axes.iter().zip([batch, heads, nq, nk]).all(|(&n, full)| n == 1 || n == full)
            }),
            Bias::Decomposed(rows, columns) => match (rows.shape(), columns.shape()) {
                ([b, h, n, height], [b2, h2, n2, width]) => {
                    [*b, *h, *n] == [batch, heads, nq]
                        && [*b2, *h2, *n2] == [batch, heads, nq]
                        && height * width == nk
                }
                _ => false,
            },
        }
    }
}

/// Attention of `q` `[B, Nq, H, D]` over `k`, `v` `[B, Nk, Hk, D]`, `H` a multiple of `Hk`; `bias`
/// is a [`Bias::Full`] one. A query that sees no key gets zeros.
///
/// # Errors
/// The shapes don't fit.
pub fn attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    bias: Option<&Tensor>,
    spec: &AttentionSpec,
) -> Result<Tensor> {
    attention_with(q, k, v, bias.map_or(Bias::None, Bias::Full), spec)
}

/// [`attention`] with any kind of bias.
///
/// # Errors
/// The shapes don't fit.
pub fn attention_with(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    bias: Bias<'_>,
    spec: &AttentionSpec,
) -> Result<Tensor> {
    let ([batch, nq, heads, d], [bk, nk, key_heads, dk]) =
        (q.dims("attention")?, k.dims("attention")?);
    let fits = bk == batch
        && dk == d
        && v.shape() == k.shape()
        && key_heads > 0
        && heads % key_heads == 0
        && spec.key_lengths.as_ref().is_none_or(|lengths| lengths.len() == batch)
        && bias.fits([batch, heads, nq, nk]);
    require("attention", fits, || {
        let (q, k, v) = (q.shape(), k.shape(), v.shape());
        format!("q {q:?}, k {k:?}, v {v:?}, bias {:?}, {spec:?}", bias.tensors())
    })?;
    let size = Size { batch, tokens: (nq, nk), heads: (heads, key_heads), width: d };
    let biases = bias.tensors();
    let shape = size.shape(spec, kernel_bias(biases));
    let (values, sums) = kernels::attention(shape, q.values(), k.values(), v.values());
    let slots = [q.slot(), k.slot(), v.slot()];
    let bias_slots = biases.map(|bias| bias.and_then(Tensor::slot));
    let saved = [q, k, v].map(Tensor::detached);
    let saved_bias = biases.map(|bias| bias.map(Tensor::detached));
    let inputs: Vec<_> = [q, k, v].into_iter().chain(biases.into_iter().flatten()).collect();
    let spec = spec.clone();
    Tensor::from_op_with(&inputs, values, q.shape(), move |out| {
        move |grads: &mut crate::tensor::Grads, gradient: crate::tensor::Buffer| {
            let biases = saved_bias.each_ref().map(Option::as_ref);
            let shape = size.shape(&spec, kernel_bias(biases));
            let [q, k, v] = saved.each_ref().map(Tensor::values);
            let saved = kernels::Saved { q, k, v, out: out.values(), sums: &sums };
            let wanted = bias_slots.iter().any(Option::is_some);
            let all = kernels::attention_backward(shape, saved, &gradient, wanted);
            for (slot, gradient) in slots.into_iter().zip([all.q, all.k, all.v]) {
                grads.add(slot, gradient);
            }
            grads.add(bias_slots[0], all.bias);
            grads.add(bias_slots[1], all.columns);
            Ok(())
        }
    })
}

/// What a kernel's shape is made of, beside the spec.
#[derive(Clone, Copy)]
struct Size {
    batch: usize,
    tokens: (usize, usize),
    heads: (usize, usize),
    width: usize,
}

impl Size {
    fn shape<'a>(self, spec: &'a AttentionSpec, bias: kernels::Bias<'a>) -> kernels::Shape<'a> {
        kernels::Shape {
            batch: self.batch,
            tokens: self.tokens,
            heads: self.heads,
            width: self.width,
            scale: spec.scale,
            causal: spec.causal,
            offset: spec.query_offset,
            lengths: spec.key_lengths.as_deref(),
            bias,
        }
    }
}

fn kernel_bias(tensors: [Option<&Tensor>; 2]) -> kernels::Bias<'_> {
    match tensors {
        [Some(rows), Some(columns)] => {
            let grid = (rows.rows().1, columns.rows().1);
            kernels::Bias::Decomposed { rows: rows.values(), columns: columns.values(), grid }
        }
        [Some(bias), None] => {
            let axes = four_axes(bias.shape()).unwrap_or([1; 4]);
            kernels::Bias::Full { values: bias.values(), axes }
        }
        [None, _] => kernels::Bias::None,
    }
}

fn four_axes(shape: &[usize]) -> Option<[usize; 4]> {
    let mut axes = [1; 4];
    axes.get_mut(4_usize.checked_sub(shape.len())?..)?.copy_from_slice(shape);
    Some(axes)
}
