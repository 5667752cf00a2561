//! Where a picture lies in the square that an encoder sees, so that annotations can follow it.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Seek};

use image::ImageReader;

use super::annotations::{Annotations, Place};
use super::preprocess::{Fit, ImageSpec};
use super::{DataError, Picture};

/// From fractions of a picture's sides to fractions of the square's: `x * scale + shift`, across and
/// down.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Frame {
    scale: [f32; 2],
    shift: [f32; 2],
}

impl Frame {
    /// The picture fills the square.
    pub const WHOLE: Frame = Frame { scale: [1.0, 1.0], shift: [0.0, 0.0] };

    /// Where `spec` puts a picture. A drawn one, and one that is stretched, fill the square.
    ///
    /// # Errors
    /// A file that is missing or broken.
    pub fn of(picture: &Picture, spec: &ImageSpec) -> Result<Frame, DataError> {
        if spec.fit == Fit::Stretch {
            return Ok(Frame::WHOLE);
        }
        Ok(match dimensions(picture)? {
            None => Frame::WHOLE,
            Some(size) => Frame::fitting(size, spec),
        })
    }

    /// Where `spec` puts a picture of `width` x `height` pixels, as [`super::preprocess`] does it.
    pub fn fitting((width, height): (u32, u32), spec: &ImageSpec) -> Frame {
        let (width, height) = (width.max(1) as f32, height.max(1) as f32);
        match spec.fit {
            Fit::Stretch => Frame::WHOLE,
            Fit::Corner => {
                let longer = width.max(height);
                Frame { scale: [width / longer, height / longer], shift: [0.0, 0.0] }
            }
            Fit::Pad => {
                let side = width.max(height);
                let scale = [width / side, height / side];
                Frame { scale, shift: scale.map(|scale| (1.0 - scale) / 2.0) }
            }
            Fit::Crop => {
                let zoom = spec.crop_from.max(spec.size) as f32 / spec.size.max(1) as f32;
                let shorter = width.min(height);
                let scale = [width / shorter * zoom, height / shorter * zoom];
                Frame { scale, shift: scale.map(|scale| (1.0 - scale) / 2.0) }
            }
        }
    }

    /// The same in the square's mirror image.
    #[must_use]
    pub fn mirrored(self) -> Frame {
        let Frame { scale: [across, down], shift: [x, y] } = self;
        Frame { scale: [-across, down], shift: [1.0 - x, y] }
    }

    /// A point of the picture, in the square; outside of 0 to 1 if it was cut away.
    pub fn point(self, [x, y]: [f32; 2]) -> [f32; 2] {
        [x * self.scale[0] + self.shift[0], y * self.scale[1] + self.shift[1]]
    }

    fn place(self, [left, top, right, bottom]: Place) -> Place {
        let ([x, y], [to_x, to_y]) = (self.point([left, top]), self.point([right, bottom]));
        [x.min(to_x), y, x.max(to_x), to_y]
    }

    /// What is known of a picture, its places those of the square.
    pub fn of_all(self, known: &Annotations) -> Annotations {
        let mut known = known.clone();
        if self == Frame::WHOLE {
            return known;
        }
        let points = known.objects.iter_mut().flat_map(|object| &mut object.outline);
        points.for_each(|point| *point = self.point(*point));
        known.glyphs.iter_mut().for_each(|glyph| glyph.place = self.place(glyph.place));
        known
    }
}

/// A picture's width and height in pixels, from its header; `None` of a drawn one.
fn dimensions(picture: &Picture) -> Result<Option<(u32, u32)>, DataError> {
    fn header(reader: impl BufRead + Seek) -> Result<(u32, u32), String> {
        let reader = ImageReader::new(reader).with_guessed_format().map_err(|e| e.to_string())?;
        reader.into_dimensions().map_err(|error| error.to_string())
    }
    match picture {
        Picture::Drawn(_) => Ok(None),
        Picture::Bytes(bytes) => header(Cursor::new(bytes.as_ref()))
            .map(Some)
            .map_err(|detail| DataError::Picture { detail }),
        Picture::File(path) => {
            let file =
                File::open(path).map_err(|error| DataError::Read { path: path.clone(), error })?;
            header(BufReader::new(file))
                .map(Some)
                .map_err(|detail| DataError::File { path: path.clone(), detail })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(fit: Fit) -> ImageSpec {
        ImageSpec { size: 10, fit, ..ImageSpec::default() }
    }

    #[test]
    fn the_middle_of_a_wide_picture_lies_where_each_fit_puts_it() {
        let wide = (40, 20);
        for (fit, middle, corner) in [
            (Fit::Stretch, [0.5, 0.5], [0.0, 0.0]),
            (Fit::Pad, [0.5, 0.5], [0.0, 0.25]),
            (Fit::Crop, [0.5, 0.5], [-0.5, 0.0]),
            (Fit::Corner, [0.5, 0.25], [0.0, 0.0]),
        ] {
            let frame = Frame::fitting(wide, &spec(fit));
            assert_eq!(
                (frame.point([0.5, 0.5]), frame.point([0.0, 0.0])),
                (middle, corner),
                "{fit:?}"
            );
        }
        let zoomed = ImageSpec { crop_from: 20, ..spec(Fit::Crop) };
        assert_eq!(Frame::fitting((20, 20), &zoomed).point([0.25, 0.75]), [0.0, 1.0]);
    }

    #[test]
    fn a_mirror_image_has_its_boxes_the_right_way_round() {
        let mut known = Annotations::default();
        let place = [0.1, 0.2, 0.4, 0.3];
        known.glyphs.push(crate::data::annotations::Glyph { character: 'a', place });
        let seen = Frame::WHOLE.mirrored().of_all(&known);
        for (found, expected) in seen.glyphs[0].place.iter().zip([0.6, 0.2, 0.9, 0.3]) {
            assert!((found - expected).abs() < 1e-6, "{seen:?}");
        }
    }
}
