//! From a picture to the numbers that a vision encoder reads.
//!
//! Resizing is Pillow's, `Pad` is LLaVA's `expand2square`, `Crop` is Hugging Face's
//! `CLIPImageProcessor`: pixels are theirs, bit for bit. Alpha is dropped, as Pillow's
//! `convert("RGB")` does; 16 bits are scaled to 8 (Pillow clips them).

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Seek};

use image::{ImageReader, RgbImage, imageops};
use serde::{Deserialize, Serialize};

use super::resample::resize;
use super::{DataError, Picture};
use crate::nn::kernels::resize::{bilinear, resize as resize_planes};

pub use super::resample::Filter;

/// Mean of CLIP's training pictures, per channel, in 0..1.
pub const CLIP_MEAN: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
/// Standard deviation of CLIP's training pictures.
pub const CLIP_STD: [f32; 3] = [0.268_629_54, 0.261_302_6, 0.275_777_1];
/// Mean of ImageNet's training pictures, per channel, in 0..1.
pub const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
/// Standard deviation of ImageNet's training pictures.
pub const IMAGENET_STD: [f32; 3] = [0.229, 0.224, 0.225];

/// What an encoder wants its input to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ImageSpec {
    /// Side of the square, in pixels.
    pub size: usize,
    /// How a picture that isn't square becomes one.
    pub fit: Fit,
    /// With [`Fit::Crop`], what the shorter side is resized to before the middle is cut out, in
    /// pixels; at least `size`. 0 means `size`.
    pub crop_from: usize,
    /// Side of the tensor that the encoders of a mixture share, in pixels; 0 if each has its own.
    pub shared: usize,
    /// How its pixels are interpolated.
    pub filter: Filter,
    /// Subtracted per channel, after scaling to 0..1.
    pub mean: [f32; 3],
    /// What the difference is divided by, per channel.
    pub std: [f32; 3],
}

impl Default for ImageSpec {
    fn default() -> Self {
        Self {
            size: 64,
            fit: Fit::Stretch,
            crop_from: 0,
            shared: 0,
            filter: Filter::Bicubic,
            mean: CLIP_MEAN,
            std: CLIP_STD,
        }
    }
}

impl ImageSpec {
    /// With a `side`, what EAGLE's mixture gives an encoder in place of what the encoder was made
    /// for: one tensor of that side, normalised as CLIP's, resized bilinearly (corners aligned) to
    /// the encoder's size. Without one (0), the same as before.
    #[must_use]
    pub fn shared_at(self, side: usize) -> ImageSpec {
        match side {
            0 => self,
            _ => ImageSpec {
                shared: side,
                crop_from: 0,
                filter: Filter::Bicubic,
                mean: CLIP_MEAN,
                std: CLIP_STD,
                ..self
            },
        }
    }
}

/// How a picture that isn't square becomes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fit {
    /// Both sides are resized; proportions change.
    Stretch,
    /// Bars of the mean colour are added; nothing is lost.
    Pad,
    /// The shorter side is resized to the square's (or more: `crop_from`) and the middle is kept,
    /// rounded down where it lies between two pixels, as transformers does. torchvision, which
    /// OpenCLIP uses, rounds half to even: a pixel apart where 3, 7, 11 … are left over.
    Crop,
    /// The longer side is resized to the square's and the picture stands in the upper left corner;
    /// the rest is 0 after normalisation. SAM's.
    Corner,
}

/// The picture as `[3, S, S]`, channel by channel, normalised. A drawn picture is drawn at
/// `S x S`, so that it is as sharp as the size allows.
///
/// # Errors
/// A file that is missing or broken.
pub fn prepare(picture: &Picture, spec: &ImageSpec) -> Result<Vec<f32>, DataError> {
    if spec.shared == 0 {
        return planes(picture, spec);
    }
    let (side, size) = (spec.shared, spec.size);
    let planes = planes(picture, &ImageSpec { size: side, ..spec.clone() })?;
    if side == size {
        return Ok(planes);
    }
    let taps = bilinear(side, size, true);
    let resized = planes.chunks_exact(side * side);
    Ok(resized.flat_map(|plane| resize_planes(plane, (side, side, 1), &taps, &taps)).collect())
}

/// The square, normalised. What `Corner` leaves empty is exactly 0, which no 8-bit colour is.
fn planes(picture: &Picture, spec: &ImageSpec) -> Result<Vec<f32>, DataError> {
    let (image, (columns, rows)) = shown(picture, spec)?;
    let mut planes = normalise(&image, spec.mean, spec.std);
    let empty = |(at, row): (usize, &mut [f32])| {
        let from = if at % spec.size < rows as usize { columns as usize } else { 0 };
        row[from..].fill(0.0);
    };
    planes.chunks_exact_mut(spec.size.max(1)).enumerate().for_each(empty);
    Ok(planes)
}

/// The picture at `S x S`, before normalisation: what [`prepare`] shows to an encoder.
///
/// # Errors
/// A file that is missing or broken.
pub fn square(picture: &Picture, spec: &ImageSpec) -> Result<RgbImage, DataError> {
    Ok(shown(picture, spec)?.0)
}

/// The picture at `S x S`, and how much of it, from the upper left, is not empty.
fn shown(picture: &Picture, spec: &ImageSpec) -> Result<(RgbImage, (u32, u32)), DataError> {
    let size = spec.size as u32;
    match picture {
        Picture::Drawn(scene) => Ok((scene.draw(size, size), (size, size))),
        Picture::File(_) | Picture::Bytes(_) => {
            let image = decode(picture)?;
            Ok(match spec.fit {
                Fit::Corner => corner(image, spec),
                _ => (fit(image, spec), (size, size)),
            })
        }
    }
}

/// The picture's own pixels; a drawn one, which has none, at 224 x 224.
///
/// # Errors
/// A file that is missing or broken.
pub fn decode(picture: &Picture) -> Result<RgbImage, DataError> {
    match picture {
        Picture::Drawn(scene) => Ok(scene.draw(224, 224)),
        Picture::Bytes(bytes) => read(picture, Cursor::new(bytes.as_ref())),
        Picture::File(path) => {
            let file =
                File::open(path).map_err(|error| DataError::Read { path: path.clone(), error })?;
            read(picture, BufReader::new(file))
        }
    }
}

/// `[3, H, W]` mirrored left to right, in place: an augmentation, which is the trainer's to
/// decide (a data set gives the same sample whenever it is asked).
pub fn mirror(planes: &mut [f32], width: usize) {
    planes.chunks_exact_mut(width).for_each(<[f32]>::reverse);
}

fn read(picture: &Picture, from: impl BufRead + Seek) -> Result<RgbImage, DataError> {
    let reader = ImageReader::new(from)
        .with_guessed_format()
        .map_err(|error| broken(picture, error.to_string()))?;
    let image = reader.decode().map_err(|error| broken(picture, error.to_string()))?;
    Ok(image.into_rgb8())
}

fn broken(picture: &Picture, detail: String) -> DataError {
    match picture {
        Picture::File(path) => DataError::File { path: path.clone(), detail },
        Picture::Bytes(_) | Picture::Drawn(_) => DataError::Picture { detail },
    }
}

fn fit(image: RgbImage, spec: &ImageSpec) -> RgbImage {
    let size = spec.size as u32;
    match spec.fit {
        Fit::Stretch => resize(image, size, size, spec.filter),
        Fit::Corner => corner(image, spec).0,
        Fit::Pad => resize(pad(image, spec.mean), size, size, spec.filter),
        Fit::Crop => {
            let (width, height) = image.dimensions();
            let short = u64::from(width.min(height).max(1));
            let from = spec.crop_from.max(spec.size) as u64;
            let side = |side: u32| (from * u64::from(side) / short) as u32;
            let image = resize(image, side(width), side(height), spec.filter);
            let (left, top) = ((image.width() - size) / 2, (image.height() - size) / 2);
            imageops::crop_imm(&image, left, top, size, size).to_image()
        }
    }
}

/// SAM's `SamImageProcessor`; what it leaves empty is shown in the mean colour.
fn corner(image: RgbImage, spec: &ImageSpec) -> (RgbImage, (u32, u32)) {
    let size = spec.size as u32;
    let scale = spec.size as f64 / f64::from(image.width().max(image.height()).max(1));
    let side = |side: u32| (f64::from(side) * scale + 0.5) as u32;
    let shown = (side(image.width()).min(size), side(image.height()).min(size));
    let mean = image::Rgb(spec.mean.map(|m| (m * 255.0) as u8));
    let mut square = RgbImage::from_pixel(size, size, mean);
    imageops::replace(&mut square, &resize(image, shown.0, shown.1, spec.filter), 0, 0);
    (square, shown)
}

/// LLaVA's `expand2square`: the picture in the middle of a square of the mean colour.
fn pad(image: RgbImage, mean: [f32; 3]) -> RgbImage {
    let (width, height) = image.dimensions();
    if width == height {
        return image;
    }
    let side = width.max(height);
    let mut square = RgbImage::from_pixel(side, side, image::Rgb(mean.map(|m| (m * 255.0) as u8)));
    let (left, top) = ((side - width) / 2, (side - height) / 2);
    imageops::replace(&mut square, &image, i64::from(left), i64::from(top));
    square
}

fn normalise(image: &RgbImage, mean: [f32; 3], std: [f32; 3]) -> Vec<f32> {
    let tables: [[f32; 256]; 3] = std::array::from_fn(|channel| {
        std::array::from_fn(|v| (v as f32 / 255.0 - mean[channel]) / std[channel])
    });
    let pixels = image.as_raw();
    let mut planes = vec![0.0; pixels.len()];
    let (red, rest) = planes.split_at_mut(pixels.len() / 3);
    let (green, blue) = rest.split_at_mut(pixels.len() / 3);
    let planes_of = red.iter_mut().zip(green).zip(blue);
    for (pixel, ((red, green), blue)) in pixels.chunks_exact(3).zip(planes_of) {
        *red = tables[0][usize::from(pixel[0])];
        *green = tables[1][usize::from(pixel[1])];
        *blue = tables[2][usize::from(pixel[2])];
    }
    planes
}
