//! What is added to the scores, and its gradient.

use super::super::add_assign;
use super::super::simd::{simd, sum_of};
use super::{Shape, Shared};
use std::ops::Range;

/// What is added to the scaled scores.
#[derive(Debug, Clone, Copy, Default)]
pub enum Bias<'a> {
    /// Nothing.
    #[default]
    None,
    /// A value for every score.
    Full {
        /// The values.
        values: &'a [f32],
        /// The sizes of their axes: 1 or the batch, heads, queries and keys.
        axes: [usize; 4],
    },
    /// The sum of a value for the key's row and one for its column, the keys lying on a grid:
    /// `[B, H, Nq, rows]` and `[B, H, Nq, columns]`.
    Decomposed {
        /// The rows' values.
        rows: &'a [f32],
        /// The columns' values.
        columns: &'a [f32],
        /// Rows and columns of the keys' grid.
        grid: (usize, usize),
    },
}

/// The bias of one query in one head.
#[derive(Clone, Copy)]
pub(super) enum RowBias<'a> {
    None,
    /// The same for every key.
    One(f32),
    Each(&'a [f32]),
    /// Of the rows and of the columns of the keys' grid.
    Grid(&'a [f32], &'a [f32]),
}

fn at(i: usize, n: usize) -> usize {
    if n == 1 { 0 } else { i }
}

/// The first value of a query's bias.
fn start([nb, nh, nq, nk]: [usize; 4], b: usize, h: usize, q: usize) -> usize {
    ((at(b, nb) * nh + at(h, nh)) * nq + at(q, nq)) * nk
}

impl<'a> Bias<'a> {
    pub(super) fn row(self, s: &Shape<'_>, b: usize, h: usize, q: usize) -> RowBias<'a> {
        match self {
            Bias::None => RowBias::None,
            Bias::Full { values, axes } => {
                let from = start(axes, b, h, q);
                match axes[3] {
                    1 => RowBias::One(values[from]),
                    width => RowBias::Each(&values[from..from + width]),
                }
            }
            Bias::Decomposed { rows, columns, grid } => {
                let row = (b * s.heads.0 + h) * s.tokens.0 + q;
                let of = |values: &'a [f32], n: usize| &values[row * n..(row + 1) * n];
                RowBias::Grid(of(rows, grid.0), of(columns, grid.1))
            }
        }
    }
}

/// Adds a query's bias to its scores, or to the first of them.
#[inline(always)]
pub(super) fn add_bias(row: &mut [f32], bias: RowBias<'_>) {
    match bias {
        RowBias::None => {}
        RowBias::One(bias) => row.iter_mut().for_each(|x| *x += bias),
        RowBias::Each(bias) => row.iter_mut().zip(bias).for_each(|(x, bias)| *x += bias),
        RowBias::Grid(rows, columns) => {
            for (row, y) in row.chunks_mut(columns.len().max(1)).zip(rows) {
                row.iter_mut().zip(columns).for_each(|(x, column)| *x += y + column);
            }
        }
    }
}

/// Where the tasks of a backward pass leave the gradient of the bias.
#[derive(Clone, Copy)]
pub(super) enum Target {
    Unwanted,
    /// Tasks that share values leave parts of their own, which are added in the tasks' order.
    Full([usize; 4]),
    /// A query's values belong to its task.
    Decomposed(Shared, Shared, (usize, usize)),
}

impl Target {
    /// Batch elements of a task. One bias for the whole batch has as many parts as there are tasks,
    /// so they are few.
    pub(super) fn share(self, s: &Shape<'_>) -> usize {
        match self {
            Target::Full([1, ..]) => s.batch.div_ceil(8_usize.div_ceil(s.heads.1.max(1))).max(1),
            _ => 1,
        }
    }
}

/// A task's part of the gradient of a full bias.
pub(super) struct Part {
    axes: [usize; 4],
    first: (usize, usize),
    values: Vec<f32>,
}

impl Part {
    /// Zeros for the heads `h` of the batch elements `b`.
    pub(super) fn new(target: Target, b: &Range<usize>, h: &Range<usize>) -> Part {
        let axes = match target {
            Target::Full([nb, nh, nq, nk]) => {
                [if nb == 1 { 1 } else { b.len() }, if nh == 1 { 1 } else { h.len() }, nq, nk]
            }
            Target::Unwanted | Target::Decomposed(..) => [0; 4],
        };
        Part { axes, first: (b.start, h.start), values: vec![0.0; axes.iter().product()] }
    }

    /// Adds the score gradients of a query.
    pub(super) fn add(&mut self, (b, h, q): (usize, usize, usize), scores: &[f32]) {
        let from = start(self.axes, b - self.first.0, h - self.first.1, q);
        if self.axes[3] == 1 {
            self.values[from] += scores.iter().sum::<f32>();
        } else {
            add_into(&mut self.values[from..], scores);
        }
    }

    /// Adds the part to the gradient of the whole bias, whose axes are `whole`.
    pub(super) fn add_to(&self, sum: &mut [f32], whole: [usize; 4]) {
        let [nb, nh, nq, nk] = self.axes;
        for (i, block) in self.values.chunks_exact((nq * nk).max(1)).enumerate() {
            debug_assert!(i < nb * nh);
            let from = start(whole, self.first.0 + i / nh, self.first.1 + i % nh, 0);
            add_assign(&mut sum[from..from + nq * nk], block);
        }
    }
}

simd! {
    fn add_into(sum: &mut [f32], x: &[f32]) {
        for (sum, x) in sum.iter_mut().zip(x) {
            *sum += x;
        }
    }
    /// The score gradients of a query, added up along the rows and along the columns of the grid.
    pub(super) fn grid_sums(rows: &mut [f32], columns: &mut [f32], scores: &[f32]) {
        rows.fill(0.0);
        columns.fill(0.0);
        for (scores, sum) in scores.chunks(columns.len().max(1)).zip(rows) {
            *sum = sum_of(scores, |x| x);
            for (sum, x) in columns.iter_mut().zip(scores) {
                *sum += x;
            }
        }
    }
}
