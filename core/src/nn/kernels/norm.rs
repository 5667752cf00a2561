//! Layer norm and RMS norm over the last axis. The backward pass recomputes the normalised values
//! from the input and the saved statistics.

use super::memory::{chunked, part, rows_per_chunk, split_rows, sum_parts, uninit};
use super::simd::{fma, simd, sum_of, sum_of_pairs};

simd! {
    fn layer_rows(y: &mut [f32], stats: &mut [f32], x: &[f32], w: &[f32], b: &[f32], eps: f32) {
        let c = w.len();
        let rows = y.chunks_exact_mut(c).zip(x.chunks_exact(c)).zip(stats.chunks_exact_mut(2));
        for ((y, x), stats) in rows {
            let n = c as f32;
            let mean = sum_of(x, |x| x) / n;
            let variance = sum_of(x, |x| (x - mean) * (x - mean)) / n;
            let scale = 1.0 / (variance + eps).sqrt();
            stats.copy_from_slice(&[mean, scale]);
            for ((y, x), (w, b)) in y.iter_mut().zip(x).zip(w.iter().zip(b)) {
                *y = fma::<FMA>((x - mean) * scale, *w, *b);
            }
        }
    }
    fn layer_rows_backward(
        dx: &mut [f32], dwb: &mut [f32], gradient: &[f32], stats: &[f32], x: &[f32], w: &[f32],
        parameters: bool, input: bool
    ) {
        let c = w.len();
        let (dw, db) = dwb.split_at_mut(if parameters { c } else { 0 });
        let rows = gradient.chunks_exact(c).zip(x.chunks_exact(c)).zip(stats.chunks_exact(2));
        for (r, ((gradient, x), stats)) in rows.enumerate() {
            let (mean, scale) = (stats[0], stats[1]);
            if parameters {
                for ((dw, db), (g, x)) in dw.iter_mut().zip(&mut *db).zip(gradient.iter().zip(x)) {
                    *dw += g * ((x - mean) * scale);
                    *db += g;
                }
            }
            if input {
                let n = c as f32;
                let sum = sum_of_pairs(gradient, w, |g, w| g * w) / n;
                let dot = row_dot::<FMA>(gradient, w, x, mean) * scale / n;
                let dx = &mut dx[r * c..(r + 1) * c];
                for ((dx, g), (x, w)) in dx.iter_mut().zip(gradient).zip(x.iter().zip(w)) {
                    *dx = scale * (g * w - sum - (x - mean) * scale * dot);
                }
            }
        }
    }
    fn rms_rows(y: &mut [f32], stats: &mut [f32], x: &[f32], w: &[f32], eps: f32) {
        let c = w.len();
        let rows = y.chunks_exact_mut(c).zip(x.chunks_exact(c)).zip(stats);
        for ((y, x), stat) in rows {
            let scale = 1.0 / (sum_of(x, |x| x * x) / c as f32 + eps).sqrt();
            *stat = scale;
            for ((y, x), w) in y.iter_mut().zip(x).zip(w) {
                *y = x * scale * w;
            }
        }
    }
    fn rms_rows_backward(
        dx: &mut [f32], dw: &mut [f32], gradient: &[f32], stats: &[f32], x: &[f32], w: &[f32],
        parameters: bool, input: bool
    ) {
        let c = w.len();
        let rows = gradient.chunks_exact(c).zip(x.chunks_exact(c)).zip(stats);
        for (r, ((gradient, x), &scale)) in rows.enumerate() {
            if parameters {
                for (dw, (g, x)) in dw.iter_mut().zip(gradient.iter().zip(x)) {
                    *dw += g * (x * scale);
                }
            }
            if input {
                let dot = row_dot::<FMA>(gradient, w, x, 0.0) * scale * scale / c as f32;
                let dx = &mut dx[r * c..(r + 1) * c];
                for ((dx, g), (x, w)) in dx.iter_mut().zip(gradient).zip(x.iter().zip(w)) {
                    *dx = scale * (g * w - x * dot);
                }
            }
        }
    }
}

/// The sum of `g * w * (x - mean)`, in lanes, in a fixed order.
#[inline(always)]
fn row_dot<const FMA: bool>(g: &[f32], w: &[f32], x: &[f32], mean: f32) -> f32 {
    use super::simd::{LANES, total};
    let mut lanes = [0.0; LANES];
    let (gs, g_rest) = g.as_chunks::<LANES>();
    let (ws, w_rest) = w.as_chunks::<LANES>();
    let (xs, x_rest) = x.as_chunks::<LANES>();
    for ((g, w), x) in gs.iter().zip(ws).zip(xs) {
        for (((lane, g), w), x) in lanes.iter_mut().zip(g).zip(w).zip(x) {
            *lane = fma::<FMA>(g * w, x - mean, *lane);
        }
    }
    for (((lane, g), w), x) in lanes.iter_mut().zip(g_rest).zip(w_rest).zip(x_rest) {
        *lane = fma::<FMA>(g * w, x - mean, *lane);
    }
    total(lanes)
}

/// Layer norm; also each row's mean and reciprocal deviation, for the backward pass.
pub fn layer_norm(x: &[f32], w: &[f32], b: &[f32], eps: f32) -> (Vec<f32>, Vec<f32>) {
    let c = w.len().max(1);
    let rows = rows_per_chunk(c);
    let (mut out, mut stats) = (uninit(x.len()), uninit(x.len() / c * 2));
    split_rows((&mut out, rows * c), (&mut stats, rows * 2), |i, out, stats| {
        layer_rows(out, stats, part(x, i, rows * c), w, b, eps);
    });
    (out, stats)
}

/// What a norm's backward pass computes.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// The gradient of the input.
    pub input: bool,
    /// The gradients of weight and bias.
    pub parameters: bool,
}

type RowsBackward = fn(&mut [f32], &mut [f32], &[f32], &[f32], &[f32], &[f32], bool, bool);

fn norm_backward(
    gradient: &[f32],
    (stats, per_row): (&[f32], usize),
    x: &[f32],
    w: &[f32],
    wanted: Wanted,
    parameters: usize,
    f: RowsBackward,
) -> (Vec<f32>, Vec<f32>) {
    let c = w.len().max(1);
    let rows = rows_per_chunk(c);
    let chunks = x.len().div_ceil(rows * c);
    let width = if wanted.parameters { parameters } else { 0 };
    let mut dx = if wanted.input { uninit(x.len()) } else { Vec::new() };
    let mut parts = vec![0.0; chunks * width];
    let run = |i: usize, dx: &mut [f32], sums: &mut [f32]| {
        let (gradient, x) = (part(gradient, i, rows * c), part(x, i, rows * c));
        let stats = part(stats, i, rows * per_row);
        f(dx, sums, gradient, stats, x, w, wanted.parameters, wanted.input);
    };
    match (wanted.input, wanted.parameters) {
        (true, true) => split_rows((&mut dx, rows * c), (&mut parts, width), run),
        (true, false) => chunked(&mut dx, rows * c, |i, dx| run(i, dx, &mut [])),
        (false, true) => chunked(&mut parts, width, |i, sums| run(i, &mut [], sums)),
        (false, false) => {}
    }
    (dx, if wanted.parameters { sum_parts(&parts, width) } else { Vec::new() })
}

/// The gradients of layer norm's input, weight and bias.
pub fn layer_norm_backward(
    gradient: &[f32],
    stats: &[f32],
    x: &[f32],
    w: &[f32],
    wanted: Wanted,
) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let both = 2 * w.len();
    let (dx, mut dw) = norm_backward(gradient, (stats, 2), x, w, wanted, both, layer_rows_backward);
    let db = dw.split_off(w.len().min(dw.len()));
    (dx, dw, db)
}

/// RMS norm; also each row's reciprocal root mean square, for the backward pass.
pub fn rms_norm(x: &[f32], w: &[f32], eps: f32) -> (Vec<f32>, Vec<f32>) {
    let c = w.len().max(1);
    let rows = rows_per_chunk(c);
    let (mut out, mut stats) = (uninit(x.len()), uninit(x.len() / c));
    split_rows((&mut out, rows * c), (&mut stats, rows), |i, out, stats| {
        rms_rows(out, stats, part(x, i, rows * c), w, eps);
    });
    (out, stats)
}

/// The gradients of RMS norm's input and weight.
pub fn rms_norm_backward(
    gradient: &[f32],
    stats: &[f32],
    x: &[f32],
    w: &[f32],
    wanted: Wanted,
) -> (Vec<f32>, Vec<f32>) {
    norm_backward(gradient, (stats, 1), x, w, wanted, w.len(), rms_rows_backward)
}
