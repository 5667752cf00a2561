//! Multi-scale deformable attention. Points and weights are of f32; those stored in 16 bits are turned
//! into it, and their gradients back.

use super::call::{Call, Source, THREADS, source};
use super::{Buffer, Gpu, Indices, Kind, Result};
use crate::nn::kernels::deformable::Shape;

const SOURCE: Source = source!("deformable.cu");

/// Rows, columns and first vector of each level.
fn levels(gpu: &Gpu, s: Shape<'_>) -> Result<Indices> {
    let mut start = 0;
    let mut list = Vec::new();
    for &(h, w) in s.levels {
        list.extend([h as i32, w as i32, start as i32]);
        start += h * w;
    }
    Indices::upload(gpu, &list)
}

impl<'a> Call<'a> {
    fn pyramid(self, s: Shape<'_>) -> Self {
        let call = self.int(s.vectors()).int(s.queries).int(s.heads.0).int(s.heads.1);
        call.int(s.levels.len()).int(s.points)
    }
}

/// `value` `[B, N, H, D]`, `at` `[B, Q, H, L, P, 2]`, `weights` `[B, Q, H, L, P]` to `[B, Q, H, D]`.
///
/// # Errors
/// The card has no room.
pub fn deformable(s: Shape<'_>, value: &Buffer, at: &Buffer, weights: &Buffer) -> Result<Buffer> {
    let gpu = value.gpu();
    let count = weights.len() / (s.levels.len() * s.points).max(1) * s.heads.1;
    let (at, weights, list) = (at.cast(Kind::F32)?, weights.cast(Kind::F32)?, levels(gpu, s)?);
    let mut out = value.uninit_like(count)?;
    let call = Call::new(gpu, SOURCE, "deformable", value.kind()).write(&mut out).read(value);
    call.read(&at).read(&weights).indices(&list).long(count).pyramid(s).each(count)?;
    Ok(out)
}

/// The gradients of values, points and weights.
///
/// # Errors
/// The card has no room.
pub fn deformable_backward(
    s: Shape<'_>,
    gradient: &Buffer,
    [value, at, weights]: [&Buffer; 3],
) -> Result<[Buffer; 3]> {
    let (gpu, kind, count) = (value.gpu(), value.kind(), weights.len());
    let (points, shares, list) = (at.cast(Kind::F32)?, weights.cast(Kind::F32)?, levels(gpu, s)?);
    let (mut dat, mut dweights) = (gpu.uninit(Kind::F32, at.len())?, gpu.uninit(Kind::F32, count)?);
    let call = Call::new(gpu, SOURCE, "deformable_backward_points", kind).write(&mut dat);
    let call = call.write(&mut dweights).read(gradient).read(value).read(&points).read(&shares);
    let call = call.indices(&list).long(count).pyramid(s);
    call.blocks(count.div_ceil(THREADS / 32), THREADS)?;
    let mut dvalue = value.uninit_like(value.len())?;
    let call = Call::new(gpu, SOURCE, "deformable_backward_value", kind).write(&mut dvalue);
    let call = call.read(gradient).read(&points).read(&shares).indices(&list).pyramid(s);
    let vectors = value.len() / s.heads.1.max(1);
    call.grid([vectors, s.heads.1.div_ceil(THREADS), 1], THREADS, 0)?;
    Ok([dvalue, dat.cast(at.kind())?, dweights.cast(weights.kind())?])
}
