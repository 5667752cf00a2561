//! General convolutions. In a padded map, the inputs of neighbouring outputs are the rows of a matrix
//! whose rows overlap: a row of the kernel is one product, and nothing is unfolded.

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

    /// Rows of outputs that one product makes, if it is to have about `rows` rows. With a step of 1
    /// an output follows another beyond the end of a row, too: the outputs between rows are dropped.
    fn group(&self, rows: usize) -> usize {
        match self.stride {
            1 => (rows / self.padded().1.max(1)).clamp(1, self.output.0.max(1)),
            _ => 1,
        }
    }

    /// The rows of a product over `count` rows of outputs.
    fn span(&self, count: usize) -> usize {
        (count - 1) * self.padded().1 + self.output.1
    }

    /// The inputs of the outputs from row `y` of batch element `b` on, for row `ky` of the kernel:
    /// `[.., k * Cin]`.
    fn inputs<'a>(&self, padded: &'a [f32], b: usize, y: usize, ky: usize) -> Mat<'a> {
        let (height, width) = self.padded();
        let at = (b * height + y * self.stride + ky) * width * self.channels.0;
        Mat::rows(&padded[at..], self.stride * self.channels.0)
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
    let ((rows, cols), (cin, cout)) = (s.output, s.channels);
    let (group, row) = (s.group(192), s.kernel * cin);
    let padded = pad(&s, x);
    let mut out = uninit(s.batch * rows * cols * cout);
    let mut tasks: Vec<(usize, usize, &mut [f32])> = Vec::new();
    for (b, out) in out.chunks_mut((rows * cols * cout).max(1)).enumerate() {
        let groups = out.chunks_mut((group * cols * cout).max(1)).enumerate();
        tasks.extend(groups.map(|(i, out)| (b, i * group, out)));
    }
    tasks.into_par_iter().for_each_init(Vec::new, |wide: &mut Vec<f32>, (b, y, out)| {
        let count = out.len() / (cols * cout);
        let span = s.span(count);
        // One row has nothing between rows, and needs no place of its own.
        let direct = count == 1;
        if !direct {
            wide.resize(span * cout, 0.0);
        }
        let target = if direct { &mut *out } else { &mut wide[..] };
        for ky in 0..s.kernel {
            let kernel = Mat::rows(&w[ky * row * cout..], cout);
            let inputs = s.inputs(&padded, b, y, ky);
            gemm((span, cout, row), target, cout, ky > 0, inputs, kernel, 1.0);
        }
        if !direct {
            let width = s.padded().1 * cout;
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
    let (size, row, width) = (s.taps() * cin, s.kernel * cin, s.padded().1);
    let group = s.group(512);
    let padded = pad(&s, x);
    let groups: Vec<(usize, usize)> =
        (0..s.batch).flat_map(|b| (0..rows).step_by(group).map(move |y| (b, y))).collect();
    let share = groups.len().div_ceil(16).max(1);
    let parts: Vec<Vec<f32>> = groups
        .par_chunks(share)
        .map(|groups| {
            let mut dw = vec![0.0; cout * size];
            let mut wide = Vec::new();
            for &(b, y) in groups {
                let count = group.min(rows - y);
                let dy = &gradient[(b * rows + y) * cols * cout..][..count * cols * cout];
                let span = s.span(count);
                let dy =
                    if count == 1 { dy } else { spread(&mut wide, dy, cols * cout, width * cout) };
                for ky in 0..s.kernel {
                    let (dy, x) = (Mat::rows(dy, cout).t(), s.inputs(&padded, b, y, ky));
                    gemm((cout, row, span), &mut dw[ky * row..], size, true, dy, x, 1.0);
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
