//! Linear layers and convolutions, in PyTorch's layouts and with its default initialisation.

use crate::nn::ops::{self, Activation};
use crate::nn::{Builder, Init};
use crate::tensor::{Param, Result, Tensor, TensorError};

/// `y = x W^T + b` over the last axis.
#[derive(Debug, Clone)]
pub struct Linear {
    weight: Param,
    bias: Option<Param>,
}

impl Linear {
    /// `weight [outputs, inputs]` and, with `bias`, `bias [outputs]`.
    ///
    /// # Errors
    /// The device has no room.
    pub fn build(b: &mut Builder<'_>, inputs: usize, outputs: usize, bias: bool) -> Result<Linear> {
        Linear::with_init(b, inputs, outputs, bias, Init::fan_in(inputs))
    }

    /// The same with the weight drawn from `init`.
    ///
    /// # Errors
    /// The device has no room.
    pub fn with_init(
        b: &mut Builder<'_>,
        inputs: usize,
        outputs: usize,
        bias: bool,
        init: Init,
    ) -> Result<Linear> {
        let weight = b.param("weight", &[outputs, inputs], init)?;
        let bias = bias.then(|| b.param("bias", &[outputs], Init::Zeros)).transpose()?;
        Ok(Linear { weight, bias })
    }

    /// The layer of a `weight [outputs, inputs]` and a `bias [outputs]` that a checkpoint doesn't
    /// keep under one path.
    pub fn of(weight: Param, bias: Option<Param>) -> Linear {
        Linear { weight, bias }
    }

    /// `[…, inputs]` to `[…, outputs]`.
    ///
    /// # Errors
    /// The last axis is not `inputs` wide.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.activated(x, Activation::None)
    }

    /// The same with an activation in the same pass.
    ///
    /// # Errors
    /// The last axis is not `inputs` wide.
    pub fn activated(&self, x: &Tensor, activation: Activation) -> Result<Tensor> {
        let bias = self.bias.as_ref().map(Param::tensor);
        ops::linear(x, &self.weight.tensor(), bias.as_ref(), activation)
    }

    /// `[B, N, inputs]` to `PARTS` tensors `[B, N, outputs / PARTS]`: several layers that a
    /// checkpoint keeps as one.
    ///
    /// # Errors
    /// Another number of axes or channels.
    pub fn parts<const PARTS: usize>(&self, x: &Tensor) -> Result<[Tensor; PARTS]> {
        split(&self.forward(x)?)
    }

    /// The weight, `[outputs, inputs]`.
    pub fn weight(&self) -> &Param {
        &self.weight
    }
}

/// `PARTS` equal parts of the last axis of `[B, N, C]`.
pub(super) fn split<const PARTS: usize>(x: &Tensor) -> Result<[Tensor; PARTS]> {
    let [.., width] = x.dims::<3>("split")?;
    let part = width / PARTS;
    let parts: Vec<Tensor> =
        (0..PARTS).map(|i| ops::narrow(x, 2, i * part, part)).collect::<Result<_>>()?;
    parts.try_into().map_err(|_| TensorError::Shape {
        op: "split",
        detail: format!("{:?} into {PARTS}", x.shape()),
    })
}

/// A convolution over `[B, H, W, C]`.
#[derive(Debug, Clone)]
pub struct Conv2d {
    weight: Param,
    bias: Option<Param>,
    stride: usize,
    padding: usize,
}

impl Conv2d {
    /// `weight [outputs, inputs, kernel, kernel]` and, with `bias`, `bias [outputs]`.
    ///
    /// # Errors
    /// The device has no room.
    pub fn build(
        b: &mut Builder<'_>,
        (inputs, outputs): (usize, usize),
        kernel: usize,
        (stride, padding): (usize, usize),
        bias: bool,
    ) -> Result<Conv2d> {
        let init = Init::fan_in(inputs * kernel * kernel);
        Conv2d::with_init(b, (inputs, outputs), kernel, (stride, padding), bias, init)
    }

    /// The same with the weight drawn from `init`.
    ///
    /// # Errors
    /// The device has no room.
    pub fn with_init(
        b: &mut Builder<'_>,
        (inputs, outputs): (usize, usize),
        kernel: usize,
        (stride, padding): (usize, usize),
        bias: bool,
        init: Init,
    ) -> Result<Conv2d> {
        let weight = b.param("weight", &[outputs, inputs, kernel, kernel], init)?;
        let bias = bias.then(|| b.param("bias", &[outputs], Init::Zeros)).transpose()?;
        Ok(Conv2d { weight, bias, stride, padding })
    }

    /// `[B, H, W, inputs]` to `[B, H', W', outputs]`.
    ///
    /// # Errors
    /// Another number of axes or channels.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let bias = self.bias.as_ref().map(Param::tensor);
        ops::conv2d(x, &self.weight.tensor(), bias.as_ref(), self.stride, self.padding)
    }

    /// A patch embedding: the image `[B, inputs, H, W]`, planar, to `[B, N, outputs]`, where the
    /// stride is the kernel's side. What is beyond the last whole patch is cut.
    ///
    /// # Errors
    /// Another number of axes or channels.
    pub fn patches(&self, image: &Tensor) -> Result<Tensor> {
        let [_, _, height, width] = image.dims("patches")?;
        let (h, w) = (height - height % self.stride, width - width % self.stride);
        let image = match (h, w) == (height, width) {
            true => image.clone(),
            false => ops::narrow(&ops::narrow(image, 2, 0, h)?, 3, 0, w)?,
        };
        let bias = self.bias.as_ref().map(Param::tensor);
        ops::patch_embed(&image, &self.weight.tensor(), bias.as_ref())
    }
}

/// A depthwise convolution over `[B, H, W, C]` that keeps the size.
#[derive(Debug, Clone)]
pub struct DepthwiseConv2d {
    weight: Param,
    bias: Param,
    padding: usize,
}

impl DepthwiseConv2d {
    /// `weight [channels, 1, kernel, kernel]`, `bias [channels]`; `kernel` is odd.
    ///
    /// # Errors
    /// The device has no room.
    pub fn build(b: &mut Builder<'_>, channels: usize, kernel: usize) -> Result<DepthwiseConv2d> {
        let init = Init::fan_in(kernel * kernel);
        DepthwiseConv2d::with_init(b, channels, kernel, init)
    }

    /// The same with the weight drawn from `init`.
    ///
    /// # Errors
    /// The device has no room.
    pub fn with_init(
        b: &mut Builder<'_>,
        channels: usize,
        kernel: usize,
        init: Init,
    ) -> Result<DepthwiseConv2d> {
        let weight = b.param("weight", &[channels, 1, kernel, kernel], init)?;
        let bias = b.param("bias", &[channels], Init::Zeros)?;
        Ok(DepthwiseConv2d { weight, bias, padding: kernel / 2 })
    }

    /// `[B, H, W, channels]` to the same shape.
    ///
    /// # Errors
    /// Another number of axes or channels.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (weight, bias) = (self.weight.tensor(), self.bias.tensor());
        ops::depthwise_conv2d(x, &weight, Some(&bias), self.padding)
    }
}
