//! Joining, cutting, shuffling and averaging.

use super::require;
use crate::nn::device::rows as kernels;
use crate::tensor::{Result, Tensor};

/// Joins tensors that agree in every other axis along `axis`.
///
/// # Errors
/// There is nothing to join, or the shapes don't agree.
pub fn concat(xs: &[&Tensor], axis: usize) -> Result<Tensor> {
    let fits = xs.first().is_some_and(|first| {
        axis < first.shape().len()
            && xs.iter().all(|x| {
                x.shape().len() == first.shape().len()
                    && x.shape()[..axis] == first.shape()[..axis]
                    && x.shape()[axis + 1..] == first.shape()[axis + 1..]
            })
    });
    require("concat", fits, || {
        format!("{:?} along axis {axis}", xs.iter().map(|x| x.shape()).collect::<Vec<_>>())
    })?;
    let mut shape = xs[0].shape().to_vec();
    let outer: usize = shape[..axis].iter().product();
    let inner: usize = shape[axis + 1..].iter().product();
    shape[axis] = xs.iter().map(|x| x.shape()[axis]).sum();
    let size = shape[axis] * inner;
    let widths: Vec<_> = xs.iter().map(|x| x.shape()[axis] * inner).collect();
    let parts: Vec<_> = xs.iter().zip(&widths).map(|(x, &width)| (x.values(), width)).collect();
    let values = kernels::concat(outer, &parts);
    let slots: Vec<_> = xs.iter().map(|x| x.slot()).collect();
    Tensor::from_op(xs, values, &shape, move |grads, gradient| {
        let mut start = 0;
        for (slot, width) in slots.into_iter().zip(widths) {
            if slot.is_some() {
                grads.add(slot, kernels::narrow(&gradient, outer, size, start, width));
            }
            start += width;
        }
        Ok(())
    })
}

/// `len` entries of `axis`, from `start` on.
///
/// # Errors
/// The axis or the entries don't exist.
pub fn narrow(x: &Tensor, axis: usize, start: usize, len: usize) -> Result<Tensor> {
    let fits = x.shape().get(axis).is_some_and(|&size| start + len <= size);
    require("narrow", fits, || format!("{:?}, axis {axis}, {len} from {start}", x.shape()))?;
    let outer: usize = x.shape()[..axis].iter().product();
    let inner: usize = x.shape()[axis + 1..].iter().product();
    let (size, start, width) = (x.shape()[axis] * inner, start * inner, len * inner);
    let mut shape = x.shape().to_vec();
    shape[axis] = len;
    let values = kernels::narrow(x.values(), outer, size, start, width);
    let slot = x.slot();
    Tensor::from_op(&[x], values, &shape, move |grads, gradient| {
        grads.add(slot, kernels::widen(&gradient, outer, size, start, width));
        Ok(())
    })
}

/// The mean over the tokens: `[B, N, C]` to `[B, C]`.
///
/// # Errors
/// `x` has other axes, or no tokens.
pub fn mean_rows(x: &Tensor) -> Result<Tensor> {
    let [batch, n, c] = x.dims("mean_rows")?;
    require("mean_rows", n > 0, || format!("no rows in {:?}", x.shape()))?;
    let values = kernels::mean_rows(x.values(), n, c);
    let slot = x.slot();
    Tensor::from_op(&[x], values, &[batch, c], move |grads, gradient| {
        grads.add(slot, kernels::mean_rows_backward(&gradient, n, c));
        Ok(())
    })
}

/// `[B, H, W, C]` to `[B, H/f, W/f, C*f*f]`, with PyTorch's order of channels.
///
/// # Errors
/// `factor` doesn't divide height and width.
pub fn pixel_unshuffle(x: &Tensor, factor: usize) -> Result<Tensor> {
    let [batch, h, w, c] = x.dims("pixel_unshuffle")?;
    require("pixel_unshuffle", factor > 0 && h % factor == 0 && w % factor == 0, || {
        format!("{:?} by {factor}", x.shape())
    })?;
    let values = kernels::pixel_unshuffle(x.values(), (h, w, c), factor);
    let shape = [batch, h / factor, w / factor, c * factor * factor];
    let slot = x.slot();
    Tensor::from_op(&[x], values, &shape, move |grads, gradient| {
        grads.add(slot, kernels::pixel_shuffle(&gradient, (h, w, c), factor));
        Ok(())
    })
}

/// `[B, H, W, C*f*f]` to `[B, H*f, W*f, C]`, with PyTorch's order of channels.
///
/// # Errors
/// `factor` squared doesn't divide the channels.
pub fn pixel_shuffle(x: &Tensor, factor: usize) -> Result<Tensor> {
    let [batch, h, w, c] = x.dims("pixel_shuffle")?;
    require("pixel_shuffle", factor > 0 && c % (factor * factor) == 0, || {
        format!("{:?} by {factor}", x.shape())
    })?;
    let size = (h * factor, w * factor, c / (factor * factor));
    let values = kernels::pixel_shuffle(x.values(), size, factor);
    let slot = x.slot();
    Tensor::from_op(&[x], values, &[batch, size.0, size.1, size.2], move |grads, gradient| {
        grads.add(slot, kernels::pixel_unshuffle(&gradient, size, factor));
        Ok(())
    })
}

/// The mean of each `factor` x `factor` square of `[B, H, W, C]`; what doesn't fill one is left
/// out.
///
/// # Errors
/// `x` has other axes, or `factor` is 0.
pub fn average_pool(x: &Tensor, factor: usize) -> Result<Tensor> {
    let [batch, h, w, c] = x.dims("average_pool")?;
    require("average_pool", factor > 0, || format!("{:?} by {factor}", x.shape()))?;
    let values = kernels::average_pool(x.values(), (h, w, c), factor);
    let slot = x.slot();
    Tensor::from_op(&[x], values, &[batch, h / factor, w / factor, c], move |grads, gradient| {
        grads.add(slot, kernels::average_pool_backward(&gradient, (h, w, c), factor));
        Ok(())
    })
}
