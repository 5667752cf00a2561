//! Tiling: a picture cut into squares that an encoder sees one by one, at its own resolution.
//!
//! Rules and orders are the references': `LlavaNext` is LLaVA-NeXT's any-resolution selection
//! (`select_best_resolution` and `pack_image_features` in transformers), `InternVl` is InternVL's
//! `dynamic_preprocess` (transformers' `get_optimal_tiled_canvas`, which settles the order among grids
//! of as many tiles where InternVL leaves it to a Python set).

use serde::{Deserialize, Serialize};

use super::preprocess::dimensions;
use super::{DataError, Picture};

/// How a picture is cut into tiles of an encoder's image size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tiles {
    /// The same grid for every picture; the tiles' maps are joined to one larger map.
    Fixed {
        /// Tiles from top to bottom.
        rows: usize,
        /// Tiles from left to right.
        columns: usize,
        /// Whether the whole picture is seen, too; its vectors come last, on no grid.
        thumbnail: bool,
    },
    /// The grid that keeps most of a picture's pixels; the picture stands in its middle, unstretched,
    /// on black. The whole picture comes first.
    LlavaNext {
        /// The grids to choose from: (rows, columns).
        grids: Vec<(usize, usize)>,
        /// Side of a tile in pixels by which the grid is chosen; 0: the encoder's image size.
        tile: usize,
    },
    /// The grid whose shape is closest to the picture's, which is stretched to it.
    InternVl {
        /// The fewest tiles.
        min: usize,
        /// The most tiles.
        max: usize,
        /// Whether the whole picture is seen, too, where there is more than one tile; it comes last.
        thumbnail: bool,
        /// Side of a tile in pixels by which the grid is chosen; 0: the encoder's image size.
        tile: usize,
    },
}

/// Where the whole picture stands among its tiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thumbnail {
    /// Before them.
    First,
    /// After them.
    Last,
}

/// A picture's tiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Tiles from top to bottom.
    pub rows: usize,
    /// Tiles from left to right.
    pub columns: usize,
    /// Where the whole picture is seen, if it is.
    pub thumbnail: Option<Thumbnail>,
    /// The picture's width and height, if it stands unstretched in the middle of the tiles.
    pub padded: Option<(u32, u32)>,
}

/// How the vectors of a picture's tiles become one sequence, row by row of the whole grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packing {
    /// Whether vectors of what was padded are left out.
    pub unpad: bool,
    /// Whether a vector of its own ends each row.
    pub newline: bool,
}

impl Tiles {
    /// Whether the grid depends on the picture.
    pub fn adaptive(&self) -> bool {
        !matches!(self, Tiles::Fixed { .. })
    }

    /// The same rule with the side of a tile by which a grid is chosen filled in.
    #[must_use]
    pub fn resolved(mut self, image_size: usize) -> Tiles {
        match &mut self {
            Tiles::LlavaNext { tile, .. } | Tiles::InternVl { tile, .. } if *tile == 0 => {
                *tile = image_size;
            }
            _ => {}
        }
        self
    }

    /// The grids that it may choose: (rows, columns); of equals the references' first one first.
    pub fn grids(&self) -> Vec<(usize, usize)> {
        match *self {
            Tiles::Fixed { rows, columns, .. } => vec![(rows, columns)],
            Tiles::LlavaNext { ref grids, .. } => grids.clone(),
            Tiles::InternVl { min, max, .. } => {
                let of = |columns: usize| (1..=max / columns).map(move |rows| (rows, columns));
                let mut grids: Vec<(usize, usize)> = (1..=max).flat_map(of).collect();
                grids.retain(|(rows, columns)| rows * columns >= min);
                grids.sort_by_key(|(rows, columns)| rows * columns);
                grids
            }
        }
    }

    /// Every layout that it may choose, nothing being padded.
    pub fn layouts(&self) -> Vec<Layout> {
        self.grids().into_iter().map(|grid| self.laid_out(grid)).collect()
    }

    /// The fewest and the most tiles that a picture has, the whole picture counted where it is seen.
    pub fn range(&self) -> (usize, usize) {
        let counts = || self.layouts().into_iter().map(|layout| layout.count());
        (counts().min().unwrap_or(0), counts().max().unwrap_or(0))
    }

    /// How a picture of this width and height is cut.
    pub fn choose(&self, (width, height): (u32, u32)) -> Layout {
        let size = (f64::from(width.max(1)), f64::from(height.max(1)));
        let grid = match *self {
            Tiles::Fixed { rows, columns, .. } => (rows, columns),
            Tiles::LlavaNext { ref grids, tile } => best_resolution(grids, tile as f64, size),
            Tiles::InternVl { tile, .. } => closest_ratio(&self.grids(), tile as f64, size),
        };
        let padded = matches!(self, Tiles::LlavaNext { .. }).then_some((width, height));
        Layout { padded, ..self.laid_out(grid) }
    }

    fn laid_out(&self, (rows, columns): (usize, usize)) -> Layout {
        let thumbnail = match *self {
            Tiles::LlavaNext { .. } => Some(Thumbnail::First),
            Tiles::Fixed { thumbnail, .. } => thumbnail.then_some(Thumbnail::Last),
            Tiles::InternVl { thumbnail, .. } => {
                (thumbnail && rows * columns > 1).then_some(Thumbnail::Last)
            }
        };
        Layout { rows, columns, thumbnail, padded: None }
    }
}

/// The grid of tiles on which most pixels of a picture survive; of equals, the smallest.
fn best_resolution(
    grids: &[(usize, usize)],
    tile: f64,
    (width, height): (f64, f64),
) -> (usize, usize) {
    let mut best = (1, 1);
    let (mut most, mut least_wasted) = (0.0, f64::INFINITY);
    for &(rows, columns) in grids {
        let (across, down) = (columns as f64 * tile, rows as f64 * tile);
        let scale = (across / width).min(down / height);
        let scaled = (width * scale).trunc() * (height * scale).trunc();
        let effective = scaled.min(width * height);
        let wasted = across * down - effective;
        if effective > most || (effective == most && wasted < least_wasted) {
            (best, most, least_wasted) = ((rows, columns), effective, wasted);
        }
    }
    best
}

/// The grid whose ratio of width to height is closest to the picture's; of equals, the one of more
/// tiles as long as the picture has half of their pixels.
fn closest_ratio(
    grids: &[(usize, usize)],
    tile: f64,
    (width, height): (f64, f64),
) -> (usize, usize) {
    let mut best = (1, 1);
    let mut nearest = f64::INFINITY;
    for &(rows, columns) in grids {
        let off = (width / height - columns as f64 / rows as f64).abs();
        let pixels = 0.5 * tile * tile * (rows * columns) as f64;
        if off < nearest || (off == nearest && width * height > pixels) {
            (best, nearest) = ((rows, columns), off);
        }
    }
    best
}

impl Layout {
    /// Tiles, the whole picture counted where it is seen.
    pub fn count(&self) -> usize {
        self.rows * self.columns + usize::from(self.thumbnail.is_some())
    }

    /// The tile at a place of the grid, by its number among all.
    pub fn tile(&self, row: usize, column: usize) -> usize {
        usize::from(self.thumbnail == Some(Thumbnail::First)) + row * self.columns + column
    }

    /// The number of the tile that shows the whole picture.
    pub fn whole(&self) -> Option<usize> {
        self.thumbnail.map(|place| match place {
            Thumbnail::First => 0,
            Thumbnail::Last => self.rows * self.columns,
        })
    }

    /// The rows and columns of the joint map that show the picture and not what was padded: the
    /// first ones that do, and one behind the last. `(h, w)`: a tile's map.
    fn unpadded(&self, (h, w): (usize, usize)) -> [(usize, usize); 2] {
        let (down, across) = (self.rows * h, self.columns * w);
        let whole = [(0, down), (0, across)];
        let Some((width, height)) = self.padded else { return whole };
        let (width, height) = (f64::from(width.max(1)), f64::from(height.max(1)));
        let shown = |length: f64, scale: f64| (length * scale * 1e7).round() / 1e7;
        let kept = |all: usize, shown: f64| {
            let padding = all.saturating_sub(shown as usize) / 2;
            (padding, all - padding)
        };
        if width / height > across as f64 / down as f64 {
            [kept(down, shown(height, across as f64 / width)), whole[1]]
        } else {
            [whole[0], kept(across, shown(width, down as f64 / height))]
        }
    }

    /// The vectors of all tiles, in the order of the whole picture: their numbers, counted tile by
    /// tile, and `None` where a row ends and a newline is asked for. `(h, w)`: a tile's map.
    pub fn sequence(&self, (h, w): (usize, usize), packing: Packing) -> Vec<Option<usize>> {
        let full = Layout { padded: None, ..*self };
        let [rows, columns] = if packing.unpad { self } else { &full }.unpadded((h, w));
        let mut sequence = Vec::new();
        let whole = self.whole().map(|tile| (tile * h * w..(tile + 1) * h * w).map(Some));
        if self.thumbnail == Some(Thumbnail::First) {
            sequence.extend(whole.clone().into_iter().flatten());
        }
        for row in rows.0..rows.1 {
            let vector =
                |column: usize| self.tile(row / h, column / w) * h * w + (row % h) * w + column % w;
            sequence.extend((columns.0..columns.1).map(|column| Some(vector(column))));
            sequence.extend(packing.newline.then_some(None));
        }
        if self.thumbnail == Some(Thumbnail::Last) {
            sequence.extend(whole.into_iter().flatten());
        }
        sequence
    }
}

/// How many visual tokens a picture has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VisualTokens {
    /// Of a tile; of the whole picture where no adaptive tiling is.
    pub each: usize,
    /// How pictures are cut, where that depends on them.
    pub tiles: Option<Tiles>,
    /// How the tiles' tokens, on this grid each, are packed; without it they follow one another.
    pub packed: Option<(Packing, (usize, usize))>,
}

impl VisualTokens {
    /// The same number for every picture.
    pub fn fixed(tokens: usize) -> VisualTokens {
        VisualTokens { each: tokens, ..VisualTokens::default() }
    }

    /// The most that a picture can have.
    pub fn most(&self) -> usize {
        let layouts = self.tiles.iter().flat_map(Tiles::layouts);
        layouts.map(|layout| self.of(Some(&layout))).max().unwrap_or(self.each)
    }

    /// Those of a picture with this layout; without one, of any.
    pub fn of(&self, layout: Option<&Layout>) -> usize {
        match (layout, self.packed) {
            (None, _) => self.each,
            (Some(layout), None) => self.each.saturating_mul(layout.count()),
            (Some(layout), Some((packing, grid))) => layout.sequence(grid, packing).len(),
        }
    }

    /// How a picture is cut, where that depends on it.
    ///
    /// # Errors
    /// A file that is missing or broken.
    pub fn layout(&self, picture: &Picture) -> Result<Option<Layout>, DataError> {
        match &self.tiles {
            None => Ok(None),
            Some(tiles) => Ok(Some(tiles.choose(dimensions(picture)?))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKING: Packing = Packing { unpad: true, newline: true };

    #[test]
    fn tiles_are_read_row_by_row_of_the_whole_picture() {
        let layout = Layout { rows: 1, columns: 2, thumbnail: Some(Thumbnail::Last), padded: None };
        let sequence = layout.sequence((2, 1), Packing { newline: false, ..PACKING });
        assert_eq!(sequence, [0, 2, 1, 3, 4, 5].map(Some));
        let first = Layout { thumbnail: Some(Thumbnail::First), ..layout };
        let sequence = first.sequence((2, 1), PACKING);
        assert_eq!(sequence, [Some(0), Some(1), Some(2), Some(4), None, Some(3), Some(5), None]);
        assert_eq!((layout.whole(), first.whole(), layout.count()), (Some(2), Some(0), 3));
    }

    #[test]
    fn what_was_padded_is_left_out() {
        // Of four rows the picture, four times as wide as high, fills the two in the middle.
        let padded = Some((800, 200));
        let layout = Layout { rows: 1, columns: 2, thumbnail: None, padded };
        let packing = Packing { newline: false, ..PACKING };
        assert_eq!(
            layout.sequence((4, 4), packing),
            [4, 5, 6, 7, 20, 21, 22, 23, 8, 9, 10, 11, 24, 25, 26, 27].map(Some)
        );
        let whole = layout.sequence((4, 4), Packing { unpad: false, newline: false });
        assert_eq!(whole.len(), 32);
    }

    #[test]
    fn visual_tokens_are_at_most_the_most() {
        let tiles = Tiles::LlavaNext { grids: vec![(1, 2), (2, 1), (2, 2)], tile: 336 };
        let packed = Some((PACKING, (24, 24)));
        let tokens = VisualTokens { each: 576, tiles: Some(tiles.clone()), packed };
        assert_eq!(tokens.most(), 576 + 48 * 49);
        assert_eq!(tokens.of(Some(&tiles.choose((640, 480)))), 576 + 36 * 49);
        let flat = VisualTokens { packed: None, ..tokens };
        assert_eq!((flat.most(), flat.of(Some(&tiles.choose((1000, 400))))), (5 * 576, 3 * 576));
        assert_eq!(VisualTokens::fixed(7).most(), 7);
        assert_eq!(tiles.range(), (3, 5));
    }
}
