//! Cross-entropy: over a vocabulary from hidden states, and over given logits.
//!
//! The gradient of the sum of the losses is known while the probabilities are at hand, so the
//! forward pass computes it, a panel of rows at a time, and the backward pass scales it.

use super::elementwise::copy;
use super::gemm::{Mat, gemm};
use super::linear::transposed;
use super::memory::{chunked, part, split_rows, sum_parts, uninit};
use super::rows::{gather, scatter_add};
use super::simd::{exp, max_of, simd, sum_of};

/// Logits that exist at a time: 16 MB.
const PANEL: usize = 1 << 22;

simd! {
    /// The loss of a row of logits, which become its gradient.
    fn row_loss(logits: &mut [f32], label: usize) -> f32 {
        let max = max_of(logits);
        let target = logits[label] - max;
        for x in &mut *logits {
            *x = exp::<FMA>(*x - max);
        }
        let sum = sum_of(logits, |x| x);
        let factor = 1.0 / sum;
        for x in &mut *logits {
            *x *= factor;
        }
        logits[label] -= 1.0;
        sum.ln() - target
    }
    /// The greatest of each column.
    fn column_max(max: &mut [f32], rows: &[f32]) {
        for row in rows.chunks_exact(max.len()) {
            for (max, x) in max.iter_mut().zip(row) {
                *max = if *x > *max { *x } else { *max };
            }
        }
    }
    /// Exponentials of the distances to each column's maximum, and their sums.
    fn column_exp(sum: &mut [f32], rows: &mut [f32], max: &[f32]) {
        for row in rows.chunks_exact_mut(sum.len()) {
            for ((x, sum), max) in row.iter_mut().zip(&mut *sum).zip(max) {
                *x = exp::<FMA>(*x - max);
                *sum += *x;
            }
        }
    }
    fn column_scale(rows: &mut [f32], factor: &[f32]) {
        for row in rows.chunks_exact_mut(factor.len()) {
            for (x, factor) in row.iter_mut().zip(factor) {
                *x *= factor;
            }
        }
    }
}

/// The summed loss, and its gradients where they are wanted.
#[derive(Debug, Default)]
pub struct Losses {
    /// The sum over the targets, a single value.
    pub loss: Vec<f32>,
    /// The gradient of the hidden states (or logits).
    pub hidden: Option<Vec<f32>>,
    /// The gradient of the head.
    pub head: Option<Vec<f32>>,
}

/// Labels of a chunk.
const BLOCK: usize = 128;

/// Cross-entropy of `hidden` `[R, C]` times `head` `[V, C]` at `targets`, (row, label) each.
pub fn cross_entropy(
    (hidden, head): (&[f32], &[f32]),
    (c, vocabulary): (usize, usize),
    targets: &[(usize, u32)],
    (want_hidden, want_head): (bool, bool),
) -> Losses {
    let mut loss = 0.0_f64;
    let mut dhidden = want_hidden.then(|| vec![0.0; hidden.len()]);
    let mut dhead = want_head.then(|| vec![0.0; head.len()]);
    for targets in targets.chunks((PANEL / vocabulary.max(1)).clamp(64, 1 << 16)) {
        let rows: Vec<_> = targets.iter().map(|target| Some(target.0)).collect();
        let (n, x) = (rows.len(), gather(hidden, c, &rows));
        let (mut logits, losses, factors) = probabilities(&x, head, (n, c, vocabulary), targets);
        loss += losses;
        if !want_hidden && !want_head {
            continue;
        }
        let onehot = |first: usize, logits: &mut [f32]| {
            column_scale(logits, &factors);
            for (column, &(_, label)) in targets.iter().enumerate() {
                if let Some(row) = (label as usize).checked_sub(first)
                    && let Some(logit) = logits.get_mut(row * n + column)
                {
                    *logit -= 1.0;
                }
            }
        };
        match &mut dhead {
            Some(dhead) => {
                let sizes = ((&mut logits[..], BLOCK * n), (&mut dhead[..], BLOCK * c));
                split_rows(sizes.0, sizes.1, |i, logits, dhead| {
                    onehot(i * BLOCK, logits);
                    let size = (logits.len() / n, c, n);
                    gemm(size, dhead, c, true, Mat::rows(logits, n), Mat::rows(&x, c), 1.0);
                });
            }
            None => chunked(&mut logits, BLOCK * n, |i, logits| onehot(i * BLOCK, logits)),
        }
        if let Some(dhidden) = &mut dhidden {
            let mut dx = uninit(n * c);
            chunked(&mut dx, 64 * c, |i, dx| {
                let dy = Mat::rows(&logits[i * 64..], n).t();
                let size = (dx.len() / c, c, vocabulary);
                gemm(size, dx, c, false, dy, Mat::rows(head, c), 1.0);
            });
            scatter_add(dhidden, c, &rows, &dx);
        }
    }
    Losses { loss: vec![loss as f32], hidden: dhidden, head: dhead }
}

/// The unnormalised probabilities, `[V, n]` so that chunks of the head need no packing; the summed
/// loss; and what normalises each column.
fn probabilities(
    x: &[f32],
    head: &[f32],
    (n, c, vocabulary): (usize, usize, usize),
    targets: &[(usize, u32)],
) -> (Vec<f32>, f64, Vec<f32>) {
    let chunks = vocabulary.div_ceil(BLOCK);
    let turned = transposed(x, n, c);
    let mut logits = uninit(vocabulary * n);
    let mut parts = vec![f32::NEG_INFINITY; chunks * n];
    split_rows((&mut logits, BLOCK * n), (&mut parts, n), |i, logits, max| {
        let size = (logits.len() / n, n, c);
        let head = Mat::rows(part(head, i, BLOCK * c), c);
        gemm(size, logits, n, false, head, Mat::rows(&turned, n), 1.0);
        column_max(max, logits);
    });
    let mut max = vec![f32::NEG_INFINITY; n];
    column_max(&mut max, &parts);
    let at = |(column, &(_, label)): (usize, &(usize, u32))| {
        f64::from(logits[label as usize * n + column] - max[column])
    };
    let distances: f64 = targets.iter().enumerate().map(at).sum();
    parts.fill(0.0);
    split_rows((&mut logits, BLOCK * n), (&mut parts, n), |_, logits, sum| {
        column_exp(sum, logits, &max);
    });
    let mut sums = sum_parts(&parts, n);
    let logs: f64 = sums.iter().map(|&sum| f64::from(sum).ln()).sum();
    sums.iter_mut().for_each(|sum| *sum = 1.0 / *sum);
    (logits, logs - distances, sums)
}

/// The weighted sum of the cross-entropies of the rows of `logits`, and its gradient.
pub fn softmax_cross_entropy(
    logits: &[f32],
    classes: usize,
    targets: &[u32],
    weights: Option<&[f32]>,
) -> Losses {
    let mut gradient = copy(logits);
    let mut losses = uninit(targets.len());
    let block = super::memory::rows_per_chunk(classes);
    split_rows((&mut gradient, block * classes), (&mut losses, block), |i, rows, losses| {
        for ((j, loss), row) in losses.iter_mut().enumerate().zip(rows.chunks_exact_mut(classes)) {
            let at = i * block + j;
            *loss = row_loss(row, targets[at] as usize);
            if let Some(weights) = weights {
                *loss *= weights[at];
                row.iter_mut().for_each(|x| *x *= weights[at]);
            }
        }
    });
    let loss = losses.iter().map(|&loss| f64::from(loss)).sum::<f64>() as f32;
    Losses { loss: vec![loss], hidden: Some(gradient), head: None }
}

/// The sum of the cross-entropies of the rows of `logits` against rows of non-negative `targets`, and
/// its gradient. The sum is a single value.
pub fn soft_cross_entropy(logits: &[f32], classes: usize, targets: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let mut gradient = copy(logits);
    let mut loss = 0.0;
    for (row, target) in gradient.chunks_exact_mut(classes).zip(targets.chunks_exact(classes)) {
        let max = max_of(row);
        let mass: f32 = target.iter().sum();
        let exponentials: f32 = row.iter().map(|x| (x - max).exp()).sum();
        let log = exponentials.ln() + max;
        for (x, target) in row.iter_mut().zip(target) {
            loss += f64::from(target * (log - *x));
            *x = mass * (*x - log).exp() - target;
        }
    }
    (vec![loss as f32], gradient)
}
