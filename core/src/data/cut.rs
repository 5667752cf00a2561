//! The pixels of a picture's tiles, prepared one after the other: `[T, 3, S, S]`.
//!
//! `LlavaNext` is transformers' `LlavaNextImageProcessor`, `InternVl` InternVL's `dynamic_preprocess`:
//! the whole picture, where it is seen, is stretched to a square as theirs is. Under `Fixed` it is what
//! the encoder sees without tiles, and the fit is made on the whole grid.

use image::{Rgb, RgbImage, imageops};

use super::preprocess::{ImageSpec, Pixels, finish, mirror, shown, whole};
use super::tiles::Tiles;

/// The tiles of a picture or of its mirror image, in the order of its layout.
pub(super) fn tiles(
    pixels: Pixels<'_>,
    spec: &ImageSpec,
    tiles: &Tiles,
    mirrored: bool,
) -> Vec<f32> {
    let layout = tiles.choose(pixels.size());
    let side = spec.side();
    let square = (side as u32, side as u32);
    let across = ((layout.columns * side) as u32, (layout.rows * side) as u32);
    let stretched = |size| pixels.clone().stretched(size, spec.filter);
    let (canvas, full) = match tiles {
        Tiles::Fixed { .. } => shown(pixels.clone(), spec, side, (layout.rows, layout.columns)),
        Tiles::LlavaNext { .. } => (in_the_middle(pixels.clone(), across, spec), across),
        Tiles::InternVl { .. } => (stretched(across), across),
    };
    let mut found: Vec<Vec<f32>> = vec![Vec::new(); layout.count()];
    for row in 0..layout.rows {
        for column in 0..layout.columns {
            let (left, top) = ((column * side) as u32, (row * side) as u32);
            let tile = imageops::crop_imm(&canvas, left, top, square.0, square.1).to_image();
            let left_over = (full.0.saturating_sub(left), full.1.saturating_sub(top));
            let full = (left_over.0.min(square.0), left_over.1.min(square.1));
            let place = if mirrored { layout.columns - 1 - column } else { column };
            found[layout.tile(row, place)] = finish(&tile, full, spec);
        }
    }
    if let Some(place) = layout.whole() {
        found[place] = match tiles {
            Tiles::Fixed { .. } => whole(pixels, spec),
            Tiles::LlavaNext { .. } | Tiles::InternVl { .. } => {
                finish(&stretched(square), square, spec)
            }
        };
    }
    if mirrored {
        found.iter_mut().for_each(|tile| mirror(tile, spec.size));
    }
    found.concat()
}

/// The picture as large as fits, in the middle of a black rectangle.
fn in_the_middle(pixels: Pixels<'_>, (across, down): (u32, u32), spec: &ImageSpec) -> RgbImage {
    let (width, height) = pixels.size();
    let (width, height) = (f64::from(width.max(1)), f64::from(height.max(1)));
    let (wide, tall) = (f64::from(across) / width, f64::from(down) / height);
    let size = match wide < tall {
        true => (across, ((height * wide).ceil() as u32).min(down)),
        false => (((width * tall).ceil() as u32).min(across), down),
    };
    let mut canvas = RgbImage::from_pixel(across, down, Rgb([0; 3]));
    let place = (i64::from((across - size.0) / 2), i64::from((down - size.1) / 2));
    imageops::replace(&mut canvas, &pixels.stretched(size, spec.filter), place.0, place.1);
    canvas
}
