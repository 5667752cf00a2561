//! From a picture to the numbers that a vision encoder reads.
//!
//! Resizing is Pillow's, `Pad` is LLaVA's `expand2square`, `Crop` is Hugging Face's
//! `CLIPImageProcessor`: pixels are theirs, bit for bit. Alpha is dropped, as Pillow's
//! `convert("RGB")` does; 16 bits are scaled to 8 (Pillow clips them).

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Seek};
use std::path::Path;

use image::{ImageReader, RgbImage, imageops};
use serde::{Deserialize, Serialize};

use super::resample::resize;
use super::tiles::Tiles;
use super::{DataError, Draw, Picture, cut};
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
    /// How it is cut into squares of `size`, each of which is prepared as a picture of its own; in
    /// one piece if not at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tiles: Option<Tiles>,
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
            tiles: None,
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

impl ImageSpec {
    /// Side of the squares that are made of a picture's pixels.
    pub(super) fn side(&self) -> usize {
        if self.shared == 0 { self.size } else { self.shared }
    }

    /// Planes of a prepared picture: three for each tile that every picture has.
    pub fn planes(&self) -> usize {
        let tiles = self.tiles.as_ref().filter(|tiles| !tiles.adaptive());
        3 * tiles.map_or(1, |tiles| tiles.range().1)
    }

    /// How pictures are cut where that depends on them.
    pub fn adaptive(&self) -> Option<&Tiles> {
        self.tiles.as_ref().filter(|tiles| tiles.adaptive())
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

/// The picture as `[3, S, S]`, channel by channel, normalised; with tiles as `[T, 3, S, S]`. A drawn
/// picture is drawn at the size that it is shown in, so that it is as sharp as that allows.
///
/// # Errors
/// A file that is missing or broken.
pub fn prepare(picture: &Picture, spec: &ImageSpec) -> Result<Vec<f32>, DataError> {
    prepare_as(picture, spec, false)
}

/// Like [`prepare`], of the picture or of its mirror image: an augmentation, which is the trainer's to
/// decide (a data set gives the same sample whenever it is asked).
///
/// # Errors
/// A file that is missing or broken.
pub fn prepare_as(
    picture: &Picture,
    spec: &ImageSpec,
    mirrored: bool,
) -> Result<Vec<f32>, DataError> {
    let pixels = pixels(picture)?;
    if let Some(tiles) = &spec.tiles {
        return Ok(cut::tiles(pixels, spec, tiles, mirrored));
    }
    let mut planes = whole(pixels, spec);
    if mirrored {
        mirror(&mut planes, spec.size);
    }
    Ok(planes)
}

/// The picture in one piece.
pub(super) fn whole(pixels: Pixels<'_>, spec: &ImageSpec) -> Vec<f32> {
    let (image, shown) = shown(pixels, spec, spec.side(), (1, 1));
    finish(&image, shown, spec)
}

/// A square, of which so much from the upper left is not empty, normalised; what stands in for a
/// shared tensor is resized. What is empty is exactly 0, which no 8-bit colour is.
pub(super) fn finish(image: &RgbImage, (columns, rows): (u32, u32), spec: &ImageSpec) -> Vec<f32> {
    let side = image.width() as usize;
    let mut planes = normalise(image, spec.mean, spec.std);
    let empty = |(at, row): (usize, &mut [f32])| {
        let from = if at % side < rows as usize { columns as usize } else { 0 };
        row[from..].fill(0.0);
    };
    planes.chunks_exact_mut(side.max(1)).enumerate().for_each(empty);
    if side == spec.size {
        return planes;
    }
    let taps = bilinear(side, spec.size, true);
    let resized = planes.chunks_exact(side * side);
    resized.flat_map(|plane| resize_planes(plane, (side, side, 1), &taps, &taps)).collect()
}

/// The picture at `S x S`, before normalisation: what [`prepare`] shows to an encoder.
///
/// # Errors
/// A file that is missing or broken.
pub fn square(picture: &Picture, spec: &ImageSpec) -> Result<RgbImage, DataError> {
    Ok(shown(pixels(picture)?, spec, spec.size, (1, 1)).0)
}

/// What a picture is drawn from.
#[derive(Clone)]
pub(super) enum Pixels<'a> {
    /// A scene, at any size.
    Scene(&'a dyn Draw),
    /// Pixels.
    Image(RgbImage),
}

impl Pixels<'_> {
    /// Width and height; those of a scene are [`DRAWN`].
    pub fn size(&self) -> (u32, u32) {
        match self {
            Pixels::Scene(_) => (DRAWN, DRAWN),
            Pixels::Image(image) => image.dimensions(),
        }
    }

    /// At another width and height, whatever its proportions.
    pub fn stretched(self, (width, height): (u32, u32), filter: Filter) -> RgbImage {
        match self {
            Pixels::Scene(scene) => scene.draw(width, height),
            Pixels::Image(image) => resize(image, width, height, filter),
        }
    }
}

fn pixels(picture: &Picture) -> Result<Pixels<'_>, DataError> {
    match picture {
        Picture::Drawn(scene) => Ok(Pixels::Scene(scene.as_ref())),
        Picture::File(_) | Picture::Bytes(_) => decode(picture).map(Pixels::Image),
    }
}

/// The picture on `rows x columns` squares of this side, as the specification's fit says, and how much
/// of it, from the upper left, is not empty: (width, height).
pub(super) fn shown(
    pixels: Pixels<'_>,
    spec: &ImageSpec,
    side: usize,
    (rows, columns): (usize, usize),
) -> (RgbImage, (u32, u32)) {
    let size = ((columns * side) as u32, (rows * side) as u32);
    match pixels {
        Pixels::Scene(scene) => (scene.draw(size.0, size.1), size),
        Pixels::Image(image) => match spec.fit {
            Fit::Corner => corner(image, spec, size),
            _ => (fit(image, spec, side, size), size),
        },
    }
}

/// Side of a scene's picture, which has no pixels of its own, where one is needed.
const DRAWN: u32 = 224;

/// The picture's own width and height, without decoding it; 224 x 224 of a drawn one.
///
/// # Errors
/// A file that is missing or no picture.
pub fn dimensions(picture: &Picture) -> Result<(u32, u32), DataError> {
    let of = |error: image::ImageError| broken(picture, error.to_string());
    match picture {
        Picture::Drawn(_) => Ok((DRAWN, DRAWN)),
        Picture::Bytes(bytes) => {
            reader(picture, Cursor::new(bytes.as_ref()))?.into_dimensions().map_err(of)
        }
        Picture::File(path) => reader(picture, open(path)?)?.into_dimensions().map_err(of),
    }
}

/// The picture's own pixels; a drawn one, which has none, at 224 x 224.
///
/// # Errors
/// A file that is missing or broken.
pub fn decode(picture: &Picture) -> Result<RgbImage, DataError> {
    match picture {
        Picture::Drawn(scene) => Ok(scene.draw(DRAWN, DRAWN)),
        Picture::Bytes(bytes) => read(picture, Cursor::new(bytes.as_ref())),
        Picture::File(path) => read(picture, open(path)?),
    }
}

fn open(path: &Path) -> Result<BufReader<File>, DataError> {
    let file = File::open(path);
    file.map(BufReader::new).map_err(|error| DataError::Read { path: path.to_owned(), error })
}

/// `[3, H, W]` mirrored left to right, in place.
pub fn mirror(planes: &mut [f32], width: usize) {
    planes.chunks_exact_mut(width).for_each(<[f32]>::reverse);
}

fn reader<R: BufRead + Seek>(picture: &Picture, from: R) -> Result<ImageReader<R>, DataError> {
    let guessed = ImageReader::new(from).with_guessed_format();
    guessed.map_err(|error| broken(picture, error.to_string()))
}

fn read(picture: &Picture, from: impl BufRead + Seek) -> Result<RgbImage, DataError> {
    let reader = reader(picture, from)?;
    let image = reader.decode().map_err(|error| broken(picture, error.to_string()))?;
    Ok(image.into_rgb8())
}

fn broken(picture: &Picture, detail: String) -> DataError {
    match picture {
        Picture::File(path) => DataError::File { path: path.clone(), detail },
        Picture::Bytes(_) | Picture::Drawn(_) => DataError::Picture { detail },
    }
}

/// The picture at this width and height.
fn fit(image: RgbImage, spec: &ImageSpec, side: usize, (across, down): (u32, u32)) -> RgbImage {
    match spec.fit {
        Fit::Stretch => resize(image, across, down, spec.filter),
        Fit::Corner => corner(image, spec, (across, down)).0,
        Fit::Pad => resize(pad(image, spec.mean, (across, down)), across, down, spec.filter),
        Fit::Crop => {
            let (width, height) = image.dimensions();
            let (width, height) = (u64::from(width.max(1)), u64::from(height.max(1)));
            // What is cut out keeps its share of what is resized.
            let from = spec.crop_from.max(side) as u64;
            let scaled = |of: u32| u64::from(of) * from / side.max(1) as u64;
            let (wide, tall) = (scaled(across), scaled(down));
            let (wide, tall) = match wide * height >= tall * width {
                true => (wide, wide * height / width),
                false => (tall * width / height, tall),
            };
            let image = resize(image, wide as u32, tall as u32, spec.filter);
            let (left, top) = ((image.width() - across) / 2, (image.height() - down) / 2);
            imageops::crop_imm(&image, left, top, across, down).to_image()
        }
    }
}

/// SAM's `SamImageProcessor`; what it leaves empty is shown in the mean colour.
fn corner(image: RgbImage, spec: &ImageSpec, (across, down): (u32, u32)) -> (RgbImage, (u32, u32)) {
    let scale = |to: u32, from: u32| f64::from(to) / f64::from(from.max(1));
    let scale = scale(across, image.width()).min(scale(down, image.height()));
    let side = |side: u32| (f64::from(side) * scale + 0.5) as u32;
    let shown = (side(image.width()).min(across), side(image.height()).min(down));
    let mean = image::Rgb(spec.mean.map(|m| (m * 255.0) as u8));
    let mut canvas = RgbImage::from_pixel(across, down, mean);
    imageops::replace(&mut canvas, &resize(image, shown.0, shown.1, spec.filter), 0, 0);
    (canvas, shown)
}

/// The picture in the middle of a rectangle of the mean colour, of the given shape: of a square,
/// LLaVA's `expand2square`.
fn pad(image: RgbImage, mean: [f32; 3], (across, down): (u32, u32)) -> RgbImage {
    let (width, height) = image.dimensions();
    let up = |side: u32, by: u32, from: u32| {
        (u64::from(side) * u64::from(by)).div_ceil(u64::from(from.max(1))) as u32
    };
    let (wide, tall) = (up(height, across, down).max(width), up(width, down, across).max(height));
    if (wide, tall) == (width, height) {
        return image;
    }
    let mean = image::Rgb(mean.map(|m| (m * 255.0) as u8));
    let mut padded = RgbImage::from_pixel(wide, tall, mean);
    let (left, top) = ((wide - width) / 2, (tall - height) / 2);
    imageops::replace(&mut padded, &image, i64::from(left), i64::from(top));
    padded
}

/// `[3, H, W]` of a picture's pixels, scaled to 0..1, less the mean, by the standard deviation.
pub fn normalise(image: &RgbImage, mean: [f32; 3], std: [f32; 3]) -> Vec<f32> {
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
