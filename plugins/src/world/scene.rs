//! Scenes of coloured shapes, with a printed word or without.
//!
//! Lengths are fractions of the picture's side, y downwards; a scene has no pixels.

use eagle_core::data::Draw;
use image::RgbImage;

use super::canvas::Canvas;
use super::dice::Dice;
use super::glyphs;
use super::lexicon::{Colour, PRINTED, Shape};

/// A picture's description.
#[derive(Debug, Clone, PartialEq)]
pub struct Scene {
    /// The shapes; no two touch.
    pub things: Vec<Thing>,
    /// A word on a plate.
    pub print: Option<Print>,
    /// What lies behind them.
    pub backdrop: Backdrop,
}

/// One coloured shape.
#[derive(Debug, Clone, PartialEq)]
pub struct Thing {
    /// What it is.
    pub shape: Shape,
    /// The colour by its name.
    pub colour: Colour,
    /// The colour as drawn, sRGB.
    pub ink: [u8; 3],
    /// Centre, from the left.
    pub x: f32,
    /// Centre, from the top.
    pub y: f32,
    /// Half of its extent.
    pub radius: f32,
    /// Tangent of half the angle by which it is turned.
    pub turn: f32,
}

/// A printed word.
#[derive(Debug, Clone, PartialEq)]
pub struct Print {
    /// The word, in lower case; drawn in capitals.
    pub word: &'static str,
    /// Centre, from the left.
    pub x: f32,
    /// Centre, from the top.
    pub y: f32,
    /// Height of a letter.
    pub height: f32,
    /// Width of the pen, as a fraction of the height.
    pub weight: f32,
    /// How far the top of a letter leans to the right, as a fraction of its height.
    pub slant: f32,
    /// Colour of the letters.
    pub ink: [u8; 3],
    /// Colour of the plate.
    pub plate: [u8; 3],
}

/// Background, clutter, light and noise.
#[derive(Debug, Clone, PartialEq)]
pub struct Backdrop {
    /// Its colour, sRGB.
    pub ground: [u8; 3],
    /// Faint strokes: from x, y to x, y, with a colour.
    pub scratches: Vec<([f32; 4], [u8; 3])>,
    /// How much brighter the picture is at the right edge and at the bottom edge than at the
    /// opposite one, as a fraction.
    pub light: [f32; 2],
    /// Largest deviation of a pixel's channel, in 1/255.
    pub noise: u8,
    /// Seed of the noise.
    pub grain: u64,
}

/// What a scene has to hold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Brief {
    /// Number of things.
    pub things: usize,
    /// Which of them share a shape or a colour; everything else differs.
    pub alike: Alike,
    /// Heights of the letters of a printed word, least and largest, if there is to be one.
    pub print: Option<(f32, f32)>,
    /// From 0 (a plain background) to 1 (scratches, uneven light, noise).
    pub clutter: f32,
}

/// What the first things of a scene have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alike {
    /// All shapes and all colours differ.
    Nothing,
    /// So many share a shape.
    Shape(usize),
    /// So many share a colour.
    Colour(usize),
}

/// A scene that holds what `brief` asks for; everything else is left to chance.
#[must_use]
pub fn compose(brief: &Brief, dice: &mut Dice) -> Scene {
    let print = brief.print.map(|heights| print(heights, dice));
    let shapes = dice.shuffled(&Shape::ALL);
    let colours = dice.shuffled(&Colour::ALL);
    let (same_shape, same_colour) = match brief.alike {
        Alike::Nothing => (1, 1),
        Alike::Shape(n) => (n.max(1), 1),
        Alike::Colour(n) => (1, n.max(1)),
    };
    let places = places(brief.things, print.as_ref(), dice);
    let things = places.into_iter().enumerate().map(|(i, [x, y, radius])| {
        let shape = shapes[(i + 1).saturating_sub(same_shape) % shapes.len()];
        let colour = colours[(i + 1).saturating_sub(same_colour) % colours.len()];
        let ink = jitter(colour.rgb(), 14, dice);
        Thing { shape, colour, ink, x, y, radius, turn: dice.between(-0.12, 0.12) }
    });
    Scene { things: things.collect(), print, backdrop: backdrop(brief.clutter, dice) }
}

impl Print {
    /// Half of the plate's width and half of its height.
    #[must_use]
    pub fn half_extent(&self) -> (f32, f32) {
        let letters = self.word.len() as f32;
        let units = (letters - 1.0) * glyphs::ADVANCE + glyphs::WIDTH;
        (self.height * (units / glyphs::HEIGHT / 2.0 + 0.22), self.height * 0.72)
    }
}

impl Draw for Scene {
    fn draw(&self, width: u32, height: u32) -> RgbImage {
        let mut canvas = Canvas::new(width, height, self.backdrop.ground);
        for (line, ink) in &self.backdrop.scratches {
            canvas.line(*line, 0.012, *ink);
        }
        for thing in &self.things {
            canvas.shape(thing);
        }
        if let Some(print) = &self.print {
            canvas.plate(print);
        }
        canvas.finish(self.backdrop.light, self.backdrop.noise, self.backdrop.grain)
    }
}

fn print(heights: (f32, f32), dice: &mut Dice) -> Print {
    let word = dice.pick(&PRINTED).unwrap_or_default();
    let (dark, light) = (dice.between(10.0, 60.0), dice.between(200.0, 250.0));
    let (ink, plate) = if dice.coin() { (dark, light) } else { (light, dark) };
    let mut print = Print {
        word,
        x: 0.5,
        y: 0.5,
        height: dice.between(heights.0, heights.1),
        weight: dice.between(0.14, 0.2),
        slant: if dice.coin() { 0.0 } else { dice.between(0.0, 0.25) },
        ink: jitter([ink as u8; 3], 8, dice),
        plate: jitter([plate as u8; 3], 8, dice),
    };
    let (half_width, half_height) = print.half_extent();
    print.x = dice.between(half_width.min(0.5), (1.0 - half_width).max(0.5));
    print.y = dice.between(half_height.min(0.5), (1.0 - half_height).max(0.5));
    print
}

/// Centres and radii of `n` things that touch neither each other nor the plate. Where chance
/// finds no room, the things shrink.
fn places(n: usize, print: Option<&Print>, dice: &mut Dice) -> Vec<[f32; 3]> {
    let mut largest = 0.17_f32;
    loop {
        let mut places: Vec<[f32; 3]> = Vec::with_capacity(n);
        for _ in 0..40 * n {
            if places.len() == n {
                break;
            }
            let radius = dice.between(largest * 0.65, largest);
            let x = dice.between(radius, 1.0 - radius);
            let y = dice.between(radius, 1.0 - radius);
            let free = |&[other_x, other_y, other]: &[f32; 3]| {
                let (dx, dy) = (x - other_x, y - other_y);
                let apart = radius + other + 0.02;
                dx * dx + dy * dy > apart * apart
            };
            if places.iter().all(free) && print.is_none_or(|print| clear_of(print, x, y, radius)) {
                places.push([x, y, radius]);
            }
        }
        if places.len() == n {
            return places;
        }
        largest *= 0.9;
    }
}

fn clear_of(print: &Print, x: f32, y: f32, radius: f32) -> bool {
    let (half_width, half_height) = print.half_extent();
    (x - print.x).abs() > half_width + radius || (y - print.y).abs() > half_height + radius
}

/// A ground, dark or light, with as much disturbance as `clutter` says.
pub(super) fn backdrop(clutter: f32, dice: &mut Dice) -> Backdrop {
    let level = if dice.coin() { dice.between(20.0, 75.0) } else { dice.between(165.0, 235.0) };
    let ground = jitter([level as u8; 3], 8, dice);
    let strokes = (clutter * 4.0 * dice.between(0.0, 1.0)).round() as usize;
    let scratches = (0..strokes).map(|_| {
        let line = [(); 4].map(|()| dice.between(0.0, 1.0));
        (line, jitter(ground, 34, dice))
    });
    Backdrop {
        scratches: scratches.collect(),
        ground,
        light: [(); 2].map(|()| clutter * dice.between(-0.25, 0.25)),
        noise: (clutter * dice.between(0.0, 16.0)).round() as u8,
        grain: dice.bits(),
    }
}

/// A colour of which each channel deviates by at most `most`.
pub(super) fn jitter(rgb: [u8; 3], most: u8, dice: &mut Dice) -> [u8; 3] {
    let most = f32::from(most);
    rgb.map(|channel| (f32::from(channel) + dice.between(-most, most)).clamp(0.0, 255.0) as u8)
}
