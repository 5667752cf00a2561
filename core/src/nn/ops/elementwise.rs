//! Sums, products and broadcasts.

use super::require;
use crate::nn::device::elementwise as kernels;
use crate::tensor::{Result, Tensor};

fn same(op: &'static str, a: &Tensor, b: &Tensor) -> Result<()> {
    require(op, a.shape() == b.shape(), || format!("{:?} and {:?} differ", a.shape(), b.shape()))
}

/// `a + b` of the same shape.
///
/// # Errors
/// The shapes differ.
pub fn add(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    same("add", a, b)?;
    let values = kernels::add(a.values(), b.values());
    let slots = (a.slot(), b.slot());
    Tensor::from_op(&[a, b], values, a.shape(), move |grads, gradient| {
        if slots.0.is_some() && slots.1.is_some() {
            grads.add_ref(slots.0, &gradient);
        }
        grads.add(slots.1.or(slots.0), gradient);
        Ok(())
    })
}

/// `a - b` of the same shape.
///
/// # Errors
/// The shapes differ.
pub fn sub(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    same("sub", a, b)?;
    let values = kernels::sub(a.values(), b.values());
    let slots = (a.slot(), b.slot());
    Tensor::from_op(&[a, b], values, a.shape(), move |grads, gradient| {
        if slots.1.is_some() {
            grads.add(slots.1, kernels::scale(&gradient, -1.0));
        }
        grads.add(slots.0, gradient);
        Ok(())
    })
}

/// `a * b`, value by value, of the same shape.
///
/// # Errors
/// The shapes differ.
pub fn mul(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    same("mul", a, b)?;
    let values = kernels::mul(a.values(), b.values());
    let slots = (a.slot(), b.slot());
    let saved_a = b.slot().map(|_| a.detached());
    let saved_b = a.slot().map(|_| b.detached());
    Tensor::from_op(&[a, b], values, a.shape(), move |grads, gradient| {
        if let Some(b) = saved_b {
            grads.add(slots.0, kernels::mul(&gradient, b.values()));
        }
        if let Some(a) = saved_a {
            grads.add(slots.1, kernels::mul(&gradient, a.values()));
        }
        Ok(())
    })
}

/// `x + rows`, where `rows` has the shape of `x`'s last axes: `[N, C]` or `[C]` on `[B, N, C]`.
///
/// # Errors
/// `rows` doesn't end like `x`.
pub fn add_rows(x: &Tensor, rows: &Tensor) -> Result<Tensor> {
    require("add_rows", x.shape().ends_with(rows.shape()), || {
        format!("{:?} doesn't end in {:?}", x.shape(), rows.shape())
    })?;
    let values = kernels::add_rows(x.values(), rows.values());
    let (slots, width) = ((x.slot(), rows.slot()), rows.len());
    Tensor::from_op(&[x, rows], values, x.shape(), move |grads, gradient| {
        if slots.1.is_some() {
            grads.add(slots.1, kernels::sum_rows(&gradient, width));
        }
        grads.add(slots.0, gradient);
        Ok(())
    })
}

/// `x * scale` along the last axis: `[.., C]` by `[C]`.
///
/// # Errors
/// `scale` is not as wide as `x`.
pub fn mul_channels(x: &Tensor, scale: &Tensor) -> Result<Tensor> {
    let [width] = scale.dims("mul_channels")?;
    require("mul_channels", x.shape().last() == Some(&width), || {
        format!("{:?} by {:?}", x.shape(), scale.shape())
    })?;
    let values = kernels::mul_rows(x.values(), scale.values());
    let slots = (x.slot(), scale.slot());
    let saved_x = scale.slot().map(|_| x.detached());
    let saved_scale = x.slot().map(|_| scale.detached());
    Tensor::from_op(&[x, scale], values, x.shape(), move |grads, gradient| {
        if let Some(x) = saved_x {
            grads.add(slots.1, kernels::sum_product_rows(&gradient, x.values(), width));
        }
        if let Some(scale) = saved_scale {
            grads.add(slots.0, kernels::mul_rows(&gradient, scale.values()));
        }
        Ok(())
    })
}

/// Every row of `x` by a factor of its own: `factors` has the shape of `x`'s first axes, `[B]` or
/// `[B, N]` on `[B, N, C]`.
///
/// # Errors
/// `x` doesn't start like `factors`.
pub fn scale_rows(x: &Tensor, factors: &Tensor) -> Result<Tensor> {
    let fits = x.shape().starts_with(factors.shape()) && !factors.is_empty();
    require("scale_rows", fits, || {
        format!("{:?} doesn't start with {:?}", x.shape(), factors.shape())
    })?;
    let width = x.len() / factors.len();
    let values = kernels::scale_rows(x.values(), factors.values(), width);
    let slots = (x.slot(), factors.slot());
    let saved_x = factors.slot().map(|_| x.detached());
    let saved_factors = x.slot().map(|_| factors.detached());
    Tensor::from_op(&[x, factors], values, x.shape(), move |grads, gradient| {
        if let Some(x) = saved_x {
            grads.add(slots.1, kernels::dot_rows(&gradient, x.values(), width));
        }
        if let Some(factors) = saved_factors {
            grads.add(slots.0, kernels::scale_rows(&gradient, factors.values(), width));
        }
        Ok(())
    })
}

/// `x * factor`.
///
/// # Errors
/// The device has no room.
pub fn scale(x: &Tensor, factor: f32) -> Result<Tensor> {
    let values = kernels::scale(x.values(), factor);
    let slot = x.slot();
    Tensor::from_op(&[x], values, x.shape(), move |grads, gradient| {
        grads.add(slot, kernels::scale(&gradient, factor));
        Ok(())
    })
}

/// `e^x`, value by value.
///
/// # Errors
/// The device has no room.
pub fn exp(x: &Tensor) -> Result<Tensor> {
    let values = kernels::exp(x.values());
    let slot = x.slot();
    Tensor::from_op_with(&[x], values, x.shape(), move |out| {
        move |grads: &mut crate::tensor::Grads, gradient: crate::tensor::Buffer| {
            grads.add(slot, kernels::mul(&gradient, out.values()));
            Ok(())
        }
    })
}
