//! Attention, block of queries by block of queries: no more scores at a time than one block's.
//!
//! The backward pass recomputes a block's probabilities from the saved log-sum-exp. It runs one
//! task per batch element and key head, since those share the gradients of keys and values.

use super::gemm::{Mat, gemm};
use super::memory::uninit;
use super::simd::{LANES, exp, max_of, simd, sum_of_pairs, total};
use rayon::prelude::*;

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
    /// Sizes of the bias's axes: 1 or the batch, heads, queries and keys.
    pub bias: [usize; 4],
}

impl Shape<'_> {
    /// Queries of a block: about 64 thousand scores.
    fn block(&self) -> usize {
        (65_536 / self.tokens.1.max(1)).clamp(16, 128).min(self.tokens.0.max(1))
    }

    /// Keys that any of the queries before `end` may see.
    fn visible(&self, b: usize, end: usize) -> usize {
        let length = self.lengths.map_or(self.tokens.1, |lengths| lengths[b].min(self.tokens.1));
        if self.causal { length.min(self.offset + end) } else { length }
    }

    fn bias_row(&self, b: usize, h: usize, q: usize) -> (usize, usize) {
        let [nb, nh, nq, nk] = self.bias;
        let at = |i: usize, n: usize| if n == 1 { 0 } else { i };
        (((at(b, nb) * nh + at(h, nh)) * nq + at(q, nq)) * nk, nk)
    }
}

simd! {
    /// Turns a row of scores into exponentials, and returns what normalises them and the row's
    /// log-sum-exp. A row that sees no key gets zeros.
    fn softmax_row(row: &mut [f32], seen: usize, bias: &[f32]) -> (f32, f32) {
        let (seen, hidden) = row.split_at_mut(seen);
        hidden.fill(0.0);
        add_bias(seen, bias);
        let max = max_of(seen);
        if max == f32::NEG_INFINITY {
            seen.fill(0.0);
            return (0.0, f32::INFINITY);
        }
        let mut lanes = [0.0; LANES];
        let (chunks, rest) = seen.as_chunks_mut::<LANES>();
        for chunk in chunks {
            for (x, lane) in chunk.iter_mut().zip(&mut lanes) {
                *x = exp::<FMA>(*x - max);
                *lane += *x;
            }
        }
        for (x, lane) in rest.iter_mut().zip(&mut lanes) {
            *x = exp::<FMA>(*x - max);
            *lane += *x;
        }
        let sum = total(lanes);
        (1.0 / sum, max + sum.ln())
    }
    /// The probabilities again, from the scores and the log-sum-exp.
    fn probability_row(row: &mut [f32], seen: usize, bias: &[f32], log_sum: f32) {
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
    fn scale_row(row: &mut [f32], factor: f32) {
        for x in row {
            *x *= factor;
        }
    }
    fn dot(a: &[f32], b: &[f32]) -> f32 {
        sum_of_pairs(a, b, |a, b| a * b)
    }
    /// `n` rows of `width` values, `stride` apart, as the columns of `out`.
    fn turn(out: &mut [f32], x: &[f32], n: usize, stride: usize, width: usize) {
        for first in (0..n).step_by(LANES) {
            let count = LANES.min(n - first);
            for i in 0..width {
                let out = &mut out[i * n + first..][..count];
                for (j, out) in out.iter_mut().enumerate() {
                    *out = x[(first + j) * stride + i];
                }
            }
        }
    }
}

#[inline(always)]
fn add_bias(row: &mut [f32], bias: &[f32]) {
    match bias {
        [] => {}
        [bias] => row.iter_mut().for_each(|x| *x += bias),
        bias => row.iter_mut().zip(bias).for_each(|(x, bias)| *x += bias),
    }
}

/// An output that tasks write to at strided places no two of them share.
#[derive(Clone, Copy)]
struct Shared(*mut f32, usize);

// SAFETY: tasks touch disjoint elements; see `Shared::from`.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    fn new(values: &mut [f32]) -> Self {
        Shared(values.as_mut_ptr(), values.len())
    }

    /// Writes `rows` of `width` values, `stride` apart, from `at` on.
    ///
    /// # Safety
    /// No other task may touch these elements meanwhile, and the slice behind must be alive.
    unsafe fn put(self, at: usize, stride: usize, width: usize, rows: &[f32]) {
        for (i, row) in rows.chunks_exact(width).enumerate() {
            assert!(at + i * stride + width <= self.1, "attention would leave its output");
            // SAFETY: in bounds by the assertion, unshared by the contract.
            unsafe {
                std::ptr::copy_nonoverlapping(row.as_ptr(), self.0.add(at + i * stride), width);
            }
        }
    }
}

/// Attention of `q` `[B, Nq, H, D]` over `k`, `v` `[B, Nk, Hk, D]`; also the log-sum-exp of every
/// query, `[B, H, Nq]`.
pub fn attention(
    s: Shape<'_>,
    q: &[f32],
    k: &[f32],
    v: &[f32],
    bias: Option<&[f32]>,
) -> (Vec<f32>, Vec<f32>) {
    let ((nq, nk), (heads, key_heads), d) = (s.tokens, s.heads, s.width);
    let (mut out, mut sums) = (uninit(q.len()), uninit(s.batch * heads * nq));
    if q.is_empty() {
        return (out, sums);
    }
    let block = s.block();
    // A task turns the keys once for its queries, up to eight blocks of them.
    let share = 8 * block;
    let shares = nq.div_ceil(share);
    let (shared, shared_sums) = (Shared::new(&mut out), Shared::new(&mut sums));
    (0..s.batch * heads * shares).into_par_iter().for_each_init(Forward::default, |f, task| {
        let (b, h, first) = (task / shares / heads, task / shares % heads, task % shares * share);
        let last = (first + share).min(nq);
        let (q_row, k_row) = (heads * d, key_heads * d);
        let k_at = (b * nk * key_heads + h / (heads / key_heads)) * d;
        f.keys.resize(nk * d, 0.0);
        turn(&mut f.keys, k.get(k_at..).unwrap_or(&[]), nk, k_row, d);
        for q0 in (first..last).step_by(block) {
            let q1 = (q0 + block).min(last);
            let (n, seen, q_at) = (q1 - q0, s.visible(b, q1), ((b * nq + q0) * heads + h) * d);
            f.scores.resize(n * seen, 0.0);
            f.rows.resize(n * d, 0.0);
            f.logs.resize(n, 0.0);
            f.factors.resize(n, 0.0);
            let (queries, keys) = (Mat::rows(&q[q_at..], q_row), Mat::rows(&f.keys, nk));
            gemm((n, seen, d), &mut f.scores, seen, false, queries, keys, s.scale);
            for i in 0..n {
                let row = &mut f.scores[i * seen..(i + 1) * seen];
                let visible = s.visible(b, q0 + i + 1).min(seen);
                (f.factors[i], f.logs[i]) =
                    softmax_row(row, visible, bias_of(&s, bias, b, h, q0 + i));
            }
            let values = Mat::rows(v.get(k_at..).unwrap_or(&[]), k_row);
            let scores = Mat::rows(&f.scores, seen);
            gemm((n, d, seen), &mut f.rows, d, false, scores, values, 1.0);
            for (row, factor) in f.rows.chunks_exact_mut(d).zip(&f.factors) {
                scale_row(row, *factor);
            }
            // SAFETY: a task is one (batch element, head, share of the queries), and these are its
            // rows of the outputs, which outlive the loop.
            unsafe {
                shared.put(q_at, q_row, d, &f.rows);
                shared_sums.put((b * heads + h) * nq + q0, n, n, &f.logs);
            }
        }
    });
    (out, sums)
}

#[derive(Default)]
struct Forward {
    keys: Vec<f32>,
    scores: Vec<f32>,
    rows: Vec<f32>,
    logs: Vec<f32>,
    factors: Vec<f32>,
}

fn bias_of<'a>(s: &Shape<'_>, bias: Option<&'a [f32]>, b: usize, h: usize, q: usize) -> &'a [f32] {
    bias.map_or(&[], |bias| {
        let (at, width) = s.bias_row(b, h, q);
        &bias[at..at + width]
    })
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
    /// The bias.
    pub bias: Option<&'a [f32]>,
    /// The output.
    pub out: &'a [f32],
    /// The log-sum-exp of every query.
    pub sums: &'a [f32],
}

/// The gradients of queries, keys, values and, if it is wanted, the bias.
pub fn attention_backward(
    s: Shape<'_>,
    saved: Saved<'_>,
    gradient: &[f32],
    bias_wanted: bool,
) -> [Vec<f32>; 4] {
    let ((nq, nk), (heads, key_heads), d) = (s.tokens, s.heads, s.width);
    let mut dq = uninit(saved.q.len());
    let (mut dk, mut dv) = (uninit(saved.k.len()), uninit(saved.v.len()));
    let bias_size = if bias_wanted { s.bias.iter().product::<usize>() } else { 0 };
    let group = heads / key_heads.max(1);
    let (shared_q, shared_k, shared_v) =
        (Shared::new(&mut dq), Shared::new(&mut dk), Shared::new(&mut dv));
    let run = |task: usize, scratch: &mut Scratch| -> Vec<f32> {
        let (b, hk) = (task / key_heads, task % key_heads);
        scratch.dk.clear();
        scratch.dk.resize(nk * d, 0.0);
        scratch.dv.clear();
        scratch.dv.resize(nk * d, 0.0);
        let k_at = (b * nk * key_heads + hk) * d;
        scratch.keys.resize(nk * d, 0.0);
        scratch.values.resize(nk * d, 0.0);
        turn(&mut scratch.keys, saved.k.get(k_at..).unwrap_or(&[]), nk, key_heads * d, d);
        turn(&mut scratch.values, saved.v.get(k_at..).unwrap_or(&[]), nk, key_heads * d, d);
        let mut dbias = vec![0.0; bias_size];
        for h in hk * group..(hk + 1) * group {
            for q0 in (0..nq).step_by(s.block()) {
                let q1 = (q0 + s.block()).min(nq);
                block_backward(&s, saved, gradient, (b, h, q0, q1), scratch, &mut dbias);
                // SAFETY: these queries' rows belong to this task alone.
                unsafe {
                    let at = ((b * nq + q0) * heads + h) * d;
                    shared_q.put(at, heads * d, d, &scratch.dq[..(q1 - q0) * d]);
                }
            }
        }
        // SAFETY: this batch element's key head belongs to this task alone.
        unsafe {
            shared_k.put(k_at, key_heads * d, d, &scratch.dk);
            shared_v.put(k_at, key_heads * d, d, &scratch.dv);
        }
        dbias
    };
    let tasks = (0..s.batch * key_heads).into_par_iter();
    let mut dbias = vec![0.0; bias_size];
    if d == 0 {
    } else if bias_wanted {
        let parts: Vec<_> =
            tasks.map_init(Scratch::default, |scratch, t| run(t, scratch)).collect();
        for part in parts {
            super::add_assign(&mut dbias, &part);
        }
    } else {
        tasks.for_each_init(Scratch::default, |scratch, t| drop(run(t, scratch)));
    }
    [dq, dk, dv, dbias]
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
}

fn block_backward(
    s: &Shape<'_>,
    saved: Saved<'_>,
    gradient: &[f32],
    (b, h, q0, q1): (usize, usize, usize, usize),
    scratch: &mut Scratch,
    dbias: &mut [f32],
) {
    let ((nq, nk), (heads, key_heads), d) = (s.tokens, s.heads, s.width);
    let (n, seen, hk) = (q1 - q0, s.visible(b, q1), h / (heads / key_heads));
    let (q_at, k_at) = (((b * nq + q0) * heads + h) * d, (b * nk * key_heads + hk) * d);
    let (q_row, k_row) = (heads * d, key_heads * d);
    let Scratch { p, ds, dq, dk, dv, keys: turned, values } = scratch;
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
        probability_row(row, visible, bias_of(s, saved.bias, b, h, q0 + i), log_sum);
        let ds = &mut ds[i * seen..(i + 1) * seen];
        score_gradient_row(ds, row, delta);
        if !dbias.is_empty() {
            let (at, width) = s.bias_row(b, h, q0 + i);
            if width == 1 {
                dbias[at] += ds.iter().sum::<f32>();
            } else {
                dbias[at..].iter_mut().zip(&*ds).for_each(|(dbias, ds)| *dbias += ds);
            }
        }
    }
    let (probabilities, scores) = (Mat::rows(p, seen), Mat::rows(ds, seen));
    gemm((seen, d, n), dv, d, true, probabilities.t(), dout, 1.0);
    gemm((n, d, seen), dq, d, false, scores, keys, s.scale);
    gemm((seen, d, n), dk, d, true, scores.t(), queries, s.scale);
}
