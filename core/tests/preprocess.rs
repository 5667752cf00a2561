//! Preprocessing against Pillow and Hugging Face's `CLIPImageProcessor`; the numbers were made by
//! `tests/fixtures/preprocess/make.py`.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use eagle_core::data::preprocess::{
    CLIP_MEAN, CLIP_STD, Filter, Fit, ImageSpec, decode, mirror, prepare, square,
};
use eagle_core::data::{DataError, Picture};
use image::RgbImage;

type Outcome = Result<(), Box<dyn Error>>;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/preprocess")).join(name)
}

fn spec(fit: Fit, filter: Filter) -> ImageSpec {
    ImageSpec { size: 24, fit, filter, mean: CLIP_MEAN, std: CLIP_STD, ..ImageSpec::default() }
}

/// Largest difference of two pictures' channels, in 1/255.
fn difference(a: &RgbImage, b: &RgbImage) -> u8 {
    assert_eq!(a.dimensions(), b.dimensions());
    a.iter().zip(b.iter()).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or_default()
}

#[test]
fn every_fit_and_filter_is_pillows_bit_for_bit() -> Outcome {
    for name in ["wide", "tall", "small"] {
        for (fit, called) in [(Fit::Stretch, "stretch"), (Fit::Pad, "pad"), (Fit::Crop, "crop")] {
            for filter in [Filter::Bilinear, Filter::Bicubic] {
                let picture = Picture::File(fixture(&format!("{name}.png")));
                let ours = square(&picture, &spec(fit, filter))?;
                let kernel = format!("{filter:?}").to_lowercase();
                let theirs = fixture(&format!("{name}-{called}-{kernel}.png"));
                let theirs = decode(&Picture::File(theirs))?;
                let off = difference(&ours, &theirs);
                assert_eq!(off, 0, "{name} {called} {kernel}: {off}/255 apart");
            }
        }
    }
    Ok(())
}

#[test]
fn normalised_values_are_clips() -> Outcome {
    let picture = Picture::File(fixture("tall.png"));
    let ours = prepare(&picture, &spec(Fit::Crop, Filter::Bicubic))?;
    let theirs = std::fs::read_to_string(fixture("tall-clip.txt"))?;
    assert_eq!(ours.len(), 3 * 24 * 24);
    for (channel, line) in theirs.lines().enumerate() {
        for (x, value) in line.split_whitespace().enumerate() {
            let (ours, theirs) = (ours[channel * 24 * 24 + x], value.parse::<f32>()?);
            assert!((ours - theirs).abs() < 1e-5, "channel {channel}, {x}: {ours}, {theirs}");
        }
    }
    Ok(())
}

#[test]
fn grey_alpha_palette_and_16_bit_pictures_become_rgb() -> Outcome {
    let wide = decode(&Picture::File(fixture("wide.png")))?;
    let rgba = decode(&Picture::File(fixture("wide-rgba.png")))?;
    assert_eq!(difference(&wide, &rgba), 0, "alpha is dropped, as Pillow does");
    let grey = decode(&Picture::File(fixture("wide-grey.png")))?;
    let grey16 = decode(&Picture::File(fixture("wide-grey16.png")))?;
    assert_eq!(difference(&grey, &grey16), 0);
    assert!(grey.pixels().all(|pixel| pixel[0] == pixel[1] && pixel[1] == pixel[2]));
    let palette = decode(&Picture::File(fixture("wide-palette.png")))?;
    let theirs = decode(&Picture::File(fixture("wide-palette-rgb.png")))?;
    assert_eq!(difference(&palette, &theirs), 0);
    let jpeg = decode(&Picture::File(fixture("wide.jpg")))?;
    assert_eq!(jpeg.dimensions(), wide.dimensions());
    Ok(())
}

#[test]
fn bytes_are_read_as_the_file_that_they_came_from() -> Outcome {
    let bytes: Arc<[u8]> = std::fs::read(fixture("wide.png"))?.into();
    let spec = ImageSpec::default();
    let file = prepare(&Picture::File(fixture("wide.png")), &spec)?;
    assert_eq!(prepare(&Picture::Bytes(bytes), &spec)?, file);
    Ok(())
}

#[test]
fn a_missing_or_broken_picture_is_an_error_that_names_it() -> Outcome {
    let spec = ImageSpec::default();
    let gone = prepare(&Picture::File(fixture("gone.png")), &spec);
    assert!(matches!(&gone, Err(DataError::Read { path, .. }) if path.ends_with("gone.png")));
    let text = prepare(&Picture::File(fixture("make.py")), &spec);
    assert!(matches!(&text, Err(DataError::File { path, .. }) if path.ends_with("make.py")));

    let whole = std::fs::read(fixture("wide.png"))?;
    let cut: Arc<[u8]> = whole[..whole.len() / 2].into();
    let Err(error) = prepare(&Picture::Bytes(cut), &spec) else {
        return Err("half a picture was read".into());
    };
    let named = error.of_sample("sample-7").to_string();
    assert!(named.starts_with("sample \"sample-7\": broken picture: "), "{named}");
    Ok(())
}

#[test]
fn a_mirrored_picture_mirrored_again_is_the_picture() {
    let planes: Vec<f32> = (0..3 * 4 * 5).map(|v| v as f32).collect();
    let mut twice = planes.clone();
    mirror(&mut twice, 5);
    assert_eq!(twice[..5], [4.0, 3.0, 2.0, 1.0, 0.0]);
    mirror(&mut twice, 5);
    assert_eq!(twice, planes);
}
