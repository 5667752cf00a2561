//! Attention with grouped queries, masks and an additive bias.

use super::require;
use crate::nn::kernels::attention as kernels;
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

/// Attention of `q` `[B, Nq, H, D]` over `k`, `v` `[B, Nk, Hk, D]`, `H` a multiple of `Hk`; `bias`
/// is added to the scaled scores, `[B, H, Nq, Nk]` with 1 in place of any of them (leading axes may
/// be missing). A query that sees no key gets zeros.
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
    let ([batch, nq, heads, d], [bk, nk, key_heads, dk]) =
        (q.dims("attention")?, k.dims("attention")?);
    let bias_shape = bias.map_or(Some([1; 4]), |bias| four_axes(bias.shape()));
    let full = [batch, heads, nq, nk];
    let fits = bk == batch
        && dk == d
        && v.shape() == k.shape()
        && key_heads > 0
        && heads % key_heads == 0
        && spec.key_lengths.as_ref().is_none_or(|lengths| lengths.len() == batch)
        && bias_shape.is_some_and(|s| s.iter().zip(full).all(|(&s, full)| s == 1 || s == full));
    require("attention", fits, || {
        let (q, k, v, bias) = (q.shape(), k.shape(), v.shape(), bias.map(Tensor::shape));
        format!("q {q:?}, k {k:?}, v {v:?}, bias {bias:?}, {spec:?}")
    })?;
    let (spec, bias_shape) = (spec.clone(), bias_shape.unwrap_or([1; 4]));
    let size = move |spec: &AttentionSpec| kernels::Shape {
        batch,
        tokens: (nq, nk),
        heads: (heads, key_heads),
        width: d,
        scale: spec.scale,
        causal: spec.causal,
        offset: spec.query_offset,
        lengths: None,
        bias: bias_shape,
    };
    let lengths = spec.key_lengths.clone();
    let (values, sums) = {
        let bias = bias.map(Tensor::host);
        let size = kernels::Shape { lengths: lengths.as_deref(), ..size(&spec) };
        kernels::attention(size, &q.host(), &k.host(), &v.host(), bias.as_deref())
    };
    let slots = [q.slot(), k.slot(), v.slot(), bias.and_then(Tensor::slot)];
    let saved = [Some(q), Some(k), Some(v), bias].map(|x| x.map(Tensor::detached));
    let inputs: Vec<_> = [Some(q), Some(k), Some(v), bias].into_iter().flatten().collect();
    Tensor::from_op_with(&inputs, values, q.shape(), move |out| {
        move |grads: &mut crate::tensor::Grads, gradient: Vec<f32>| {
            let [Some(q), Some(k), Some(v), bias] = &saved else { return Ok(()) };
            let (q, k, v, out) = (q.host(), k.host(), v.host(), out.host());
            let bias = bias.as_ref().map(Tensor::host);
            let size = kernels::Shape { lengths: lengths.as_deref(), ..size(&spec) };
            let saved = kernels::Saved {
                q: &q,
                k: &k,
                v: &v,
                bias: bias.as_deref(),
                out: &out,
                sums: &sums,
            };
            let gradients = kernels::attention_backward(size, saved, &gradient, slots[3].is_some());
            for (slot, gradient) in slots.into_iter().zip(gradients) {
                grads.add(slot, gradient);
            }
            Ok(())
        }
    })
}

fn four_axes(shape: &[usize]) -> Option<[usize; 4]> {
    let mut axes = [1; 4];
    axes.get_mut(4_usize.checked_sub(shape.len())?..)?.copy_from_slice(shape);
    Some(axes)
}
