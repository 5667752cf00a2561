//! Cutting maps into windows, and putting windows together again.

use super::call::{Call, Source, source};
use super::{Buffer, Result};
use crate::nn::kernels::windows::Shape;

const SOURCE: Source = source!("windows.cu");

fn moved(kernel: &'static str, s: Shape, x: &Buffer, count: usize) -> Result<Buffer> {
    let ((h, w, c), (wh, ww)) = (s.map, s.window);
    let mut out = x.uninit_like(count)?;
    let call = Call::new(x.gpu(), SOURCE, kernel, x.kind()).write(&mut out).read(x).long(count);
    call.int(h).int(w).int(c).int(wh).int(ww).each(count)?;
    Ok(out)
}

/// `[B, H, W, C]` to `[B * windows, wh * ww, C]`, zeros beyond the map.
///
/// # Errors
/// The card has no room.
pub fn cut(s: Shape, x: &Buffer) -> Result<Buffer> {
    let ((h, w, c), (wh, ww), (rows, cols)) = (s.map, s.window, s.windows());
    moved("cut", s, x, x.len() / (h * w * c).max(1) * rows * cols * wh * ww * c)
}

/// The reverse of [`cut`]; what lies beyond the map is left out.
///
/// # Errors
/// The card has no room.
pub fn join(s: Shape, x: &Buffer) -> Result<Buffer> {
    let ((h, w, c), (wh, ww), (rows, cols)) = (s.map, s.window, s.windows());
    moved("join", s, x, x.len() / (rows * cols * wh * ww * c).max(1) * h * w * c)
}
