//! Losses of dense detectors.

use super::require;
use crate::nn::device::{detection as kernels, elementwise};
use crate::tensor::{Buffer, Result, Tensor};

/// The summed sigmoid focal loss of `logits` `[N, K]`: a label of 0 is none of the classes, `k` the
/// class `k - 1`. `alpha` weighs what is there against what is not, `gamma` is how fast what is
/// easily told loses weight.
///
/// # Errors
/// The numbers of rows and labels differ, or a label is above `K`.
pub fn sigmoid_focal(logits: &Tensor, labels: &[u32], alpha: f64, gamma: f64) -> Result<Tensor> {
    let [rows, classes] = logits.dims("sigmoid_focal")?;
    let fits = labels.len() == rows && labels.iter().all(|label| *label as usize <= classes);
    require("sigmoid_focal", fits, || {
        let most = labels.iter().max();
        format!("logits {:?}, {} labels up to {most:?}", logits.shape(), labels.len())
    })?;
    let (loss, gradient) = kernels::sigmoid_focal(logits.values(), classes, labels, (alpha, gamma));
    scalar(logits, loss, gradient)
}

/// The summed `1 - GIoU` of boxes around locations, `logs` `[N, 4]` being the logarithms of the
/// distances to their left, upper, right and lower edges; `right` has the distances themselves, four
/// a row, and a weight of 0 leaves a row out.
///
/// # Errors
/// The numbers of rows differ.
pub fn giou_loss(logs: &Tensor, right: &[f32], weights: &[f32]) -> Result<Tensor> {
    let [rows, four] = logs.dims("giou_loss")?;
    let fits = four == 4 && right.len() == 4 * rows && weights.len() == rows;
    require("giou_loss", fits, || {
        format!("boxes {:?}, {} distances, {} weights", logs.shape(), right.len(), weights.len())
    })?;
    let (loss, gradient) = kernels::giou(logs.values(), right, weights);
    scalar(logs, loss, gradient)
}

/// A single value computed from `x` alone, whose gradient is known.
pub(super) fn scalar(x: &Tensor, value: Buffer, known: Buffer) -> Result<Tensor> {
    let slot = x.slot();
    Tensor::from_op(&[x], value, &[], move |grads, gradient| {
        grads.add(slot, elementwise::scale_by(known, &gradient));
        Ok(())
    })
}
