//! Linear layers and batched products.

use super::{Activation, require};
use crate::nn::device::activation::activate_backward;
use crate::nn::device::linear as kernels;
use crate::tensor::{Result, Tensor, Values};

/// `activation(x weight^T + bias)`: `x` `[.., in]`, `weight` `[out, in]`, `bias` `[out]`.
///
/// # Errors
/// The shapes don't fit.
pub fn linear(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    activation: Activation,
) -> Result<Tensor> {
    let [n, k] = weight.dims("linear")?;
    let m = x.rows().0;
    let fits = x.shape().last() == Some(&k) && bias.is_none_or(|bias| bias.shape() == [n]);
    require("linear", fits, || {
        let bias = bias.map(Tensor::shape);
        format!("x {:?}, weight {:?}, bias {bias:?}", x.shape(), weight.shape())
    })?;
    let mut shape = x.shape().to_vec();
    shape.pop();
    shape.push(n);
    let inputs: Vec<_> = [Some(x), Some(weight), bias].into_iter().flatten().collect();
    let records = inputs.iter().any(|input| input.records());
    let (size, own) = ((m, n, k), bias.map(Tensor::values));
    let (values, before) =
        kernels::linear(size, x.values(), weight.values(), own, activation, records);
    let slots = (x.slot(), weight.slot(), bias.and_then(Tensor::slot));
    let saved_x = weight.slot().map(|_| x.detached());
    let saved_w = x.slot().map(|_| weight.detached());
    Tensor::from_op(&inputs, values, &shape, move |grads, mut gradient| {
        let before = before.as_ref().map(|before| -> &Values { before });
        match (&saved_w, before) {
            (Some(w), _) => {
                let dx = kernels::linear_backward_input(
                    size,
                    &mut gradient,
                    before,
                    activation,
                    w.values(),
                );
                grads.add(slots.0, dx);
            }
            (None, Some(before)) => activate_backward(&mut gradient, before, activation),
            (None, None) => {}
        }
        if let Some(x) = &saved_x {
            let dw = kernels::linear_backward_weight(size, &gradient, x.values());
            grads.add(slots.1, dw);
        }
        if slots.2.is_some() {
            grads.add(slots.2, kernels::linear_backward_bias(&gradient, n));
        }
        Ok(())
    })
}

/// `a b`, batched over equal leading axes: `[.., m, k]` by `[.., k, n]`.
///
/// # Errors
/// The shapes don't fit.
pub fn matmul(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (sa, sb) = (a.shape(), b.shape());
    let fits = sa.len() >= 2
        && sa.len() == sb.len()
        && sa[..sa.len() - 2] == sb[..sb.len() - 2]
        && sa[sa.len() - 1] == sb[sb.len() - 2];
    require("matmul", fits, || format!("{sa:?} by {sb:?}"))?;
    let axes = sa.len();
    let (m, k, n) = (sa[axes - 2], sa[axes - 1], sb[axes - 1]);
    let batch: usize = sa[..axes - 2].iter().product();
    let mut shape = sa.to_vec();
    shape[axes - 1] = n;
    let values = kernels::batched(batch, (m, n, k), (a.values(), false), (b.values(), false));
    let slots = (a.slot(), b.slot());
    let saved_a = b.slot().map(|_| a.detached());
    let saved_b = a.slot().map(|_| b.detached());
    Tensor::from_op(&[a, b], values, &shape, move |grads, gradient| {
        if let Some(b) = saved_b {
            let da = kernels::batched(batch, (m, k, n), (&gradient, false), (b.values(), true));
            grads.add(slots.0, da);
        }
        if let Some(a) = saved_a {
            let db = kernels::batched(batch, (k, n, m), (a.values(), true), (&gradient, false));
            grads.add(slots.1, db);
        }
        Ok(())
    })
}
