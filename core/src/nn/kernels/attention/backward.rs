//! The backward pass.

use super::super::gemm::{Mat, gemm};
use super::super::memory::uninit;
use super::super::simd::{exp, simd, sum_of_pairs};
use super::bias::{Part, RowBias, Target, add_bias, grid_sums};
use super::{Bias, Shape, Shared, turn};
use rayon::prelude::*;

simd! {
    /// The probabilities again, from the scores and the log-sum-exp.
    fn probability_row(row: &mut [f32], seen: usize, bias: RowBias<'_>, log_sum: f32) {
        let (seen, hidden) = row.split_at_mut(seen);
        hidden.fill(0.0);
        add_bias(seen, bias);
        for x in seen {
            *x = exp::<FMA>(*x - log_sum);
        }
    }
    /// Turns a row of probability gradients into score gradients.
    fn score_gradient_row(row: &mut [f32], p: &[f32], delta: f32) {
        for (row, p) in row.iter_mut().zip(p) {
            *row = p * (*row - delta);
        }
    }
    fn dot(a: &[f32], b: &[f32]) -> f32 {
        sum_of_pairs(a, b, |a, b| a * b)
    }
}

/// What attention's backward pass needs of the forward pass.
#[derive(Debug, Clone, Copy)]
pub struct Saved<'a> {
    /// Queries.
    pub q: &'a [f32],
    /// Keys.
    pub k: &'a [f32],
    /// Values.
    pub v: &'a [f32],
    /// The output.
    pub out: &'a [f32],
    /// The log-sum-exp of every query.
    pub sums: &'a [f32],
}

/// The gradients of attention's inputs.
#[derive(Debug, Default)]
pub struct Gradients {
    /// Of the queries.
    pub q: Vec<f32>,
    /// Of the keys.
    pub k: Vec<f32>,
    /// Of the values.
    pub v: Vec<f32>,
    /// Of a full bias, or of the rows of a decomposed one; empty unless it was wanted.
    pub bias: Vec<f32>,
    /// Of the columns of a decomposed bias.
    pub columns: Vec<f32>,
}

/// The gradients of queries, keys, values and, if it is wanted, the bias.
pub fn attention_backward(
    s: Shape<'_>,
    saved: Saved<'_>,
    gradient: &[f32],
    bias_wanted: bool,
) -> Gradients {
    let ((nq, nk), (heads, key_heads), d) = (s.tokens, s.heads, s.width);
    let mut all = Gradients {
        q: uninit(saved.q.len()),
        k: uninit(saved.k.len()),
        v: uninit(saved.v.len()),
        ..Gradients::default()
    };
    let target = match s.bias {
        Bias::Full { values, axes } if bias_wanted => {
            all.bias = vec![0.0; values.len()];
            Target::Full(axes)
        }
        Bias::Decomposed { rows, columns, grid } if bias_wanted => {
            (all.bias, all.columns) = (vec![0.0; rows.len()], vec![0.0; columns.len()]);
            Target::Decomposed(Shared::new(&mut all.bias), Shared::new(&mut all.columns), grid)
        }
        Bias::None | Bias::Full { .. } | Bias::Decomposed { .. } => Target::Unwanted,
    };
    if d == 0 || key_heads == 0 {
        return all;
    }
    let shared = [Shared::new(&mut all.q), Shared::new(&mut all.k), Shared::new(&mut all.v)];
    let (group, share) = (heads / key_heads, target.share(&s));
    let run = |task: usize, scratch: &mut Scratch| -> Part {
        let first = task / key_heads * share;
        let (elements, hk) = (first..(first + share).min(s.batch), task % key_heads);
        let mut part = Part::new(target, &elements, &(hk * group..(hk + 1) * group));
        for b in elements {
            let k_at = (b * nk * key_heads + hk) * d;
            scratch.start(saved, k_at, (nk, key_heads * d, d));
            for h in hk * group..(hk + 1) * group {
                for q0 in (0..nq).step_by(s.block()) {
                    let q1 = (q0 + s.block()).min(nq);
                    let at = (b, h, q0, q1);
                    block_backward(&s, saved, gradient, at, scratch, (target, &mut part));
                    // SAFETY: these queries' rows belong to this task alone.
                    unsafe {
                        let at = ((b * nq + q0) * heads + h) * d;
                        shared[0].put(at, heads * d, d, &scratch.dq[..(q1 - q0) * d]);
                    }
                }
            }
            // SAFETY: this batch element's key head belongs to this task alone.
            unsafe {
                shared[1].put(k_at, key_heads * d, d, &scratch.dk);
                shared[2].put(k_at, key_heads * d, d, &scratch.dv);
            }
        }
        part
    };
    let tasks = (0..s.batch.div_ceil(share) * key_heads).into_par_iter();
    if let Target::Full(axes) = target {
        let parts: Vec<_> =
            tasks.map_init(Scratch::default, |scratch, task| run(task, scratch)).collect();
        parts.iter().for_each(|part| part.add_to(&mut all.bias, axes));
    } else {
        tasks.for_each_init(Scratch::default, |scratch, task| drop(run(task, scratch)));
    }
    all
}

#[derive(Default)]
struct Scratch {
    p: Vec<f32>,
    ds: Vec<f32>,
    dq: Vec<f32>,
    dk: Vec<f32>,
    dv: Vec<f32>,
    keys: Vec<f32>,
    values: Vec<f32>,
    grid: Vec<f32>,
}

impl Scratch {
    /// Takes up the keys and values from `at` on: `nk` rows of `d` values, `row` apart.
    fn start(&mut self, saved: Saved<'_>, at: usize, (nk, row, d): (usize, usize, usize)) {
        for sum in [&mut self.dk, &mut self.dv] {
            sum.clear();
            sum.resize(nk * d, 0.0);
        }
        for (turned, x) in [(&mut self.keys, saved.k), (&mut self.values, saved.v)] {
            turned.resize(nk * d, 0.0);
            turn(turned, x.get(at..).unwrap_or(&[]), nk, row, d);
        }
    }
}

fn block_backward(
    s: &Shape<'_>,
    saved: Saved<'_>,
    gradient: &[f32],
    (b, h, q0, q1): (usize, usize, usize, usize),
    scratch: &mut Scratch,
    (target, part): (Target, &mut Part),
) {
    let ((nq, nk), (heads, key_heads), d) = (s.tokens, s.heads, s.width);
    let (n, seen, hk) = (q1 - q0, s.visible(b, q1), h / (heads / key_heads));
    let (q_at, k_at) = (((b * nq + q0) * heads + h) * d, (b * nk * key_heads + hk) * d);
    let (q_row, k_row) = (heads * d, key_heads * d);
    let Scratch { p, ds, dq, dk, dv, keys: turned, values, grid } = scratch;
    p.resize(n * seen, 0.0);
    ds.resize(n * seen, 0.0);
    dq.resize(n * d, 0.0);
    let queries = Mat::rows(&saved.q[q_at..], q_row);
    let keys = Mat::rows(saved.k.get(k_at..).unwrap_or(&[]), k_row);
    let (turned, values) = (Mat::rows(turned, nk), Mat::rows(values, nk));
    let dout = Mat::rows(&gradient[q_at..], q_row);
    gemm((n, seen, d), p, seen, false, queries, turned, s.scale);
    gemm((n, seen, d), ds, seen, false, dout, values, 1.0);
    for i in 0..n {
        let at = q_at + i * q_row;
        let delta = dot(&gradient[at..at + d], &saved.out[at..at + d]);
        let row = &mut p[i * seen..(i + 1) * seen];
        let log_sum = saved.sums[(b * heads + h) * nq + q0 + i];
        let visible = s.visible(b, q0 + i + 1).min(seen);
        probability_row(row, visible, s.bias.row(s, b, h, q0 + i), log_sum);
        let ds = &mut ds[i * seen..(i + 1) * seen];
        score_gradient_row(ds, row, delta);
        match target {
            Target::Unwanted => {}
            Target::Full(_) => part.add((b, h, q0 + i), ds),
            Target::Decomposed(rows, columns, (height, width)) => {
                let query = (b * heads + h) * nq + q0 + i;
                grid.resize(height + width, 0.0);
                let (of_rows, of_columns) = grid.split_at_mut(height);
                grid_sums(of_rows, of_columns, ds);
                // SAFETY: a query of a head belongs to one task.
                unsafe {
                    rows.put(query * height, height, height, of_rows);
                    columns.put(query * width, width, width, of_columns);
                }
            }
        }
    }
    let (probabilities, scores) = (Mat::rows(p, seen), Mat::rows(ds, seen));
    gemm((seen, d, n), dv, d, true, probabilities.t(), dout, 1.0);
    gemm((n, d, seen), dq, d, false, scores, keys, s.scale);
    gemm((seen, d, n), dk, d, true, scores.t(), queries, s.scale);
}
