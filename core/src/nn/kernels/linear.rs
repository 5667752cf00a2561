//! `activation(x w^T + bias)`: products in fixed chunks of rows, bias and activation applied while
//! a chunk is in cache.

use super::activation::{activate_in_place, activate_to, slope_in_place};
use super::elementwise::sum_rows;
use super::gemm::{Mat, gemm};
use super::memory::{chunked, part, rows_per_chunk, split_rows, uninit};
use super::simd::{LANES, simd};
use crate::nn::ops::Activation;

/// Rows of a chunk: enough for the product's inner loop, few enough to feed every thread.
fn block(rows: usize) -> usize {
    (rows / 8).next_multiple_of(16).clamp(64, 256)
}

/// The transpose of `x` `[rows, cols]`.
///
/// A product whose right side is stored transposed packs it element by element, once per chunk of
/// rows; transposing it first, once, and in strips that fill cache lines, is several times faster.
pub fn transposed(x: &[f32], rows: usize, cols: usize) -> Vec<f32> {
    let mut out = uninit(x.len());
    let strip = rows_per_chunk(rows);
    chunked(&mut out, strip * rows, |i, out| transpose_strip(out, x, rows, cols, i * strip));
    out
}

simd! {
    /// Columns of `x` `[rows, cols]` from `first` on, as rows of `out`.
    fn transpose_strip(out: &mut [f32], x: &[f32], rows: usize, cols: usize, first: usize) {
        let count = out.len() / rows.max(1);
        let full = rows / LANES * LANES;
        for row in (0..full).step_by(LANES) {
            for i in 0..count {
                let to = &mut out[i * rows + row..][..LANES];
                for (j, to) in to.iter_mut().enumerate() {
                    *to = x[(row + j) * cols + first + i];
                }
            }
        }
        for i in 0..count {
            for row in full..rows {
                out[i * rows + row] = x[row * cols + first + i];
            }
        }
    }
    fn add_bias(rows: &mut [f32], bias: &[f32]) {
        for row in rows.chunks_exact_mut(bias.len()) {
            for (value, bias) in row.iter_mut().zip(bias) {
                *value += bias;
            }
        }
    }
}

/// `activation(x w^T + bias)` for `x` `[m, k]` and `w` `[n, k]`; with `keep`, the values before the
/// activation, too, which its backward pass needs.
pub fn linear(
    (m, n, k): (usize, usize, usize),
    x: &[f32],
    w: &[f32],
    bias: Option<&[f32]>,
    activation: Activation,
    keep: bool,
) -> (Vec<f32>, Option<Vec<f32>>) {
    let rows = block(m);
    // Turning a large weight doesn't pay for few rows; a small one is turned for the sake of bits
    // that don't depend on the number of rows (see `gemm`).
    let turn = m >= 32 || n * k <= 1 << 16 || m * n <= 256;
    let turned = if turn { transposed(w, n, k) } else { Vec::new() };
    let right = if turn { Mat::rows(&turned, n) } else { Mat::rows(w, k).t() };
    let product = |i: usize, out: &mut [f32]| {
        let x = part(x, i, rows * k);
        gemm((out.len() / n, n, k), out, n, false, Mat::rows(x, k), right, 1.0);
        if let Some(bias) = bias {
            add_bias(out, bias);
        }
    };
    let mut out = uninit(m * n);
    if n == 0 {
        return (out, None);
    }
    if !keep || activation == Activation::None {
        chunked(&mut out, rows * n, |i, out| {
            product(i, out);
            activate_in_place(out, activation);
        });
        return (out, None);
    }
    let mut before = uninit(m * n);
    split_rows((&mut before, rows * n), (&mut out, rows * n), |i, before, out| {
        product(i, before);
        activate_to(out, before, activation);
    });
    (out, Some(before))
}

/// Turns the gradient of the output into that of the product, and gives that of the input.
pub fn linear_backward_input(
    (m, n, k): (usize, usize, usize),
    gradient: &mut [f32],
    before: Option<&[f32]>,
    activation: Activation,
    w: &[f32],
) -> Vec<f32> {
    let rows = block(m);
    let mut dx = uninit(m * k);
    split_rows((&mut dx, rows * k), (gradient, rows * n), |i, dx, gradient| {
        if let Some(before) = before {
            slope_in_place(gradient, part(before, i, rows * n), activation);
        }
        let (dy, w) = (Mat::rows(gradient, n), Mat::rows(w, k));
        gemm((dx.len() / k.max(1), k, n), dx, k, false, dy, w, 1.0);
    });
    dx
}

/// The gradient of the weight: `gradient^T x`, cut along the outputs.
pub fn linear_backward_weight(
    (m, n, k): (usize, usize, usize),
    gradient: &[f32],
    x: &[f32],
) -> Vec<f32> {
    let mut dw = uninit(n * k);
    let cols = if n >= 256 { 32 } else { 16 };
    chunked(&mut dw, cols * k, |i, dw| {
        let dy = Mat { data: &gradient[(i * cols).min(gradient.len())..], row: n, col: 1 };
        gemm((dw.len() / k, k, m), dw, k, false, dy.t(), Mat::rows(x, k), 1.0);
    });
    dw
}

/// The gradient of the bias.
pub fn linear_backward_bias(gradient: &[f32], n: usize) -> Vec<f32> {
    sum_rows(gradient, n)
}

/// `batch` products of `[m, k]` by `[k, n]` matrices; each operand may be stored transposed.
pub fn batched(
    batch: usize,
    (m, n, k): (usize, usize, usize),
    (a, a_transposed): (&[f32], bool),
    (b, b_transposed): (&[f32], bool),
) -> Vec<f32> {
    let mut out = uninit(batch * m * n);
    let rows = if batch >= 8 { m } else { block(m) }.max(1);
    let tasks = m.div_ceil(rows);
    let chunks: Vec<_> = out.chunks_mut((m * n).max(1)).enumerate().collect();
    let chunks: Vec<_> = chunks
        .into_iter()
        .flat_map(|(i, out)| out.chunks_mut((rows * n).max(1)).enumerate().map(move |c| (i, c)))
        .collect();
    debug_assert!(chunks.len() <= batch * tasks);
    use rayon::prelude::*;
    chunks.into_par_iter().for_each(|(i, (j, out))| {
        let (a, b) = (&a[i * m * k..(i + 1) * m * k], &b[i * k * n..(i + 1) * k * n]);
        let a = if a_transposed {
            Mat { data: &a[(j * rows).min(a.len())..], row: 1, col: m }
        } else {
            Mat::rows(&a[(j * rows * k).min(a.len())..], k)
        };
        let b = if b_transposed { Mat::rows(b, k).t() } else { Mat::rows(b, n) };
        gemm((out.len() / n, n, k), out, n, false, a, b, 1.0);
    });
    out
}
