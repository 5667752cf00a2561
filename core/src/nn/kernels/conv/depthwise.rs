//! Depthwise convolutions of stride 1.

use super::super::memory::{chunked, part, sum_parts, uninit};
use super::super::simd::{LANES, fma, simd};
use super::Shape;

simd! {
    /// One row of outputs of a depthwise convolution; `w` is `[k, k, C]`.
    fn depthwise_row(out: &mut [f32], x: &[f32], w: &[f32], bias: &[f32], s: Shape, y: usize) {
        let ((height, width), c, k) = (s.input, s.channels.0, s.kernel);
        let (top, bottom) = s.taps_inside(y, height);
        for (x_out, out) in out.chunks_exact_mut(c).enumerate() {
            let (left, right) = s.taps_inside(x_out, width);
            let mut c0 = 0;
            while c0 < c {
                let n = LANES.min(c - c0);
                let mut sum = [0.0; LANES];
                if !bias.is_empty() {
                    sum[..n].copy_from_slice(&bias[c0..c0 + n]);
                }
                for ky in top..bottom {
                    for kx in left..right {
                        let at = ((y + ky - s.padding) * width + x_out + kx - s.padding) * c + c0;
                        let (x, w) = (&x[at..at + n], &w[(ky * k + kx) * c + c0..][..n]);
                        if n == LANES {
                            for i in 0..LANES {
                                sum[i] = fma::<FMA>(x[i], w[i], sum[i]);
                            }
                        } else {
                            for i in 0..n {
                                sum[i] = fma::<FMA>(x[i], w[i], sum[i]);
                            }
                        }
                    }
                }
                out[c0..c0 + n].copy_from_slice(&sum[..n]);
                c0 += n;
            }
        }
    }
    /// Adds one row's part of the gradient of a depthwise weight `[k, k, C]`.
    fn depthwise_weight_row(dw: &mut [f32], x: &[f32], gradient: &[f32], s: Shape, y: usize) {
        let ((height, width), c, k) = (s.input, s.channels.0, s.kernel);
        let (top, bottom) = s.taps_inside(y, height);
        for ky in top..bottom {
            for (x_out, gradient) in gradient.chunks_exact(c).enumerate() {
                let (left, right) = s.taps_inside(x_out, width);
                for kx in left..right {
                    let at = ((y + ky - s.padding) * width + x_out + kx - s.padding) * c;
                    let dw = &mut dw[(ky * k + kx) * c..][..c];
                    for ((dw, x), g) in dw.iter_mut().zip(&x[at..at + c]).zip(gradient) {
                        *dw = fma::<FMA>(*x, *g, *dw);
                    }
                }
            }
        }
    }
}

impl Shape {
    /// The taps of an output (stride 1) that lie inside the input, from and to.
    #[inline(always)]
    fn taps_inside(&self, out: usize, size: usize) -> (usize, usize) {
        let first = self.padding.saturating_sub(out).min(self.kernel);
        (first, self.kernel.min((size + self.padding).saturating_sub(out)).max(first))
    }
}

/// Depthwise convolution of stride 1 with `w` `[k, k, C]`.
pub fn depthwise(s: Shape, x: &[f32], w: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
    let ((rows, cols), c) = (s.output, s.channels.0);
    let mut out = uninit(s.batch * rows * cols * c);
    let size = s.input.0 * s.input.1 * c;
    chunked(&mut out, cols * c, |i, out| {
        depthwise_row(out, part(x, i / rows, size), w, bias.unwrap_or(&[]), s, i % rows);
    });
    out
}

/// The gradient of [`depthwise`]'s input: the gradient convolved with the kernel turned around.
pub fn depthwise_backward_input(s: Shape, gradient: &[f32], w: &[f32]) -> Vec<f32> {
    let c = s.channels.0;
    let turned: Vec<f32> = w.chunks_exact(c.max(1)).rev().flatten().copied().collect();
    let padding = s.kernel - 1 - s.padding;
    let back = Shape { input: s.output, output: s.input, padding, ..s };
    depthwise(back, gradient, &turned, None)
}

/// The gradient of [`depthwise`]'s weight, `[k, k, C]`: partial sums of fixed groups of rows.
pub fn depthwise_backward_weight(s: Shape, gradient: &[f32], x: &[f32]) -> Vec<f32> {
    let ((rows, cols), c) = (s.output, s.channels.0);
    let (total, width) = (s.batch * rows, s.taps() * c);
    let group = total.div_ceil(32).max(1);
    let mut parts = vec![0.0; total.div_ceil(group) * width];
    let size = s.input.0 * s.input.1 * c;
    chunked(&mut parts, width, |i, dw| {
        for row in i * group..((i + 1) * group).min(total) {
            let (x, gradient) = (part(x, row / rows, size), part(gradient, row, cols * c));
            depthwise_weight_row(dw, x, gradient, s, row % rows);
        }
    });
    sum_parts(&parts, width)
}
