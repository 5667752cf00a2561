//! ConvNeXt, as timm's `ConvNeXt` trunk and with its parameter names (LayerScale is `gamma`).
//! Sources: Liu et al., arXiv 2201.03545; timm 0.9.11 `convnext.py`; EAGLE's `convnext_encoder.py`
//! takes the last stage without the final norm, as here.
//!
//! `[B, 3, S, S]` to `[B, (S/32)^2, widths.last()]` for four stages and a stem of 4; all earlier
//! stages are in the pyramid. (timm follows a stem of 2 with one more halving; here each stage
//! halves but the first.)
//!
//! Which weights: the paper names `clip_laion2b_soup` (OpenCLIP's image tower: prefix
//! `visual.trunk.`). EAGLE's released code passes that tag where timm only asks whether there is
//! one, and so loads timm's default, `clip_laion2b_soup_ft_in1k`, fine-tuned on ImageNet (no prefix,
//! with `head`). EAGLE's own checkpoints call `gamma` `weight`. All three load here.

use eagle_core::data::preprocess::{Fit, ImageSpec};
use eagle_core::nn::layers::{Conv2d, DepthwiseConv2d, LayerNorm, Mlp, checkpointed};
use eagle_core::nn::ops::{self, Activation};
use eagle_core::nn::{Builder, Init, cost, fit};
use eagle_core::registry::{Cost, Encoder, EncoderConfig, Features, MapShape, Misfit, Tap};
use eagle_core::tensor::{Param, Result, Tensor};
use eagle_core::weights::Keys;

eagle_core::config! {
    /// ConvNeXt (timm's trunk, OpenCLIP's image tower). The defaults are `convnext_xxlarge` at
    /// 1024 pixels, as EAGLE runs it.
    pub struct ConvNext {
        /// Side of the input image, in pixels; a multiple of the total stride.
        image_size: usize = 1024,
        /// Side of the stem's patches, in pixels.
        patch_size: usize = 4,
        /// Blocks per stage.
        depths: Vec<usize> = vec![3, 4, 30, 3],
        /// Channels per stage.
        widths: Vec<usize> = vec![384, 768, 1536, 3072],
        /// Side of the depthwise kernels; odd.
        kernel: usize = 7,
        /// The epsilon of the layer norms: 1e-5 in `convnext_xxlarge`, 1e-6 in the smaller ones.
        norm_eps: f32 = 1e-5,
        /// The initial LayerScale; 1e-6 in the paper, larger for short training from nothing.
        layer_scale: f32 = 1e-6,
        /// How a picture is made square: Stretch, Pad or Crop.
        fit: Fit = Fit::Pad,
    }
}

eagle_core::register!(encoder ConvNext, examples [
    "ConvNext(image_size: 32, depths: [1, 2], widths: [4, 8], layer_scale: 0.5)",
    "ConvNext(image_size: 24, patch_size: 2, depths: [1, 1, 1], widths: [4, 6, 8], kernel: 3, layer_scale: 1.0)",
]);

impl ConvNext {
    /// The pixels per row of the map after stage `stage`.
    fn stride(&self, stage: usize) -> usize {
        self.patch_size << stage
    }

    fn side(&self, stage: usize) -> usize {
        self.image_size / self.stride(stage).max(1)
    }

    fn last(&self) -> usize {
        self.depths.len().saturating_sub(1)
    }
}

impl EncoderConfig for ConvNext {
    fn image(&self) -> ImageSpec {
        ImageSpec { size: self.image_size, fit: self.fit, ..ImageSpec::default() }
    }

    fn output(&self) -> std::result::Result<MapShape, Misfit> {
        if self.depths.is_empty() || self.depths.len() != self.widths.len() {
            let (depths, widths) = (self.depths.len(), self.widths.len());
            let message = format!("{depths} stages of blocks, but {widths} widths");
            return Err(
                Misfit::field("depths", message).help("give one depth and one width a stage")
            );
        }
        if self.kernel.is_multiple_of(2) {
            let message = format!("a kernel of {} has no middle", self.kernel);
            return Err(Misfit::field("kernel", message).help("use an odd side"));
        }
        fit::whole_patches(self.image_size, "image_size", self.stride(self.last()))?;
        if self.image_size == 0 {
            return Err(Misfit::field("image_size", "the image has no pixels"));
        }
        let side = self.side(self.last());
        let pyramid = (0..self.last()).map(|i| (self.side(i), self.side(i), self.widths[i]));
        Ok(MapShape {
            pyramid: pyramid.collect(),
            ..MapShape::on_grid((side, side), self.widths[self.last()])
        })
    }

    fn cost(&self) -> Cost {
        let mut total = cost::convolution(self.side(0).pow(2), self.patch_size, 3, self.widths[0]);
        for (stage, (&depth, &width)) in self.depths.iter().zip(&self.widths).enumerate() {
            let n = self.side(stage).pow(2);
            let block = cost::convolution(n, self.kernel, 1, width)
                + cost::linear(n, width, 4 * width)
                + cost::linear(n, 4 * width, width)
                + cost::pointwise(n, 6 * width);
            total = total + cost::blocks(depth, (n, width), block);
            if stage > 0 {
                total = total + cost::convolution(n, 2, self.widths[stage - 1], width);
            }
        }
        total
    }

    fn build(&self, b: &mut Builder<'_>) -> Result<Box<dyn Encoder>> {
        let mut stem = b.at("stem");
        let patch = self.patch_size;
        let stem_conv =
            Conv2d::build(&mut stem.at(0), (3, self.widths[0]), patch, (patch, 0), true)?;
        let stem_norm = LayerNorm::build(&mut stem.at(1), self.widths[0], self.norm_eps)?;
        let stages = (0..self.depths.len())
            .map(|i| self.stage(i, &mut b.at("stages").at(i)))
            .collect::<Result<_>>()?;
        Ok(Box::new(Module { patch, stem_conv, stem_norm, stages }))
    }

    fn keys(&self) -> Keys {
        Keys::ignoring(["head.**", "norm_pre.**"])
            .renaming("stages.*.blocks.*.gamma", "stages.*.blocks.*.weight")
    }
}

impl ConvNext {
    fn stage(&self, stage: usize, b: &mut Builder<'_>) -> Result<Stage> {
        let width = self.widths[stage];
        let downsample = if stage == 0 {
            None
        } else {
            let before = self.widths[stage - 1];
            let mut d = b.at("downsample");
            let norm = LayerNorm::build(&mut d.at(0), before, self.norm_eps)?;
            Some((norm, Conv2d::build(&mut d.at(1), (before, width), 2, (2, 0), true)?))
        };
        let blocks = (0..self.depths[stage])
            .map(|i| self.block(width, &mut b.at("blocks").at(i)))
            .collect::<Result<_>>()?;
        Ok(Stage { downsample, blocks })
    }

    fn block(&self, width: usize, b: &mut Builder<'_>) -> Result<Block> {
        let names = ["fc1", "fc2"];
        Ok(Block {
            conv: DepthwiseConv2d::build(&mut b.at("conv_dw"), width, self.kernel)?,
            norm: LayerNorm::build(&mut b.at("norm"), width, self.norm_eps)?,
            mlp: Mlp::build(&mut b.at("mlp"), names, (width, 4 * width), Activation::Gelu)?,
            gamma: b.param("gamma", &[width], Init::Constant(self.layer_scale))?,
        })
    }
}

struct Stage {
    downsample: Option<(LayerNorm, Conv2d)>,
    blocks: Vec<Block>,
}

#[derive(Clone)]
struct Block {
    conv: DepthwiseConv2d,
    norm: LayerNorm,
    mlp: Mlp,
    gamma: Param,
}

impl Block {
    /// `[B, H, W, C]` to the same shape.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = self.mlp.forward(&self.norm.forward(&self.conv.forward(x)?)?)?;
        ops::add(x, &ops::mul_channels(&y, &self.gamma.tensor())?)
    }
}

struct Module {
    patch: usize,
    stem_conv: Conv2d,
    stem_norm: LayerNorm,
    stages: Vec<Stage>,
}

impl Encoder for Module {
    fn forward(&self, image: &Tensor, tap: &mut dyn Tap) -> Result<Features> {
        let x = self.stem_norm.forward(&self.stem_conv.patches(image)?)?;
        let [batch, _, height, width] = image.dims("ConvNext")?;
        let (rows, columns) = (height / self.patch, width / self.patch);
        let mut x = x.reshape(&[batch, rows, columns, x.rows().1])?; // [B, H, W, C]
        let count = self.stages.iter().map(|stage| stage.blocks.len()).sum();
        let mut index = 0;
        let mut pyramid = Vec::new();
        for stage in &self.stages {
            if let Some((norm, conv)) = &stage.downsample {
                pyramid.push(x.clone());
                x = conv.forward(&norm.forward(&x)?)?;
            }
            for block in &stage.blocks {
                x = tap.after_block(index, count, checkpointed(block, &x, Block::forward)?)?;
                index += 1;
            }
        }
        let [batch, h, w, width] = x.dims("ConvNext")?;
        Ok(Features { map: x.reshape(&[batch, h * w, width])?, grid: Some((h, w)), pyramid })
    }
}
