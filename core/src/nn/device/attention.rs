//! Attention on the card: [`super::super::kernels::attention`] with buffers in place of slices.

use super::done;
use super::hosted::{Down as _, Up as _};
use crate::nn::kernels::attention as cpu;
use crate::nn::kernels::cuda::Buffer;

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
    /// The sum of a value for the key's row and one for its column, the keys lying on a grid.
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
    pub lengths: Option<&'a [usize]>,
    /// What is added to the scaled scores.
    pub bias: Bias<'a>,
}

/// What the backward pass needs of the forward pass.
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
    /// The log-sum-exp of every query.
    pub sums: &'a Buffer,
}

/// The gradients; empty where they were not wanted.
#[derive(Debug)]
pub struct Gradients {
    /// Of the queries.
    pub q: Buffer,
    /// Of the keys.
    pub k: Buffer,
    /// Of the values.
    pub v: Buffer,
    /// Of a full bias, or of the rows of a decomposed one.
    pub bias: Buffer,
    /// Of the columns of a decomposed bias.
    pub columns: Buffer,
}

/// Attention; also every query's log-sum-exp, for the backward pass.
pub fn attention(s: Shape<'_>, q: &Buffer, k: &Buffer, v: &Buffer) -> (Buffer, Buffer) {
    let held = Held::of(s.bias);
    let (out, sums) = cpu::attention(held.shape(s), &q.down(), &k.down(), &v.down());
    let sums = done(q.gpu().upload(crate::nn::kernels::cuda::Kind::F32, &sums));
    (out.up(q), sums)
}

/// The gradients of queries, keys and values, and of the bias where that is wanted.
pub fn attention_backward(
    s: Shape<'_>,
    saved: Saved<'_>,
    gradient: &Buffer,
    bias_wanted: bool,
) -> Gradients {
    let (held, like) = (Held::of(s.bias), saved.q);
    let [q, k, v] = [saved.q, saved.k, saved.v].down();
    let (out, sums) = (saved.out.down(), saved.sums.down());
    let saved = cpu::Saved { q: &q, k: &k, v: &v, out: &out, sums: &sums };
    let all = cpu::attention_backward(held.shape(s), saved, &gradient.down(), bias_wanted);
    let [q, k, v] = [all.q, all.k, all.v].up(like);
    let (bias, columns) = (all.bias, all.columns).up(like);
    Gradients { q, k, v, bias, columns }
}

/// A bias on the host.
struct Held([Vec<f32>; 2]);

impl Held {
    fn of(bias: Bias<'_>) -> Held {
        Held(match bias {
            Bias::None => [Vec::new(), Vec::new()],
            Bias::Full { values, .. } => [values.down(), Vec::new()],
            Bias::Decomposed { rows, columns, .. } => [rows.down(), columns.down()],
        })
    }

    fn shape<'a>(&'a self, s: Shape<'a>) -> cpu::Shape<'a> {
        let Held([values, columns]) = self;
        let bias = match s.bias {
            Bias::None => cpu::Bias::None,
            Bias::Full { axes, .. } => cpu::Bias::Full { values, axes },
            Bias::Decomposed { grid, .. } => cpu::Bias::Decomposed { rows: values, columns, grid },
        };
        let Shape { batch, tokens, heads, width, scale, causal, offset, lengths, .. } = s;
        cpu::Shape { batch, tokens, heads, width, scale, causal, offset, lengths, bias }
    }
}
