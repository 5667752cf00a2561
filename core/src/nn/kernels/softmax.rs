//! Softmax over rows.

use super::memory::{chunked, part, rows_per_chunk, uninit};
use super::simd::{exp, max_of, simd, sum_of, sum_of_pairs};

simd! {
    fn softmax_row(y: &mut [f32], x: &[f32]) {
        let max = max_of(x);
        for (y, x) in y.iter_mut().zip(x) {
            *y = exp::<FMA>(*x - max);
        }
        let factor = 1.0 / sum_of(y, |y| y);
        for y in y {
            *y *= factor;
        }
    }
    fn slope_row(dx: &mut [f32], gradient: &[f32], y: &[f32]) {
        let mean = sum_of_pairs(gradient, y, |gradient, y| gradient * y);
        for ((dx, gradient), y) in dx.iter_mut().zip(gradient).zip(y) {
            *dx = y * (gradient - mean);
        }
    }
}

/// The softmax of each row of `x`, `width` wide.
pub fn softmax(x: &[f32], width: usize) -> Vec<f32> {
    let size = rows_per_chunk(width) * width.max(1);
    let mut out = uninit(x.len());
    chunked(&mut out, size, |i, out| {
        for (out, x) in out.chunks_mut(width).zip(part(x, i, size).chunks(width)) {
            softmax_row(out, x);
        }
    });
    out
}

/// The gradient of the input, from the softmax `y` itself.
pub fn softmax_backward(gradient: &[f32], y: &[f32], width: usize) -> Vec<f32> {
    let size = rows_per_chunk(width) * width.max(1);
    let mut out = uninit(y.len());
    chunked(&mut out, size, |i, out| {
        let rows = part(gradient, i, size).chunks(width).zip(part(y, i, size).chunks(width));
        for (out, (gradient, y)) in out.chunks_mut(width).zip(rows) {
            slope_row(out, gradient, y);
        }
    });
    out
}
