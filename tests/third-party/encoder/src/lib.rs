//! A vision encoder from outside eagle-lab: the mean colour of every cell of a grid, projected to
//! any width. It depends on `eagle-core` alone.
//!
//! `[B, 3, S, S]` to `[B, (S / cell)^2, width]`.

use eagle_core::data::preprocess::ImageSpec;
use eagle_core::nn::layers::Linear;
use eagle_core::nn::{Builder, cost, ops};
use eagle_core::registry::{Cost, Encoder, EncoderConfig, Features, MapShape, Misfit, Tap};
use eagle_core::tensor::{Result, Tensor};

eagle_core::config! {
    /// The mean colour of each cell of a grid, projected to `width`.
    pub struct ColourGrid {
        /// Side of the input image, in pixels; a multiple of `cell`.
        image_size: usize = 32,
        /// Side of a cell, in pixels.
        cell: usize = 4,
        /// Channels.
        width: usize = 32,
    }
}

eagle_core::register!(encoder ColourGrid);

impl ColourGrid {
    fn side(&self) -> usize {
        self.image_size / self.cell.max(1)
    }
}

impl EncoderConfig for ColourGrid {
    fn image(&self) -> ImageSpec {
        ImageSpec { size: self.image_size, ..ImageSpec::default() }
    }

    fn output(&self) -> std::result::Result<MapShape, Misfit> {
        if self.cell == 0 || !self.image_size.is_multiple_of(self.cell) || self.image_size == 0 {
            let message = format!("{} pixels are not whole cells of {}", self.image_size, self.cell);
            return Err(Misfit::field("image_size", message));
        }
        Ok(MapShape::on_grid((self.side(), self.side()), self.width))
    }

    fn cost(&self) -> Cost {
        cost::linear(self.side().pow(2), 3, self.width)
    }

    fn build(&self, builder: &mut Builder<'_>) -> Result<Box<dyn Encoder>> {
        let projection = Linear::build(&mut builder.at("projection"), 3, self.width, true)?;
        Ok(Box::new(Module { config: self.clone(), projection }))
    }
}

struct Module {
    config: ColourGrid,
    projection: Linear,
}

impl Encoder for Module {
    fn forward(&self, image: &Tensor, tap: &mut dyn Tap) -> Result<Features> {
        let [batch, channels, height, width] = image.dims("ColourGrid")?;
        let side = self.config.side();
        // [B * 3, S, S, 1]: the pool works on channels-last maps, one per colour.
        let planes = image.reshape(&[batch * channels, height, width, 1])?;
        let means = ops::average_pool(&planes, self.config.cell)?;
        let means = means.reshape(&[batch, channels, side * side])?;
        let colours: Vec<f32> = transpose(&means.host(), batch, channels, side * side);
        let colours = Tensor::new(image.dev(), colours, &[batch, side * side, channels])?;
        let map = tap.after_block(0, 1, self.projection.forward(&colours)?)?;
        Ok(Features { map, grid: Some((side, side)), pyramid: Vec::new() })
    }
}

/// `[B, C, N]` to `[B, N, C]`; nothing is trained before it.
fn transpose(values: &[f32], batch: usize, channels: usize, n: usize) -> Vec<f32> {
    let at = |b: usize, i: usize, c: usize| values[(b * channels + c) * n + i];
    (0..batch)
        .flat_map(|b| (0..n).flat_map(move |i| (0..channels).map(move |c| (b, i, c))))
        .map(|(b, i, c)| at(b, i, c))
        .collect()
}
