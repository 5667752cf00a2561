//! Resizing channels-last maps by taps along each axis, which the host computes.

use super::call::{Call, Source, source};
use super::{Buffer, Indices, Kind, Result};
use crate::nn::kernels::resize::Taps;

const SOURCE: Source = source!("resize.cu");

/// Applies taps along the middle axis of `[outer, n, inner]`.
///
/// # Errors
/// The card has no room.
pub fn resample(x: &Buffer, n: usize, inner: usize, taps: &Taps) -> Result<Buffer> {
    let (gpu, (starts, taps)) = (x.gpu(), taps.parts());
    let outputs = starts.len() - 1;
    let count = x.len() / (n * inner).max(1) * outputs * inner;
    let starts: Vec<i32> = starts.iter().map(|&start| start as i32).collect();
    let indices: Vec<i32> = taps.iter().map(|tap| tap.0 as i32).collect();
    let weights: Vec<f32> = taps.iter().map(|tap| tap.1).collect();
    let (starts, indices) = (Indices::upload(gpu, &starts)?, Indices::upload(gpu, &indices)?);
    let weights = gpu.upload(Kind::F32, &weights)?;
    let mut out = x.uninit_like(count)?;
    let call = Call::new(gpu, SOURCE, "resample", x.kind()).write(&mut out).read(x);
    let call = call.indices(&starts).indices(&indices).read(&weights).long(count).long(n);
    call.long(outputs).long(inner).each(count)?;
    Ok(out)
}

/// Applies taps along the height and the width of `[B, H, W, C]`.
///
/// # Errors
/// The card has no room.
pub fn resize(
    x: &Buffer,
    (h, w, c): (usize, usize, usize),
    down: &Taps,
    across: &Taps,
) -> Result<Buffer> {
    // The smaller intermediate first.
    if down.len() * w <= h * across.len() {
        resample(&resample(x, h, w * c, down)?, w, c, across)
    } else {
        resample(&resample(x, w, c, across)?, h, across.len() * c, down)
    }
}
