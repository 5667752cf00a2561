//! The backward pass.

use super::super::gemm::{Mat, gemm};
use super::super::memory::{Shared, uninit};
use super::super::simd::{exp, simd, sum_of_pairs};
use super::bias::{Part, RowBias, Target, add_bias, grid_sums};
use super::{Bias, Shape, turn};
use rayon::prelude::*;

simd! {
    /// Turns a row of scores into probabilities again, by its log-sum-exp, and a row of their
    /// gradients into those of the scores.
    fn backward_row(
        p: &mut [f32],
        ds: &mut [f32],
        seen: usize,
        bias: RowBias<'_>,
        log_sum: f32,
        gradient: &[f32],
        out: &[f32],
    ) {
        // The sum of the probabilities times their gradients.
        let delta = sum_of_pairs(gradient, out, |a, b| a * b);
        let ((p, p_hidden), (ds, ds_hidden)) = (p.split_at_mut(seen), ds.split_at_mut(seen));
        p_hidden.fill(0.0);
        ds_hidden.fill(0.0);
        add_bias(p, bias);
        for (p, ds) in p.iter_mut().zip(ds) {
            *p = exp::<FMA>(*p - log_sum);
            *ds = *p * (*ds - delta);
        }
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
    if nq == 0 {
        (all.k, all.v) = (vec![0.0; saved.k.len()], vec![0.0; saved.v.len()]);
    }
    if d == 0 || key_heads == 0 || nq == 0 {
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
                // From the last queries on: they see the most keys.
                for q0 in (0..nq).step_by(s.block()).rev() {
                    let q1 = (q0 + s.block()).min(nq);
                    let first = h == hk * group && q1 == nq;
                    let (at, to) = ((b, h, q0, q1), (shared, target, &mut part));
                    block_backward(&s, saved, gradient, at, (scratch, first), to);
                }
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
    keys: Vec<f32>,
    values: Vec<f32>,
    grid: Vec<f32>,
}

impl Scratch {
    /// Takes up the keys and values from `at` on: `nk` rows of `d` values, `row` apart.
    fn start(&mut self, saved: Saved<'_>, at: usize, (nk, row, d): (usize, usize, usize)) {
        for (turned, x) in [(&mut self.keys, saved.k), (&mut self.values, saved.v)] {
            turned.resize(nk * d, 0.0);
            turn(turned, x.get(at..).unwrap_or(&[]), nk, row, d);
        }
    }
}

/// One block of queries. The first of a key head's blocks writes the gradients of keys and values,
/// the others add to them.
fn block_backward(
    s: &Shape<'_>,
    saved: Saved<'_>,
    gradient: &[f32],
    (b, h, q0, q1): (usize, usize, usize, usize),
    (scratch, first): (&mut Scratch, bool),
    ([dq, dk, dv], target, part): ([Shared; 3], Target, &mut Part),
) {
    let ((nq, nk), (heads, key_heads), d) = (s.tokens, s.heads, s.width);
    let (n, hk) = (q1 - q0, h / (heads / key_heads));
    // The first block writes every key, seen by any or not.
    let seen = if first { nk } else { s.visible(b, q1) };
    let (q_at, k_at) = (((b * nq + q0) * heads + h) * d, (b * nk * key_heads + hk) * d);
    let (q_row, k_row) = (heads * d, key_heads * d);
    let Scratch { p, ds, keys: turned, values, grid } = scratch;
    p.resize(n * seen, 0.0);
    ds.resize(n * seen, 0.0);
    let queries = Mat::rows(&saved.q[q_at..], q_row);
    let keys = Mat::rows(saved.k.get(k_at..).unwrap_or(&[]), k_row);
    let (turned, values) = (Mat::rows(turned, nk), Mat::rows(values, nk));
    let dout = Mat::rows(&gradient[q_at..], q_row);
    gemm((n, seen, d), p, seen, false, queries, turned, s.scale);
    gemm((n, seen, d), ds, seen, false, dout, values, 1.0);
    for i in 0..n {
        let (at, query) = (q_at + i * q_row, (b * heads + h) * nq + q0 + i);
        let (p, ds) = (&mut p[i * seen..(i + 1) * seen], &mut ds[i * seen..(i + 1) * seen]);
        let visible = s.visible(b, q0 + i + 1).min(seen);
        let (gradient, out) = (&gradient[at..at + d], &saved.out[at..at + d]);
        let bias = s.bias.row(s, b, h, q0 + i);
        backward_row(p, ds, visible, bias, saved.sums[query], gradient, out);
        match target {
            Target::Unwanted => {}
            Target::Full(_) => part.add((b, h, q0 + i), ds),
            Target::Decomposed(rows, columns, (height, width)) => {
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
    let (p, ds) = (Mat::rows(p, seen), Mat::rows(ds, seen));
    // SAFETY: these queries, and this batch element's key head, belong to one task; the outputs
    // outlive it.
    unsafe {
        dv.product((k_at, k_row, !first), (seen, d, n), p.t(), dout, 1.0);
        dq.product((q_at, q_row, false), (n, d, seen), ds, keys, s.scale);
        dk.product((k_at, k_row, !first), (seen, d, n), ds.t(), queries, s.scale);
    }
}
