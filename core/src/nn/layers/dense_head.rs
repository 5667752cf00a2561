//! A prediction at every location of a feature map: what segmentation, detection and dense text
//! recognition put on an encoder.

use crate::nn::layers::{Conv2d, Linear};
use crate::nn::ops::{self, Activation};
use crate::nn::{Builder, cost};
use crate::registry::{Cost, Features, MapShape, Misfit};
use crate::tensor::{Result, Tensor};

/// The sizes of a [`DenseHead`].
#[derive(Debug, Clone, Copy)]
pub struct DenseShape {
    /// Values predicted at each location.
    pub outputs: usize,
    /// Channels of a 3x3 convolution with GELU before the last layer; 0 for none: a linear probe.
    pub hidden: usize,
    /// Locations predicted along each side of a cell of the map.
    pub upsample: usize,
}

impl DenseShape {
    /// Rows and columns of the predictions.
    ///
    /// # Errors
    /// The map's vectors don't lie on a grid, or the fields make no sense.
    pub fn grid(self, map: &MapShape) -> std::result::Result<(usize, usize), Misfit> {
        if !(1..=16).contains(&self.upsample) {
            return Err(Misfit::field("upsample", "lies between 1 and 16"));
        }
        let Some((h, w)) = map.grid else {
            let message = "its vectors don't lie on a grid, so none of them has a place";
            return Err(Misfit::input(0, message).help("drop the class token of that encoder"));
        };
        Ok((h * self.upsample, w * self.upsample))
    }

    /// Values that the last layer gives for each cell.
    fn last(self) -> usize {
        self.outputs * self.upsample.pow(2)
    }

    /// What a forward pass costs per image.
    pub fn cost(self, map: &MapShape) -> Cost {
        match self.hidden {
            0 => cost::linear(map.tokens, map.width, self.last()),
            hidden => {
                cost::convolution(map.tokens, 3, map.width, hidden)
                    + cost::pointwise(map.tokens, hidden)
                    + cost::linear(map.tokens, hidden, self.last())
            }
        }
    }
}

/// A linear layer on every cell, behind a convolution or not.
#[derive(Debug, Clone)]
pub struct DenseHead {
    conv: Option<Conv2d>,
    classifier: Linear,
    shape: DenseShape,
}

impl DenseHead {
    /// The head on maps of `width` channels: `conv` (if it has hidden channels) and `classifier`.
    ///
    /// # Errors
    /// The device has no room.
    pub fn build(b: &mut Builder<'_>, width: usize, shape: DenseShape) -> Result<DenseHead> {
        let conv = match shape.hidden {
            0 => None,
            hidden => Some(Conv2d::build(&mut b.at("conv"), (width, hidden), 3, (1, 1), true)?),
        };
        let inputs = if shape.hidden == 0 { width } else { shape.hidden };
        let classifier = Linear::build(&mut b.at("classifier"), inputs, shape.last(), true)?;
        Ok(DenseHead { conv, classifier, shape })
    }

    /// A map on its grid to predictions `[B, H, W, outputs]`.
    ///
    /// # Errors
    /// The map's vectors don't lie on a grid, or have another width.
    pub fn forward(&self, features: &Features) -> Result<Tensor> {
        let mut x = features.on_grid()?;
        if let Some(conv) = &self.conv {
            x = ops::activate(&conv.forward(&x)?, Activation::Gelu)?;
        }
        let x = self.classifier.forward(&x)?;
        match self.shape.upsample {
            1 => Ok(x),
            factor => ops::pixel_shuffle(&x, factor),
        }
    }
}
