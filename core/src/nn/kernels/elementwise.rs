//! Sums, products and broadcasts, value by value.

use super::memory::{CHUNK, chunked, part, rows_per_chunk, split_rows, sum_parts, uninit};
use super::simd::{simd, sum_of_pairs};

simd! {
    fn add_into(y: &mut [f32], x: &[f32]) {
        for (y, x) in y.iter_mut().zip(x) {
            *y += x;
        }
    }
    fn add_to(y: &mut [f32], a: &[f32], b: &[f32]) {
        for ((y, a), b) in y.iter_mut().zip(a).zip(b) {
            *y = a + b;
        }
    }
    fn sub_to(y: &mut [f32], a: &[f32], b: &[f32]) {
        for ((y, a), b) in y.iter_mut().zip(a).zip(b) {
            *y = a - b;
        }
    }
    fn mul_to(y: &mut [f32], a: &[f32], b: &[f32]) {
        for ((y, a), b) in y.iter_mut().zip(a).zip(b) {
            *y = a * b;
        }
    }
    fn scale_to(y: &mut [f32], x: &[f32], factor: f32) {
        for (y, x) in y.iter_mut().zip(x) {
            *y = x * factor;
        }
    }
    fn dot(a: &[f32], b: &[f32]) -> f32 {
        sum_of_pairs(a, b, |a, b| a * b)
    }
    /// `sum += a * b`.
    fn add_product(sum: &mut [f32], a: &[f32], b: &[f32]) {
        for ((sum, a), b) in sum.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
}

/// `y += x`.
pub fn add_assign(y: &mut [f32], x: &[f32]) {
    chunked(y, CHUNK, |index, y| add_into(y, part(x, index, CHUNK)));
}

fn binary(a: &[f32], b: &[f32], f: impl Fn(&mut [f32], &[f32], &[f32]) + Sync) -> Vec<f32> {
    let mut out = uninit(a.len());
    chunked(&mut out, CHUNK, |i, out| f(out, part(a, i, CHUNK), part(b, i, CHUNK)));
    out
}

/// `a + b`.
pub fn add(a: &[f32], b: &[f32]) -> Vec<f32> {
    binary(a, b, add_to)
}

/// `a - b`.
pub fn sub(a: &[f32], b: &[f32]) -> Vec<f32> {
    binary(a, b, sub_to)
}

/// `a * b`.
pub fn mul(a: &[f32], b: &[f32]) -> Vec<f32> {
    binary(a, b, mul_to)
}

/// A copy, made by all threads.
pub fn copy(x: &[f32]) -> Vec<f32> {
    let mut out = uninit(x.len());
    chunked(&mut out, CHUNK, |i, out| out.copy_from_slice(part(x, i, CHUNK)));
    out
}

/// `x * factor`.
pub fn scale(x: &[f32], factor: f32) -> Vec<f32> {
    let mut out = uninit(x.len());
    chunked(&mut out, CHUNK, |i, out| scale_to(out, part(x, i, CHUNK), factor));
    out
}

/// `x` by a factor that lies where `x` does, a single value.
pub fn scale_by(x: Vec<f32>, factor: &[f32]) -> Vec<f32> {
    if factor[0] == 1.0 { x } else { scale(&x, factor[0]) }
}

/// `e^x`.
pub fn exp(x: &[f32]) -> Vec<f32> {
    x.iter().map(|x| x.exp()).collect()
}

/// `x + rows`, `rows` repeated along the outer axes.
pub fn add_rows(x: &[f32], rows: &[f32]) -> Vec<f32> {
    repeated(x, rows, add_to)
}

/// `x * rows`, `rows` repeated along the outer axes.
pub fn mul_rows(x: &[f32], rows: &[f32]) -> Vec<f32> {
    repeated(x, rows, mul_to)
}

fn repeated(x: &[f32], rows: &[f32], f: impl Fn(&mut [f32], &[f32], &[f32]) + Sync) -> Vec<f32> {
    let width = rows.len().max(1);
    let size = rows_per_chunk(width) * width;
    let mut out = uninit(x.len());
    chunked(&mut out, size, |i, out| {
        for (out, x) in out.chunks_mut(width).zip(part(x, i, size).chunks(width)) {
            f(out, x, rows);
        }
    });
    out
}

/// Every row of `x`, `width` wide, by its factor.
pub fn scale_rows(x: &[f32], factors: &[f32], width: usize) -> Vec<f32> {
    let rows = rows_per_chunk(width);
    let mut out = uninit(x.len());
    chunked(&mut out, rows * width, |i, out| {
        let x = part(x, i, rows * width).chunks(width);
        for ((out, x), factor) in out.chunks_mut(width).zip(x).zip(part(factors, i, rows)) {
            scale_to(out, x, *factor);
        }
    });
    out
}

/// The product of each row of `a` with that of `b`, added up: the gradient of a row's factor.
pub fn dot_rows(a: &[f32], b: &[f32], width: usize) -> Vec<f32> {
    let rows = rows_per_chunk(width);
    let mut out = uninit(a.len() / width.max(1));
    chunked(&mut out, rows, |i, out| {
        let [a, b] = [a, b].map(|x| part(x, i, rows * width).chunks(width));
        for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
            *out = dot(a, b);
        }
    });
    out
}

/// The sum of the rows of `x`, `width` wide: the gradient of a repeated row.
pub fn sum_rows(x: &[f32], width: usize) -> Vec<f32> {
    reduced(x, x, width, |sum, x, _| add_into(sum, x))
}

/// The sum of the rows of `a * b`: the gradient of a repeated factor.
pub fn sum_product_rows(a: &[f32], b: &[f32], width: usize) -> Vec<f32> {
    reduced(a, b, width, add_product)
}

fn reduced(
    a: &[f32],
    b: &[f32],
    width: usize,
    f: impl Fn(&mut [f32], &[f32], &[f32]) + Sync,
) -> Vec<f32> {
    let width = width.max(1);
    let size = rows_per_chunk(width) * width;
    let mut parts = vec![0.0; a.len().div_ceil(size) * width];
    chunked(&mut parts, width, |i, sum| {
        let rows = part(a, i, size).chunks(width).zip(part(b, i, size).chunks(width));
        rows.for_each(|(a, b)| f(sum, a, b));
    });
    sum_parts(&parts, width)
}

/// The gradients of `a * b`.
pub fn mul_backward(gradient: &[f32], a: &[f32], b: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let (mut da, mut db) = (uninit(a.len()), uninit(b.len()));
    split_rows((&mut da, CHUNK), (&mut db, CHUNK), |i, da, db| {
        mul_to(da, part(gradient, i, CHUNK), part(b, i, CHUNK));
        mul_to(db, part(gradient, i, CHUNK), part(a, i, CHUNK));
    });
    (da, db)
}
