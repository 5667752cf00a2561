//! Contact sheets: some samples side by side, to look at a data set.

use std::fmt::Write;

use image::{Rgb, RgbImage, imageops};

use super::preprocess::{Filter, Fit, ImageSpec, square};
use super::{DataError, Dataset};

/// The pictures of the samples at `indices`, `columns` to a row, each `side` pixels square, and
/// a text that lists what is asked of each, in the same order. A sample without a picture leaves
/// its place grey.
///
/// # Errors
/// A sample or its picture can't be read.
pub fn contact_sheet(
    dataset: &dyn Dataset,
    indices: &[usize],
    columns: usize,
    side: usize,
) -> Result<(RgbImage, String), DataError> {
    let columns = columns.clamp(1, indices.len().max(1));
    let rows = indices.len().div_ceil(columns);
    let (step, gap) = (side + 4, 4);
    let size = |n: usize| (n * step + gap) as u32;
    let mut sheet = RgbImage::from_pixel(size(columns), size(rows), Rgb([128; 3]));
    let spec =
        ImageSpec { size: side, fit: Fit::Pad, filter: Filter::Bicubic, ..ImageSpec::default() };
    let mut text = String::new();
    for (place, &index) in indices.iter().enumerate() {
        let sample = dataset.sample(index)?;
        if let Some(picture) = &sample.picture {
            let image = square(picture, &spec).map_err(|error| error.of_sample(&sample.id))?;
            let at = |n: usize| (n * step + gap) as i64;
            imageops::replace(&mut sheet, &image, at(place % columns), at(place / columns));
        }
        let _ = writeln!(text, "{place}: {}", sample.id);
        for turn in &sample.turns {
            let _ = writeln!(text, "    {} -> {}", turn.question, turn.answer);
        }
    }
    Ok((sheet, text))
}
