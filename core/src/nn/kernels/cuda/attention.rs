//! Attention without the matrix of scores, forward and backward.
//!
//! Values of 16 bits and heads of up to 128 channels go through tensor cores (`attention_tensor.cu`),
//! others through the kernels for any storage (`attention.cu`), up to 256 channels. The backward pass
//! computes the probabilities twice, once for the gradient of the queries and once for those of keys and
//! values, where one pass would need atomics: that is the price of equal bits in two runs.

use super::call::{Call, Product, Source, THREADS, source};
use super::elementwise::sum_parts;
use super::{Buffer, Gpu, GpuError, Indices, Kind, Result};

const SOURCE: Source = source!("attention.cu");
const TENSOR: Source = source!("attention_tensor.cu");

/// What is added to the scaled scores.
#[derive(Debug, Clone, Copy, Default)]
pub enum Bias<'a> {
    /// Nothing.
    #[default]
    None,
    /// A value for every score.
    Full {
        /// The values.
        values: &'a Buffer,
        /// The sizes of their axes: 1 or the batch, heads, queries and keys.
        axes: [usize; 4],
    },
    /// The sum of a value for the key's row and one for its column, the keys lying on a grid:
    /// `[B, H, Nq, rows]` and `[B, H, Nq, columns]`.
    Decomposed {
        /// The rows' values.
        rows: &'a Buffer,
        /// The columns' values.
        columns: &'a Buffer,
        /// Rows and columns of the keys' grid.
        grid: (usize, usize),
    },
}

/// The sizes of an attention and what each query may see.
#[derive(Debug, Clone, Copy)]
pub struct Shape<'a> {
    /// Batch elements.
    pub batch: usize,
    /// Queries, and keys.
    pub tokens: (usize, usize),
    /// Heads of the queries, and of keys and values.
    pub heads: (usize, usize),
    /// Channels of a head.
    pub width: usize,
    /// What a score is multiplied by.
    pub scale: f32,
    /// Whether a query sees no later key.
    pub causal: bool,
    /// The position of query 0 among the keys.
    pub offset: usize,
    /// Valid keys of each batch element.
    pub lengths: Option<&'a Indices>,
    /// What is added to the scaled scores.
    pub bias: Bias<'a>,
}

/// What attention's backward pass needs of the forward pass.
#[derive(Debug, Clone, Copy)]
pub struct Saved<'a> {
    /// Queries.
    pub q: &'a Buffer,
    /// Keys.
    pub k: &'a Buffer,
    /// Values.
    pub v: &'a Buffer,
    /// The output.
    pub out: &'a Buffer,
    /// The log-sum-exp of every query, of f32.
    pub sums: &'a Buffer,
}

/// The gradients of attention's inputs.
#[derive(Debug)]
pub struct Gradients {
    /// Of the queries.
    pub q: Buffer,
    /// Of the keys.
    pub k: Buffer,
    /// Of the values.
    pub v: Buffer,
    /// Of a full bias, or of the rows of a decomposed one, of f32; empty unless it was wanted.
    pub bias: Buffer,
    /// Of the columns of a decomposed bias, of f32.
    pub columns: Buffer,
}

/// The kernels that serve a storage and a width of heads.
#[derive(Clone, Copy)]
struct Kernels {
    source: Source,
    names: [&'static str; 3],
    /// Queries (or keys) of a block, and its threads.
    block: (usize, usize),
    /// Bytes of shared memory of each.
    shared: [usize; 3],
    head: usize,
}

fn kernels(kind: Kind, width: usize) -> Result<Kernels> {
    let head = width.next_multiple_of(16);
    if head > 256 {
        let detail = format!("heads of {width} channels: the kernels take up to 256");
        return Err(GpuError::Unsupported { op: "attention", detail });
    }
    if kind != Kind::F32 && head <= 128 {
        let rows = |n: usize| n * (head + 8) * 2;
        return Ok(Kernels {
            source: TENSOR,
            names: ["attention_tensor", "attention_tensor_queries", "attention_tensor_keys"],
            block: (64, 128),
            shared: [rows(128), rows(192) + 64 * 33 * 4, rows(192) + 2 * 32 * 4],
            head,
        });
    }
    let tile = if head > 128 { 16 } else { 32 };
    let (rows, scores) = (tile * (head + 1) * 4, tile * (tile + 1) * 4);
    Ok(Kernels {
        source: SOURCE,
        names: ["attention", "attention_backward_queries", "attention_backward_keys"],
        block: (tile, THREADS),
        shared: [2 * rows + scores, 4 * rows + scores, 4 * rows + 2 * scores],
        head,
    })
}

impl<'a> Call<'a> {
    /// The kernels' SIZES.
    fn sizes(self, s: Shape<'a>) -> Self {
        let call = self.int(s.tokens.0).int(s.tokens.1).int(s.heads.0).int(s.heads.1).int(s.width);
        let call = call.float(s.scale).int(usize::from(s.causal)).int(s.offset);
        let call = call.maybe_indices(s.lengths);
        let (first, columns, strides, grid) = match s.bias {
            Bias::None => (None, None, [0; 4], 0),
            Bias::Full { values, axes: [b, h, q, k] } => {
                let step = |axis: usize, inner: usize| if axis == 1 { 0 } else { inner };
                let strides = [step(b, h * q * k), step(h, q * k), step(q, k), step(k, 1)];
                (Some(values), None, strides, 0)
            }
            Bias::Decomposed { rows, columns, grid: (height, width) } => {
                let of_head = s.tokens.0 * height;
                let strides = [s.heads.0 * of_head, of_head, height, 1];
                (Some(rows), Some(columns), strides, width)
            }
        };
        let call = call.maybe(first).maybe(columns);
        strides.into_iter().fold(call, Call::long).int(grid)
    }
}

/// Attention of `q` `[B, Nq, H, D]` over `k`, `v` `[B, Nk, Hk, D]`; also the log-sum-exp of every
/// query, `[B, H, Nq]`, of f32.
///
/// # Errors
/// The card has no room, or the heads are too wide.
pub fn attention(s: &Shape<'_>, q: &Buffer, k: &Buffer, v: &Buffer) -> Result<(Buffer, Buffer)> {
    let (gpu, set) = (q.gpu(), kernels(q.kind(), s.width)?);
    let mut out = q.uninit_like(q.len())?;
    let mut sums = gpu.uninit(Kind::F32, s.batch * s.heads.0 * s.tokens.0)?;
    let call = Call::new(gpu, set.source, set.names[0], q.kind()).head(set.head);
    let call = call.write(&mut out).write(&mut sums).read(q).read(k).read(v).sizes(*s);
    let blocks = s.tokens.0.div_ceil(set.block.0) * s.heads.0 * s.batch;
    call.grid([blocks, 1, 1], set.block.1, set.shared[0])?;
    Ok((out, sums))
}

/// The gradients of queries, keys, values and, if it is wanted, the bias.
///
/// # Errors
/// The card has no room.
pub fn attention_backward(
    s: &Shape<'_>,
    saved: Saved<'_>,
    gradient: &Buffer,
    bias_wanted: bool,
) -> Result<Gradients> {
    let ((nq, nk), (heads, key_heads)) = (s.tokens, s.heads);
    let (q, gpu, kind) = (saved.q, saved.q.gpu(), saved.q.kind());
    let set = kernels(kind, s.width)?;
    let (mut dq, mut dk) = (q.uninit_like(q.len())?, q.uninit_like(saved.k.len())?);
    let mut dv = q.uninit_like(saved.v.len())?;
    let delta = delta(s, &saved, gradient, set.head)?;
    let (mut bias, mut columns) = (gpu.uninit(Kind::F32, 0)?, gpu.uninit(Kind::F32, 0)?);
    if let (true, Bias::Decomposed { rows, columns: of_columns, .. }) = (bias_wanted, s.bias) {
        bias = gpu.zeros(Kind::F32, rows.len())?;
        columns = gpu.zeros(Kind::F32, of_columns.len())?;
    }
    let grid = !bias.is_empty();
    let call = Call::new(gpu, set.source, set.names[1], kind).head(set.head).write(&mut dq);
    let call =
        call.maybe_write(grid.then_some(&mut bias)).maybe_write(grid.then_some(&mut columns));
    let call =
        call.read(gradient).read(q).read(saved.k).read(saved.v).read(saved.sums).read(&delta);
    let blocks = nq.div_ceil(set.block.0) * heads * s.batch;
    call.sizes(*s).grid([blocks, 1, 1], set.block.1, set.shared[1])?;
    let call = Call::new(gpu, set.source, set.names[2], kind).head(set.head).write(&mut dk);
    let call = call.write(&mut dv).read(gradient).read(q).read(saved.k).read(saved.v);
    let call = call.read(saved.sums).read(&delta).sizes(*s);
    let blocks = nk.div_ceil(set.block.0) * key_heads * s.batch;
    call.grid([blocks, 1, 1], set.block.1, set.shared[2])?;
    if let (true, Bias::Full { axes, .. }) = (bias_wanted, s.bias) {
        bias = full_bias(s, saved, gradient, &delta, axes)?;
    }
    Ok(Gradients { q: dq, k: dk, v: dv, bias, columns })
}

/// The sum of each query's output times the output's gradient.
fn delta(s: &Shape<'_>, saved: &Saved<'_>, gradient: &Buffer, head: usize) -> Result<Buffer> {
    let (gpu, count) = (gradient.gpu(), s.batch * s.heads.0 * s.tokens.0);
    let mut delta = gpu.uninit(Kind::F32, count)?;
    let call = Call::new(gpu, SOURCE, "attention_delta", gradient.kind()).head(head);
    let call = call.write(&mut delta).read(gradient).read(saved.out).long(count).int(s.tokens.0);
    call.int(s.heads.0).int(s.width).blocks(count.div_ceil(THREADS / 32), THREADS)?;
    Ok(delta)
}

/// The gradient of a bias with a value for each score.
fn full_bias(
    s: &Shape<'_>,
    saved: Saved<'_>,
    gradient: &Buffer,
    delta: &Buffer,
    [nb, nh, bias_q, bias_k]: [usize; 4],
) -> Result<Buffer> {
    let (gpu, (nq, nk)) = (gradient.gpu(), s.tokens);
    let head = s.width.next_multiple_of(16);
    let tile = if head > 128 { 16 } else { 32 };
    let owners = nq.div_ceil(tile) * nk.div_ceil(tile) * nb * nh;
    // Enough blocks for any card, but no more sums than needed.
    let parts = if nb == 1 { (512 / owners.max(1)).clamp(1, s.batch.max(1)) } else { 1 };
    let per_part = s.batch.div_ceil(parts).max(1);
    let parts = if nb == 1 { s.batch.div_ceil(per_part) } else { 1 };
    let mut sums = gpu.uninit(Kind::F32, parts * nb * nh * nq * nk)?;
    let call = Call::new(gpu, SOURCE, "attention_backward_bias", gradient.kind()).head(head);
    let call = call.write(&mut sums).read(gradient).read(saved.q).read(saved.k).read(saved.v);
    let call =
        call.read(saved.sums).read(delta).int(s.batch).int(nb).int(nh).int(per_part).sizes(*s);
    call.grid([owners * parts, 1, 1], THREADS, 4 * tile * (head + 1) * 4)?;
    let full = sum_parts(&sums, nb * nh * nq * nk)?;
    let full = if bias_k == nk { full } else { summed(gpu, &full, (nb * nh * nq, 1, nk), false)? };
    if bias_q == nq { Ok(full) } else { summed(gpu, &full, (nb * nh, nq, bias_k), true) }
}

/// The sums over the last axis of `[count, rows, columns]`, or over the middle one.
fn summed(
    gpu: &Gpu,
    x: &Buffer,
    (count, rows, columns): (usize, usize, usize),
    middle: bool,
) -> Result<Buffer> {
    let ones = gpu.upload(Kind::F32, &vec![1.0; if middle { count * rows } else { columns }])?;
    let mut out = gpu.uninit(Kind::F32, if middle { count * columns } else { count * rows })?;
    let (batch, size, a, b) = match middle {
        true => (count, (1, columns, rows), &ones, x),
        false => (1, (count * rows, 1, columns), x, &ones),
    };
    let (a, b) = ((a, false), (b, false));
    gpu.product(&Product { batch, size, a, b, start: [0; 3], accumulate: false }, &mut out, 1.0)?;
    Ok(out)
}
