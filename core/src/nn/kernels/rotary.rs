//! Rotary position embedding: pairs of channels turned by an angle that depends on the position.

use super::memory::{chunked, part, uninit};
use super::simd::simd;
use crate::nn::ops::RotaryLayout;

simd! {
    fn turn_half(y: &mut [f32], x: &[f32], cos: &[f32], sin: &[f32], sign: f32) {
        let half = cos.len();
        for (y, x) in y.chunks_exact_mut(2 * half).zip(x.chunks_exact(2 * half)) {
            let ((y1, y2), (x1, x2)) = (y.split_at_mut(half), x.split_at(half));
            for i in 0..half {
                let s = sin[i] * sign;
                y1[i] = x1[i] * cos[i] - x2[i] * s;
                y2[i] = x2[i] * cos[i] + x1[i] * s;
            }
        }
    }
    fn turn_interleaved(y: &mut [f32], x: &[f32], cos: &[f32], sin: &[f32], sign: f32) {
        let half = cos.len();
        for (y, x) in y.chunks_exact_mut(2 * half).zip(x.chunks_exact(2 * half)) {
            for i in 0..half {
                let (x1, x2, s) = (x[2 * i], x[2 * i + 1], sin[i] * sign);
                y[2 * i] = x1 * cos[i] - x2 * s;
                y[2 * i + 1] = x2 * cos[i] + x1 * s;
            }
        }
    }
}

/// Turns `x` `[B, N, H, D]` by the angles whose cosine and sine are given, `[N, D/2]` each; with
/// `sign` -1 it turns back, which is the backward pass.
pub fn rotary(
    x: &[f32],
    (n, heads, d): (usize, usize, usize),
    cos: &[f32],
    sin: &[f32],
    layout: RotaryLayout,
    sign: f32,
) -> Vec<f32> {
    let mut out = uninit(x.len());
    let (width, half) = (heads * d, d / 2);
    if width == 0 || half == 0 {
        return out;
    }
    let tokens = super::memory::rows_per_chunk(width);
    chunked(&mut out, tokens * width, |i, out| {
        let x = part(x, i, tokens * width);
        for (j, (out, x)) in out.chunks_exact_mut(width).zip(x.chunks_exact(width)).enumerate() {
            let at = (i * tokens + j) % n * half;
            let (cos, sin) = (&cos[at..at + half], &sin[at..at + half]);
            match layout {
                RotaryLayout::Half => turn_half(out, x, cos, sin, sign),
                RotaryLayout::Interleaved => turn_interleaved(out, x, cos, sin, sign),
            }
        }
    });
    out
}
