//! Forms: a key and its value on each line.

use eagle_core::data::Draw;
use eagle_core::data::annotations::{Annotations, Object};
use image::RgbImage;

use super::{Scene, contrast, corners};
use crate::world::canvas::Canvas;
use crate::world::classes::Class;
use crate::world::dice::Dice;
use crate::world::lettering::{Font, Style, Text};
use crate::world::lexicon::{NUMBER_KEYS, PRINTED, WORD_KEYS};
use crate::world::scene::{Backdrop, backdrop};

/// The number of keys.
pub const KEYS: usize = WORD_KEYS.len() + NUMBER_KEYS.len();
/// From the middle of a line to that of the next, in letters' heights.
const LEADING: f32 = 2.0;

/// A form.
#[derive(Debug, Clone, PartialEq)]
pub struct Form {
    /// Its lines from top to bottom; no two have one key.
    pub lines: Vec<Line>,
    /// Left edge of the keys.
    pub left: f32,
    /// Middle of the first line.
    pub top: f32,
    /// Height of the letters.
    pub height: f32,
    /// How they look.
    pub style: Style,
    /// The paper and what lies on it.
    pub backdrop: Backdrop,
}

/// A line of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The key's number, below [`KEYS`].
    pub key: usize,
    /// A word of the lexicon or a number of one to four digits, as the key asks.
    pub value: String,
}

impl Line {
    /// A line with this key, its value drawn by chance.
    pub fn draw(key: usize, dice: &mut Dice) -> Self {
        let value = if holds_word(key) {
            dice.pick(&PRINTED).unwrap_or_default().to_string()
        } else {
            let least = [1, 10, 100, 1000][dice.below(4)];
            dice.within(least, 10 * least - 1).to_string()
        };
        Self { key, value }
    }

    /// Its key as printed.
    #[must_use]
    pub fn name(&self) -> &'static str {
        key_name(self.key)
    }
}

/// The key with this number.
#[must_use]
pub fn key_name(key: usize) -> &'static str {
    WORD_KEYS.iter().chain(&NUMBER_KEYS).nth(key).copied().unwrap_or_default()
}

/// Whether the key's values are words.
#[must_use]
pub fn holds_word(key: usize) -> bool {
    key < WORD_KEYS.len()
}

impl Form {
    /// These lines on a paper.
    pub fn of(lines: Vec<Line>, letters: (f32, f32), clutter: f32, dice: &mut Dice) -> Self {
        let font = dice.pick(&Font::ALL).unwrap_or(Font::Block);
        let style = Style::upright(font, dice);
        let widest = style.width(WIDEST);
        let room = (0.94 / widest).min(0.94 / (LEADING * lines.len() as f32));
        let height = dice.between(letters.0, letters.1).min(room);
        let span = LEADING * height * lines.len() as f32;
        Self {
            left: dice.between(0.03, f32::max(0.97 - widest * height, 0.031)),
            top: dice.between(0.03, f32::max(0.97 - span, 0.031)) + LEADING * height / 2.0,
            lines,
            height,
            style,
            backdrop: backdrop(clutter, dice),
        }
    }

    fn middle(&self, line: usize) -> f32 {
        self.top + LEADING * self.height * line as f32
    }

    /// The key of a line and its value.
    fn texts(&self, line: usize) -> [Text; 2] {
        let text = |content: String, letters: usize| Text {
            content,
            left: self.left + self.style.width(letters) * self.height,
            middle: self.middle(line),
            height: self.height,
            style: self.style,
            ink: contrast(self.backdrop.ground),
        };
        let Line { value, .. } = &self.lines[line];
        [text(format!("{}:", self.lines[line].name()), 0), text(value.clone(), VALUE)]
    }

    /// The box around a line.
    fn field(&self, line: usize) -> [f32; 4] {
        let (middle, half) = (self.middle(line), 0.45 * LEADING * self.height);
        let right = self.left + self.style.width(WIDEST) * self.height;
        [self.left - 0.02, middle - half, right, middle + half]
    }
}

/// Letters before a value: the longest key, the colon and the gap.
const VALUE: usize = 8;
/// Letters of the widest line.
const WIDEST: usize = VALUE + 4;

impl Draw for Form {
    fn draw(&self, width: u32, height: u32) -> RgbImage {
        let mut canvas = Canvas::on(&self.backdrop, width, height);
        for line in 0..self.lines.len() {
            let [key, value] = self.texts(line);
            let [_, _, right, bottom] = self.field(line);
            canvas.line([value.left, bottom, right, bottom], 0.006, value.ink);
            canvas.text(&key);
            canvas.text(&value);
        }
        canvas.finish(self.backdrop.light, self.backdrop.noise, self.backdrop.grain)
    }
}

impl Scene for Form {
    fn annotations(&self) -> Annotations {
        let read = |line: &Line| format!("{}: {}", line.name(), line.value);
        let field =
            |line| Object { class: Class::Field as usize, outline: corners(self.field(line)) };
        let lines = 0..self.lines.len();
        let texts = lines.clone().flat_map(|line| self.texts(line));
        Annotations {
            caption: format!(
                "a form with {}",
                self.lines.iter().map(read).collect::<Vec<_>>().join(", ")
            ),
            objects: lines.map(field).collect(),
            glyphs: texts.flat_map(|text| text.glyphs()).collect(),
        }
    }
}
