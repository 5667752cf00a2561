//! AdamW, and sums of squares for the global norm.

use super::buffer::Doubles;
use super::call::{Call, Source, THREADS, source};
use super::{Buffer, Kind, Result};
use crate::nn::kernels::adamw::{AdamW, Factors};

const SOURCE: Source = source!("adamw.cu");

/// One step: changes `param` and its moments `m`, `v`, all of f32; the gradient counts `grad_scale`
/// times (clipping, accumulation, loss scaling). `copy`, if it is given, gets the parameter as it is
/// computed with; a gradient of 16 bits is stored like it.
///
/// # Errors
/// The launch failed.
pub fn adamw(
    param: &mut Buffer,
    grad: &Buffer,
    (m, v): (&mut Buffer, &mut Buffer),
    copy: Option<&mut Buffer>,
    settings: &AdamW,
    grad_scale: f32,
) -> Result<()> {
    let (n, f) = (param.len(), Factors::new(settings, grad_scale));
    let (kernel, kind) = match (grad.kind(), copy.as_ref().map(|copy| copy.kind())) {
        (Kind::F32, kind) => ("adamw", kind.unwrap_or(Kind::F32)),
        (kind, _) => ("adamw_stored", kind),
    };
    let call =
        Call::new(grad.gpu(), SOURCE, kernel, kind).write(param).read(grad).write(m).write(v);
    let call = call.maybe_write(copy).long(n).float(f.keep).float(f.one_minus_beta1).float(f.beta2);
    let call = call.float(f.one_minus_beta2).float(f.size).float(f.per_root).float(f.eps);
    call.float(f.grad).each(n)
}

/// The sums of the squares of each buffer, in f64, in a fixed order; one wait for the card.
///
/// # Errors
/// The card has no room, or earlier work failed.
pub fn sums_of_squares(of: &[&Buffer]) -> Result<Vec<f64>> {
    let Some(first) = of.first() else { return Ok(Vec::new()) };
    // Blocks by the size alone, so that the order of the sum is the same on every card.
    let blocks: Vec<usize> =
        of.iter().map(|x| x.len().div_ceil(16 * THREADS).clamp(1, 512)).collect();
    let mut parts = Doubles::uninit(first.gpu(), blocks.iter().sum())?;
    let mut start = 0;
    for (x, blocks) in of.iter().zip(&blocks) {
        let call = Call::new(x.gpu(), SOURCE, "squares", x.kind()).doubles(&mut parts).read(x);
        call.long(x.len()).long(start).blocks(*blocks, THREADS)?;
        start += blocks;
    }
    let parts = parts.download()?;
    let mut rest = &parts[..];
    Ok(blocks
        .iter()
        .map(|&blocks| {
            let (own, others) = rest.split_at(blocks);
            rest = others;
            own.iter().sum()
        })
        .collect())
}

/// The sum of the squares, in f64, in a fixed order.
///
/// # Errors
/// The card has no room, or earlier work failed.
pub fn sum_of_squares(x: &Buffer) -> Result<f64> {
    Ok(sums_of_squares(&[x])?.iter().sum())
}
