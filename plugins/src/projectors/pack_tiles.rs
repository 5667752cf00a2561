//! Packing: the tokens of a picture's tiles become one sequence, row by row of the whole picture, what
//! was padded left out and each row ended by a learnt vector. LLaVA-NeXT's `spatial_unpad`
//! (`prepare_inputs_labels_for_multimodal`), transformers' `pack_image_features`.
//!
//! `[tiles, h * w, C]` of all pictures to `[1, sum, C]`; the whole picture's tokens stand where the
//! tiling has it: first after `LlavaNext`, last after `InternVl`.

use eagle_core::data::tiles::{Layout, Packing};
use eagle_core::nn::ops::Row;
use eagle_core::nn::{Builder, Init, cost, ops};
use eagle_core::registry::{Cost, Misfit, Projector, ProjectorConfig, TokensShape};
use eagle_core::tensor::{Param, Result, Tensor, TensorError};
use eagle_core::weights::Keys;

eagle_core::config! {
    /// One sequence of the tokens of a picture's tiles, as LLaVA-NeXT packs them: after every other
    /// projector, before the LLM. Without it the tiles' tokens follow one another.
    pub struct PackTiles {
        /// Whether tokens of what was padded around a picture are left out.
        unpad: bool = true,
        /// Whether a learnt vector, `image_newline`, ends each row.
        newline: bool = true,
    }
}

eagle_core::register!(projector PackTiles, examples [
    "PackTiles()",
    "PackTiles(newline: false)",
]);

impl ProjectorConfig for PackTiles {
    fn packs(&self) -> Option<Packing> {
        Some(Packing { unpad: self.unpad, newline: self.newline })
    }

    fn output(&self, input: TokensShape, width: usize) -> std::result::Result<TokensShape, Misfit> {
        if input.width != width {
            let message = format!("its tokens are {} wide, the LLM's {width}", input.width);
            return Err(
                Misfit::input(0, message).help("project them before, with Linear() or Mlp(depth: 2)")
            );
        }
        Ok(input)
    }

    fn cost(&self, input: TokensShape, width: usize) -> Cost {
        cost::pointwise(input.tokens, width)
    }

    fn build(
        &self,
        _: TokensShape,
        width: usize,
        b: &mut Builder<'_>,
    ) -> Result<Box<dyn Projector>> {
        let init = Init::Normal(1.0 / (width.max(1) as f32).sqrt());
        let newline = self.newline.then(|| b.param("image_newline", &[width], init)).transpose()?;
        let packing = Packing { unpad: self.unpad, newline: self.newline };
        Ok(Box::new(Module { packing, newline }))
    }

    /// It has one vector of a whole model's checkpoint.
    fn keys(&self) -> Keys {
        Keys::ignoring(["**"]).renaming("image_newline", "model.image_newline")
    }
}

struct Module {
    packing: Packing,
    newline: Option<Param>,
}

impl Projector for Module {
    fn forward(&self, tokens: &Tensor) -> Result<Tensor> {
        let detail = format!("tokens {:?} of no tiles", tokens.shape());
        Err(TensorError::Shape { op: "PackTiles", detail })
    }

    fn pack(&self, tokens: &Tensor, layouts: &[Layout], grid: (usize, usize)) -> Result<Tensor> {
        let (count, width) = tokens.rows();
        let (mut rows, mut first) = (Vec::new(), 0);
        for layout in layouts {
            let sequence = layout.sequence(grid, self.packing);
            rows.extend(sequence.into_iter().map(|row| row.map(|row| first + row)));
            first += layout.count() * grid.0 * grid.1;
        }
        let length = rows.len();
        match &self.newline {
            Some(newline) => {
                let row = |row: Option<usize>| row.map_or(Row::Token(0), Row::Visual);
                let rows: Vec<Row> = rows.into_iter().map(row).collect();
                ops::splice(Some(tokens), &newline.tensor().reshape(&[1, width])?, &rows, 1)
            }
            None => {
                let rows: Vec<usize> = rows.into_iter().flatten().collect();
                ops::gather_rows(&tokens.reshape(&[count, width])?, &rows)?
                    .reshape(&[1, length, width])
            }
        }
    }
}
