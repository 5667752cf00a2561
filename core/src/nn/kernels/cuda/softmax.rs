//! Softmax over rows.

use super::call::{Call, Source, THREADS, source};
use super::{Buffer, Result};

const SOURCE: Source = source!("softmax.cu");

/// The softmax of each row of `x`, `width` wide.
///
/// # Errors
/// The card has no room.
pub fn softmax(x: &Buffer, width: usize) -> Result<Buffer> {
    let mut out = x.uninit_like(x.len())?;
    let call = Call::new(x.gpu(), SOURCE, "softmax", x.kind()).write(&mut out).read(x).int(width);
    call.blocks(x.len() / width.max(1), width.next_multiple_of(32).clamp(32, THREADS))?;
    Ok(out)
}

/// The gradient of the input, from the softmax `y` itself.
///
/// # Errors
/// The card has no room.
pub fn softmax_backward(gradient: &Buffer, y: &Buffer, width: usize) -> Result<Buffer> {
    let mut out = y.uninit_like(y.len())?;
    let call = Call::new(y.gpu(), SOURCE, "softmax_backward", y.kind()).write(&mut out);
    let call = call.read(gradient).read(y).int(width);
    call.blocks(y.len() / width.max(1), width.next_multiple_of(32).clamp(32, THREADS))?;
    Ok(out)
}
