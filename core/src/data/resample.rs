//! Resizing pictures, bit for bit as Pillow does it.
//!
//! A pre-trained encoder has only ever seen Pillow's pixels, and the fast resizers differ from
//! them by up to 4/255 (their weights have 8 to 14 bits, Pillow's 22). The filter's support grows
//! with the reduction, so nothing aliases; the horizontal pass comes first and is rounded to 8
//! bits, as in every Pillow before 13 (which chooses the order by size: 1/255 apart).

use image::RgbImage;
use serde::{Deserialize, Serialize};

use crate::nn::kernels::pixels::{self, Windows};

/// How pixels are interpolated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Filter {
    /// A triangle.
    Bilinear,
    /// Catmull and Rom's cubic (a = -0.5).
    Bicubic,
}

/// `image` at `width` x `height`.
#[must_use]
pub fn resize(image: RgbImage, width: u32, height: u32, filter: Filter) -> RgbImage {
    let (from_width, from_height) = image.dimensions();
    if image.is_empty() || width == 0 || height == 0 {
        return RgbImage::new(width, height);
    }
    let image = if from_width == width {
        image
    } else {
        let windows = windows(from_width as usize, width as usize, filter);
        let mut wide = RgbImage::new(width, from_height);
        let from = image.chunks(pixels::ROWS * 3 * from_width as usize);
        let mut lanes = Vec::new();
        for (from, to) in from.zip(wide.chunks_mut(pixels::ROWS * 3 * width as usize)) {
            let rows = from.len() / (3 * from_width as usize);
            pixels::across(from, to, &windows, rows, &mut lanes);
        }
        wide
    };
    if from_height == height {
        return image;
    }
    let windows = windows(from_height as usize, height as usize, filter);
    let mut tall = RgbImage::new(width, height);
    for (row, to) in tall.chunks_exact_mut(3 * width as usize).enumerate() {
        pixels::down(image.as_raw(), to, &windows, row);
    }
    tall
}

/// Pillow's `precompute_coeffs` and `normalize_coeffs_8bpc`.
fn windows(from: usize, to: usize, filter: Filter) -> Windows {
    let scale = from as f64 / to as f64;
    let stretch = scale.max(1.0);
    let support = stretch * if filter == Filter::Bilinear { 1.0 } else { 2.0 };
    let mut windows = Windows { ends: vec![0], ..Windows::default() };
    for i in 0..to {
        let centre = (i as f64 + 0.5) * scale;
        let start = (centre - support + 0.5).max(0.0) as usize;
        let end = ((centre + support + 0.5) as usize).min(from);
        let weights: Vec<f64> =
            (start..end).map(|x| filter.at((x as f64 - centre + 0.5) * (1.0 / stretch))).collect();
        let sum: f64 = weights.iter().sum();
        let fixed = |weight: &f64| {
            let weight = weight / sum * f64::from(1 << pixels::BITS);
            (weight + 0.5f64.copysign(weight)) as i32
        };
        windows.starts.push(start);
        windows.weights.extend(weights.iter().map(fixed));
        windows.ends.push(windows.weights.len());
    }
    windows
}

impl Filter {
    fn at(self, x: f64) -> f64 {
        const A: f64 = -0.5;
        let x = x.abs();
        match self {
            Self::Bilinear => (1.0 - x).max(0.0),
            Self::Bicubic if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
            Self::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
            Self::Bicubic => 0.0,
        }
    }
}
