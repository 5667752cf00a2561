//! An encoder that sees pictures in tiles: a configuration around any other.
//!
//! Under fixed tiles it gives one map for all: `[B, T * 3, S, S]` to `[B, rows * h * columns * w, C]`.
//! Under adaptive ones each tile is a picture of its own, to it and to what follows, until their
//! tokens are packed before the LLM: `[tiles, 3, S, S]` to `[tiles, h * w, C]`.

use std::sync::Arc;

use super::{Cost, Encoder, EncoderConfig, Features, MapShape, Misfit, Tap};
use crate::data::preprocess::ImageSpec;
use crate::data::tiles::{Layout, Packing, Tiles};
use crate::nn::{Builder, cost, ops};
use crate::tensor::{Result as TensorResult, Tensor, TensorError};
use crate::weights::Keys;

/// The configuration of an encoder that sees tiles.
#[derive(Debug)]
pub struct Tiled {
    encoder: Arc<dyn EncoderConfig>,
    tiles: Tiles,
}

impl Tiled {
    /// `encoder`, seeing tiles of its image size.
    pub fn new(encoder: Arc<dyn EncoderConfig>, tiles: Tiles) -> Tiled {
        let tiles = tiles.resolved(encoder.image().size);
        Tiled { encoder, tiles }
    }

    /// The only layout, if it is fixed.
    fn fixed(&self) -> Option<Layout> {
        if self.tiles.adaptive() { None } else { self.tiles.layouts().first().copied() }
    }
}

impl EncoderConfig for Tiled {
    fn image(&self) -> ImageSpec {
        ImageSpec { tiles: Some(self.tiles.clone()), ..self.encoder.image() }
    }

    fn output(&self) -> Result<MapShape, Misfit> {
        let tile = self.encoder.output()?;
        let Some(layout) = self.fixed() else { return Ok(tile) };
        let tokens = tile.tokens.saturating_mul(layout.count());
        Ok(match tile.grid.filter(|_| layout.thumbnail.is_none()) {
            None => MapShape { grid: None, tokens, width: tile.width, pyramid: vec![], blocks: 0 },
            Some((h, w)) => {
                let joined = |h: usize, w: usize| (h * layout.rows, w * layout.columns);
                let level =
                    |&(h, w, c): &(usize, usize, usize)| (joined(h, w).0, joined(h, w).1, c);
                let pyramid = tile.pyramid.iter().map(level).collect();
                let grid = Some(joined(h, w));
                MapShape { grid, tokens, width: tile.width, pyramid, blocks: 0 }
            }
        })
    }

    fn cost(&self) -> Cost {
        cost::over(self.tiles.range().1, self.encoder.cost())
    }

    fn build(&self, builder: &mut Builder<'_>) -> TensorResult<Box<dyn Encoder>> {
        let encoder = self.encoder.build(builder)?;
        Ok(match self.fixed() {
            None => encoder,
            Some(layout) => Box::new(Module { encoder, layout }),
        })
    }

    fn reference(&self) -> Option<serde_json::Value> {
        self.encoder.reference()
    }

    fn keys(&self) -> Keys {
        self.encoder.keys()
    }
}

/// Fixed tiles.
struct Module {
    encoder: Box<dyn Encoder>,
    layout: Layout,
}

impl Encoder for Module {
    fn forward(&self, image: &Tensor, tap: &mut dyn Tap) -> TensorResult<Features> {
        let [batch, planes, h, w] = image.dims("tiles")?;
        let count = self.layout.count();
        if planes != 3 * count {
            let detail = format!("{planes} planes for {count} tiles of 3");
            return Err(TensorError::Shape { op: "tiles", detail });
        }
        let features = self.encoder.forward(&image.reshape(&[batch * count, 3, h, w])?, tap)?;
        let [_, tokens, width] = features.map.dims("tiles")?;
        let Some((h, w)) = features.grid else {
            let map = features.map.reshape(&[batch, count * tokens, width])?;
            return Ok(Features { map, grid: None, pyramid: Vec::new() });
        };
        let map = self.joined(&features.map, batch, (h, w))?;
        let map = map.reshape(&[batch, count * tokens, width])?;
        if self.layout.thumbnail.is_some() {
            return Ok(Features { map, grid: None, pyramid: Vec::new() });
        }
        let (rows, columns) = (self.layout.rows, self.layout.columns);
        let level = |level: &Tensor| {
            let [_, h, w, width] = level.dims("tiles")?;
            let joined = self.joined(level, batch, (h, w))?;
            joined.reshape(&[batch, rows * h, columns * w, width])
        };
        let pyramid = features.pyramid.iter().map(level).collect::<TensorResult<_>>()?;
        Ok(Features { map, grid: Some((rows * h, columns * w)), pyramid })
    }
}

impl Module {
    /// The vectors of a batch of pictures' tiles, `(h, w)` each, row by row of the whole pictures;
    /// the thumbnails' behind them.
    fn joined(&self, maps: &Tensor, batch: usize, (h, w): (usize, usize)) -> TensorResult<Tensor> {
        let order = self.layout.sequence((h, w), Packing { unpad: false, newline: false });
        let (rows, width) = maps.rows();
        let each = self.layout.count() * h * w;
        let of = |picture: usize| order.iter().flatten().map(move |row| picture * each + row);
        let rows_of: Vec<usize> = (0..batch).flat_map(of).collect();
        ops::gather_rows(&maps.reshape(&[rows, width])?, &rows_of)
    }
}
