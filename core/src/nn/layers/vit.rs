//! What vision transformers have in common: sizes and their promise, the embedding of patches and
//! of the tokens in front of them, and the way through the blocks.

use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::nn::layers::{Conv2d, LayerNorm, Norm, Positions, Rope2d, VitBlock, checkpointed};
use crate::nn::{cost, fit, ops};
use crate::registry::{Cost, Encoder, Features, MapShape, Misfit, Tap};
use crate::tensor::{Param, Result, Tensor};

/// What becomes of the class token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClassToken {
    /// It never enters the transformer.
    Dropped,
    /// It takes part in attention and is dropped from the output.
    Inside,
    /// It is the first visual token.
    Kept,
}

/// The sizes on which the promise of a vision transformer depends.
#[derive(Debug, Clone, Copy)]
pub struct VitShape {
    /// Side of the input image, in pixels.
    pub image_size: usize,
    /// Side of the image that the position embeddings were made for; 0 means `image_size`.
    pub pretrained_size: usize,
    /// Side of a patch, in pixels.
    pub patch_size: usize,
    /// Channels.
    pub width: usize,
    /// Blocks, the skipped ones counted.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Channels inside the feed-forward layer.
    pub hidden: usize,
    /// Whether the feed-forward layer has a gate.
    pub gated: bool,
    /// What becomes of the class token.
    pub class_token: ClassToken,
    /// Tokens beside the class token that see everything and are dropped from the output.
    pub registers: usize,
    /// Blocks at the end that are not run.
    pub skip_last: usize,
    /// Whether a side may be more than whole patches, the rest being cut.
    pub cut: bool,
}

impl VitShape {
    /// Patches per row.
    pub fn side(&self) -> usize {
        self.image_size / self.patch_size.max(1)
    }

    /// Patches per row of the grid that the position embeddings were made for.
    pub fn pretrained_side(&self) -> usize {
        let size = if self.pretrained_size == 0 { self.image_size } else { self.pretrained_size };
        size / self.patch_size.max(1)
    }

    /// Blocks that are run.
    pub fn run_layers(&self) -> usize {
        self.layers.saturating_sub(self.skip_last)
    }

    /// Keys of a whole checkpoint for which these sizes have no use: those of the blocks under
    /// `blocks` that are not run, and the class token's if it is dropped.
    pub fn unused(&self, blocks: &str, class: &str) -> Vec<String> {
        let skipped = (self.run_layers()..self.layers).map(|i| format!("{blocks}.{i}.**"));
        let dropped = self.class_token == ClassToken::Dropped && !class.is_empty();
        skipped.chain(dropped.then(|| class.to_owned())).collect()
    }

    /// The promise of its output.
    ///
    /// # Errors
    /// Sizes that contradict each other.
    pub fn output(&self) -> std::result::Result<MapShape, Misfit> {
        for (field, size) in
            [("image_size", self.image_size), ("pretrained_size", self.pretrained_size)]
        {
            let whole = if self.cut { size - size % self.patch_size.max(1) } else { size };
            fit::whole_patches(whole, field, self.patch_size)?;
        }
        fit::even_heads(self.width, self.heads)?;
        if self.width == 0 {
            return Err(Misfit::field("width", "must be at least 1"));
        }
        if self.side() == 0 || self.pretrained_side() == 0 {
            let field = if self.side() == 0 { "image_size" } else { "pretrained_size" };
            return Err(Misfit::field(field, "the image has no patches"));
        }
        if self.hidden == 0 {
            return Err(Misfit::field("hidden", "must be at least 1"));
        }
        if self.skip_last >= self.layers {
            let message =
                format!("skips {} of {} blocks: none is left", self.skip_last, self.layers);
            return Err(Misfit::field("skip_last", message));
        }
        let map = MapShape::on_grid((self.side(), self.side()), self.width)
            .with_blocks(self.run_layers());
        Ok(match self.class_token {
            ClassToken::Kept => MapShape { grid: None, tokens: map.tokens + 1, ..map },
            _ => map,
        })
    }

    /// What a forward pass costs per image.
    pub fn cost(&self) -> Cost {
        let class = usize::from(self.class_token != ClassToken::Dropped);
        let tokens = self.side().pow(2) + class + self.registers;
        let up = if self.gated { 2 * self.hidden } else { self.hidden };
        let patch = cost::convolution(self.side().pow(2), self.patch_size, 3, self.width);
        let block = cost::linear(tokens, self.width, 4 * self.width)
            + cost::attention(tokens, tokens, self.width)
            + cost::linear(tokens, self.width, up)
            + cost::linear(tokens, self.hidden, self.width)
            + cost::pointwise(tokens, self.hidden + 2 * self.width);
        patch + cost::blocks(self.run_layers(), (tokens, self.width), block)
    }
}

/// From a picture to what enters the blocks.
#[derive(Debug, Clone)]
pub struct VitEmbedding {
    /// The patches' projection.
    pub patches: Conv2d,
    /// The class token, `width` values; `None` when it is dropped.
    pub class: Option<Param>,
    /// Tokens behind the class token, which have no positions.
    pub registers: Option<Param>,
    /// The class token's position, if its table has one, and the patches'.
    pub positions: Positions,
}

impl VitEmbedding {
    /// The image `[B, 3, S, S]` to `[B, front + N, C]`.
    ///
    /// # Errors
    /// Another number of axes or channels.
    pub fn forward(&self, image: &Tensor) -> Result<Tensor> {
        let patches = ops::add_rows(&self.patches.patches(image)?, &self.positions.grid()?)?;
        let [batch, _, width] = patches.dims("vision transformer")?;
        let mut front = Vec::new();
        if let Some(class) = &self.class {
            let class = class.tensor().reshape(&[1, width])?;
            front.push(ops::add(&class, &self.positions.front()?)?);
        }
        if let Some(registers) = &self.registers {
            front.push(registers.tensor().reshape(&[registers.len() / width, width])?);
        }
        if front.is_empty() {
            return Ok(patches);
        }
        let front = ops::concat(&front.iter().collect::<Vec<_>>(), 0)?; // [front, C]
        let count = front.shape()[0];
        let rows: Vec<usize> = (0..batch).flat_map(|_| 0..count).collect();
        let front = ops::gather_rows(&front, &rows)?.reshape(&[batch, count, width])?;
        ops::concat(&[&front, &patches], 1)
    }
}

/// A built vision transformer.
pub struct Vit {
    /// Patches, positions, and the tokens in front.
    pub embedding: VitEmbedding,
    /// Between the embedding and the blocks.
    pub pre_norm: Option<LayerNorm>,
    /// The blocks that are run.
    pub blocks: Vec<VitBlock>,
    /// What turns queries and keys by their place.
    pub rope: Option<Rc<Rope2d>>,
    /// After the blocks.
    pub post_norm: Option<Norm>,
    /// What becomes of the class token.
    pub class_token: ClassToken,
}

impl Encoder for Vit {
    fn forward(&self, image: &Tensor, tap: &mut dyn Tap) -> Result<Features> {
        let mut x = self.embedding.forward(image)?;
        if let Some(norm) = &self.pre_norm {
            x = norm.forward(&x)?;
        }
        for (i, block) in self.blocks.iter().enumerate() {
            let rope = self.rope.clone();
            let forward = move |block: &VitBlock, x: &Tensor| block.forward(x, rope.as_deref());
            x = tap.after_block(i, self.blocks.len(), checkpointed(block, &x, forward)?)?;
        }
        if let Some(norm) = &self.post_norm {
            x = norm.forward(&x)?;
        }
        let side = self.embedding.positions.to;
        let [_, tokens, _] = x.dims("vision transformer")?;
        let front = tokens - side * side;
        let patches = if front == 0 { x.clone() } else { ops::narrow(&x, 1, front, side * side)? };
        let (map, grid) = match self.class_token {
            // Without registers the class token already stands in front of the patches.
            ClassToken::Kept if front == 1 => (x, None),
            ClassToken::Kept => (ops::concat(&[&ops::narrow(&x, 1, 0, 1)?, &patches], 1)?, None),
            ClassToken::Dropped | ClassToken::Inside => (patches, Some((side, side))),
        };
        Ok(Features { map, grid, pyramid: Vec::new() })
    }
}
