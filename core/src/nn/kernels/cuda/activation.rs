//! Activations and gated activations, with their derivatives.

use super::call::{Call, Source, source};
use super::{Buffer, Result};
use crate::nn::ops::Activation;

const SOURCE: Source = source!("activation.cu");

/// The kernels' number of an activation.
fn code(activation: Activation) -> usize {
    match activation {
        Activation::None => 0,
        Activation::Gelu => 1,
        Activation::GeluTanh => 2,
        Activation::QuickGelu => 3,
        Activation::Silu => 4,
        Activation::Relu => 5,
        Activation::Tanh => 6,
    }
}

/// `activation(x)`.
///
/// # Errors
/// The card has no room.
pub fn activate(x: &Buffer, activation: Activation) -> Result<Buffer> {
    let (n, mut out) = (x.len(), x.uninit_like(x.len())?);
    let call = Call::new(x.gpu(), SOURCE, "activate", x.kind()).write(&mut out).read(x);
    call.long(n).int(code(activation)).each(n.div_ceil(4))?;
    Ok(out)
}

/// The gradient of `x` from that of `activation(x)`.
///
/// # Errors
/// The card has no room.
pub fn activate_backward(gradient: &Buffer, x: &Buffer, activation: Activation) -> Result<Buffer> {
    let (n, mut out) = (x.len(), x.uninit_like(x.len())?);
    let call = Call::new(x.gpu(), SOURCE, "activate_backward", x.kind()).write(&mut out);
    call.read(gradient).read(x).long(n).int(code(activation)).each(n.div_ceil(4))?;
    Ok(out)
}

/// Turns `x`, rows as wide as `bias`, into `activation(x + bias)`; what was before the activation is
/// left in `before`, if it is given.
///
/// # Errors
/// The launch failed.
pub fn bias_activate(
    x: &mut Buffer,
    before: Option<&mut Buffer>,
    bias: Option<&Buffer>,
    activation: Activation,
) -> Result<()> {
    if before.is_none() && bias.is_none() && activation == Activation::None {
        return Ok(());
    }
    let (n, gpu, kind) = (x.len(), x.gpu().clone(), x.kind());
    let width = bias.map_or(4, Buffer::len).max(1);
    let call = Call::new(&gpu, SOURCE, "bias_activate", kind).write(x).maybe_write(before);
    let work = if width.is_multiple_of(4) && n.is_multiple_of(4) { n / 4 } else { n };
    // Without a bias any width will do.
    let width = if bias.is_none() && !n.is_multiple_of(4) { 1 } else { width };
    call.maybe(bias).long(n).long(width).int(code(activation)).each(work)
}

/// `silu(gate) * up`.
///
/// # Errors
/// The card has no room.
pub fn swiglu(gate: &Buffer, up: &Buffer) -> Result<Buffer> {
    let (n, mut out) = (gate.len(), gate.uninit_like(gate.len())?);
    let call = Call::new(gate.gpu(), SOURCE, "swiglu", gate.kind()).write(&mut out);
    call.read(gate).read(up).long(n).each(n.div_ceil(4))?;
    Ok(out)
}

/// The gradients of `silu(gate) * up`.
///
/// # Errors
/// The card has no room.
pub fn swiglu_backward(gradient: &Buffer, gate: &Buffer, up: &Buffer) -> Result<(Buffer, Buffer)> {
    let n = gate.len();
    let (mut dgate, mut dup) = (gate.uninit_like(n)?, gate.uninit_like(n)?);
    let call = Call::new(gate.gpu(), SOURCE, "swiglu_backward", gate.kind());
    let call = call.write(&mut dgate).write(&mut dup).read(gradient).read(gate).read(up);
    call.long(n).each(n.div_ceil(4))?;
    Ok((dgate, dup))
}
