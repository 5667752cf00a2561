//! General convolutions. With a step of 1, in a padded map, the inputs of neighbouring outputs are the
//! rows of a matrix whose rows overlap: a row of the kernel is one product, and nothing is unfolded.
//! With larger steps the inputs are copied out, which repeats few of them.

use super::super::elementwise::add_assign;
use super::super::gemm::{Mat, gemm};
use super::super::linear::transposed;
use super::super::memory::{chunked, part, uninit};
use super::super::simd::simd;
use super::Shape;
use rayon::prelude::*;
use std::borrow::Cow;

impl Shape {
    fn padded(&self) -> (usize, usize) {
        (self.input.0 + 2 * self.padding, self.input.1 + 2 * self.padding)
    }

    /// Rows of outputs that one product makes, if it is to have about `rows` rows.
    fn group(&self, rows: usize) -> usize {
        (rows / self.row().max(1)).clamp(1, self.output.0.max(1))
    }

    /// Rows of a product per row of outputs. With a step of 1 an output follows another beyond the
    /// end of a row, too; those are dropped.
    fn row(&self) -> usize {
        if self.stride == 1 { self.padded().1 } else { self.output.1 }
    }

    /// The rows of a product over `count` rows of outputs.
    fn span(&self, count: usize) -> usize {
        (count - 1) * self.row() + self.output.1
    }

    /// Products over a group of rows, and the values of the inputs in each: one per row of the
    /// kernel, or one over all that was copied out.
    fn products(&self) -> (usize, usize) {
        let row = self.kernel * self.channels.0;
        if self.stride == 1 { (self.kernel, row) } else { (1, self.kernel * row) }
    }

    /// The inputs of `count` rows of outputs from row `y` of batch element `b` on, of product `ky`.
    fn inputs<'a>(
        &self,
        (padded, copied): (&'a [f32], &'a mut Vec<f32>),
        (b, y, count): (usize, usize, usize),
        ky: usize,
    ) -> Mat<'a> {
        let ((height, width), c, k) = (self.padded(), self.channels.0, self.kernel);
        let first = (b * height + y * self.stride + ky) * width * c;
        if self.stride == 1 {
            return Mat::rows(&padded[first..], c);
        }
        copied.resize(count * self.output.1 * self.taps() * c, 0.0);
        for (i, copied) in copied.chunks_exact_mut((k * c).max(1)).enumerate() {
            let (output, ky) = (i / k, i % k);
            let (y, x) = (output / self.output.1, output % self.output.1);
            let at = first + ((y * self.stride + ky) * width + x * self.stride) * c;
            copied.copy_from_slice(&padded[at..at + k * c]);
        }
        Mat::rows(copied, self.taps() * c)
    }
}

/// The map with its zeros around it.
fn pad<'a>(s: &Shape, x: &'a [f32]) -> Cow<'a, [f32]> {
    if s.padding == 0 {
        return Cow::Borrowed(x);
    }
    let ((h, w), (height, width), c, p) = (s.input, s.padded(), s.channels.0, s.padding);
    let mut out = uninit(s.batch * height * width * c);
    chunked(&mut out, width * c, |i, out| {
        let (b, y) = (i / height, i % height);
        if y < p || y >= p + h {
            return out.fill(0.0);
        }
        let (left, rest) = out.split_at_mut(p * c);
        let (inside, right) = rest.split_at_mut(w * c);
        left.fill(0.0);
        inside.copy_from_slice(part(x, b * h + y - p, w * c));
        right.fill(0.0);
    });
    Cow::Owned(out)
}

simd! {
    fn add_bias(out: &mut [f32], bias: &[f32]) {
        for out in out.chunks_exact_mut(bias.len()) {
            for (out, bias) in out.iter_mut().zip(bias) {
                *out += bias;
            }
        }
    }
    fn add_row(sum: &mut [f32], x: &[f32]) {
        for (sum, x) in sum.iter_mut().zip(x) {
            *sum += x;
        }
    }
}

/// Convolution of `x` with `w` `[C, k, k, Cin]`.
pub fn conv2d(s: Shape, x: &[f32], w: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
    convolved(s, x, &transposed(w, s.channels.1, s.taps() * s.channels.0), bias)
}

/// Convolution of `x` with `w` `[k, k, Cin, C]`.
fn convolved(s: Shape, x: &[f32], w: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
    let ((rows, cols), cout) = (s.output, s.channels.1);
    let (group, (products, depth)) = (s.group(192), s.products());
    let padded = pad(&s, x);
    let mut out = uninit(s.batch * rows * cols * cout);
    let mut tasks: Vec<(usize, usize, &mut [f32])> = Vec::new();
    for (b, out) in out.chunks_mut((rows * cols * cout).max(1)).enumerate() {
        let groups = out.chunks_mut((group * cols * cout).max(1)).enumerate();
        tasks.extend(groups.map(|(i, out)| (b, i * group, out)));
    }
    tasks.into_par_iter().for_each_init(Default::default, |scratch, (b, y, out)| {
        let (wide, copied): &mut (Vec<f32>, Vec<f32>) = scratch;
        let count = out.len() / (cols * cout);
        let span = s.span(count);
        // Without anything between rows they need no place of their own.
        let direct = count == 1 || s.row() == cols;
        if !direct {
            wide.resize(span * cout, 0.0);
        }
        let target = if direct { &mut *out } else { &mut wide[..] };
        for ky in 0..products {
            let kernel = Mat::rows(&w[ky * depth * cout..], cout);
            let inputs = s.inputs((&padded, &mut *copied), (b, y, count), ky);
            gemm((span, cout, depth), target, cout, ky > 0, inputs, kernel, 1.0);
        }
        if !direct {
            let width = s.row() * cout;
            for (out, wide) in out.chunks_exact_mut(cols * cout).zip(wide.chunks(width)) {
                out.copy_from_slice(&wide[..cols * cout]);
            }
        }
        if let Some(bias) = bias {
            add_bias(out, bias);
        }
    });
    out
}

/// The gradient of [`conv2d`]'s input.
pub fn conv2d_backward_input(s: Shape, gradient: &[f32], w: &[f32]) -> Vec<f32> {
    if s.stride > 1 || s.padding >= s.kernel {
        return folded(s, gradient, w);
    }
    // The gradient convolved with the kernel turned around.
    let ((cin, cout), taps) = (s.channels, s.taps());
    let mut turned = uninit(w.len());
    chunked(&mut turned, cout * cin, |tap, turned| {
        for (c, turned) in turned.chunks_exact_mut(cin.max(1)).enumerate() {
            turned.copy_from_slice(part(w, c * taps + taps - 1 - tap, cin));
        }
    });
    let back = Shape {
        input: s.output,
        output: s.input,
        channels: (cout, cin),
        padding: s.kernel - 1 - s.padding,
        ..s
    };
    convolved(back, gradient, &turned, None)
}

/// The same for any step: the gradients of every output's inputs, added up input by input.
fn folded(s: Shape, gradient: &[f32], w: &[f32]) -> Vec<f32> {
    let ((h, width), (rows, cols), (cin, cout)) = (s.input, s.output, s.channels);
    let (size, block) = (s.taps() * cin, 64);
    let mut unfolded = uninit(s.batch * rows * cols * size);
    chunked(&mut unfolded, block * size, |i, out| {
        let dy = Mat::rows(part(gradient, i, block * cout), cout);
        gemm((out.len() / size, size, cout), out, size, false, dy, Mat::rows(w, size), 1.0);
    });
    let mut dx = vec![0.0; s.batch * h * width * cin];
    chunked(&mut dx, width * cin, |i, dx| {
        let (b, y) = (i / h, i % h + s.padding);
        for ky in (0..s.kernel).filter(|ky| *ky <= y && (y - ky) % s.stride == 0) {
            let y = (y - ky) / s.stride;
            for (x, kx) in (0..cols).flat_map(|x| (0..s.kernel).map(move |kx| (x, kx))) {
                let at = (x * s.stride + kx).checked_sub(s.padding).filter(|&at| at < width);
                if let (true, Some(at)) = (y < rows, at) {
                    let from = ((b * rows + y) * cols + x) * size + (ky * s.kernel + kx) * cin;
                    add_row(&mut dx[at * cin..(at + 1) * cin], &unfolded[from..from + cin]);
                }
            }
        }
    });
    dx
}

/// The gradient of [`conv2d`]'s weight, `[C, k, k, Cin]`: partial sums of fixed shares of the rows.
pub fn conv2d_backward_weight(s: Shape, gradient: &[f32], x: &[f32]) -> Vec<f32> {
    let ((rows, cols), (cin, cout)) = (s.output, s.channels);
    let (size, width, (products, depth)) = (s.taps() * cin, s.row(), s.products());
    let group = s.group(512);
    let padded = pad(&s, x);
    let groups: Vec<(usize, usize)> =
        (0..s.batch).flat_map(|b| (0..rows).step_by(group).map(move |y| (b, y))).collect();
    let share = groups.len().div_ceil(16).max(1);
    let parts: Vec<Vec<f32>> = groups
        .par_chunks(share)
        .map(|groups| {
            let mut dw = vec![0.0; cout * size];
            let (mut wide, mut copied) = (Vec::new(), Vec::new());
            for &(b, y) in groups {
                let count = group.min(rows - y);
                let dy = &gradient[(b * rows + y) * cols * cout..][..count * cols * cout];
                let span = s.span(count);
                let dy = match count == 1 || width == cols {
                    true => dy,
                    false => spread(&mut wide, dy, cols * cout, width * cout),
                };
                for ky in 0..products {
                    let x = s.inputs((&padded, &mut copied), (b, y, count), ky);
                    let dy = Mat::rows(dy, cout).t();
                    gemm((cout, depth, span), &mut dw[ky * depth..], size, true, dy, x, 1.0);
                }
            }
            dw
        })
        .collect();
    let mut dw = vec![0.0; cout * size];
    parts.iter().for_each(|part| add_assign(&mut dw, part));
    dw
}

/// Rows of `from` values, `to` apart, with zeros between them.
fn spread<'a>(wide: &'a mut Vec<f32>, rows: &[f32], from: usize, to: usize) -> &'a [f32] {
    wide.clear();
    wide.resize(rows.len() / from * to, 0.0);
    for (wide, row) in wide.chunks_exact_mut(to).zip(rows.chunks_exact(from)) {
        wide[..from].copy_from_slice(row);
    }
    wide
}
