//! Augmented views of a picture: random crops, mirror images, other colours.

use eagle_core::data::preprocess::{Fit, ImageSpec, normalise, square};
use eagle_core::data::{DataError, Picture};
use eagle_core::seed::Rng;
use image::{RgbImage, imageops};

/// How strongly colours change, as in DINO and SimCLR: by these factors around 1, up or down.
const BRIGHTNESS: f32 = 0.4;
const CONTRAST: f32 = 0.4;
const SATURATION: f32 = 0.2;
/// The share of views whose colours change, and of those that have none left.
const JITTERED: f32 = 0.8;
const GREY: f32 = 0.2;

/// A square cut out of a picture that holds a share of its area within `area`, prepared for an encoder
/// as `spec` says, mirrored half of the time if `flip`, its colours changed. A drawn picture is drawn
/// so large that the crop is sharp.
///
/// # Errors
/// A picture that can't be read.
pub fn view(
    picture: &Picture,
    spec: &ImageSpec,
    area: (f32, f32),
    flip: bool,
    rng: &mut Rng,
) -> Result<Vec<f32>, DataError> {
    let share = area.0 + (area.1 - area.0) * rng.uniform();
    let side = ((spec.size as f32 / share.max(1e-3).sqrt()).round() as usize).max(spec.size);
    // Cut out of the largest whole square: what was padded would tell the views of a picture apart.
    let fit = if spec.fit == Fit::Stretch { Fit::Stretch } else { Fit::Crop };
    let whole = ImageSpec { size: side, fit, crop_from: 0, shared: 0, ..spec.clone() };
    let whole = square(picture, &whole)?;
    let mut at = || rng.below(side - spec.size + 1) as u32;
    let (left, top) = (at(), at());
    let size = spec.size as u32;
    let mut cut = imageops::crop_imm(&whole, left, top, size, size).to_image();
    if flip && rng.bits() & 1 == 1 {
        imageops::flip_horizontal_in_place(&mut cut);
    }
    recolour(&mut cut, rng);
    Ok(normalise(&cut, spec.mean, spec.std))
}

/// Brightness, contrast and saturation by chance, in this order, or grey.
fn recolour(image: &mut RgbImage, rng: &mut Rng) {
    let mut factor = |strength: f32| 1.0 + strength * (2.0 * rng.uniform() - 1.0);
    let (bright, contrast, vivid) = (factor(BRIGHTNESS), factor(CONTRAST), factor(SATURATION));
    let (jittered, grey) = (rng.uniform() < JITTERED, rng.uniform() < GREY);
    let (bright, contrast) = if jittered { (bright, contrast) } else { (1.0, 1.0) };
    let vivid = if grey { 0.0 } else if jittered { vivid } else { 1.0 };
    let count = (image.width() * image.height()).max(1) as f32;
    let mean = image.pixels().map(|pixel| light(pixel.0.map(f32::from))).sum::<f32>() / count;
    for pixel in image.pixels_mut() {
        let channels = pixel.0.map(|c| (f32::from(c) - mean) * bright * contrast + mean * bright);
        let grey = light(channels);
        pixel.0 = channels.map(|c| (grey + (c - grey) * vivid).round().clamp(0.0, 255.0) as u8);
    }
}

/// The luma of ITU-R 601-2, as Pillow's.
fn light([red, green, blue]: [f32; 3]) -> f32 {
    0.299 * red + 0.587 * green + 0.114 * blue
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use eagle_core::data::Draw;

    /// Red on the left, blue on the right.
    #[derive(Debug)]
    struct Halves;

    impl Draw for Halves {
        fn draw(&self, width: u32, height: u32) -> RgbImage {
            RgbImage::from_fn(width, height, |x, _| match 2 * x < width {
                true => image::Rgb([200, 20, 20]),
                false => image::Rgb([20, 20, 200]),
            })
        }
    }

    #[test]
    fn views_differ_by_chance_alone_and_keep_their_size() {
        let (picture, spec) = (Picture::Drawn(Arc::new(Halves)), ImageSpec { size: 8, ..ImageSpec::default() });
        let see = |seed| view(&picture, &spec, (0.2, 0.6), true, &mut Rng::new(seed)).unwrap_or_default();
        assert_eq!(see(1).len(), 3 * 64);
        assert_eq!(see(1), see(1));
        assert!((2..6).any(|seed| see(seed) != see(1)));
    }

    #[test]
    fn a_grey_view_has_no_colour_and_keeps_its_light() {
        let mut grey = None;
        for seed in 0..50 {
            let mut image = Halves.draw(4, 1);
            recolour(&mut image, &mut Rng::new(seed));
            let [red, green, blue] = image.get_pixel(0, 0).0;
            if red == green && green == blue {
                grey = Some(red);
            }
        }
        let grey = f32::from(grey.unwrap_or_default());
        assert!((30.0..160.0).contains(&grey), "{grey}");
    }
}
