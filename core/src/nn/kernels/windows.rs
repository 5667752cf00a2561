//! Cutting maps into windows, and putting windows together again.

use super::memory::{chunked, uninit};

/// A map `[B, H, W, C]` and its windows, row by row; the last ones may reach beyond the map.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Height, width and channels of the map.
    pub map: (usize, usize, usize),
    /// Height and width of a window.
    pub window: (usize, usize),
}

impl Shape {
    /// Windows per column and per row of windows.
    pub fn windows(&self) -> (usize, usize) {
        (self.map.0.div_ceil(self.window.0), self.map.1.div_ceil(self.window.1))
    }
}

/// `[B, H, W, C]` to `[B * windows, wh * ww, C]`, zeros beyond the map.
pub fn cut(s: Shape, x: &[f32]) -> Vec<f32> {
    let ((h, w, c), (wh, ww), (rows, cols)) = (s.map, s.window, s.windows());
    let size = wh * ww * c;
    let mut out = uninit(x.len() / (h * w * c).max(1) * rows * cols * size);
    chunked(&mut out, size, |i, out| {
        let (b, top, left) = (i / (rows * cols), i / cols % rows * wh, i % cols * ww);
        let inside = ww.min(w - left) * c;
        for (y, out) in out.chunks_exact_mut((ww * c).max(1)).enumerate() {
            let inside = if top + y < h { inside } else { 0 };
            let (out, beyond) = out.split_at_mut(inside);
            beyond.fill(0.0);
            if inside > 0 {
                let at = ((b * h + top + y) * w + left) * c;
                out.copy_from_slice(&x[at..at + inside]);
            }
        }
    });
    out
}

/// The reverse of [`cut`]; what lies beyond the map is left out.
pub fn join(s: Shape, x: &[f32]) -> Vec<f32> {
    let ((h, w, c), (wh, ww), (rows, cols)) = (s.map, s.window, s.windows());
    let batch = x.len() / (rows * cols * wh * ww * c).max(1);
    let mut out = uninit(batch * h * w * c);
    chunked(&mut out, w * c, |i, out| {
        let (b, y) = (i / h, i % h);
        for (j, out) in out.chunks_mut((ww * c).max(1)).enumerate() {
            let at = (((b * rows + y / wh) * cols + j) * wh + y % wh) * ww * c;
            out.copy_from_slice(&x[at..at + out.len()]);
        }
    });
    out
}
