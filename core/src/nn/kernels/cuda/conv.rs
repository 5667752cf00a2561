//! Convolutions on channels-last maps: patches (stride = kernel) from planar images, general ones as
//! products over copied inputs, a few images at a time, and depthwise ones.

use super::activation::bias_activate;
use super::call::{Call, Product, Source, THREADS, source};
use super::elementwise::sum_parts;
use super::{Buffer, Kind, Result};
use crate::nn::kernels::conv::Shape;
use crate::nn::ops::Activation;

const SOURCE: Source = source!("conv.cu");

/// Copied inputs that exist at a time.
const COPIED: usize = 1 << 28;

/// `[B, Cin, S, S2]` to `[B * N, Cin * P * P]`, the patches as rows.
///
/// # Errors
/// The card has no room.
pub fn patches(image: &Buffer, (cin, h, w): (usize, usize, usize), p: usize) -> Result<Buffer> {
    let count = image.len() / (cin * h * w).max(1) * (h / p) * (w / p) * cin * p * p;
    let mut out = image.uninit_like(count)?;
    let call = Call::new(image.gpu(), SOURCE, "patches", image.kind()).write(&mut out).read(image);
    call.long(count).int(cin).int(h).int(w).int(p).each(count)?;
    Ok(out)
}

/// The reverse of [`patches`]: the gradient of the image.
///
/// # Errors
/// The card has no room.
pub fn patches_backward(
    rows: &Buffer,
    (cin, h, w): (usize, usize, usize),
    p: usize,
) -> Result<Buffer> {
    let count = rows.len() / ((h / p) * (w / p) * cin * p * p).max(1) * cin * h * w;
    let mut out = rows.uninit_like(count)?;
    let call = Call::new(rows.gpu(), SOURCE, "patches_backward", rows.kind()).write(&mut out);
    call.read(rows).long(count).int(cin).int(h).int(w).int(p).each(count)?;
    Ok(out)
}

/// `[A, B, K]` to `[A, K, B]`: between PyTorch's kernels and ours, whose channels are last.
///
/// # Errors
/// The card has no room.
pub fn swap_last(x: &Buffer, b: usize, k: usize) -> Result<Buffer> {
    let (n, mut out) = (x.len(), x.uninit_like(x.len())?);
    let call = Call::new(x.gpu(), SOURCE, "swap_last", x.kind()).write(&mut out).read(x);
    call.long(n).int(b).int(k).each(n)?;
    Ok(out)
}

/// What a convolution copies of each image, and images at a time.
fn copied(s: &Shape) -> (usize, usize) {
    let size = s.output.0 * s.output.1 * s.kernel * s.kernel * s.channels.0;
    (size, (COPIED / size.max(1)).clamp(1, s.batch.max(1)))
}

impl<'a> Call<'a> {
    fn map(self, s: &Shape) -> Self {
        let call = self.int(s.input.0).int(s.input.1).int(s.channels.0);
        call.int(s.output.0).int(s.output.1).int(s.kernel)
    }
}

/// The inputs of the outputs of `count` images.
fn unfold(s: &Shape, x: &Buffer, count: usize) -> Result<Buffer> {
    let mut out = x.uninit_like(count * copied(s).0)?;
    let n = out.len();
    let call = Call::new(x.gpu(), SOURCE, "unfold", x.kind()).write(&mut out).read(x).long(n);
    call.map(s).int(s.stride).int(s.padding).each(n)?;
    Ok(out)
}

/// Images from `first` on of `[B, ..]`.
fn images(x: &Buffer, s: &Shape, first: usize, count: usize) -> Result<Option<Buffer>> {
    if count == s.batch {
        return Ok(None);
    }
    let size = x.len() / s.batch.max(1);
    super::rows::narrow(x, 1, x.len(), first * size, count * size).map(Some)
}

/// Convolution of `x` with `w` `[C, k, k, Cin]`.
///
/// # Errors
/// The card has no room.
pub fn conv2d(s: Shape, x: &Buffer, w: &Buffer, bias: Option<&Buffer>) -> Result<Buffer> {
    let (pixels, cout, (_, share)) = (s.output.0 * s.output.1, s.channels.1, copied(&s));
    let mut out = x.uninit_like(s.batch * pixels * cout)?;
    for first in (0..s.batch).step_by(share) {
        let count = share.min(s.batch - first);
        let own = images(x, &s, first, count)?;
        let rows = unfold(&s, own.as_ref().unwrap_or(x), count)?;
        let size = (count * pixels, cout, s.kernel * s.kernel * s.channels.0);
        let (a, b, start) = ((&rows, false), (w, true), [0, 0, first * pixels * cout]);
        let product = Product { batch: 1, size, a, b, start, accumulate: false };
        x.gpu().product(&product, &mut out, 1.0)?;
    }
    bias_activate(&mut out, None, bias, Activation::None)?;
    Ok(out)
}

/// The gradient of [`conv2d`]'s input.
///
/// # Errors
/// The card has no room.
pub fn conv2d_backward_input(s: Shape, gradient: &Buffer, w: &Buffer) -> Result<Buffer> {
    let (gpu, kind) = (gradient.gpu(), gradient.kind());
    let (pixels, cout, (size, share)) = (s.output.0 * s.output.1, s.channels.1, copied(&s));
    let image = s.input.0 * s.input.1 * s.channels.0;
    let mut parts = Vec::new();
    for first in (0..s.batch).step_by(share) {
        let count = share.min(s.batch - first);
        let mut rows = gradient.uninit_like(count * size)?;
        let shape = (count * pixels, s.kernel * s.kernel * s.channels.0, cout);
        let (a, b, start) = ((gradient, false), (w, false), [first * pixels * cout, 0, 0]);
        let product = Product { batch: 1, size: shape, a, b, start, accumulate: false };
        gpu.product(&product, &mut rows, 1.0)?;
        let (n, mut dx) = (count * image, gradient.uninit_like(count * image)?);
        let call = Call::new(gpu, SOURCE, "fold", kind).write(&mut dx).read(&rows).long(n);
        call.map(&s).int(s.stride).int(s.padding).each(n)?;
        parts.push(dx);
    }
    match <[Buffer; 1]>::try_from(parts) {
        Ok([dx]) => Ok(dx),
        Err(parts) if parts.is_empty() => gradient.uninit_like(0),
        Err(parts) => {
            let parts: Vec<_> = parts.iter().map(|part| (part, part.len())).collect();
            super::rows::concat(1, &parts)
        }
    }
}

/// The gradient of [`conv2d`]'s weight, `[C, k, k, Cin]`, of f32.
///
/// # Errors
/// The card has no room.
pub fn conv2d_backward_weight(s: Shape, gradient: &Buffer, x: &Buffer) -> Result<Buffer> {
    let (pixels, (cin, cout), (_, share)) = (s.output.0 * s.output.1, s.channels, copied(&s));
    let depth = s.kernel * s.kernel * cin;
    let mut dw = x.gpu().zeros(Kind::F32, cout * depth)?;
    for first in (0..s.batch).step_by(share) {
        let count = share.min(s.batch - first);
        let own = images(x, &s, first, count)?;
        let rows = unfold(&s, own.as_ref().unwrap_or(x), count)?;
        let (size, start) = ((cout, depth, count * pixels), [first * pixels * cout, 0, 0]);
        let (a, b) = ((gradient, true), (&rows, false));
        let product = Product { batch: 1, size, a, b, start, accumulate: true };
        x.gpu().product(&product, &mut dw, 1.0)?;
    }
    Ok(dw)
}

/// Depthwise convolution of stride 1 with `w` `[k, k, C]`.
///
/// # Errors
/// The card has no room.
pub fn depthwise(s: Shape, x: &Buffer, w: &Buffer, bias: Option<&Buffer>) -> Result<Buffer> {
    depthwise_turned(s, x, w, bias, false)
}

fn depthwise_turned(
    s: Shape,
    x: &Buffer,
    w: &Buffer,
    bias: Option<&Buffer>,
    turned: bool,
) -> Result<Buffer> {
    let count = s.batch * s.output.0 * s.output.1 * s.channels.0;
    let mut out = x.uninit_like(count)?;
    let call = Call::new(x.gpu(), SOURCE, "depthwise", x.kind()).write(&mut out).read(x).read(w);
    let call = call.maybe(bias).long(count).map(&s).int(s.padding).int(usize::from(turned));
    call.each(count)?;
    Ok(out)
}

/// The gradient of [`depthwise`]'s input: the gradient convolved with the kernel turned around.
///
/// # Errors
/// The card has no room.
pub fn depthwise_backward_input(s: Shape, gradient: &Buffer, w: &Buffer) -> Result<Buffer> {
    let padding = s.kernel - 1 - s.padding;
    let back = Shape { input: s.output, output: s.input, padding, ..s };
    depthwise_turned(back, gradient, w, None, true)
}

/// The gradient of [`depthwise`]'s weight, `[k, k, C]`, of f32.
///
/// # Errors
/// The card has no room.
pub fn depthwise_backward_weight(s: Shape, gradient: &Buffer, x: &Buffer) -> Result<Buffer> {
    let (lines, c, taps) = (s.batch * s.output.0, s.channels.0, s.kernel * s.kernel);
    let per_part = lines.div_ceil(64).max(1);
    let count = lines.div_ceil(per_part);
    let mut parts = x.gpu().uninit(Kind::F32, count * taps * c)?;
    let call = Call::new(x.gpu(), SOURCE, "depthwise_backward_weight", x.kind()).write(&mut parts);
    let call = call.read(gradient).read(x).long(lines).map(&s).int(s.padding).int(per_part);
    call.grid([c.div_ceil(32), count, taps], THREADS, 0)?;
    sum_parts(&parts, taps * c)
}
