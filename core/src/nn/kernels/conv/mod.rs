//! Convolutions on channels-last maps: patches (stride = kernel) from planar images, general ones as
//! products, and depthwise ones.

mod depthwise;
mod general;

pub use depthwise::{depthwise, depthwise_backward_input, depthwise_backward_weight};
pub use general::{conv2d, conv2d_backward_input, conv2d_backward_weight};

use super::memory::{chunked, part, uninit};

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
    chunked(&mut out, b * k, |i, out| {
        let x = part(x, i, b * k);
        for i in 0..b {
            for j in 0..k {
                out[j * b + i] = x[i * k + j];
            }
        }
    });
    out
}

impl Shape {
    fn taps(&self) -> usize {
        self.kernel * self.kernel
    }
}
