//! Lines of text in the stroke font's variants.

use eagle_core::data::annotations::Glyph;

use super::dice::Dice;
use super::glyphs::{self, Polyline};

/// A typeface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Font {
    /// Capitals without serifs: what the elementary families print.
    Block,
    /// Thin capitals with serifs.
    Serif,
    /// Small letters.
    Small,
}

impl Font {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Block, Self::Serif, Self::Small];
}

/// How a line of text looks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Style {
    /// Its typeface.
    pub font: Font,
    /// Width of the pen, as a fraction of the height.
    pub weight: f32,
    /// How far the top of a letter leans to the right, as a fraction of its height.
    pub slant: f32,
    /// Width of a letter, as a fraction of the usual one.
    pub breadth: f32,
}

/// A line of text.
#[derive(Debug, Clone, PartialEq)]
pub struct Text {
    /// What it says, in lower case, whatever the typeface.
    pub content: String,
    /// Left edge of the first letter.
    pub left: f32,
    /// Middle of a capital's height.
    pub middle: f32,
    /// Height of a capital.
    pub height: f32,
    /// How it looks.
    pub style: Style,
    /// Its colour.
    pub ink: [u8; 3],
}

impl Style {
    /// A look of this typeface.
    pub fn of(font: Font, dice: &mut Dice) -> Self {
        let weight = match font {
            Font::Serif => dice.between(0.09, 0.12),
            Font::Block | Font::Small => dice.between(0.13, 0.19),
        };
        let slant = if dice.coin() { 0.0 } else { dice.between(0.0, 0.25) };
        Self { font, weight, slant, breadth: dice.between(0.85, 1.0) }
    }

    /// An upright look of this typeface, for small print.
    pub fn upright(font: Font, dice: &mut Dice) -> Self {
        Self { slant: 0.0, ..Self::of(font, dice) }
    }

    /// The width of so many letters, for a height of 1.
    #[must_use]
    pub fn width(&self, letters: usize) -> f32 {
        let units = (letters as f32 - 1.0).max(0.0) * glyphs::ADVANCE + glyphs::WIDTH;
        units * self.breadth / glyphs::HEIGHT
    }
}

impl Text {
    /// Its width, as a fraction of the picture's.
    #[must_use]
    pub fn width(&self) -> f32 {
        self.style.width(self.content.chars().count()) * self.height
    }

    /// The same text with its middle at `x`.
    #[must_use]
    pub fn centred_at(mut self, x: f32) -> Self {
        self.left = x - self.width() / 2.0;
        self
    }

    /// Its strokes: two equal points are a dot.
    #[must_use]
    pub fn strokes(&self) -> Vec<Vec<(f32, f32)>> {
        let mut strokes = Vec::new();
        let unit = self.height / glyphs::HEIGHT;
        for (i, letter) in self.content.chars().enumerate() {
            let place = |x: f32, y: f32| {
                let up = glyphs::HEIGHT / 2.0 - y;
                let right = (i as f32 * glyphs::ADVANCE + x) * self.style.breadth;
                (self.left + (right + self.style.slant * up) * unit, self.middle - up * unit)
            };
            for stroke in self.polylines(letter) {
                let points = stroke.iter().map(|&(x, y)| place(f32::from(x), f32::from(y)));
                strokes.push(points.collect());
                if self.style.font == Font::Serif {
                    let serifs =
                        serifs(stroke).map(|(x, y)| vec![place(x - 0.8, y), place(x + 0.8, y)]);
                    strokes.extend(serifs);
                }
            }
        }
        strokes
    }

    /// Its letters without the spaces, in order, each with the box of its grid and half a pen
    /// around.
    #[must_use]
    pub fn glyphs(&self) -> Vec<Glyph> {
        let unit = self.height / glyphs::HEIGHT;
        let pen = self.style.weight * self.height / 2.0;
        let serif =
            if self.style.font == Font::Serif { 0.8 * unit * self.style.breadth } else { 0.0 };
        let glyph = |(i, character): (usize, char)| {
            let left = self.left + i as f32 * glyphs::ADVANCE * self.style.breadth * unit;
            let right = left + glyphs::WIDTH * self.style.breadth * unit;
            let lean = self.style.slant * self.height / 2.0 + pen + serif;
            let deepest = self.polylines(character).iter().flat_map(|stroke| *stroke);
            let deepest = f32::from(deepest.map(|(_, y)| *y).max().unwrap_or(0).max(6));
            let above = self.middle - self.height / 2.0 - pen;
            let below = self.middle + (deepest - glyphs::HEIGHT / 2.0) * unit + pen;
            let place = [left - lean, above, right + lean, below];
            Glyph { character, place: place.map(|at| at.clamp(0.0, 1.0)) }
        };
        self.content.chars().enumerate().filter(|(_, c)| *c != ' ').map(glyph).collect()
    }

    fn polylines(&self, letter: char) -> &'static [Polyline] {
        match self.style.font {
            Font::Small => glyphs::small_strokes(letter),
            Font::Block | Font::Serif => glyphs::strokes(letter),
        }
    }
}

/// Where a stroke ends at the top or the bottom.
fn serifs(stroke: Polyline) -> impl Iterator<Item = (f32, f32)> {
    let ends = [stroke.first(), stroke.last()].into_iter().flatten();
    let closed = stroke.first() == stroke.last();
    ends.filter(move |(_, y)| !closed && (*y == 0 || *y == 6)).map(|&(x, y)| (x.into(), y.into()))
}
