//! Kernels whose twins on the card take or give something else: they don't write where they read, and
//! the gradients of parameters are f32 beside values of 16 bits.

use super::done;
use crate::nn::kernels::AdamW;
use crate::nn::kernels::cuda::{self, Buffer, Kind};
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

/// Rows of two tables, as `rows` and `others` name them.
pub fn gather_two(
    (first, rows): (&Buffer, &[Option<usize>]),
    (second, others): (&Buffer, &[Option<usize>]),
    width: usize,
) -> Buffer {
    done(cuda::rows::gather_two((first, rows), Some((second, others)), width))
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
    done(cuda::adamw::adamw(param, grad, (m, v), None, settings, grad_scale));
}

/// The sum of the squares of each of `all`.
pub fn sums_of_squares(all: &[&Buffer]) -> Vec<f64> {
    done(cuda::adamw::sums_of_squares(all))
}
