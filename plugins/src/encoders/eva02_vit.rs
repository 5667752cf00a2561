//! EVA-02's detection backbone (a ViTDet), with the parameter names of its checkpoints (there they
//! stand under `backbone.net.`). Sources: Fang et al., arXiv 2303.11331; baaivision/EVA
//! `EVA-02/det/detectron2/modeling/backbone/vit.py`; EAGLE's `vision_models/eva_vit.py`. Not
//! EVA-CLIP's tower, which has a class token, no windows and other names: that is `EvaClipVit`.
//!
//! Most blocks attend within windows, filled with zeros where the grid is no whole number of them;
//! what was filled takes part, as in the references. Queries and keys turn by their place in the
//! window or the grid. There is no final norm.
//!
//! `[B, 3, S, S]` to `[B, (S / patch_size)^2, width]`.

use eagle_core::data::preprocess::{Fit, ImageSpec};
use eagle_core::nn::layers::{
    Attention, Conv2d, GatedMlp, LayerNorm, Linear, Positions, Resample, Rope2d, checkpointed,
    within_windows,
};
use eagle_core::nn::ops::{self, Activation};
use eagle_core::nn::{Builder, Init, cost, fit};
use eagle_core::registry::{Cost, Encoder, EncoderConfig, Features, MapShape, Misfit, Tap};
use eagle_core::tensor::{Result, Tensor};
use eagle_core::weights::Keys;

eagle_core::config! {
    /// EVA-02's detection backbone. The defaults are `eva02_L_coco_det_sys_o365` at 1024 pixels, as
    /// EAGLE runs it.
    pub struct Eva02Vit {
        /// Side of the input image, in pixels; a multiple of `patch_size`.
        image_size: usize = 1024,
        /// Side of the image that the position embeddings were made for, in pixels; another
        /// `image_size` resamples them (bicubic). 0 means `image_size`.
        pretrained_size: usize = 224,
        /// Side of a patch, in pixels.
        patch_size: usize = 16,
        /// Channels.
        width: usize = 1024,
        /// Transformer blocks.
        layers: usize = 24,
        /// Attention heads; `width` gives each a multiple of 4 channels.
        heads: usize = 16,
        /// Channels inside the feed-forward layer. 0 means 8/3 x `width`, rounded down.
        hidden: usize = 0,
        /// Side of a window, in patches; 0 makes all blocks global.
        window: usize = 16,
        /// The blocks, from 0, that attend to the whole image.
        global_blocks: Vec<usize> = vec![2, 5, 8, 11, 14, 17, 20, 23],
        /// Side of the grid, in patches, to whose distances the rotary angles of windows and
        /// images are stretched.
        rope_grid: usize = 16,
        /// How a picture is made square: Stretch, Pad or Crop.
        fit: Fit = Fit::Pad,
    }
}

eagle_core::register!(encoder Eva02Vit, examples [
    "Eva02Vit(image_size: 20, pretrained_size: 12, patch_size: 4, width: 8, layers: 2, heads: 2, window: 3, global_blocks: [1], rope_grid: 4)",
    "Eva02Vit(image_size: 12, pretrained_size: 0, patch_size: 4, width: 12, layers: 1, heads: 1, hidden: 10, window: 0)",
]);

const EPS: f32 = 1e-6;
const THETA: f64 = 10_000.0;

impl Eva02Vit {
    fn side(&self) -> usize {
        self.image_size / self.patch_size.max(1)
    }

    fn pretrained_side(&self) -> usize {
        let size = if self.pretrained_size == 0 { self.image_size } else { self.pretrained_size };
        size / self.patch_size.max(1)
    }

    fn hidden(&self) -> usize {
        if self.hidden == 0 { (self.width as f64 * (8.0 / 3.0)) as usize } else { self.hidden }
    }

    /// The side of block `index`'s windows, 0 where it is global.
    fn window_of(&self, index: usize) -> usize {
        if self.global_blocks.contains(&index) { 0 } else { self.window }
    }
}

impl EncoderConfig for Eva02Vit {
    fn image(&self) -> ImageSpec {
        ImageSpec { size: self.image_size, fit: self.fit, ..ImageSpec::default() }
    }

    fn output(&self) -> std::result::Result<MapShape, Misfit> {
        fit::whole_patches(self.image_size, "image_size", self.patch_size)?;
        fit::whole_patches(self.pretrained_size, "pretrained_size", self.patch_size)?;
        fit::even_heads(self.width, self.heads)?;
        if self.image_size == 0 {
            return Err(Misfit::field("image_size", "the image has no pixels"));
        }
        if !(self.width / self.heads).is_multiple_of(4) {
            let message = format!("heads of {} channels can't turn", self.width / self.heads);
            return Err(Misfit::field("heads", message).help("use heads of 4, 8, 12 … channels"));
        }
        fit::windows(self.window, self.side(), &self.global_blocks, self.layers)?;
        Ok(MapShape::on_grid((self.side(), self.side()), self.width).with_blocks(self.layers))
    }

    fn cost(&self) -> Cost {
        let n = self.side().pow(2);
        let block = |index: usize| {
            let window = self.window_of(index);
            let side = if window == 0 { self.side() } else { window };
            let windows = self.side().div_ceil(side.max(1)).pow(2);
            cost::linear(windows * side.pow(2), self.width, 4 * self.width)
                + cost::times(windows, cost::attention(side.pow(2), side.pow(2), self.width))
                + cost::linear(n, self.width, 2 * self.hidden())
                + cost::linear(n, self.hidden(), self.width)
                + cost::pointwise(n, 2 * self.hidden() + 2 * self.width)
        };
        let patches = cost::convolution(n, self.patch_size, 3, self.width);
        (0..self.layers)
            .fold(patches, |total, i| total + cost::blocks(1, (n, self.width), block(i)))
    }

    fn build(&self, b: &mut Builder<'_>) -> Result<Box<dyn Encoder>> {
        let (width, patch) = (self.width, self.patch_size);
        // The first row is the class token's, which a detector drops.
        let (from, to, prefix) = (self.pretrained_side(), self.side(), 1);
        let table = b.param("pos_embed", &[1, prefix + from * from, width], Init::Normal(0.02))?;
        let positions = Positions { table, prefix, from, to, resample: Resample::Bicubic };
        let mut e = b.at("patch_embed");
        let patches = Conv2d::build(&mut e.at("proj"), (3, width), patch, (patch, 0), true)?;
        let rope = |side: usize| Rope2d::new(side, self.rope_grid, width / self.heads, THETA);
        let ropes = [rope(to), rope(self.window)];
        let blocks = (0..self.layers)
            .map(|i| self.block(self.window_of(i), &ropes, &mut b.at("blocks").at(i)))
            .collect::<Result<_>>()?;
        Ok(Box::new(Module { side: to, positions, patches, blocks }))
    }

    fn keys(&self) -> Keys {
        // The tables of angles, which are computed.
        Keys::ignoring(["rope_win.**", "rope_glb.**", "blocks.*.attn.rope.**"])
    }
}

impl Eva02Vit {
    fn block(&self, window: usize, ropes: &[Rope2d; 2], b: &mut Builder<'_>) -> Result<Block> {
        let width = self.width;
        Ok(Block {
            side: self.side(),
            window,
            rope: ropes[usize::from(window > 0)].clone(),
            norm1: LayerNorm::build(&mut b.at("norm1"), width, EPS)?,
            attention: self.attention(&mut b.at("attn"))?,
            norm2: LayerNorm::build(&mut b.at("norm2"), width, EPS)?,
            mlp: self.mlp(&mut b.at("mlp"))?,
        })
    }

    /// Queries and values have a bias, keys have none.
    fn attention(&self, b: &mut Builder<'_>) -> Result<Attention> {
        let width = self.width;
        let mut projection = |name: &str, bias: Option<&str>| -> Result<Linear> {
            let weight = b.at(name).param("weight", &[width, width], Init::Normal(0.02))?;
            let bias = bias.map(|bias| b.param(bias, &[width], Init::Zeros)).transpose()?;
            Ok(Linear::of(weight, bias))
        };
        let query = projection("q_proj", Some("q_bias"))?;
        let key = projection("k_proj", None)?;
        let value = projection("v_proj", Some("v_bias"))?;
        let output = projection("proj", Some("proj.bias"))?;
        Ok(Attention::of([query, key, value, output], self.heads, width / self.heads))
    }

    fn mlp(&self, b: &mut Builder<'_>) -> Result<GatedMlp> {
        let (width, hidden, init) = (self.width, self.hidden(), Init::Normal(0.02));
        let gate = Linear::with_init(&mut b.at("w1"), width, hidden, true, init)?;
        let up = Linear::with_init(&mut b.at("w2"), width, hidden, true, init)?;
        let norm = LayerNorm::build(&mut b.at("ffn_ln"), hidden, EPS)?;
        let down = Linear::with_init(&mut b.at("w3"), hidden, width, true, init)?;
        Ok(GatedMlp::of([gate, up, down], Activation::Silu, Some(norm)))
    }
}

#[derive(Clone)]
struct Block {
    /// Side of the grid, and of its windows or 0, in patches.
    side: usize,
    window: usize,
    /// The angles of a window, or of the whole grid.
    rope: Rope2d,
    norm1: LayerNorm,
    attention: Attention,
    norm2: LayerNorm,
    mlp: GatedMlp,
}

impl Block {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let grid = (self.side, self.side);
        let seen = within_windows(&self.norm1.forward(x)?, grid, self.window, |x, _| {
            self.attention.on_grid(x, &self.rope)
        })?;
        let x = ops::add(x, &seen)?;
        ops::add(&x, &self.mlp.forward(&self.norm2.forward(&x)?)?)
    }
}

struct Module {
    /// Patches per row.
    side: usize,
    positions: Positions,
    patches: Conv2d,
    blocks: Vec<Block>,
}

impl Encoder for Module {
    fn forward(&self, image: &Tensor, tap: &mut dyn Tap) -> Result<Features> {
        let mut x = ops::add_rows(&self.patches.patches(image)?, &self.positions.grid()?)?;
        for (i, block) in self.blocks.iter().enumerate() {
            x = checkpointed(block, &x, Block::forward)?;
            x = tap.after_block(i, self.blocks.len(), x)?;
        }
        Ok(Features { map: x, grid: Some((self.side, self.side)), pyramid: Vec::new() })
    }
}
