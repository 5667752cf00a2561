//! Convolutions on channels-last maps: patches (stride = kernel) from planar images, general ones
//! as products of unfolded rows, and depthwise ones.

use super::elementwise::add_assign;
use super::gemm::{Mat, gemm};
use super::linear::transposed;
use super::memory::{chunked, part, sum_parts, uninit};
use super::simd::{LANES, fma, simd};
use rayon::prelude::*;

/// The sizes of a convolution on `[B, H, W, Cin]`.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Batch elements.
    pub batch: usize,
    /// Height and width of the input.
    pub input: (usize, usize),
    /// Height and width of the output.
    pub output: (usize, usize),
    /// Channels in and out.
    pub channels: (usize, usize),
    /// Side of the kernel.
    pub kernel: usize,
    /// Step between outputs.
    pub stride: usize,
    /// Zeros around the input.
    pub padding: usize,
}

/// `[B, Cin, S, S2]` to `[B * N, Cin * P * P]`, the patches as rows.
pub fn patches(image: &[f32], (cin, h, w): (usize, usize, usize), p: usize) -> Vec<f32> {
    let (rows, cols) = (h / p, w / p);
    let width = cin * p * p;
    let mut out = uninit(image.len() / (cin * h * w).max(1) * rows * cols * width);
    chunked(&mut out, cols * width, |i, out| {
        let (b, y) = (i / rows, i % rows);
        for (x, out) in out.chunks_exact_mut(width).enumerate() {
            for (j, out) in out.chunks_exact_mut(p).enumerate() {
                let (c, dy) = (j / p, j % p);
                let at = ((b * cin + c) * h + y * p + dy) * w + x * p;
                out.copy_from_slice(&image[at..at + p]);
            }
        }
    });
    out
}

/// The reverse of [`patches`]: the gradient of the image.
pub fn patches_backward(rows: &[f32], (cin, h, w): (usize, usize, usize), p: usize) -> Vec<f32> {
    let (grid_h, grid_w) = (h / p, w / p);
    let width = cin * p * p;
    let batch = rows.len() / (grid_h * grid_w * width).max(1);
    let mut out = vec![0.0; batch * cin * h * w];
    chunked(&mut out, h * w, |i, out| {
        let (b, c) = (i / cin, i % cin);
        for (y, x) in (0..grid_h * p).flat_map(|y| (0..grid_w).map(move |x| (y, x))) {
            let patch = (b * grid_h + y / p) * grid_w + x;
            let at = patch * width + (c * p + y % p) * p;
            out[y * w + x * p..y * w + (x + 1) * p].copy_from_slice(&rows[at..at + p]);
        }
    });
    out
}

/// `[A, B, K]` to `[A, K, B]`: between PyTorch's kernels and ours, whose channels are last.
pub fn swap_last(x: &[f32], b: usize, k: usize) -> Vec<f32> {
    let mut out = uninit(x.len());
    for (out, x) in out.chunks_mut((b * k).max(1)).zip(x.chunks((b * k).max(1))) {
        for i in 0..b {
            for j in 0..k {
                out[j * b + i] = x[i * k + j];
            }
        }
    }
    out
}

impl Shape {
    fn taps(&self) -> usize {
        self.kernel * self.kernel
    }

    /// The input's coordinate of a tap, unless it lies in the padding.
    fn at(&self, out: usize, tap: usize, size: usize) -> Option<usize> {
        (out * self.stride + tap).checked_sub(self.padding).filter(|&i| i < size)
    }

    /// The inputs of one row of outputs, `[W', k, k, Cin]`.
    fn unfold(&self, x: &[f32], b: usize, y: usize, out: &mut [f32]) {
        let ((h, w), c, k) = (self.input, self.channels.0, self.kernel);
        for (i, out) in out.chunks_exact_mut(c).enumerate() {
            let (x_out, tap) = (i / self.taps(), i % self.taps());
            match (self.at(y, tap / k, h), self.at(x_out, tap % k, w)) {
                (Some(y), Some(x_in)) => {
                    let at = ((b * h + y) * w + x_in) * c;
                    out.copy_from_slice(&x[at..at + c]);
                }
                _ => out.fill(0.0),
            }
        }
    }

    /// Rows of outputs that are unfolded at a time: at least 128 outputs, if there are as many.
    fn group(&self) -> usize {
        128_usize.div_ceil(self.output.1.max(1)).min((self.batch * self.output.0).max(1))
    }

    /// The inputs of several rows of outputs, counted through the batch.
    fn unfold_rows(&self, x: &[f32], rows: std::ops::Range<usize>, out: &mut [f32]) {
        let size = self.output.1 * self.taps() * self.channels.0;
        for (row, out) in rows.zip(out.chunks_exact_mut(size.max(1))) {
            self.unfold(x, row / self.output.0, row % self.output.0, out);
        }
    }

    /// Adds the gradients of one row's unfolded inputs to those of the batch element.
    fn fold(&self, dx: &mut [f32], y: usize, cols: &[f32]) {
        let ((h, w), c, k) = (self.input, self.channels.0, self.kernel);
        for (i, cols) in cols.chunks_exact(c).enumerate() {
            let (x_out, tap) = (i / self.taps(), i % self.taps());
            if let (Some(y), Some(x)) = (self.at(y, tap / k, h), self.at(x_out, tap % k, w)) {
                let at = (y * w + x) * c;
                dx[at..at + c].iter_mut().zip(cols).for_each(|(dx, col)| *dx += col);
            }
        }
    }
}

/// Convolution of `x` with `w` `[C, k, k, Cin]`.
pub fn conv2d(s: Shape, x: &[f32], w: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
    let ((rows, cols), (cin, cout)) = (s.output, s.channels);
    let width = s.taps() * cin;
    let group = s.group();
    let turned = transposed(w, cout, width);
    let mut out = uninit(s.batch * rows * cols * cout);
    out.par_chunks_mut((group * cols * cout).max(1)).enumerate().for_each_init(
        || vec![0.0; group * cols * width],
        |unfolded, (i, out)| {
            let count = out.len() / (cols * cout);
            s.unfold_rows(x, i * group..i * group + count, unfolded);
            let (a, b) = (Mat::rows(unfolded, width), Mat::rows(&turned, cout));
            gemm((count * cols, cout, width), out, cout, false, a, b, 1.0);
            if let Some(bias) = bias {
                for out in out.chunks_exact_mut(cout) {
                    out.iter_mut().zip(bias).for_each(|(out, bias)| *out += bias);
                }
            }
        },
    );
    out
}

/// The gradient of [`conv2d`]'s input.
pub fn conv2d_backward_input(s: Shape, gradient: &[f32], w: &[f32]) -> Vec<f32> {
    let ((h, w_in), (rows, cols), (cin, cout)) = (s.input, s.output, s.channels);
    let width = s.taps() * cin;
    let group = s.group();
    let mut dx = vec![0.0; s.batch * h * w_in * cin];
    dx.par_chunks_mut((h * w_in * cin).max(1)).enumerate().for_each_init(
        || vec![0.0; group * cols * width],
        |unfolded, (b, dx)| {
            for y in (0..rows).step_by(group) {
                let count = group.min(rows - y);
                let dy = Mat::rows(&gradient[(b * rows + y) * cols * cout..], cout);
                let w = Mat::rows(w, width);
                gemm((count * cols, width, cout), unfolded, width, false, dy, w, 1.0);
                let unfolded = &unfolded[..count * cols * width];
                for (i, unfolded) in unfolded.chunks_exact(cols * width).enumerate() {
                    s.fold(dx, y + i, unfolded);
                }
            }
        },
    );
    dx
}

/// The gradient of [`conv2d`]'s weight, `[C, k, k, Cin]`: partial sums of fixed groups of rows.
pub fn conv2d_backward_weight(s: Shape, gradient: &[f32], x: &[f32]) -> Vec<f32> {
    let ((rows, cols), (cin, cout)) = (s.output, s.channels);
    let width = s.taps() * cin;
    let (total, group) = (s.batch * rows, s.group());
    let share = total.div_ceil(16).next_multiple_of(group).max(1);
    let parts: Vec<Vec<f32>> = (0..total.div_ceil(share))
        .into_par_iter()
        .map(|i| {
            let mut dw = vec![0.0; cout * width];
            let mut unfolded = vec![0.0; group * cols * width];
            let end = ((i + 1) * share).min(total);
            for row in (i * share..end).step_by(group) {
                let count = group.min(end - row);
                s.unfold_rows(x, row..row + count, &mut unfolded);
                let dy = Mat::rows(&gradient[row * cols * cout..], cout);
                let size = (cout, width, count * cols);
                gemm(size, &mut dw, width, true, dy.t(), Mat::rows(&unfolded, width), 1.0);
            }
            dw
        })
        .collect();
    let mut dw = vec![0.0; cout * width];
    parts.iter().for_each(|part| add_assign(&mut dw, part));
    dw
}

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
