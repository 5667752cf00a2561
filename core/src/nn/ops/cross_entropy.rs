//! Cross-entropy, summed over its targets.

use super::require;
use crate::nn::device::{cross_entropy as kernels, elementwise};
use crate::tensor::{Result, Tensor};

/// The sum of the cross-entropies of `hidden` `[.., C]` times `head` `[V, C]` at `targets`, (row,
/// label) each; logits are computed at those rows only, and never kept.
///
/// # Errors
/// The shapes don't fit, or a row or label doesn't exist.
pub fn cross_entropy(hidden: &Tensor, head: &Tensor, targets: &[(usize, u32)]) -> Result<Tensor> {
    let [vocabulary, width] = head.dims("cross_entropy")?;
    let rows = hidden.rows().0;
    require("cross_entropy", hidden.shape().last() == Some(&width), || {
        format!("hidden {:?}, head {:?}", hidden.shape(), head.shape())
    })?;
    let bad = targets.iter().find(|&&(row, label)| row >= rows || label as usize >= vocabulary);
    require("cross_entropy", bad.is_none(), || {
        format!("target {bad:?} with {rows} rows and {vocabulary} labels")
    })?;
    let slots = (hidden.slot(), head.slot());
    let losses = kernels::cross_entropy(
        (hidden.values(), head.values()),
        (width, vocabulary),
        targets,
        (slots.0.is_some(), slots.1.is_some()),
    );
    Tensor::from_op(&[hidden, head], losses.loss, &[], move |grads, gradient| {
        for (slot, values) in [(slots.0, losses.hidden), (slots.1, losses.head)] {
            if let Some(values) = values {
                grads.add(slot, elementwise::scale_by(values, &gradient));
            }
        }
        Ok(())
    })
}

/// The weighted sum of the cross-entropies of `logits` `[N, K]` at one label each.
///
/// # Errors
/// The numbers of rows, labels and weights differ, or a label is not below `K`.
pub fn softmax_cross_entropy(
    logits: &Tensor,
    targets: &[u32],
    weights: Option<&[f32]>,
) -> Result<Tensor> {
    let [rows, classes] = logits.dims("softmax_cross_entropy")?;
    let fits = targets.len() == rows
        && weights.is_none_or(|weights| weights.len() == rows)
        && targets.iter().all(|&label| (label as usize) < classes);
    require("softmax_cross_entropy", fits, || {
        let (most, weights) = (targets.iter().max(), weights.map(<[f32]>::len));
        format!(
            "logits {:?}, {} labels up to {most:?}, weights {weights:?}",
            logits.shape(),
            targets.len()
        )
    })?;
    let losses = kernels::softmax_cross_entropy(logits.values(), classes, targets, weights);
    let slot = logits.slot();
    Tensor::from_op(&[logits], losses.loss, &[], move |grads, gradient| {
        if let Some(values) = losses.hidden {
            grads.add(slot, elementwise::scale_by(values, &gradient));
        }
        Ok(())
    })
}

/// The summed cross-entropy of `logits` `[N, K]` against `targets`, of which each row is a
/// distribution over the `K`, or several added up.
///
/// # Errors
/// The numbers of values differ.
pub fn soft_cross_entropy(logits: &Tensor, targets: &[f32]) -> Result<Tensor> {
    let [_, classes] = logits.dims("soft_cross_entropy")?;
    require("soft_cross_entropy", targets.len() == logits.len(), || {
        format!("logits {:?}, {} targets", logits.shape(), targets.len())
    })?;
    let (loss, gradient) = kernels::soft_cross_entropy(logits.values(), classes, targets);
    super::detection::scalar(logits, loss, gradient)
}
