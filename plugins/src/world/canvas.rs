//! Draws scenes with tiny-skia: anti-aliased, at any size.

use image::RgbImage;
use tiny_skia::{
    Color, FillRule, LineCap, LineJoin, Paint, Path, PathBuilder, Pixmap, Rect, Stroke, Transform,
};

use super::dice::mix;
use super::glyphs;
use super::lexicon::Shape;
use super::scene::{Print, Thing};

/// Corners of a regular five-pointed star around 0, one point up.
const STAR: [(f32, f32); 10] = [
    (0.0, -1.0),
    (0.2645, -0.3641),
    (0.9511, -0.3090),
    (0.4280, 0.1391),
    (0.5878, 0.8090),
    (0.0, 0.4500),
    (-0.5878, 0.8090),
    (-0.4280, 0.1391),
    (-0.9511, -0.3090),
    (-0.2645, -0.3641),
];
const TRIANGLE: [(f32, f32); 3] = [(0.0, -0.95), (0.95, 0.7), (-0.95, 0.7)];
const SQUARE: [(f32, f32); 4] = [(-0.82, -0.82), (0.82, -0.82), (0.82, 0.82), (-0.82, 0.82)];
/// Half the width of a cross's bars.
const BAR: f32 = 0.32;
const CROSS: [(f32, f32); 12] = [
    (-BAR, -1.0),
    (BAR, -1.0),
    (BAR, -BAR),
    (1.0, -BAR),
    (1.0, BAR),
    (BAR, BAR),
    (BAR, 1.0),
    (-BAR, 1.0),
    (-BAR, BAR),
    (-1.0, BAR),
    (-1.0, -BAR),
    (-BAR, -BAR),
];

/// A picture being drawn, in fractions of its sides.
pub struct Canvas {
    width: u32,
    height: u32,
    /// `None` for a picture without pixels.
    pixels: Option<Pixmap>,
}

impl Canvas {
    /// A picture of one colour.
    #[must_use]
    pub fn new(width: u32, height: u32, [r, g, b]: [u8; 3]) -> Self {
        let mut pixels = Pixmap::new(width, height);
        if let Some(pixels) = &mut pixels {
            pixels.fill(Color::from_rgba8(r, g, b, 255));
        }
        Self { width, height, pixels }
    }

    /// A straight stroke from `[x, y]` to `[x, y]`.
    pub fn line(&mut self, [from_x, from_y, to_x, to_y]: [f32; 4], pen: f32, ink: [u8; 3]) {
        let mut path = PathBuilder::new();
        path.move_to(from_x, from_y);
        path.line_to(to_x, to_y);
        self.stroke(path, pen, ink);
    }

    /// One coloured shape.
    pub fn shape(&mut self, thing: &Thing) {
        // A turn by angle t without `sin` and `cos`, from its half angle's tangent.
        let (square, scale) = (thing.turn * thing.turn, thing.radius);
        let (cosine, sine) = ((1.0 - square) / (1.0 + square), 2.0 * thing.turn / (1.0 + square));
        let place = |&(x, y): &(f32, f32)| {
            (thing.x + scale * (cosine * x - sine * y), thing.y + scale * (sine * x + cosine * y))
        };
        let mut path = PathBuilder::new();
        match thing.shape {
            Shape::Circle => path.push_circle(thing.x, thing.y, 0.92 * scale),
            Shape::Ring => {
                path.push_circle(thing.x, thing.y, 0.95 * scale);
                path.push_circle(thing.x, thing.y, 0.5 * scale);
            }
            Shape::Square => polygon(&mut path, SQUARE.iter().map(place)),
            Shape::Triangle => polygon(&mut path, TRIANGLE.iter().map(place)),
            Shape::Star => polygon(&mut path, STAR.iter().map(place)),
            Shape::Cross => polygon(&mut path, CROSS.iter().map(place)),
        }
        self.fill(path, thing.ink);
    }

    /// A word on its plate.
    pub fn plate(&mut self, print: &Print) {
        let (half_width, half_height) = print.half_extent();
        let mut plate = PathBuilder::new();
        if let Some(rect) = Rect::from_ltrb(
            print.x - half_width,
            print.y - half_height,
            print.x + half_width,
            print.y + half_height,
        ) {
            plate.push_rect(rect);
        }
        self.fill(plate, print.plate);

        let unit = print.height / glyphs::HEIGHT;
        let units = (print.word.len() as f32 - 1.0) * glyphs::ADVANCE + glyphs::WIDTH;
        let left = print.x - units * unit / 2.0;
        let mut path = PathBuilder::new();
        for (i, letter) in print.word.chars().enumerate() {
            for stroke in glyphs::strokes(letter) {
                for (corner, &(x, y)) in stroke.iter().enumerate() {
                    let up = glyphs::HEIGHT / 2.0 - f32::from(y);
                    let right = i as f32 * glyphs::ADVANCE + f32::from(x) + print.slant * up;
                    let (x, y) = (left + right * unit, print.y - up * unit);
                    if corner == 0 { path.move_to(x, y) } else { path.line_to(x, y) }
                }
            }
        }
        self.stroke(path, print.weight * print.height, print.ink);
    }

    /// The pixels, under a `light` that changes across the picture, with `noise` of at most that
    /// many 255ths per channel, the same for the same `grain`.
    #[must_use]
    pub fn finish(self, light: [f32; 2], noise: u8, grain: u64) -> RgbImage {
        let mut image = RgbImage::new(self.width, self.height);
        let Some(pixels) = self.pixels else { return image };
        let plain = light == [0.0; 2] && noise == 0;
        let (step_x, step_y) = (light[0] / self.width as f32, light[1] / self.height as f32);
        let span = u64::from(noise) * 2 + 1;
        let source = pixels.data().chunks_exact(4);
        for (i, (to, from)) in image.chunks_exact_mut(3).zip(source).enumerate() {
            if plain {
                to.copy_from_slice(&from[..3]);
                continue;
            }
            let (x, y) = (i as u32 % self.width, i as u32 / self.width);
            let gain = 1.0 + step_x * (x as f32 + 0.5) + step_y * (y as f32 + 0.5)
                - (light[0] + light[1]) / 2.0;
            let random = mix(grain.wrapping_add(i as u64));
            for channel in 0..3 {
                let bits = (random >> (20 * channel)) & 0xf_ffff;
                let deviation = ((bits * span) >> 20) as i32 - i32::from(noise);
                // Truncation after adding a half: `round` is slow without SSE 4.1.
                let lit = (f32::from(from[channel]) * gain + 0.5) as i32;
                to[channel] = (lit + deviation).clamp(0, 255) as u8;
            }
        }
        image
    }

    fn fill(&mut self, path: PathBuilder, ink: [u8; 3]) {
        let scale = self.scale();
        if let (Some(pixels), Some(path)) = (&mut self.pixels, path.finish()) {
            pixels.fill_path(&path, &paint(ink), FillRule::EvenOdd, scale, None);
        }
    }

    fn stroke(&mut self, path: PathBuilder, pen: f32, ink: [u8; 3]) {
        let scale = self.scale();
        let stroke = Stroke {
            width: pen,
            line_cap: LineCap::Round,
            line_join: LineJoin::Round,
            ..Stroke::default()
        };
        let path: Option<Path> = path.finish();
        if let (Some(pixels), Some(path)) = (&mut self.pixels, path) {
            pixels.stroke_path(&path, &paint(ink), &stroke, scale, None);
        }
    }

    fn scale(&self) -> Transform {
        Transform::from_scale(self.width as f32, self.height as f32)
    }
}

fn polygon(path: &mut PathBuilder, corners: impl Iterator<Item = (f32, f32)>) {
    for (i, (x, y)) in corners.enumerate() {
        if i == 0 { path.move_to(x, y) } else { path.line_to(x, y) }
    }
    path.close();
}

fn paint([r, g, b]: [u8; 3]) -> Paint<'static> {
    let mut paint = Paint::default();
    paint.set_color_rgba8(r, g, b, 255);
    paint.anti_alias = true;
    paint
}
