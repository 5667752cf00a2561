//! Normalisation over the last axis.

use super::require;
use crate::nn::device::norm as kernels;
use crate::tensor::{Result, Tensor};

fn fits(op: &'static str, x: &Tensor, weight: &Tensor) -> Result<()> {
    require(op, x.shape().last().is_some_and(|c| weight.shape() == [*c]), || {
        format!("x {:?}, weight {:?}", x.shape(), weight.shape())
    })
}

/// Layer norm over the last axis: `x` `[.., C]`, `weight` and `bias` `[C]`.
///
/// # Errors
/// The shapes don't fit.
pub fn layer_norm(x: &Tensor, weight: &Tensor, bias: &Tensor, eps: f32) -> Result<Tensor> {
    fits("layer_norm", x, weight)?;
    fits("layer_norm", x, bias)?;
    let (values, stats) = kernels::layer_norm(x.values(), weight.values(), bias.values(), eps);
    let slots = (x.slot(), weight.slot(), bias.slot());
    let saved = (x.detached(), weight.detached());
    Tensor::from_op(&[x, weight, bias], values, x.shape(), move |grads, gradient| {
        let parameters = slots.1.is_some() || slots.2.is_some();
        let wanted = kernels::Wanted { input: slots.0.is_some(), parameters };
        let (x, w) = (saved.0.values(), saved.1.values());
        let (dx, dw, db) = kernels::layer_norm_backward(&gradient, &stats, x, w, wanted);
        grads.add(slots.0, dx);
        if parameters {
            grads.add(slots.2, db);
            grads.add(slots.1, dw);
        }
        Ok(())
    })
}

/// RMS norm over the last axis: `x` `[.., C]`, `weight` `[C]`.
///
/// # Errors
/// The shapes don't fit.
pub fn rms_norm(x: &Tensor, weight: &Tensor, eps: f32) -> Result<Tensor> {
    fits("rms_norm", x, weight)?;
    let (values, stats) = kernels::rms_norm(x.values(), weight.values(), eps);
    let (slots, saved) = ((x.slot(), weight.slot()), (x.detached(), weight.detached()));
    Tensor::from_op(&[x, weight], values, x.shape(), move |grads, gradient| {
        let wanted = kernels::Wanted { input: slots.0.is_some(), parameters: slots.1.is_some() };
        let (x, w) = (saved.0.values(), saved.1.values());
        let (dx, dw) = kernels::rms_norm_backward(&gradient, &stats, x, w, wanted);
        grads.add(slots.0, dx);
        grads.add(slots.1, dw);
        Ok(())
    })
}

/// Every row divided by its length (L2 norm); a row shorter than 1e-6 times the root of its width
/// stays shorter than 1.
///
/// # Errors
/// The device has no room.
pub fn unit_rows(x: &Tensor) -> Result<Tensor> {
    let (_, width) = x.rows();
    let share = 1.0 / (width as f32).sqrt();
    rms_norm(x, &Tensor::new(x.dev(), vec![share; width], &[width])?, 1e-12)
}
