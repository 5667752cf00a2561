//! SAM's image encoder, as Hugging Face's `SamVisionEncoder` and with its parameter names (in a whole
//! checkpoint they stand under `vision_encoder.`). Sources: Kirillov et al., arXiv 2304.02643;
//! transformers 4.44.2 `modeling_sam.py`; EAGLE's `sam_encoder.py`, which keeps the first half of the
//! neck and folds 2 x 2 vectors into one (`pixel_unshuffle`): the defaults here.
//!
//! Most blocks attend within windows, filled with zeros where the grid is no whole number of them;
//! what was filled takes part. Scores get the query's product with an embedding of the distance in
//! rows and one of the distance in columns (decomposed relative positions).
//!
//! `[B, 3, S, S]` to `[B, (S / patch_size / unshuffle)^2, neck_width * unshuffle^2]`.

use eagle_core::data::preprocess::{Filter, Fit, IMAGENET_MEAN, IMAGENET_STD, ImageSpec};
use eagle_core::nn::layers::{Conv2d, LayerNorm, Linear, Mlp, checkpointed, within_windows};
use eagle_core::nn::ops::{self, Activation, AttentionSpec, Bias, GridAxis};
use eagle_core::nn::{Builder, Init, cost, fit};
use eagle_core::registry::{Cost, Encoder, EncoderConfig, Features, MapShape, Misfit, Tap};
use eagle_core::tensor::{Param, Result, Tensor};
use eagle_core::weights::Keys;
use serde::{Deserialize, Serialize};

eagle_core::config! {
    /// SAM's image encoder (Hugging Face `SamVisionEncoder`). The defaults are
    /// `facebook/sam-vit-large` as EAGLE runs it.
    pub struct SamVit {
        /// Side of the input image, in pixels; a multiple of `patch_size`.
        image_size: usize = 1024,
        /// Side of the image that the position embeddings were made for, in pixels; another
        /// `image_size` resamples them (absolute ones bicubic, relative ones linear, as ViTDet
        /// does). 0 means `image_size`.
        pretrained_size: usize = 0,
        /// Side of a patch, in pixels.
        patch_size: usize = 16,
        /// Channels.
        width: usize = 1024,
        /// Transformer blocks.
        layers: usize = 24,
        /// Attention heads; divides `width`.
        heads: usize = 16,
        /// Channels inside the feed-forward layer. 0 means 4 x `width`.
        hidden: usize = 0,
        /// Side of a window, in patches; 0 makes all blocks global.
        window: usize = 14,
        /// The blocks, from 0, that attend to the whole image.
        global_blocks: Vec<usize> = vec![5, 11, 17, 23],
        /// What follows the blocks: Short (EAGLE: a projection and a norm) or Full (SAM: a
        /// convolution and a norm more). EAGLE trains its neck from nothing, while here a
        /// checkpoint's own first half is loaded.
        neck: Neck = Neck::Short,
        /// Channels of the neck.
        neck_width: usize = 256,
        /// Side of the squares of vectors that become one, channel by channel; 1 leaves them.
        unshuffle: usize = 2,
        /// How a picture is made square: Stretch, Pad, Crop, or Corner (SAM's own way).
        fit: Fit = Fit::Pad,
        /// Side of the tensor that a mixture's encoders share as in EAGLE, in pixels: normalised as
        /// CLIP's, then resized bilinearly. 0 means an image of its own, as SAM's processor makes it
        /// (bilinear, ImageNet's mean; with `fit: Corner`).
        shared_size: usize = 1024,
    }
}

eagle_core::register!(encoder SamVit, examples [
    "SamVit(image_size: 24, patch_size: 4, width: 8, layers: 2, heads: 2, window: 4, global_blocks: [1], neck_width: 3)",
    "SamVit(image_size: 20, pretrained_size: 12, patch_size: 4, width: 6, layers: 1, heads: 1, hidden: 10, window: 0, neck: Full, neck_width: 4, unshuffle: 1)",
]);

/// What follows the blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Neck {
    /// A 1 x 1 convolution and a norm.
    Short,
    /// The same, then a 3 x 3 convolution and a norm.
    Full,
}

const EPS: f32 = 1e-6;

impl SamVit {
    fn side(&self) -> usize {
        self.image_size / self.patch_size.max(1)
    }

    fn pretrained_side(&self) -> usize {
        let size = if self.pretrained_size == 0 { self.image_size } else { self.pretrained_size };
        size / self.patch_size.max(1)
    }

    fn hidden(&self) -> usize {
        if self.hidden == 0 { 4 * self.width } else { self.hidden }
    }

    /// The side of block `index`'s windows, 0 where it is global.
    fn window_of(&self, index: usize) -> usize {
        if self.global_blocks.contains(&index) { 0 } else { self.window }
    }
}

impl EncoderConfig for SamVit {
    fn image(&self) -> ImageSpec {
        let own = ImageSpec {
            size: self.image_size,
            fit: self.fit,
            filter: Filter::Bilinear,
            mean: IMAGENET_MEAN,
            std: IMAGENET_STD,
            ..ImageSpec::default()
        };
        own.shared_at(self.shared_size)
    }

    fn output(&self) -> std::result::Result<MapShape, Misfit> {
        fit::whole_patches(self.image_size, "image_size", self.patch_size)?;
        fit::whole_patches(self.pretrained_size, "pretrained_size", self.patch_size)?;
        fit::even_heads(self.width, self.heads)?;
        if self.image_size == 0 {
            return Err(Misfit::field("image_size", "the image has no pixels"));
        }
        fit::windows(self.window, self.side(), &self.global_blocks, self.layers)?;
        let (side, factor) = (self.side(), self.unshuffle);
        if factor == 0 || !side.is_multiple_of(factor) {
            let message = format!("{side} x {side} vectors are not whole squares of {factor}");
            return Err(Misfit::field("unshuffle", message).help("use 1 to leave them as they are"));
        }
        Ok(MapShape::on_grid((side / factor, side / factor), self.neck_width * factor * factor))
    }

    fn cost(&self) -> Cost {
        let n = self.side().pow(2);
        let block = |index: usize| {
            let window = self.window_of(index);
            let side = if window == 0 { self.side() } else { window };
            let windows = self.side().div_ceil(side.max(1)).pow(2);
            let area = side.pow(2);
            cost::linear(windows * area, self.width, 4 * self.width)
                + cost::times(windows, cost::attention(area, area, self.width))
                + cost::times(2 * windows * self.heads, cost::linear(area, self.width / self.heads.max(1), side))
                + cost::linear(n, self.width, self.hidden())
                + cost::linear(n, self.hidden(), self.width)
                + cost::pointwise(n, self.hidden() + 2 * self.width)
        };
        let mut total = cost::convolution(n, self.patch_size, 3, self.width)
            + cost::convolution(n, 1, self.width, self.neck_width);
        if self.neck == Neck::Full {
            total = total + cost::convolution(n, 3, self.neck_width, self.neck_width);
        }
        (0..self.layers)
            .fold(total, |total, i| total + cost::blocks(1, (n, self.width), block(i)))
    }

    fn build(&self, b: &mut Builder<'_>) -> Result<Box<dyn Encoder>> {
        let (width, patch, from) = (self.width, self.patch_size, self.pretrained_side());
        let positions = b.param("pos_embed", &[1, from, from, width], Init::Normal(0.02))?;
        let mut e = b.at("patch_embed");
        let patches = Conv2d::build(&mut e.at("projection"), (3, width), patch, (patch, 0), true)?;
        let blocks = (0..self.layers)
            .map(|i| self.block(self.window_of(i), &mut b.at("layers").at(i)))
            .collect::<Result<_>>()?;
        let neck = self.neck(&mut b.at("neck"))?;
        Ok(Box::new(Module { config: self.clone(), positions, patches, blocks, neck }))
    }

    fn keys(&self) -> Keys {
        // The half of the neck that a short one leaves out.
        Keys::ignoring(["neck.conv2.**", "neck.layer_norm2.**"])
    }
}

impl SamVit {
    fn block(&self, window: usize, b: &mut Builder<'_>) -> Result<Block> {
        let (width, hidden) = (self.width, self.hidden());
        let names = ["lin1", "lin2"];
        let reach = if window == 0 { self.pretrained_side() } else { window };
        Ok(Block {
            window,
            norm1: LayerNorm::build(&mut b.at("layer_norm1"), width, EPS)?,
            attention: self.attention(reach, &mut b.at("attn"))?,
            norm2: LayerNorm::build(&mut b.at("layer_norm2"), width, EPS)?,
            mlp: Mlp::build(&mut b.at("mlp"), names, (width, hidden), Activation::Gelu)?,
        })
    }

    /// Attention over grids of `reach` x `reach`.
    fn attention(&self, reach: usize, b: &mut Builder<'_>) -> Result<RelativeAttention> {
        let (width, head_width) = (self.width, self.width / self.heads);
        // Distances from -(reach - 1) to reach - 1.
        let distances = [2 * reach - 1, head_width];
        Ok(RelativeAttention {
            rows: b.param("rel_pos_h", &distances, Init::Normal(0.02))?,
            columns: b.param("rel_pos_w", &distances, Init::Normal(0.02))?,
            qkv: Linear::build(&mut b.at("qkv"), width, 3 * width, true)?,
            output: Linear::build(&mut b.at("proj"), width, width, true)?,
            heads: self.heads,
        })
    }

    /// Convolutions, each with the norm that follows it.
    fn neck(&self, b: &mut Builder<'_>) -> Result<Vec<(Conv2d, LayerNorm)>> {
        let (width, narrow) = (self.width, self.neck_width);
        let conv = Conv2d::build(&mut b.at("conv1"), (width, narrow), 1, (1, 0), false)?;
        let mut steps = vec![(conv, LayerNorm::build(&mut b.at("layer_norm1"), narrow, EPS)?)];
        if self.neck == Neck::Full {
            let conv = Conv2d::build(&mut b.at("conv2"), (narrow, narrow), 3, (1, 1), false)?;
            steps.push((conv, LayerNorm::build(&mut b.at("layer_norm2"), narrow, EPS)?));
        }
        Ok(steps)
    }
}

/// Attention over a grid whose scores depend on distances, too.
#[derive(Clone)]
struct RelativeAttention {
    qkv: Linear,
    output: Linear,
    /// Embeddings of the distances in rows, `[2 reach - 1, head width]`, and in columns.
    rows: Param,
    columns: Param,
    heads: usize,
}

impl RelativeAttention {
    /// `[B, N, C]` on a grid of `rows` x `columns` to the same shape.
    fn forward(&self, x: &Tensor, (rows, columns): (usize, usize)) -> Result<Tensor> {
        let [batch, n, width] = x.dims("SamVit")?;
        let head_width = width / self.heads;
        let heads = |part: Tensor| part.reshape(&[batch, n, self.heads, head_width]);
        let [q, k, v] = self.qkv.parts(x)?;
        let (q, k, v) = (heads(q)?, heads(k)?, heads(v)?);
        let grid = (rows, columns);
        let down = stretched(&self.rows.tensor(), rows)?;
        let across = stretched(&self.columns.tensor(), columns)?;
        let down = ops::relative_bias(&q, &down, grid, GridAxis::Rows)?;
        let across = ops::relative_bias(&q, &across, grid, GridAxis::Columns)?;
        let scale = 1.0 / (head_width as f32).sqrt();
        let spec = AttentionSpec { scale, ..AttentionSpec::default() };
        let seen = ops::attention_with(&q, &k, &v, Bias::Decomposed(&down, &across), &spec)?;
        self.output.forward(&seen.reshape(&[batch, n, width])?)
    }
}

/// Embeddings `[2 reach - 1, D]` of the distances on an axis of `size`, resampled where it isn't
/// the one that they were made for.
fn stretched(distances: &Tensor, size: usize) -> Result<Tensor> {
    let [count, width] = distances.dims("SamVit")?;
    let wanted = 2 * size - 1;
    let map = distances.reshape(&[1, count, 1, width])?;
    ops::resize_bilinear(&map, wanted, 1, false)?.reshape(&[wanted, width])
}

#[derive(Clone)]
struct Block {
    /// Side of the windows in patches, 0 for the whole grid.
    window: usize,
    norm1: LayerNorm,
    attention: RelativeAttention,
    norm2: LayerNorm,
    mlp: Mlp,
}

impl Block {
    fn forward(&self, x: &Tensor, grid: (usize, usize)) -> Result<Tensor> {
        let seen = within_windows(&self.norm1.forward(x)?, grid, self.window, |x, grid| {
            self.attention.forward(x, grid)
        })?;
        let x = ops::add(x, &seen)?;
        ops::add(&x, &self.mlp.forward(&self.norm2.forward(&x)?)?)
    }
}

struct Module {
    config: SamVit,
    positions: Param,
    patches: Conv2d,
    blocks: Vec<Block>,
    neck: Vec<(Conv2d, LayerNorm)>,
}

impl Encoder for Module {
    fn forward(&self, image: &Tensor, tap: &mut dyn Tap) -> Result<Features> {
        let [batch, _, height, width] = image.dims("SamVit")?;
        let (patch, channels) = (self.config.patch_size, self.config.width);
        let (rows, columns) = (height / patch, width / patch);
        let positions = ops::resize_bicubic(&self.positions.tensor(), rows, columns, false)?;
        let positions = positions.reshape(&[rows * columns, channels])?;
        let mut x = ops::add_rows(&self.patches.patches(image)?, &positions)?;
        for (i, block) in self.blocks.iter().enumerate() {
            x = checkpointed(block, &x, move |block, x| block.forward(x, (rows, columns)))?;
            x = tap.after_block(i, self.blocks.len(), x)?;
        }
        let mut x = x.reshape(&[batch, rows, columns, channels])?;
        for (conv, norm) in &self.neck {
            x = norm.forward(&conv.forward(&x)?)?;
        }
        if self.config.unshuffle > 1 {
            x = ops::pixel_unshuffle(&x, self.config.unshuffle)?;
        }
        let [_, rows, columns, width] = x.dims("SamVit")?;
        let map = x.reshape(&[batch, rows * columns, width])?;
        Ok(Features { map, grid: Some((rows, columns)), pyramid: Vec::new() })
    }
}
