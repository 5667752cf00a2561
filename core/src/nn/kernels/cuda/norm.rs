//! Layer norm and RMS norm over the last axis.

use super::call::{Call, Source, THREADS, source};
use super::elementwise::{parts, sum_parts_of};
use super::{Buffer, Kind, Result};
use crate::nn::kernels::norm::Wanted;

const SOURCE: Source = source!("norm.cu");

/// Layer norm; also each row's mean and reciprocal deviation, in f32, for the backward pass.
///
/// # Errors
/// The card has no room.
pub fn layer_norm(x: &Buffer, w: &Buffer, b: &Buffer, eps: f32) -> Result<(Buffer, Buffer)> {
    norm(x, (w, Some(b)), eps, 2)
}

/// RMS norm; also each row's reciprocal root mean square, in f32, for the backward pass.
///
/// # Errors
/// The card has no room.
pub fn rms_norm(x: &Buffer, w: &Buffer, eps: f32) -> Result<(Buffer, Buffer)> {
    norm(x, (w, None), eps, 1)
}

fn norm(
    x: &Buffer,
    (w, b): (&Buffer, Option<&Buffer>),
    eps: f32,
    per_row: usize,
) -> Result<(Buffer, Buffer)> {
    let c = w.len();
    let rows = x.len() / c.max(1);
    let mut out = x.uninit_like(x.len())?;
    let mut stats = x.gpu().uninit(Kind::F32, rows * per_row)?;
    let call = Call::new(x.gpu(), SOURCE, "norm_rows", x.kind()).write(&mut out).write(&mut stats);
    let call = call.read(x).read(w).maybe(b).float(eps).int(c).int(per_row);
    call.blocks(rows, threads(c))?;
    Ok((out, stats))
}

/// Threads for a row of `c` values.
fn threads(c: usize) -> usize {
    c.div_ceil(4).next_multiple_of(32).clamp(32, THREADS)
}

/// The gradients of layer norm's input and, in f32, of its weight and bias; empty where they are not
/// wanted.
///
/// # Errors
/// The card has no room.
pub fn layer_norm_backward(
    gradient: &Buffer,
    stats: &Buffer,
    x: &Buffer,
    w: &Buffer,
    wanted: Wanted,
) -> Result<(Buffer, Buffer, Buffer)> {
    let (dx, sums) = backward(gradient, (stats, 2), x, w, wanted)?;
    let c = if wanted.parameters { w.len() } else { 0 };
    Ok((dx, sum_parts_of(&sums, (c, 2 * c, 0))?, sum_parts_of(&sums, (c, 2 * c, c))?))
}

/// The gradients of RMS norm's input and, in f32, weight; empty where they are not wanted.
///
/// # Errors
/// The card has no room.
pub fn rms_norm_backward(
    gradient: &Buffer,
    stats: &Buffer,
    x: &Buffer,
    w: &Buffer,
    wanted: Wanted,
) -> Result<(Buffer, Buffer)> {
    let (dx, sums) = backward(gradient, (stats, 1), x, w, wanted)?;
    let c = if wanted.parameters { w.len() } else { 0 };
    Ok((dx, sum_parts_of(&sums, (c, c, 0))?))
}

/// The gradient of the input, and partial sums of those of the parameters.
fn backward(
    gradient: &Buffer,
    (stats, per_row): (&Buffer, usize),
    x: &Buffer,
    w: &Buffer,
    wanted: Wanted,
) -> Result<(Buffer, Buffer)> {
    let (c, gpu) = (w.len(), x.gpu());
    let rows = x.len() / c.max(1);
    let mut dx = x.uninit_like(if wanted.input { x.len() } else { 0 })?;
    if wanted.input {
        let call = Call::new(gpu, SOURCE, "norm_backward_input", x.kind()).write(&mut dx);
        let call = call.read(gradient).read(stats).read(x).read(w).int(c).int(per_row);
        call.blocks(rows, threads(c))?;
    }
    if !wanted.parameters {
        return Ok((dx, gpu.uninit(Kind::F32, 0)?));
    }
    let (count, per_part) = parts(rows);
    let mut sums = gpu.uninit(Kind::F32, count * per_row * c)?;
    let call = Call::new(gpu, SOURCE, "norm_backward_parameters", x.kind()).write(&mut sums);
    let call = call.read(gradient).read(stats).read(x).int(rows).int(c).int(per_row).int(per_part);
    call.grid([c.div_ceil(32), count, 1], THREADS, 0)?;
    Ok((dx, sums))
}
