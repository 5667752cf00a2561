//! Convolutions. Weights are in PyTorch's layout; maps are channels-last.

use super::require;
use crate::nn::device::{conv as kernels, elementwise, linear};
use crate::nn::ops::Activation;
use crate::tensor::{Result, Tensor};

fn fits_bias(bias: Option<&Tensor>, channels: usize) -> bool {
    bias.is_none_or(|bias| bias.shape() == [channels])
}

fn detail(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> String {
    format!("x {:?}, weight {:?}, bias {:?}", x.shape(), weight.shape(), bias.map(Tensor::shape))
}

fn inputs<'a>(x: &'a Tensor, weight: &'a Tensor, bias: Option<&'a Tensor>) -> Vec<&'a Tensor> {
    [Some(x), Some(weight), bias].into_iter().flatten().collect()
}

/// The patches of a planar `image` `[B, Cin, S, S2]`, projected: `[B, N, C]`; `weight`
/// `[C, Cin, P, P]`. Pixels that don't fill a patch are left out.
///
/// # Errors
/// The shapes don't fit.
pub fn patch_embed(image: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let ([batch, cin, h, w], [c, wcin, p, p2]) =
        (image.dims("patch_embed")?, weight.dims("patch_embed")?);
    let fits = wcin == cin && p == p2 && p > 0 && fits_bias(bias, c);
    require("patch_embed", fits, || detail(image, weight, bias))?;
    let (n, k) = ((h / p) * (w / p), cin * p * p);
    let size = (batch * n, c, k);
    let cut = (cin, h, w);
    let values = {
        let rows = kernels::patches(image.values(), cut, p);
        let bias = bias.map(Tensor::values);
        linear::linear(size, &rows, weight.values(), bias, Activation::None, false).0
    };
    let slots = (image.slot(), weight.slot(), bias.and_then(Tensor::slot));
    let saved_x = weight.slot().map(|_| image.detached());
    let saved_w = image.slot().map(|_| weight.detached());
    Tensor::from_op(&inputs(image, weight, bias), values, &[batch, n, c], move |grads, mut g| {
        if let Some(image) = saved_x {
            let rows = kernels::patches(image.values(), cut, p);
            grads.add(slots.1, linear::linear_backward_weight(size, &g, &rows));
        }
        if slots.2.is_some() {
            grads.add(slots.2, elementwise::sum_rows(&g, c));
        }
        if let Some(w) = saved_w {
            let rows =
                linear::linear_backward_input(size, &mut g, None, Activation::None, w.values());
            grads.add(slots.0, kernels::patches_backward(&rows, cut, p));
        }
        Ok(())
    })
}

/// The size along an axis after a convolution, if the kernel fits.
fn extent(size: usize, kernel: usize, stride: usize, padding: usize) -> Option<usize> {
    Some((size + 2 * padding).checked_sub(kernel)? / stride + 1)
}

/// Convolution of `x` `[B, H, W, Cin]` with `weight` `[C, Cin, k, k]`: `[B, H', W', C]`.
///
/// # Errors
/// The shapes don't fit.
pub fn conv2d(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    stride: usize,
    padding: usize,
) -> Result<Tensor> {
    let ([batch, h, w, cin], [cout, wcin, kernel, k2]) =
        (x.dims("conv2d")?, weight.dims("conv2d")?);
    let output = if stride == 0 {
        None
    } else {
        extent(h, kernel, stride, padding).zip(extent(w, kernel, stride, padding))
    };
    let fits = wcin == cin && kernel == k2 && kernel > 0 && fits_bias(bias, cout);
    require("conv2d", fits && output.is_some(), || {
        format!("{}, stride {stride}, padding {padding}", detail(x, weight, bias))
    })?;
    let output = output.unwrap_or((0, 0));
    let channels = (cin, cout);
    let s = kernels::Shape { batch, input: (h, w), output, channels, kernel, stride, padding };
    let taps = kernel * kernel;
    let values = {
        let last = kernels::swap_last(weight.values(), cin, taps);
        let bias = bias.map(Tensor::values);
        kernels::conv2d(s, x.values(), &last, bias)
    };
    let slots = (x.slot(), weight.slot(), bias.and_then(Tensor::slot));
    let saved_x = weight.slot().map(|_| x.detached());
    let saved_w = x.slot().map(|_| weight.detached());
    let shape = [batch, output.0, output.1, cout];
    Tensor::from_op(&inputs(x, weight, bias), values, &shape, move |grads, g| {
        if let Some(w) = saved_w {
            let last = kernels::swap_last(w.values(), cin, taps);
            grads.add(slots.0, kernels::conv2d_backward_input(s, &g, &last));
        }
        if let Some(x) = saved_x {
            let last = kernels::conv2d_backward_weight(s, &g, x.values());
            grads.add(slots.1, kernels::swap_last(&last, taps, cin));
        }
        if slots.2.is_some() {
            grads.add(slots.2, elementwise::sum_rows(&g, cout));
        }
        Ok(())
    })
}

/// Depthwise convolution of stride 1: `x` `[B, H, W, C]`, `weight` `[C, 1, k, k]`.
///
/// # Errors
/// The shapes don't fit, or the padding is as wide as the kernel.
pub fn depthwise_conv2d(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    padding: usize,
) -> Result<Tensor> {
    let op = "depthwise_conv2d";
    let ([batch, h, w, c], [wc, one, kernel, k2]) = (x.dims(op)?, weight.dims(op)?);
    let output = extent(h, kernel, 1, padding).zip(extent(w, kernel, 1, padding));
    let fits = wc == c && one == 1 && kernel == k2 && padding < kernel && fits_bias(bias, c);
    require(op, fits && output.is_some(), || {
        format!("{}, padding {padding}", detail(x, weight, bias))
    })?;
    let output = output.unwrap_or((0, 0));
    let channels = (c, c);
    let s = kernels::Shape { batch, input: (h, w), output, channels, kernel, stride: 1, padding };
    let taps = kernel * kernel;
    let values = {
        let last = kernels::swap_last(weight.values(), c, taps);
        let bias = bias.map(Tensor::values);
        kernels::depthwise(s, x.values(), &last, bias)
    };
    let slots = (x.slot(), weight.slot(), bias.and_then(Tensor::slot));
    let saved_x = weight.slot().map(|_| x.detached());
    let saved_w = x.slot().map(|_| weight.detached());
    let shape = [batch, output.0, output.1, c];
    Tensor::from_op(&inputs(x, weight, bias), values, &shape, move |grads, g| {
        if let Some(w) = saved_w {
            let last = kernels::swap_last(w.values(), c, taps);
            grads.add(slots.0, kernels::depthwise_backward_input(s, &g, &last));
        }
        if let Some(x) = saved_x {
            let last = kernels::depthwise_backward_weight(s, &g, x.values());
            grads.add(slots.1, kernels::swap_last(&last, taps, c));
        }
        if slots.2.is_some() {
            grads.add(slots.2, elementwise::sum_rows(&g, c));
        }
        Ok(())
    })
}
