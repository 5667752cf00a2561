//! Bilinear sampling of `[B, H, W, C]` at points of `[-1, 1]`, zeros outside. Points are of f32; those
//! stored in 16 bits are turned into it, and their gradient back.

use super::call::{Call, Source, THREADS, source};
use super::{Buffer, Kind, Result};
use crate::nn::kernels::grid_sample::Shape;

const SOURCE: Source = source!("grid_sample.cu");

impl<'a> Call<'a> {
    fn sampled(self, s: Shape) -> Self {
        let call = self.int(s.points).int(s.map.0).int(s.map.1).int(s.map.2);
        call.int(usize::from(s.align_corners))
    }
}

/// `x` at the points `grid` `[B, points, 2]`: `[B, points, C]`.
///
/// # Errors
/// The card has no room.
pub fn grid_sample(s: Shape, x: &Buffer, grid: &Buffer) -> Result<Buffer> {
    let count = grid.len() / 2 * s.map.2;
    let (points, mut out) = (grid.cast(Kind::F32)?, x.uninit_like(count)?);
    let call = Call::new(x.gpu(), SOURCE, "grid_sample", x.kind()).write(&mut out).read(x);
    call.read(&points).long(count).sampled(s).each(count)?;
    Ok(out)
}

/// The gradients of the map and of the grid.
///
/// # Errors
/// The card has no room.
pub fn grid_sample_backward(
    s: Shape,
    gradient: &Buffer,
    x: &Buffer,
    grid: &Buffer,
) -> Result<(Buffer, Buffer)> {
    let ((h, w, c), gpu, kind) = (s.map, x.gpu(), x.kind());
    let (points, count) = (grid.cast(Kind::F32)?, grid.len() / 2);
    let mut dgrid = gpu.uninit(Kind::F32, grid.len())?;
    let call = Call::new(gpu, SOURCE, "grid_sample_backward_points", kind).write(&mut dgrid);
    let call = call.read(gradient).read(x).read(&points).long(count).sampled(s);
    call.blocks(count.div_ceil(THREADS / 32), THREADS)?;
    let mut dx = x.uninit_like(x.len())?;
    let call = Call::new(gpu, SOURCE, "grid_sample_backward_map", kind).write(&mut dx);
    let call = call.read(gradient).read(&points).sampled(s);
    let pixels = x.len() / (h * w * c).max(1) * h * w;
    call.grid([pixels, c.div_ceil(THREADS), 1], THREADS, 0)?;
    Ok((dx, dgrid.cast(grid.kind())?))
}
