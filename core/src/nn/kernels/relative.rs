//! Products of queries on a grid with a table of relative positions along one of its axes.
//!
//! The queries of one line across the axis share their distances to all keys, so that a line is one
//! matrix product with a window of the table.

use super::gemm::{Mat, gemm};
use super::memory::{Shared, chunked, sum_parts, uninit};
use rayon::prelude::*;

/// The sizes of the products.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Batch elements.
    pub batch: usize,
    /// Rows and columns of the grid.
    pub grid: (usize, usize),
    /// Heads.
    pub heads: usize,
    /// Channels of a head.
    pub width: usize,
    /// Whether positions are counted along the rows (a column of the grid), or along the columns.
    pub rows: bool,
}

impl Shape {
    /// Positions along the axis.
    fn len(&self) -> usize {
        if self.rows { self.grid.0 } else { self.grid.1 }
    }

    /// Queries of a line, and the distances between them and between lines, in queries.
    fn line(&self) -> (usize, usize, usize) {
        let (h, w) = self.grid;
        if self.rows { (w, 1, w) } else { (h, w, 1) }
    }

    fn tokens(&self) -> usize {
        self.grid.0 * self.grid.1
    }

    /// Where the queries of a batch element's head start, and the distance between them.
    fn queries(&self, task: usize) -> (usize, usize) {
        let (b, head) = (task / self.heads, task % self.heads);
        let row = self.heads * self.width;
        (b * self.tokens() * row + head * self.width, row)
    }
}

/// The table with its last row first: then a line's window is rows one after the other.
fn reversed(table: &[f32], width: usize) -> Vec<f32> {
    table.chunks_exact(width.max(1)).rev().flatten().copied().collect()
}

/// `out[b, head, q, k]`: query `q` times the row of `table` `[2 L - 1, D]` for the distance between
/// its position and `k`, of `L`; `q` is `[B, N, H, D]`.
pub fn relative(s: Shape, q: &[f32], table: &[f32]) -> Vec<f32> {
    let (len, (count, next, across)) = (s.len(), s.line());
    let table = reversed(table, s.width);
    let mut out = uninit(s.batch * s.heads * s.tokens() * len);
    chunked(&mut out, s.tokens() * len, |task, out| {
        let (start, row) = s.queries(task);
        for i in 0..len {
            let queries = Mat::rows(&q[start + i * across * row..], next * row);
            let window = Mat::rows(&table[(len - 1 - i) * s.width..], s.width);
            let out = &mut out[i * across * len..];
            gemm((count, len, s.width), out, next * len, false, queries, window.t(), 1.0);
        }
    });
    out
}

/// The gradients of queries and table: partial sums of fixed groups of heads.
pub fn relative_backward(
    s: Shape,
    gradient: &[f32],
    q: &[f32],
    table: &[f32],
) -> (Vec<f32>, Vec<f32>) {
    let (len, (count, next, across), d) = (s.len(), s.line(), s.width);
    let turned = reversed(table, d);
    let mut dq = uninit(q.len());
    let (tasks, size) = (s.batch * s.heads, s.tokens() * len);
    let share = tasks.div_ceil(32).max(1);
    let mut parts = vec![0.0; tasks.div_ceil(share) * table.len()];
    let shared = Shared::new(&mut dq);
    parts.par_chunks_mut(table.len().max(1)).enumerate().for_each(|(i, dtable)| {
        let mut lines = vec![0.0; s.tokens() * d];
        for task in i * share..((i + 1) * share).min(tasks) {
            let (start, row) = s.queries(task);
            for i in 0..len {
                let queries = Mat::rows(&q[start + i * across * row..], next * row);
                let at = (len - 1 - i) * d;
                let dout = Mat::rows(&gradient[task * size + i * across * len..], next * len);
                let (dq, window) = (&mut lines[i * across * d..], Mat::rows(&turned[at..], d));
                gemm((count, d, len), dq, next * d, false, dout, window, 1.0);
                gemm((len, d, count), &mut dtable[at..], d, true, dout.t(), queries, 1.0);
            }
            // SAFETY: the queries of a batch element's head belong to one task, and `dq` outlives
            // the loop.
            unsafe { shared.put(start, row, d, &lines) };
        }
    });
    (dq, reversed(&sum_parts(&parts, table.len()), d))
}
