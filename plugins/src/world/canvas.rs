//! Draws scenes with tiny-skia: anti-aliased, at any size.

use image::RgbImage;
use tiny_skia::{
    Color, FillRule, LineCap, LineJoin, Mask, Paint, Path, PathBuilder, Pixmap, Rect, Stroke,
    Transform,
};

use super::dice::mix;
use super::glyphs;
use super::lettering::{Style, Text};
use super::lexicon::{Shape, Texture};
use super::scene::{Backdrop, Print, Thing};
use super::scenes::contrast;
use super::scenes::still_life::Item;
use super::shapes;

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

    /// A ground with its scratches.
    #[must_use]
    pub fn on(backdrop: &Backdrop, width: u32, height: u32) -> Self {
        let mut canvas = Self::new(width, height, backdrop.ground);
        for (line, ink) in &backdrop.scratches {
            canvas.line(*line, 0.012, *ink);
        }
        canvas
    }

    /// A straight stroke from `[x, y]` to `[x, y]`.
    pub fn line(&mut self, [from_x, from_y, to_x, to_y]: [f32; 4], pen: f32, ink: [u8; 3]) {
        let mut path = PathBuilder::new();
        path.move_to(from_x, from_y);
        path.line_to(to_x, to_y);
        self.stroke(path, pen, ink);
    }

    /// A filled outline.
    pub fn polygon(&mut self, corners: &[[f32; 2]], ink: [u8; 3]) {
        self.fill(closed(corners), ink);
    }

    /// An outline, its line as wide as `pen`.
    pub fn outline(&mut self, corners: &[[f32; 2]], pen: f32, ink: [u8; 3]) {
        self.stroke(closed(corners), pen, ink);
    }

    /// A disc.
    pub fn disc(&mut self, [x, y]: [f32; 2], radius: f32, ink: [u8; 3]) {
        let mut path = PathBuilder::new();
        path.push_circle(x, y, radius);
        self.fill(path, ink);
    }

    /// A line of text in front of lines that it must stand out from: with a rim in the ground's
    /// colour.
    pub fn text_over(&mut self, text: &Text, ground: [u8; 3]) {
        let style = Style { weight: text.style.weight + 0.2, ..text.style };
        self.text(&Text { style, ink: ground, ..text.clone() });
        self.text(text);
    }

    /// A line of text.
    pub fn text(&mut self, text: &Text) {
        let mut path = PathBuilder::new();
        for stroke in text.strokes() {
            for (corner, (x, y)) in stroke.into_iter().enumerate() {
                if corner == 0 { path.move_to(x, y) } else { path.line_to(x, y) }
            }
        }
        self.stroke(path, text.style.weight * text.height, text.ink);
    }

    /// One coloured shape.
    pub fn shape(&mut self, thing: &Thing) {
        self.fill(silhouette(thing), thing.ink);
    }

    /// One coloured shape with its surface.
    pub fn item(&mut self, item: &Item) {
        let thing = &item.thing;
        self.shape(thing);
        let Some(marks) = marks(item) else { return };
        let scale = self.scale();
        let mask = Mask::new(self.width, self.height).zip(silhouette(thing).finish());
        let (Some(pixels), Some((mut mask, shape))) = (&mut self.pixels, mask) else { return };
        mask.fill_path(&shape, FillRule::EvenOdd, true, scale);
        let ink = paint(second_ink(thing.ink));
        if item.texture == Texture::Framed {
            let rim = Stroke { width: 0.3 * thing.radius, ..Stroke::default() };
            pixels.stroke_path(&shape, &ink, &rim, scale, Some(&mask));
        } else if let Some(marks) = marks.finish() {
            pixels.fill_path(&marks, &ink, FillRule::EvenOdd, scale, Some(&mask));
        }
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

/// The outline of a thing, holes and curves included.
fn silhouette(thing: &Thing) -> PathBuilder {
    let mut path = PathBuilder::new();
    match thing.shape {
        Shape::Circle => path.push_circle(thing.x, thing.y, shapes::CIRCLE * thing.radius),
        Shape::Ring => {
            path.push_circle(thing.x, thing.y, shapes::RING.0 * thing.radius);
            path.push_circle(thing.x, thing.y, shapes::RING.1 * thing.radius);
        }
        _ => polygon(&mut path, thing.outline().into_iter().map(|[x, y]| (x, y))),
    }
    path
}

/// What is drawn on a thing in its second colour; nothing on a plain one, and an empty path where
/// it is the rim.
fn marks(item: &Item) -> Option<PathBuilder> {
    let Thing { x, y, radius, .. } = item.thing;
    let mut path = PathBuilder::new();
    let mut rect = |left: f32, top: f32, width: f32, height: f32| {
        let at = (x + left * radius, y + top * radius);
        if let Some(rect) = Rect::from_xywh(at.0, at.1, width * radius, height * radius) {
            path.push_rect(rect);
        }
    };
    match item.texture {
        Texture::Plain => return None,
        Texture::Framed => {}
        Texture::Striped => {
            for left in [-0.9, -0.38, 0.14, 0.66] {
                rect(left, -1.0, 0.26, 2.0);
            }
        }
        Texture::Halved => rect(-1.0, 0.0, 2.0, 1.0),
        Texture::Checked => {
            for row in 0..5u8 {
                for column in (row % 2..5).step_by(2) {
                    rect(f32::from(column) * 0.4 - 1.0, f32::from(row) * 0.4 - 1.0, 0.4, 0.4);
                }
            }
        }
        Texture::Dotted => {
            for row in [-0.75f32, -0.25, 0.25, 0.75] {
                for column in [-0.75f32, -0.25, 0.25, 0.75] {
                    path.push_circle(x + column * radius, y + row * radius, 0.15 * radius);
                }
            }
        }
    }
    Some(path)
}

/// White, or black on what is bright.
fn second_ink(ink: [u8; 3]) -> [u8; 3] {
    let to = contrast(ink);
    let mix = |i: usize| ((u32::from(ink[i]) + 3 * u32::from(to[i])) / 4) as u8;
    [mix(0), mix(1), mix(2)]
}

fn closed(corners: &[[f32; 2]]) -> PathBuilder {
    let mut path = PathBuilder::new();
    polygon(&mut path, corners.iter().map(|&[x, y]| (x, y)));
    path
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
