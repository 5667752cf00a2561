//! Kernels whose twins on the card take or give something else: they don't write where they read, and
//! the gradients of parameters are f32 beside values of 16 bits.

use super::done;
use crate::nn::kernels::AdamW;
use crate::nn::kernels::cuda::{self, Buffer, Kind};
use crate::nn::kernels::norm::Wanted;
use crate::nn::ops::Activation;

type Size = (usize, usize, usize);

/// `y += x`. A sum of 16 and 32 bits has 32.
pub fn add_assign(y: &mut Buffer, x: &Buffer) {
    if y.kind() == Kind::F32 || y.kind() == x.kind() {
        return done(cuda::elementwise::add_assign(y, x));
    }
    let mut sum = done(x.cast(Kind::F32));
    done(cuda::elementwise::add_assign(&mut sum, y));
    *y = sum;
}

/// A copy.
pub fn copy(x: &Buffer) -> Buffer {
    done(x.copy())
}

/// `x` by a factor that lies on the card, a single value.
pub fn scale_by(mut x: Buffer, factor: &Buffer) -> Buffer {
    done(cuda::elementwise::scale_assign(&mut x, Some(factor), 1.0));
    x
}

/// Turns the gradient of an activation into that of its input `x`.
pub fn activate_backward(gradient: &mut Buffer, x: &Buffer, activation: Activation) {
    *gradient = done(cuda::activation::activate_backward(gradient, x, activation));
}

/// Turns the gradient of the output into that of the product, and gives that of the input.
pub fn linear_backward_input(
    size: Size,
    gradient: &mut Buffer,
    before: Option<&Buffer>,
    activation: Activation,
    w: &Buffer,
) -> Buffer {
    let of = cuda::linear::linear_backward_input(size, gradient, before, activation, w);
    let (dx, of_product) = done(of);
    if let Some(of_product) = of_product {
        *gradient = of_product;
    }
    dx
}

/// The gradient of the weight, in f32.
pub fn linear_backward_weight((m, n, k): Size, gradient: &Buffer, x: &Buffer) -> Buffer {
    let mut dw = done(x.gpu().uninit(Kind::F32, n * k));
    done(cuda::linear::linear_backward_weight_into((m, n, k), gradient, x, &mut dw, false));
    dw
}

/// The gradients of layer norm's input, weight and bias.
pub fn layer_norm_backward(
    gradient: &Buffer,
    stats: &Buffer,
    x: &Buffer,
    w: &Buffer,
    wanted: Wanted,
) -> (Buffer, Buffer, Buffer) {
    let (dx, both) = done(cuda::norm::layer_norm_backward(gradient, stats, x, w, wanted));
    if both.is_empty() {
        return (dx, done(both.uninit_like(0)), both);
    }
    let width = w.len();
    let part = |at| done(cuda::rows::narrow(&both, 1, 2 * width, at, width));
    (dx, part(0), part(width))
}

/// Adds the rows of `gradient` to those of `table` that `rows` names.
pub fn scatter_add(table: &mut Buffer, width: usize, rows: &[Option<usize>], gradient: &Buffer) {
    done(cuda::rows::scatter_add(table, width, rows, gradient));
}

/// One step of AdamW on the card.
pub fn adamw(
    param: &mut Buffer,
    grad: &Buffer,
    m: &mut Buffer,
    v: &mut Buffer,
    settings: &AdamW,
    grad_scale: f32,
) {
    done(cuda::adamw::adamw(param, grad, m, v, settings, grad_scale, None));
}

/// The sum of the squares of each of `all`.
pub fn sums_of_squares(all: &[&Buffer]) -> Vec<f64> {
    done(cuda::adamw::sums_of_squares(all))
}
