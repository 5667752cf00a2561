//! Sums, products and broadcasts, value by value.

use super::call::{Call, Source, THREADS, source};
use super::{Buffer, Kind, Result};

const SOURCE: Source = source!("elementwise.cu");

/// `y += x`; `y` may be of f32 where `x` has 16 bits.
///
/// # Errors
/// The launch failed.
pub fn add_assign(y: &mut Buffer, x: &Buffer) -> Result<()> {
    let n = same(y, x);
    let kernel = if y.kind() == x.kind() { "add_assign" } else { "add_assign_float" };
    Call::new(x.gpu(), SOURCE, kernel, x.kind()).write(y).read(x).long(n).each(n.div_ceil(4))
}

fn same(a: &Buffer, b: &Buffer) -> usize {
    assert_eq!(a.len(), b.len(), "operands of different sizes");
    a.len()
}

fn binary(kernel: &'static str, a: &Buffer, b: &Buffer) -> Result<Buffer> {
    let (n, mut out) = (same(a, b), a.uninit_like(a.len())?);
    let call = Call::new(a.gpu(), SOURCE, kernel, a.kind()).write(&mut out);
    call.read(a).read(b).long(n).each(n.div_ceil(4))?;
    Ok(out)
}

/// `a + b`.
///
/// # Errors
/// The card has no room.
pub fn add(a: &Buffer, b: &Buffer) -> Result<Buffer> {
    binary("add", a, b)
}

/// `a - b`.
///
/// # Errors
/// The card has no room.
pub fn sub(a: &Buffer, b: &Buffer) -> Result<Buffer> {
    binary("sub", a, b)
}

/// `a * b`.
///
/// # Errors
/// The card has no room.
pub fn mul(a: &Buffer, b: &Buffer) -> Result<Buffer> {
    binary("mul", a, b)
}

/// The gradients of `a * b`.
///
/// # Errors
/// The card has no room.
pub fn mul_backward(gradient: &Buffer, a: &Buffer, b: &Buffer) -> Result<(Buffer, Buffer)> {
    Ok((mul(gradient, b)?, mul(gradient, a)?))
}

/// `x * factor`.
///
/// # Errors
/// The card has no room.
pub fn scale(x: &Buffer, factor: f32) -> Result<Buffer> {
    scaled(x, None, factor)
}

/// `x` times a factor that is on the card, of f32.
///
/// # Errors
/// The card has no room.
pub fn scale_by(x: &Buffer, factor: &Buffer) -> Result<Buffer> {
    scaled(x, Some(factor), 1.0)
}

fn scaled(x: &Buffer, by: Option<&Buffer>, factor: f32) -> Result<Buffer> {
    let (n, mut out) = (x.len(), x.uninit_like(x.len())?);
    let call = Call::new(x.gpu(), SOURCE, "scale", x.kind()).write(&mut out).read(x);
    call.maybe(by).float(factor).long(n).each(n.div_ceil(4))?;
    Ok(out)
}

/// `x *= factor`, and times one that is on the card.
///
/// # Errors
/// The launch failed.
pub fn scale_assign(x: &mut Buffer, by: Option<&Buffer>, factor: f32) -> Result<()> {
    let (n, gpu, kind) = (x.len(), x.gpu().clone(), x.kind());
    let call = Call::new(&gpu, SOURCE, "scale_assign", kind).write(x).maybe(by);
    call.float(factor).long(n).each(n)
}

/// `e^x`.
///
/// # Errors
/// The card has no room.
pub fn exp(x: &Buffer) -> Result<Buffer> {
    let (n, mut out) = (x.len(), x.uninit_like(x.len())?);
    Call::new(x.gpu(), SOURCE, "exponential", x.kind()).write(&mut out).read(x).long(n).each(n)?;
    Ok(out)
}

fn broadcast(kernel: &'static str, x: &Buffer, other: &Buffer, width: usize) -> Result<Buffer> {
    let (n, mut out) = (x.len(), x.uninit_like(x.len())?);
    let call = Call::new(x.gpu(), SOURCE, kernel, x.kind()).write(&mut out).read(x).read(other);
    call.long(n).long(width).each(n)?;
    Ok(out)
}

/// `x + rows`, `rows` repeated along the outer axes.
///
/// # Errors
/// The card has no room.
pub fn add_rows(x: &Buffer, rows: &Buffer) -> Result<Buffer> {
    broadcast("add_rows", x, rows, rows.len())
}

/// `x * rows`, `rows` repeated along the outer axes.
///
/// # Errors
/// The card has no room.
pub fn mul_rows(x: &Buffer, rows: &Buffer) -> Result<Buffer> {
    broadcast("mul_rows", x, rows, rows.len())
}

/// Every row of `x`, `width` wide, by its factor.
///
/// # Errors
/// The card has no room.
pub fn scale_rows(x: &Buffer, factors: &Buffer, width: usize) -> Result<Buffer> {
    broadcast("scale_rows", x, factors, width)
}

/// The product of each row of `a` with that of `b`, added up.
///
/// # Errors
/// The card has no room.
pub fn dot_rows(a: &Buffer, b: &Buffer, width: usize) -> Result<Buffer> {
    let rows = same(a, b) / width.max(1);
    let mut out = a.uninit_like(rows)?;
    let call = Call::new(a.gpu(), SOURCE, "dot_rows", a.kind()).write(&mut out).read(a).read(b);
    call.long(width).blocks(rows, THREADS)?;
    Ok(out)
}

/// The sum of the rows of `x`, `width` wide, in f32.
///
/// # Errors
/// The card has no room.
pub fn sum_rows(x: &Buffer, width: usize) -> Result<Buffer> {
    reduced(x, None, width)
}

/// The sum of the rows of `a * b`, in f32.
///
/// # Errors
/// The card has no room.
pub fn sum_product_rows(a: &Buffer, b: &Buffer, width: usize) -> Result<Buffer> {
    reduced(a, Some(b), width)
}

fn reduced(a: &Buffer, b: Option<&Buffer>, width: usize) -> Result<Buffer> {
    let rows = a.len() / width.max(1);
    let (count, per_part) = parts(rows);
    let mut sums = a.gpu().uninit(Kind::F32, count * width)?;
    let call = Call::new(a.gpu(), SOURCE, "sum_rows", a.kind()).write(&mut sums).read(a).maybe(b);
    let call = call.long(rows).long(width).long(per_part);
    call.grid([width.div_ceil(32), count, 1], THREADS, 0)?;
    sum_parts(&sums, width)
}

/// How many partial sums are made over `rows` rows, and over how many rows each; at least 1.
pub(super) fn parts(rows: usize) -> (usize, usize) {
    let per_part = rows.div_ceil(256).max(64);
    (rows.div_ceil(per_part).max(1), per_part)
}

/// Adds up partial sums, `width` values each, in their order.
pub(super) fn sum_parts(parts: &Buffer, width: usize) -> Result<Buffer> {
    sum_parts_of(parts, (width, width, 0))
}

/// The same for `width` of the `stride` values of each, from `start` on.
pub(super) fn sum_parts_of(
    parts: &Buffer,
    (width, stride, start): (usize, usize, usize),
) -> Result<Buffer> {
    let count = parts.len() / stride.max(1);
    let mut out = parts.uninit_like(width)?;
    let call = Call::new(parts.gpu(), SOURCE, "sum_parts", Kind::F32).write(&mut out).read(parts);
    call.long(count).long(width).long(stride).long(start).each(width)?;
    Ok(out)
}

/// The sum of f32 values, added up in f64: one value.
///
/// # Errors
/// The card has no room.
pub fn sum(x: &Buffer) -> Result<Buffer> {
    let mut out = x.uninit_like(1)?;
    let call = Call::new(x.gpu(), SOURCE, "sum_all", Kind::F32).write(&mut out).read(x);
    call.long(x.len()).blocks(1, THREADS)?;
    Ok(out)
}
