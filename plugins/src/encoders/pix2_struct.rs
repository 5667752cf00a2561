//! Pix2Struct's image encoder, as Hugging Face's `Pix2StructVisionModel` and with its parameter
//! names (in a whole checkpoint they stand under `encoder.`). Sources: Lee et al., arXiv 2210.03347;
//! transformers 4.44.2 `modeling_pix2struct.py`, `image_processing_pix2struct.py`.
//!
//! EAGLE's `pix2struct_encoder.py` gives it the picture that all its encoders share, and takes the
//! normalisation back before Pix2Struct's own preparation. So does the forward pass here: the
//! picture is standardised as a whole, resized (bilinear, antialias) to as many whole patches as
//! `max_patches` allows, and cut up. 1024 pixels become 720, 45 x 45 patches.
//!
//! `[B, 3, S, S]` to `[B, R^2, width]` with `R = floor(sqrt(max_patches))`; a picture of
//! `H x W` gives as many rows and columns as fit in its proportions.

use eagle_core::data::preprocess::{Fit, ImageSpec};
use eagle_core::nn::layers::{Attention, GatedMlp, Linear, RmsNorm, checkpointed};
use eagle_core::nn::ops::{self, Activation};
use eagle_core::nn::{Builder, Init, cost, fit};
use eagle_core::registry::{Cost, Encoder, EncoderConfig, Features, MapShape, Misfit, Tap};
use eagle_core::tensor::{Param, Result, Tensor};

eagle_core::config! {
    /// Pix2Struct's image encoder (Hugging Face `Pix2StructVisionModel`). The defaults are
    /// `google/pix2struct-large` as EAGLE runs it.
    pub struct Pix2Struct {
        /// Side of the input image, in pixels; it is resized again, to whole patches.
        image_size: usize = 1024,
        /// Side of a patch, in pixels.
        patch_size: usize = 16,
        /// Patches of an image, at most; a square one gets the largest square number.
        max_patches: usize = 2048,
        /// Rows and columns that there are embeddings for; the first is the padding's.
        positions: usize = 4096,
        /// Channels.
        width: usize = 1536,
        /// Transformer blocks.
        layers: usize = 18,
        /// Attention heads; divides `width`.
        heads: usize = 24,
        /// Channels inside the feed-forward layer.
        hidden: usize = 3968,
        /// How a picture is made square: Stretch, Pad or Crop.
        fit: Fit = Fit::Pad,
    }
}

eagle_core::register!(encoder Pix2Struct, examples [
    "Pix2Struct(image_size: 20, patch_size: 4, max_patches: 11, positions: 5, width: 8, layers: 2, heads: 2, hidden: 12)",
    "Pix2Struct(image_size: 9, patch_size: 3, max_patches: 16, positions: 5, width: 12, layers: 1, heads: 3, hidden: 10)",
]);

const EPS: f32 = 1e-6;

impl Pix2Struct {
    /// Rows and columns of patches of an image of `height` x `width` pixels.
    fn grid(&self, height: usize, width: usize) -> (usize, usize) {
        let (most, patch) = (self.max_patches as f64, self.patch_size as f64);
        let (height, width) = (height as f64, width as f64);
        let scale = (most * (patch / height) * (patch / width)).sqrt();
        let side = |size: f64| ((scale * size / patch) as usize).clamp(1, self.max_patches.max(1));
        (side(height), side(width))
    }
}

impl EncoderConfig for Pix2Struct {
    fn image(&self) -> ImageSpec {
        ImageSpec { size: self.image_size, fit: self.fit, ..ImageSpec::default() }
    }

    fn output(&self) -> std::result::Result<MapShape, Misfit> {
        fit::even_heads(self.width, self.heads)?;
        for (field, size) in [
            ("image_size", self.image_size),
            ("patch_size", self.patch_size),
            ("max_patches", self.max_patches),
        ] {
            if size == 0 {
                return Err(Misfit::field(field, "the image has no pixels or no patches"));
            }
        }
        let grid = self.grid(self.image_size, self.image_size);
        if grid.0 >= self.positions {
            let message = format!("{} rows have no more than {} embeddings", grid.0, self.positions);
            let help = format!("use at least {}: the first is the padding's", grid.0 + 1);
            return Err(Misfit::field("positions", message).help(help));
        }
        Ok(MapShape::on_grid(grid, self.width).with_blocks(self.layers))
    }

    fn cost(&self) -> Cost {
        let (rows, columns) = self.grid(self.image_size.max(1), self.image_size.max(1));
        let n = rows * columns;
        let block = cost::linear(n, self.width, 4 * self.width)
            + cost::attention(n, n, self.width)
            + cost::linear(n, self.width, 2 * self.hidden)
            + cost::linear(n, self.hidden, self.width)
            + cost::pointwise(n, self.hidden + 2 * self.width);
        cost::linear(n, 3 * self.patch_size.pow(2), self.width)
            + cost::blocks(self.layers, (n, self.width), block)
    }

    fn build(&self, b: &mut Builder<'_>) -> Result<Box<dyn Encoder>> {
        let (width, pixels) = (self.width, 3 * self.patch_size.pow(2));
        let mut e = b.at("embeddings");
        let patches = Linear::build(&mut e.at("patch_projection"), pixels, width, true)?;
        let mut table = |name: &str| {
            e.at(name).param("weight", &[self.positions, width], Init::Normal(0.02))
        };
        let places = [table("row_embedder")?, table("column_embedder")?];
        let blocks = (0..self.layers)
            .map(|i| self.block(&mut b.at("encoder").at("layer").at(i)))
            .collect::<Result<_>>()?;
        let norm = RmsNorm::build(&mut b.at("layernorm"), width, EPS)?;
        Ok(Box::new(Module { config: self.clone(), patches, places, blocks, norm }))
    }
}

impl Pix2Struct {
    fn block(&self, b: &mut Builder<'_>) -> Result<Block> {
        let (width, hidden) = (self.width, self.hidden);
        let linear = |b: &mut Builder<'_>, inputs: usize, outputs: usize| {
            Linear::with_init(b, inputs, outputs, false, Init::xavier(inputs, outputs))
        };
        let mut a = b.at("attention");
        let mut projection = |name: &str| linear(&mut a.at(name), width, width);
        let projections = [
            projection("query")?,
            projection("key")?,
            projection("value")?,
            projection("output")?,
        ];
        let mut m = b.at("mlp");
        let gated = [
            linear(&mut m.at("wi_0"), width, hidden)?,
            linear(&mut m.at("wi_1"), width, hidden)?,
            linear(&mut m.at("wo"), hidden, width)?,
        ];
        Ok(Block {
            // As in T5, scores are not divided: that is left to the weights.
            attention: Attention::of(projections, self.heads, width / self.heads).scaled(1.0),
            mlp: GatedMlp::of(gated, Activation::GeluTanh, None),
            norm1: RmsNorm::build(&mut b.at("pre_attention_layer_norm"), width, EPS)?,
            norm2: RmsNorm::build(&mut b.at("pre_mlp_layer_norm"), width, EPS)?,
        })
    }
}

#[derive(Clone)]
struct Block {
    norm1: RmsNorm,
    attention: Attention,
    norm2: RmsNorm,
    mlp: GatedMlp,
}

impl Block {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = ops::add(x, &self.attention.bidirectional(&self.norm1.forward(x)?)?)?;
        ops::add(&x, &self.mlp.forward(&self.norm2.forward(&x)?)?)
    }
}

struct Module {
    config: Pix2Struct,
    patches: Linear,
    /// The embeddings of rows and of columns.
    places: [Param; 2],
    blocks: Vec<Block>,
    norm: RmsNorm,
}

impl Module {
    /// Patches with their places, `[B, rows * columns, C]`.
    fn embed(&self, image: &Tensor, (rows, columns): (usize, usize)) -> Result<Tensor> {
        let patch = self.config.patch_size;
        let image = standardised(image, &self.config.image())?;
        let [batch, planes, height, width] = image.dims("Pix2Struct")?;
        let image = image.reshape(&[batch * planes, height, width, 1])?;
        let image = ops::resize_bilinear_antialias(&image, rows * patch, columns * patch)?;
        let x = self.patches.forward(&flattened(&image, batch, (rows, columns), patch)?)?;
        // Place 0 is the padding's, of which there is none here.
        let all = |place: fn(u32, u32) -> u32| -> Vec<u32> {
            let columns = columns as u32;
            (0..rows as u32 * columns).map(|i| place(i, columns) + 1).collect()
        };
        let rows = ops::embedding(&self.places[0].tensor(), &all(|i, columns| i / columns))?;
        let columns = ops::embedding(&self.places[1].tensor(), &all(|i, columns| i % columns))?;
        ops::add_rows(&ops::add_rows(&x, &rows)?, &columns)
    }
}

/// Each picture of 0..255 with mean 0 and standard deviation 1 over all its values: what
/// Pix2Struct's processor does first. `spec` is what the picture was normalised with. Pixels have
/// no gradient.
fn standardised(image: &Tensor, spec: &ImageSpec) -> Result<Tensor> {
    let [_, planes, height, width] = image.dims("Pix2Struct")?;
    let mut values = image.host().into_owned();
    for picture in values.chunks_exact_mut((planes * height * width).max(1)) {
        for (channel, plane) in picture.chunks_exact_mut((height * width).max(1)).enumerate() {
            let (mean, std) = (spec.mean[channel % 3], spec.std[channel % 3]);
            plane.iter_mut().for_each(|x| *x = (*x * std + mean) * 255.0);
        }
        let count = picture.len() as f64;
        let mean = picture.iter().map(|x| f64::from(*x)).sum::<f64>() / count;
        let square = |x: &f32| (f64::from(*x) - mean).powi(2);
        let std = (picture.iter().map(square).sum::<f64>() / count).sqrt();
        // A picture of one colour is not blown up.
        let std = std.max(1.0 / count.sqrt()) as f32;
        picture.iter_mut().for_each(|x| *x = (*x - mean as f32) / std);
    }
    Tensor::new(image.dev(), values, image.shape())
}

/// The patches of `[B * 3, H, W, 1]`, pixel by pixel with the channels last: `[B, N, P * P * 3]`.
fn flattened(
    image: &Tensor,
    batch: usize,
    (rows, columns): (usize, usize),
    patch: usize,
) -> Result<Tensor> {
    let (pixels, width) = (image.host(), columns * patch);
    let plane = rows * patch * width;
    let mut values = Vec::with_capacity(image.len());
    for picture in pixels.chunks_exact(3 * plane) {
        for cell in 0..rows * columns {
            let corner = cell / columns * patch * width + cell % columns * patch;
            for pixel in 0..patch * patch {
                let at = corner + pixel / patch * width + pixel % patch;
                values.extend([picture[at], picture[plane + at], picture[2 * plane + at]]);
            }
        }
    }
    Tensor::new(image.dev(), values, &[batch, rows * columns, 3 * patch * patch])
}

impl Encoder for Module {
    fn forward(&self, image: &Tensor, tap: &mut dyn Tap) -> Result<Features> {
        let [.., height, width] = image.dims::<4>("Pix2Struct")?;
        let grid = self.config.grid(height, width);
        let mut x = self.embed(image, grid)?;
        for (i, block) in self.blocks.iter().enumerate() {
            x = checkpointed(block, &x, Block::forward)?;
            x = tap.after_block(i, self.blocks.len(), x)?;
        }
        Ok(Features { map: self.norm.forward(&x)?, grid: Some(grid), pyramid: Vec::new() })
    }
}
