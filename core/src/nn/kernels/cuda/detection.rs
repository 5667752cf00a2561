//! Losses of dense detectors, with their gradients.

use super::buffer::Doubles;
use super::call::{Call, Source, THREADS, source};
use super::{Buffer, Gpu, Indices, Kind, Result};
use crate::nn::kernels::detection::FARTHEST;

const SOURCE: Source = source!("detection.cu");

/// Blocks by the size alone, so that the order of a sum is the same on every card.
fn blocks(n: usize) -> usize {
    n.div_ceil(4 * THREADS).clamp(1, 512)
}

fn total(gpu: &Gpu, parts: &mut Doubles, count: usize) -> Result<Buffer> {
    let mut out = gpu.uninit(Kind::F32, 1)?;
    let call = Call::new(gpu, SOURCE, "sum_doubles", Kind::F32).write(&mut out).doubles(parts);
    call.long(count).blocks(1, THREADS)?;
    Ok(out)
}

/// The summed sigmoid focal loss of logits `[N, classes]` at labels of 0 (none of the classes) or class
/// and 1, and its gradient.
///
/// # Errors
/// The card has no room.
pub fn sigmoid_focal(
    logits: &Buffer,
    classes: usize,
    labels: &[u32],
    (alpha, gamma): (f64, f64),
) -> Result<(Buffer, Buffer)> {
    let (gpu, n) = (logits.gpu(), logits.len());
    let labels: Vec<i32> = labels.iter().map(|label| label.cast_signed()).collect();
    let (labels, count) = (Indices::upload(gpu, &labels)?, blocks(n));
    let (mut parts, mut gradient) = (Doubles::uninit(gpu, count)?, logits.uninit_like(n)?);
    let call = Call::new(gpu, SOURCE, "sigmoid_focal", logits.kind()).doubles(&mut parts);
    let call = call.write(&mut gradient).read(logits).indices(&labels).long(n).int(classes);
    call.float(alpha as f32).float(gamma as f32).blocks(count, THREADS)?;
    Ok((total(gpu, &mut parts, count)?, gradient))
}

/// The summed loss `1 - GIoU` of boxes given as the logarithms of four distances `[N, 4]`, against the
/// distances `right`, each times a weight; and its gradient.
///
/// # Errors
/// The card has no room.
pub fn giou(logs: &Buffer, right: &[f32], weights: &[f32]) -> Result<(Buffer, Buffer)> {
    let (gpu, n) = (logs.gpu(), weights.len());
    let (right, weights) = (gpu.upload(Kind::F32, right)?, gpu.upload(Kind::F32, weights)?);
    let count = blocks(n);
    let (mut parts, mut gradient) = (Doubles::uninit(gpu, count)?, logs.uninit_like(logs.len())?);
    let call = Call::new(gpu, SOURCE, "giou", logs.kind()).doubles(&mut parts).write(&mut gradient);
    let call = call.read(logs).read(&right).read(&weights).long(n).float(FARTHEST);
    call.blocks(count, THREADS)?;
    Ok((total(gpu, &mut parts, count)?, gradient))
}
