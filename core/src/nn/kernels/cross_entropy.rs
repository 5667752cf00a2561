//! Cross-entropy: over a vocabulary from hidden states, and over given logits.
//!
//! The gradient of the sum of the losses is known while the probabilities are at hand, so the
//! forward pass computes it, a panel of rows at a time, and the backward pass scales it.

use super::elementwise::scale;
use super::gemm::{Mat, gemm};
use super::memory::{chunked, part, split_rows, uninit};
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
}

/// The summed loss, and its gradients where they are wanted.
#[derive(Debug, Default)]
pub struct Losses {
    /// The sum over the targets.
    pub loss: f32,
    /// The gradient of the hidden states (or logits).
    pub hidden: Option<Vec<f32>>,
    /// The gradient of the head.
    pub head: Option<Vec<f32>>,
}

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
    let panel = (PANEL / vocabulary.max(1)).clamp(64, 1 << 16);
    let block = 64;
    for targets in targets.chunks(panel) {
        let rows: Vec<_> = targets.iter().map(|target| Some(target.0)).collect();
        let x = gather(hidden, c, &rows);
        let mut logits = uninit(rows.len() * vocabulary);
        let mut losses = uninit(rows.len());
        split_rows((&mut logits, block * vocabulary), (&mut losses, block), |i, logits, losses| {
            let x = Mat::rows(part(&x, i, block * c), c);
            let size = (losses.len(), vocabulary, c);
            gemm(size, logits, vocabulary, false, x, Mat::rows(head, c).t(), 1.0);
            for ((j, loss), logits) in
                losses.iter_mut().enumerate().zip(logits.chunks_exact_mut(vocabulary))
            {
                *loss = row_loss(logits, targets[i * block + j].1 as usize);
            }
        });
        loss += losses.iter().map(|&loss| f64::from(loss)).sum::<f64>();
        if let Some(dhidden) = &mut dhidden {
            let mut dx = uninit(x.len());
            chunked(&mut dx, block * c, |i, dx| {
                let dy = Mat::rows(part(&logits, i, block * vocabulary), vocabulary);
                let size = (dx.len() / c, c, vocabulary);
                gemm(size, dx, c, false, dy, Mat::rows(head, c), 1.0);
            });
            scatter_add(dhidden, c, &rows, &dx);
        }
        if let Some(dhead) = &mut dhead {
            let cols = vocabulary.div_ceil(4).next_multiple_of(16).min(128);
            chunked(dhead, cols * c, |i, dhead| {
                let dy = Mat { data: &logits[i * cols..], row: vocabulary, col: 1 };
                let size = (dhead.len() / c, c, rows.len());
                gemm(size, dhead, c, true, dy.t(), Mat::rows(&x, c), 1.0);
            });
        }
    }
    Losses { loss: loss as f32, hidden: dhidden, head: dhead }
}

/// The weighted sum of the cross-entropies of the rows of `logits`, and its gradient.
pub fn softmax_cross_entropy(
    logits: &[f32],
    classes: usize,
    targets: &[u32],
    weights: Option<&[f32]>,
) -> Losses {
    let mut gradient = scale(logits, 1.0);
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
    Losses { loss, hidden: Some(gradient), head: None }
}
