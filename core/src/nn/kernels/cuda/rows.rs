//! Moving rows and blocks: embedding lookup, gathering, concatenation, pixel shuffles, pooling.

use super::call::{Call, Source, THREADS, source};
use super::{Buffer, Gpu, Indices, Result};
use std::collections::BTreeMap;

const SOURCE: Source = source!("rows.cu");

/// Row numbers on the card, -1 for none.
pub(super) fn upload(gpu: &Gpu, rows: &[Option<usize>]) -> Result<Indices> {
    let rows: Vec<i32> = rows.iter().map(|row| row.map_or(-1, |row| row as i32)).collect();
    Indices::upload(gpu, &rows)
}

/// The rows of `table`, `width` wide, that `rows` names; `None` gives zeros.
///
/// # Errors
/// The card has no room.
pub fn gather(table: &Buffer, width: usize, rows: &[Option<usize>]) -> Result<Buffer> {
    gather_two((table, rows), None, width)
}

/// The rows of `first` that its list names; where that has none, those of `second` that its list
/// names; where neither has one, zeros.
///
/// # Errors
/// The card has no room.
pub fn gather_two(
    (first, rows): (&Buffer, &[Option<usize>]),
    second: Option<(&Buffer, &[Option<usize>])>,
    width: usize,
) -> Result<Buffer> {
    let (gpu, mut out) = (first.gpu(), first.uninit_like(rows.len() * width)?);
    let list = upload(gpu, rows)?;
    let others = second.map(|(_, others)| upload(gpu, others)).transpose()?;
    let call = Call::new(gpu, SOURCE, "gather", first.kind()).write(&mut out).read(first);
    let call = call.indices(&list).maybe(second.map(|second| second.0));
    let threads = width.div_ceil(4).next_multiple_of(32).clamp(32, THREADS);
    let blocks = if width == 0 { 0 } else { rows.len() };
    call.maybe_indices(others.as_ref()).long(width).blocks(blocks, threads)?;
    Ok(out)
}

/// Adds each row of `gradient` to the row of `table` (f32) that `rows` names, in their order.
///
/// # Errors
/// The card has no room.
pub fn scatter_add(
    table: &mut Buffer,
    width: usize,
    rows: &[Option<usize>],
    gradient: &Buffer,
) -> Result<()> {
    let mut of: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for (source, row) in rows.iter().enumerate() {
        if let Some(row) = row {
            of.entry(*row as i32).or_default().push(source as i32);
        }
    }
    let (mut targets, mut starts, mut sources) = (Vec::new(), vec![0], Vec::new());
    for (target, from) in of {
        targets.push(target);
        sources.extend(from);
        starts.push(sources.len() as i32);
    }
    let gpu = gradient.gpu();
    let [on, from, order] = [&targets, &starts, &sources].map(|list| Indices::upload(gpu, list));
    let (on, from, order) = (on?, from?, order?);
    let call = Call::new(gpu, SOURCE, "scatter_add", gradient.kind()).write(table).read(gradient);
    let call = call.indices(&on).indices(&from).indices(&order).long(width);
    call.blocks(targets.len(), width.next_multiple_of(32).clamp(32, THREADS))
}

/// Blocks of values: how large they are, and where in them the values begin.
type Blocks = (usize, usize);

fn copy_blocks(
    out: &mut Buffer,
    x: &Buffer,
    (count, len): (usize, usize),
    to: Blocks,
    from: Blocks,
) -> Result<()> {
    let call = Call::new(x.gpu(), SOURCE, "copy_blocks", x.kind()).write(out).read(x);
    let call = call.long(count).long(len).long(to.0).long(to.1).long(from.0).long(from.1);
    call.each(count * len)
}

/// Joins parts along an axis: each is `outer` blocks, of the size given with it.
///
/// # Errors
/// The card has no room.
///
/// # Panics
/// There are no parts.
pub fn concat(outer: usize, parts: &[(&Buffer, usize)]) -> Result<Buffer> {
    let size = parts.iter().map(|part| part.1).sum::<usize>();
    let mut out = parts[0].0.uninit_like(outer * size)?;
    let mut start = 0;
    for (part, width) in parts {
        copy_blocks(&mut out, part, (outer, *width), (size, start), (*width, 0))?;
        start += width;
    }
    Ok(out)
}

/// Takes `len` values from `start` on out of each of `outer` blocks of `size` values.
///
/// # Errors
/// The card has no room.
pub fn narrow(x: &Buffer, outer: usize, size: usize, start: usize, len: usize) -> Result<Buffer> {
    let mut out = x.uninit_like(outer * len)?;
    copy_blocks(&mut out, x, (outer, len), (len, 0), (size, start))?;
    Ok(out)
}

/// The reverse of [`narrow`]: zeros around `gradient`.
///
/// # Errors
/// The card has no room.
pub fn widen(
    gradient: &Buffer,
    outer: usize,
    size: usize,
    start: usize,
    len: usize,
) -> Result<Buffer> {
    let mut out = gradient.gpu().zeros(gradient.kind(), outer * size)?;
    copy_blocks(&mut out, gradient, (outer, len), (size, start), (len, 0))?;
    Ok(out)
}

/// The mean of the `n` rows of each batch element: `[B, N, C]` to `[B, C]`.
///
/// # Errors
/// The card has no room.
pub fn mean_rows(x: &Buffer, n: usize, width: usize) -> Result<Buffer> {
    let count = x.len() / n.max(1);
    let mut out = x.uninit_like(count)?;
    let call = Call::new(x.gpu(), SOURCE, "mean_rows", x.kind()).write(&mut out).read(x);
    call.long(count).long(n).long(width).each(count)?;
    Ok(out)
}

/// The backward pass of [`mean_rows`].
///
/// # Errors
/// The card has no room.
pub fn mean_rows_backward(gradient: &Buffer, n: usize, width: usize) -> Result<Buffer> {
    let count = gradient.len() * n;
    let mut out = gradient.uninit_like(count)?;
    let call = Call::new(gradient.gpu(), SOURCE, "mean_rows_backward", gradient.kind());
    let call = call.write(&mut out).read(gradient).long(count).long(n).long(width);
    call.each(count)?;
    Ok(out)
}

/// `[B, H, W, C]` to `[B, H/f, W/f, C*f*f]`, channels in the order `c*f*f + dy*f + dx`.
///
/// # Errors
/// The card has no room.
pub fn pixel_unshuffle(x: &Buffer, size: (usize, usize, usize), f: usize) -> Result<Buffer> {
    shuffled(x, size, f, true)
}

/// The reverse of [`pixel_unshuffle`]; the size is that of its result.
///
/// # Errors
/// The card has no room.
pub fn pixel_shuffle(x: &Buffer, size: (usize, usize, usize), f: usize) -> Result<Buffer> {
    shuffled(x, size, f, false)
}

fn shuffled(x: &Buffer, (h, w, c): (usize, usize, usize), f: usize, to: bool) -> Result<Buffer> {
    let (n, mut out) = (x.len(), x.uninit_like(x.len())?);
    let call = Call::new(x.gpu(), SOURCE, "pixel_shuffle", x.kind()).write(&mut out).read(x);
    call.long(n).int(h).int(w).int(c).int(f).int(usize::from(to)).each(n)?;
    Ok(out)
}

/// The mean of each `f` x `f` square: `[B, H, W, C]` to `[B, H/f, W/f, C]`.
///
/// # Errors
/// The card has no room.
pub fn average_pool(x: &Buffer, (h, w, c): (usize, usize, usize), f: usize) -> Result<Buffer> {
    let count = x.len() / (h * w * c).max(1) * (h / f) * (w / f) * c;
    let mut out = x.uninit_like(count)?;
    let call = Call::new(x.gpu(), SOURCE, "average_pool", x.kind()).write(&mut out).read(x);
    call.long(count).int(h).int(w).int(c).int(f).each(count)?;
    Ok(out)
}

/// The backward pass of [`average_pool`].
///
/// # Errors
/// The card has no room.
pub fn average_pool_backward(
    g: &Buffer,
    (h, w, c): (usize, usize, usize),
    f: usize,
) -> Result<Buffer> {
    let count = g.len() / ((h / f) * (w / f) * c).max(1) * h * w * c;
    let mut out = g.uninit_like(count)?;
    let call = Call::new(g.gpu(), SOURCE, "average_pool_backward", g.kind()).write(&mut out);
    call.read(g).long(count).int(h).int(w).int(c).int(f).each(count)?;
    Ok(out)
}
