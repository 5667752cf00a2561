//! Softmax.

use crate::nn::device::softmax as kernels;
use crate::tensor::{Result, Tensor};

/// Softmax over the last axis.
///
/// # Errors
/// The device has no room.
pub fn softmax(x: &Tensor) -> Result<Tensor> {
    let width = x.rows().1;
    let values = kernels::softmax(x.values(), width);
    let slot = x.slot();
    Tensor::from_op_with(&[x], values, x.shape(), move |out| {
        move |grads: &mut crate::tensor::Grads, gradient: crate::tensor::Buffer| {
            grads.add(slot, kernels::softmax_backward(&gradient, out.values(), width));
            Ok(())
        }
    })
}
