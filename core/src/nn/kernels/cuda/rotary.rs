//! Rotary position embedding.

use super::call::{Call, Source, source};
use super::{Buffer, Result};
use crate::nn::ops::RotaryLayout;

const SOURCE: Source = source!("rotary.cu");

/// Turns `x` `[B, N, H, D]` by the angles whose cosine and sine are given, f32 `[N, D/2]` each; with
/// `sign` -1 it turns back, which is the backward pass.
///
/// # Errors
/// The card has no room.
pub fn rotary(
    x: &Buffer,
    (n, heads, d): (usize, usize, usize),
    cos: &Buffer,
    sin: &Buffer,
    layout: RotaryLayout,
    sign: f32,
) -> Result<Buffer> {
    let (pairs, mut out) = (x.len() / 2, x.uninit_like(x.len())?);
    let interleaved = usize::from(layout == RotaryLayout::Interleaved);
    let call = Call::new(x.gpu(), SOURCE, "rotary", x.kind()).write(&mut out).read(x).read(cos);
    let call = call.read(sin).long(pairs).int(n).int(heads).int(d / 2).int(interleaved);
    call.float(sign).each(pairs)?;
    Ok(out)
}
