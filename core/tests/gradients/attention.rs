//! Attention: every kind of bias against a plain loop and finite differences, relative positions,
//! and windows.

use crate::finite::{holds, numbers, tensors};
use eagle_core::nn::ops::{self, AttentionSpec, Bias, GridAxis};
use eagle_core::tensor::Tensor;
use std::rc::Rc;

/// Rows and columns of a grid of `n` cells, as square as can be.
fn grid(n: usize) -> (usize, usize) {
    let rows = (1..=n).filter(|rows| n.is_multiple_of(*rows) && rows * rows <= n).max().unwrap();
    (rows, n / rows)
}

#[test]
fn attention_has_the_gradients_of_its_value() {
    for (nq, nk, heads, key_heads, d) in
        [(1, 1, 1, 1, 1), (5, 5, 2, 2, 3), (7, 11, 4, 2, 5), (3, 17, 6, 2, 16), (150, 150, 1, 1, 2)]
    {
        let (q, k): ([_; 4], [_; 4]) = ([2, nq, heads, d], [2, nk, key_heads, d]);
        for (causal, offset, short) in
            [(false, 0, false), (true, nk - nq, false), (false, 0, true), (true, nk - nq, true)]
        {
            let spec = move || AttentionSpec {
                causal,
                scale: 1.0 / (d as f32).sqrt(),
                query_offset: offset,
                key_lengths: short.then(|| Rc::from([nk, nk.div_ceil(2)])),
            };
            holds("attention", &[&q, &k, &k], 4e-3, &|x| {
                ops::attention(&x[0], &x[1], &x[2], None, &spec())
            });
            if causal != short {
                continue;
            }
            for bias in [[1, heads, nq, nk], [2, heads, nq, nk], [2, 1, 1, nk], [1, 1, nq, 1]] {
                holds("attention with bias", &[&q, &k, &k, &bias], 4e-3, &|x| {
                    ops::attention(&x[0], &x[1], &x[2], Some(&x[3]), &spec())
                });
            }
            let (rows, columns) = grid(nk);
            let shapes: [&[usize]; 5] =
                [&q, &k, &k, &[2, heads, nq, rows], &[2, heads, nq, columns]];
            holds("attention with decomposed bias", &shapes, 4e-3, &|x| {
                let bias = Bias::Decomposed(&x[3], &x[4]);
                ops::attention_with(&x[0], &x[1], &x[2], bias, &spec())
            });
        }
    }
}

type Score<'a> = &'a dyn Fn(usize, usize, usize, usize) -> f32;

/// Attention in f64, score by score; `seen` and `bias` of (batch element, head, query, key).
fn plain_attention(
    x: &[Tensor],
    scale: f64,
    seen: &dyn Fn(usize, usize, usize) -> bool,
    bias: Score<'_>,
) -> Vec<f64> {
    let [batch, nq, heads, d]: [usize; 4] = x[0].shape().try_into().unwrap();
    let [_, nk, key_heads, _]: [usize; 4] = x[1].shape().try_into().unwrap();
    let (q, k, v) = (x[0].host(), x[1].host(), x[2].host());
    let mut out = vec![0.0; batch * nq * heads * d];
    for (b, h, i) in (0..batch * heads * nq).map(|t| (t / heads / nq, t / nq % heads, t % nq)) {
        let query = ((b * nq + i) * heads + h) * d;
        let key = |j: usize| ((b * nk + j) * key_heads + h / (heads / key_heads)) * d;
        let dot = |j: usize| -> f64 {
            (0..d).map(|c| f64::from(q[query + c]) * f64::from(k[key(j) + c])).sum()
        };
        let keys: Vec<usize> = (0..nk).filter(|&j| seen(b, i, j)).collect();
        let weights: Vec<f64> =
            keys.iter().map(|&j| (dot(j) * scale + f64::from(bias(b, h, i, j))).exp()).collect();
        let sum: f64 = weights.iter().sum();
        for (&j, weight) in keys.iter().zip(&weights) {
            for c in 0..d {
                out[query + c] += weight / sum * f64::from(v[key(j) + c]);
            }
        }
    }
    out
}

fn near(name: &str, found: &Tensor, expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "{name}");
    for (i, (found, expected)) in found.host().iter().zip(expected).enumerate() {
        let close = (f64::from(*found) - expected).abs() <= 2e-6 * (1.0 + expected.abs());
        assert!(close, "{name} at {i}: {found}, a plain loop has {expected}");
    }
}

#[test]
fn attention_is_a_plain_loop() {
    for (nq, nk, heads, key_heads, d) in [
        (1, 1, 1, 1, 1),
        (7, 12, 4, 2, 5),
        (13, 13, 3, 3, 17),
        (130, 141, 2, 1, 31),
        (67, 70, 2, 2, 33),
    ] {
        let (q, k): ([_; 4], [_; 4]) = ([2, nq, heads, d], [2, nk, key_heads, d]);
        let (rows, columns) = grid(nk);
        let shapes: [&[usize]; 6] =
            [&q, &k, &k, &[heads, nq, nk], &[2, heads, nq, rows], &[2, heads, nq, columns]];
        let values: Vec<_> = shapes
            .iter()
            .enumerate()
            .map(|(i, shape)| numbers(i as u64 + 7, shape.iter().product()))
            .collect();
        let x = tensors(&values, &shapes);
        for (causal, lengths) in [(false, [nk, nk]), (true, [nk, nk.div_ceil(2)])] {
            let spec = AttentionSpec {
                causal,
                scale: 0.7,
                query_offset: nk - nq,
                key_lengths: Some(Rc::from(lengths)),
            };
            let seen =
                |b: usize, i: usize, j: usize| j < lengths[b] && (!causal || j <= i + nk - nq);
            let full = |_, h: usize, i: usize, j: usize| values[3][(h * nq + i) * nk + j];
            let decomposed = |b: usize, h: usize, i: usize, j: usize| {
                let query = (b * heads + h) * nq + i;
                values[4][query * rows + j / columns] + values[5][query * columns + j % columns]
            };
            let cases: [(&str, Bias<'_>, Score<'_>); 3] = [
                ("no bias", Bias::None, &|_, _, _, _| 0.0),
                ("full bias", Bias::Full(&x[3]), &full),
                ("decomposed bias", Bias::Decomposed(&x[4], &x[5]), &decomposed),
            ];
            for (name, bias, score) in cases {
                let found = ops::attention_with(&x[0], &x[1], &x[2], bias, &spec).unwrap();
                let name = format!("{name}, {nq} by {nk}, causal {causal}");
                near(&name, &found, &plain_attention(&x, f64::from(spec.scale), &seen, score));
            }
        }
    }
}

#[test]
fn relative_positions_are_a_plain_loop_and_have_the_gradients_of_their_value() {
    for (h, w, heads, d) in [(1, 1, 1, 1), (3, 5, 2, 7), (4, 2, 3, 16)] {
        for (axis, len) in [(GridAxis::Rows, h), (GridAxis::Columns, w)] {
            let shapes: [&[usize]; 2] = [&[2, h * w, heads, d], &[2 * len - 1, d]];
            holds("relative_bias", &shapes, 4e-3, &|x| {
                ops::relative_bias(&x[0], &x[1], (h, w), axis)
            });
            let values = shapes.map(|shape| numbers(3, shape.iter().product()));
            let x = tensors(&values, &shapes);
            let found = ops::relative_bias(&x[0], &x[1], (h, w), axis).unwrap();
            let expected: Vec<f64> = (0..found.len())
                .map(|at| {
                    let (k, q, head, b) = (
                        at % len,
                        at / len % (h * w),
                        at / len / (h * w) % heads,
                        at / len / (h * w) / heads,
                    );
                    let position = if axis == GridAxis::Rows { q / w } else { q % w };
                    let (query, row) =
                        (((b * h * w + q) * heads + head) * d, (position + len - 1 - k) * d);
                    (0..d)
                        .map(|c| f64::from(values[0][query + c]) * f64::from(values[1][row + c]))
                        .sum()
                })
                .collect();
            near("relative_bias", &found, &expected);
        }
    }
}

#[test]
fn windows_are_cut_padded_and_joined() {
    for ((h, w), window) in [((4, 6), (2, 3)), ((5, 7), (3, 3)), ((2, 2), (3, 5)), ((1, 1), (1, 1))]
    {
        let shape = [2, h, w, 3];
        holds("windows", &[&shape], 1e-3, &|x| ops::windows(&x[0], window));
        let x = &tensors(&[numbers(1, 2 * h * w * 3)], &[&shape])[0];
        let cut = ops::windows(x, window).unwrap();
        holds("join_windows", &[cut.shape()], 1e-3, &|x| ops::join_windows(&x[0], (h, w), window));
        let (rows, columns) = (h.div_ceil(window.0), w.div_ceil(window.1));
        assert_eq!(cut.shape(), [2 * rows * columns, window.0 * window.1, 3]);
        let expected: Vec<f64> = (0..cut.len())
            .map(|at| {
                let (c, cell, i) =
                    (at % 3, at / 3 % (window.0 * window.1), at / 3 / (window.0 * window.1));
                let (b, top, left) =
                    (i / (rows * columns), i / columns % rows * window.0, i % columns * window.1);
                let (y, x_at) = (top + cell / window.1, left + cell % window.1);
                let inside = y < h && x_at < w;
                if inside { f64::from(x.host()[((b * h + y) * w + x_at) * 3 + c]) } else { 0.0 }
            })
            .collect();
        near("windows", &cut, &expected);
        let back = ops::join_windows(&cut, (h, w), window).unwrap();
        assert!(back.shape() == x.shape() && back.host() == x.host(), "{h} x {w} by {window:?}");
    }
    let x = &tensors(&[numbers(1, 60)], &[&[3, 4, 5]])[0];
    assert!(ops::join_windows(x, (4, 4), (2, 2)).is_err());
}
