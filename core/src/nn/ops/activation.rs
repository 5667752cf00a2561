//! Activations, and SwiGLU.

use super::require;
use crate::nn::device::activation as kernels;
use crate::tensor::{Result, Tensor};
use serde::{Deserialize, Serialize};

/// What follows a product, value by value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Activation {
    /// Nothing.
    None,
    /// `x Phi(x)`, with the error function.
    Gelu,
    /// The tanh approximation of GELU.
    GeluTanh,
    /// `x sigmoid(1.702 x)`, CLIP's.
    QuickGelu,
    /// `x sigmoid(x)`.
    Silu,
    /// `max(x, 0)`.
    Relu,
    /// The hyperbolic tangent: a gate from -1 to 1.
    Tanh,
}

/// `activation(x)`.
///
/// # Errors
/// The device has no room.
pub fn activate(x: &Tensor, activation: Activation) -> Result<Tensor> {
    if activation == Activation::None {
        return Ok(x.clone());
    }
    let values = kernels::activate(x.values(), activation);
    let (slot, saved) = (x.slot(), x.detached());
    Tensor::from_op(&[x], values, x.shape(), move |grads, mut gradient| {
        kernels::activate_backward(&mut gradient, saved.values(), activation);
        grads.add(slot, gradient);
        Ok(())
    })
}

/// `silu(gate) * up`.
///
/// # Errors
/// The shapes differ.
pub fn swiglu(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    require("swiglu", gate.shape() == up.shape(), || {
        format!("gate {:?} and up {:?} differ", gate.shape(), up.shape())
    })?;
    let values = kernels::swiglu(gate.values(), up.values());
    let (slots, saved) = ((gate.slot(), up.slot()), (gate.detached(), up.detached()));
    Tensor::from_op(&[gate, up], values, gate.shape(), move |grads, gradient| {
        let (gate, up) = kernels::swiglu_backward(&gradient, saved.0.values(), saved.1.values());
        grads.add(slots.0, gate);
        grads.add(slots.1, up);
        Ok(())
    })
}
