//! What experts are told of a scene of things: a caption, outlines, printed letters.

use eagle_core::data::annotations::{Annotations, Glyph, Object};

use super::classes::Class;
use super::glyphs;
use super::questions::caption;
use super::scene::{Print, Scene};

impl Scene {
    /// Its caption, its things in the order in which they are drawn (the plate last), and the
    /// printed letters, in lower case however they are drawn.
    #[must_use]
    pub fn annotations(&self) -> Annotations {
        let things = self.things.iter().map(|thing| Object {
            class: Class::from(thing.shape) as usize,
            outline: thing.outline(),
        });
        let sign = self
            .print
            .iter()
            .map(|print| Object { class: Class::Sign as usize, outline: print.outline() });
        Annotations {
            caption: caption(self),
            objects: things.chain(sign).collect(),
            glyphs: self.print.iter().flat_map(Print::glyphs).collect(),
        }
    }
}

impl Print {
    /// The corners of the plate.
    fn outline(&self) -> Vec<[f32; 2]> {
        let (half_width, half_height) = self.half_extent();
        let (left, right) = (self.x - half_width, self.x + half_width);
        let (top, bottom) = (self.y - half_height, self.y + half_height);
        vec![[left, top], [right, top], [right, bottom], [left, bottom]]
    }

    /// The letters, each with the box of its grid: of its strokes' middles, leaning or not, and
    /// half a pen around.
    fn glyphs(&self) -> Vec<Glyph> {
        let (unit, pen) = (self.height / glyphs::HEIGHT, self.weight * self.height / 2.0);
        let units = (self.word.len() as f32 - 1.0) * glyphs::ADVANCE + glyphs::WIDTH;
        let first = self.x - units * unit / 2.0;
        let lean = self.slant * self.height / 2.0 + pen;
        let glyph = |(i, character): (usize, char)| {
            let left = first + i as f32 * glyphs::ADVANCE * unit;
            let right = left + glyphs::WIDTH * unit;
            let (above, below) =
                (self.y - self.height / 2.0 - pen, self.y + self.height / 2.0 + pen);
            Glyph { character, place: [left - lean, above, right + lean, below].map(inside) }
        };
        self.word.chars().enumerate().map(glyph).collect()
    }
}

/// A word that is wider than the picture is cut off at its edge.
fn inside(at: f32) -> f32 {
    at.clamp(0.0, 1.0)
}
