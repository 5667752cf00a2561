//! `activation(x w^T + bias)` and batched products, through cuBLAS.

use super::activation::{activate_backward, bias_activate};
use super::call::Product;
use super::elementwise::sum_rows;
use super::{Buffer, Kind, Result};
use crate::nn::ops::Activation;

/// An operand, and whether it is stored transposed.
type Operand<'a> = (&'a Buffer, bool);

fn product<'a>(size: (usize, usize, usize), a: Operand<'a>, b: Operand<'a>) -> Product<'a> {
    Product { batch: 1, size, a, b, start: [0; 3], accumulate: false }
}

/// `activation(x w^T + bias)` for `x` `[m, k]` and `w` `[n, k]`; with `keep`, the values before the
/// activation, too, which its backward pass needs.
///
/// # Errors
/// The card has no room.
pub fn linear(
    (m, n, k): (usize, usize, usize),
    x: &Buffer,
    w: &Buffer,
    bias: Option<&Buffer>,
    activation: Activation,
    keep: bool,
) -> Result<(Buffer, Option<Buffer>)> {
    let mut out = x.uninit_like(m * n)?;
    x.gpu().product(&product((m, n, k), (x, false), (w, true)), &mut out, 1.0)?;
    let keep = keep && activation != Activation::None;
    let mut before = keep.then(|| x.uninit_like(m * n)).transpose()?;
    bias_activate(&mut out, before.as_mut(), bias, activation)?;
    Ok((out, before))
}

/// The gradient of the input, and where there is an activation that of the product, which takes
/// `gradient`'s place from there on.
///
/// # Errors
/// The card has no room.
pub fn linear_backward_input(
    (m, n, k): (usize, usize, usize),
    gradient: &Buffer,
    before: Option<&Buffer>,
    activation: Activation,
    w: &Buffer,
) -> Result<(Buffer, Option<Buffer>)> {
    let of_product =
        before.map(|before| activate_backward(gradient, before, activation)).transpose()?;
    let mut dx = w.uninit_like(m * k)?;
    let dy = of_product.as_ref().unwrap_or(gradient);
    w.gpu().product(&product((m, k, n), (dy, false), (w, false)), &mut dx, 1.0)?;
    Ok((dx, of_product))
}

/// The gradient of the weight, `gradient^T x`, of f32.
///
/// # Errors
/// The card has no room.
pub fn linear_backward_weight(
    (m, n, k): (usize, usize, usize),
    gradient: &Buffer,
    x: &Buffer,
) -> Result<Buffer> {
    let mut dw = x.gpu().uninit(Kind::F32, n * k)?;
    x.gpu().product(&product((n, k, m), (gradient, true), (x, false)), &mut dw, 1.0)?;
    Ok(dw)
}

/// The gradient of the weight, added to `dw`, of f32.
///
/// # Errors
/// The product failed.
pub fn linear_backward_weight_add(
    (m, n, k): (usize, usize, usize),
    gradient: &Buffer,
    x: &Buffer,
    dw: &mut Buffer,
) -> Result<()> {
    let sum = Product { accumulate: true, ..product((n, k, m), (gradient, true), (x, false)) };
    x.gpu().product(&sum, dw, 1.0)
}

/// The gradient of the bias, of f32.
///
/// # Errors
/// The card has no room.
pub fn linear_backward_bias(gradient: &Buffer, n: usize) -> Result<Buffer> {
    sum_rows(gradient, n)
}

/// `batch` products of `[m, k]` by `[k, n]` matrices; each operand may be stored transposed.
///
/// # Errors
/// The card has no room.
pub fn batched(
    batch: usize,
    (m, n, k): (usize, usize, usize),
    a: Operand<'_>,
    b: Operand<'_>,
) -> Result<Buffer> {
    let mut out = a.0.uninit_like(batch * m * n)?;
    let p = Product { batch, ..product((m, n, k), a, b) };
    a.0.gpu().product(&p, &mut out, 1.0)?;
    Ok(out)
}
