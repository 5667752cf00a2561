//! Products of queries on a grid with a table of relative positions along one of its axes.

use super::call::{Call, Source, THREADS, source};
use super::elementwise::sum_parts;
use super::{Buffer, Kind, Result};
use crate::nn::kernels::relative::Shape;

const SOURCE: Source = source!("relative.cu");

fn len(s: Shape) -> usize {
    if s.rows { s.grid.0 } else { s.grid.1 }
}

impl<'a> Call<'a> {
    fn grid_of(self, s: Shape) -> Self {
        let call = self.int(s.grid.0 * s.grid.1).int(s.heads).int(s.width).int(len(s));
        call.int(s.grid.1).int(usize::from(s.rows))
    }
}

/// `out[b, head, q, k]`: query `q` times the row of `table` `[2 L - 1, D]` for the distance between
/// its position and `k`, of `L`; `q` is `[B, N, H, D]`.
///
/// # Errors
/// The card has no room.
pub fn relative(s: Shape, q: &Buffer, table: &Buffer) -> Result<Buffer> {
    let count = s.batch * s.heads * s.grid.0 * s.grid.1 * len(s);
    let mut out = q.uninit_like(count)?;
    let call = Call::new(q.gpu(), SOURCE, "relative", q.kind()).write(&mut out).read(q).read(table);
    call.long(count).grid_of(s).each(count)?;
    Ok(out)
}

/// The gradients of queries and, of f32, table.
///
/// # Errors
/// The card has no room.
pub fn relative_backward(
    s: Shape,
    gradient: &Buffer,
    q: &Buffer,
    table: &Buffer,
) -> Result<(Buffer, Buffer)> {
    let (n, mut dq) = (q.len(), q.uninit_like(q.len())?);
    let call = Call::new(q.gpu(), SOURCE, "relative_backward_queries", q.kind()).write(&mut dq);
    call.read(gradient).read(table).long(n).grid_of(s).each(n)?;
    let all = s.batch * s.heads;
    let per_part = all.div_ceil(64).max(1);
    let count = all.div_ceil(per_part);
    let mut parts = q.gpu().uninit(Kind::F32, count * table.len())?;
    let call = Call::new(q.gpu(), SOURCE, "relative_backward_table", q.kind()).write(&mut parts);
    let call = call.read(gradient).read(q).int(all).grid_of(s).int(per_part);
    let threads = s.width.next_multiple_of(32).clamp(32, THREADS);
    call.grid([2 * len(s) - 1, count, 1], threads, 0)?;
    Ok((dq, sum_parts(&parts, table.len())?))
}
