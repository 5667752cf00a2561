//! Learnt position embeddings of a square grid, resampled to another one.

use serde::{Deserialize, Serialize};

use crate::nn::ops;
use crate::tensor::{Param, Result, Tensor};

/// How position embeddings are resampled when the grid differs from the one they were made for.
/// PyTorch's two bicubic kernels differ even where nothing is reduced: a is -0.75 without
/// antialiasing and -0.5 with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Resample {
    /// Without antialiasing, as transformers' `interpolate_pos_encoding` does.
    Bicubic,
    /// With antialiasing, as timm, EAGLE and LLaVA-HR do.
    BicubicAntialias,
    /// Without antialiasing, by the ratio of a grid that is 0.1 larger, as Meta's DINOv2 and
    /// transformers 4 do: a guard against rounding that moves every position a little.
    BicubicOffset,
}

/// A table of position embeddings: `prefix` rows for tokens that lie on no grid, then a square
/// grid's, row by row.
#[derive(Debug, Clone)]
pub struct Positions {
    /// `[prefix + from * from, C]`; axes of one may stand in front.
    pub table: Param,
    /// Rows in front of the grid's.
    pub prefix: usize,
    /// The side of the grid that the table was made for.
    pub from: usize,
    /// The side of the grid that is asked for.
    pub to: usize,
    /// What to do when they differ.
    pub resample: Resample,
}

impl Positions {
    /// The embeddings of the tokens in front: `[prefix, C]`.
    ///
    /// # Errors
    /// The table has other rows.
    pub fn front(&self) -> Result<Tensor> {
        ops::narrow(&self.rows()?, 0, 0, self.prefix)
    }

    /// The grid's embeddings: `[to * to, C]`.
    ///
    /// # Errors
    /// The table has other rows.
    pub fn grid(&self) -> Result<Tensor> {
        let Positions { prefix, from, to, .. } = *self;
        let grid = ops::narrow(&self.rows()?, 0, prefix, from * from)?;
        if from == to {
            return Ok(grid);
        }
        let [_, width] = grid.dims("positions")?;
        let map = grid.reshape(&[1, from, from, width])?;
        let map = match self.resample {
            Resample::Bicubic => ops::resize_bicubic(&map, to, to, false)?,
            Resample::BicubicAntialias => ops::resize_bicubic(&map, to, to, true)?,
            Resample::BicubicOffset => ops::resize_bicubic_offset(&map, to, to, 0.1)?,
        };
        map.reshape(&[to * to, width])
    }

    fn rows(&self) -> Result<Tensor> {
        let table = self.table.tensor();
        let (rows, width) = table.rows();
        table.reshape(&[rows, width])
    }
}
