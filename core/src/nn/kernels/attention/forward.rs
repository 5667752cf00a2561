//! The forward pass.

use super::super::gemm::{Mat, gemm};
use super::super::memory::uninit;
use super::super::simd::{LANES, exp, max_of, simd, total};
use super::bias::{RowBias, add_bias};
use super::{Shape, Shared, turn};
use rayon::prelude::*;

simd! {
    /// Turns a row of scores into probabilities, and returns its log-sum-exp. A row that sees no key
    /// gets zeros.
    fn softmax_row(row: &mut [f32], seen: usize, bias: RowBias<'_>) -> f32 {
        let (seen, hidden) = row.split_at_mut(seen);
        hidden.fill(0.0);
        add_bias(seen, bias);
        let max = max_of(seen);
        if max == f32::NEG_INFINITY {
            seen.fill(0.0);
            return f32::INFINITY;
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
        let factor = 1.0 / sum;
        for x in seen {
            *x *= factor;
        }
        max + sum.ln()
    }
}

/// Attention of `q` `[B, Nq, H, D]` over `k`, `v` `[B, Nk, Hk, D]`; also the log-sum-exp of every
/// query, `[B, H, Nq]`.
pub fn attention(s: Shape<'_>, q: &[f32], k: &[f32], v: &[f32]) -> (Vec<f32>, Vec<f32>) {
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
            f.logs.resize(n, 0.0);
            let (queries, keys) = (Mat::rows(&q[q_at..], q_row), Mat::rows(&f.keys, nk));
            gemm((n, seen, d), &mut f.scores, seen, false, queries, keys, s.scale);
            for i in 0..n {
                let row = &mut f.scores[i * seen..(i + 1) * seen];
                let visible = s.visible(b, q0 + i + 1).min(seen);
                f.logs[i] = softmax_row(row, visible, s.bias.row(&s, b, h, q0 + i));
            }
            let values = Mat::rows(v.get(k_at..).unwrap_or(&[]), k_row);
            let scores = Mat::rows(&f.scores, seen);
            // SAFETY: a task is one (batch element, head, share of the queries), and these are its
            // rows of the outputs, which outlive the loop.
            unsafe {
                shared.product((q_at, q_row, false), (n, d, seen), scores, values, 1.0);
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
    logs: Vec<f32>,
}
