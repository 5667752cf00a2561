//! Words and numbers on coloured signs, in several sizes and typefaces, among things.

use eagle_core::data::Draw;
use eagle_core::data::annotations::{Annotations, Object};
use image::RgbImage;

use super::still_life::{Item, Kind};
use super::{Scene, contrast, corners};
use crate::world::canvas::Canvas;
use crate::world::classes::Class;
use crate::world::compositions::Compositions;
use crate::world::dice::Dice;
use crate::world::lettering::{Font, Style, Text};
use crate::world::lexicon::{Colour, PRINTED, Texture};
use crate::world::scene::{Backdrop, Thing, backdrop, jitter};

/// Signs on a ground.
#[derive(Debug, Clone, PartialEq)]
pub struct Signs {
    /// The signs; no two touch.
    pub signs: Vec<Sign>,
    /// Things between them.
    pub items: Vec<Item>,
    /// What lies behind them.
    pub backdrop: Backdrop,
}

/// A coloured plate with a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Sign {
    /// What is printed.
    pub text: Text,
    /// What sort of text that is.
    pub writing: Writing,
    /// The plate's colour by its name; no two signs share one.
    pub colour: Colour,
    /// The plate's colour as drawn, sRGB.
    pub ink: [u8; 3],
}

/// What is to be printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writing {
    /// A word of the lexicon.
    Word,
    /// A number of this many digits, without a leading zero.
    Number(usize),
    /// Letters that make no word.
    Letters(usize),
    /// Two words of the lexicon.
    Line,
}

impl Writing {
    /// What captions call it.
    #[must_use]
    pub fn noun(self) -> &'static str {
        match self {
            Self::Word => "word",
            Self::Number(_) => "number",
            Self::Letters(_) => "text",
            Self::Line => "words",
        }
    }

    /// What is printed, each as likely, and a typeface that it may stand in.
    pub fn draw(self, compositions: Compositions, dice: &mut Dice) -> (String, Font) {
        loop {
            let word = |dice: &mut Dice| dice.below(PRINTED.len());
            let (content, prints) = match self {
                Self::Word => {
                    let word = word(dice);
                    (PRINTED[word].to_string(), vec![word])
                }
                Self::Line => {
                    let (one, other) = (word(dice), word(dice));
                    (format!("{} {}", PRINTED[one], PRINTED[other]), vec![one, other])
                }
                Self::Number(digits) => {
                    let least = 10usize.pow(digits as u32 - 1);
                    let number = dice.within(least, 10 * least - 1);
                    (number.to_string(), vec![number])
                }
                Self::Letters(count) => {
                    let letters: String =
                        (0..count).map(|_| char::from(b'a' + dice.below(26) as u8)).collect();
                    let sum = letters.bytes().map(usize::from).sum();
                    (letters, vec![sum])
                }
            };
            let allowed = |font: &Font| prints.iter().all(|&p| compositions.allow_print(p, *font));
            let fonts: Vec<Font> = Font::ALL.into_iter().filter(allowed).collect();
            let no_word = |text: &str| !PRINTED.contains(&text);
            if let Some(font) = dice.pick(&fonts)
                && (!matches!(self, Self::Letters(_)) || no_word(&content))
            {
                return (content, font);
            }
        }
    }
}

impl Sign {
    /// Its plate: left, top, right, bottom.
    #[must_use]
    pub fn plate(&self) -> [f32; 4] {
        let Text { left, middle, height, style, .. } = &self.text;
        let along = 0.22 * height + style.slant * height / 2.0;
        // Small letters have tails.
        let below = if style.font == Font::Small { 1.05 } else { 0.75 };
        let right = left + self.text.width() + along;
        [left - along, middle - 0.75 * height, right, middle + below * height]
    }

    fn moved_to(mut self, x: f32, y: f32) -> Self {
        self.text.middle = y;
        self.text = self.text.centred_at(x);
        self
    }
}

impl Signs {
    /// A sign for each of `writings`, of heights within `letters`, and some things between them.
    pub fn arrange(
        writings: &[Writing],
        items: usize,
        letters: (f32, f32),
        (clutter, compositions): (f32, Compositions),
        dice: &mut Dice,
    ) -> Self {
        let colours = dice.shuffled(&Colour::ALL);
        let sign = |(writing, colour): (&Writing, &Colour)| {
            let (content, font) = writing.draw(compositions, dice);
            let ink = jitter(colour.rgb(), 14, dice);
            let style = Style::of(font, dice);
            // Wide texts are small enough for the picture.
            let height = dice.between(letters.0, letters.1);
            let height = height.min(0.86 / (style.width(content.len()) + 0.7));
            let text = Text { content, left: 0.0, middle: 0.0, height, style, ink: contrast(ink) };
            Sign { text, writing: *writing, colour: *colour, ink }
        };
        let signs: Vec<Sign> = writings.iter().zip(&colours).map(sign).collect();
        let signs = hang(signs, dice);
        let items = scatter(&signs, items, dice);
        Self { signs, items, backdrop: backdrop(clutter, dice) }
    }
}

/// The signs where none touches another; they shrink where chance finds no room.
fn hang(signs: Vec<Sign>, dice: &mut Dice) -> Vec<Sign> {
    let mut shrink = 1.0;
    loop {
        let mut hung: Vec<Sign> = Vec::with_capacity(signs.len());
        for sign in &signs {
            let mut sign = sign.clone();
            sign.text.height *= shrink;
            let [left, top, right, bottom] = sign.clone().moved_to(0.0, 0.0).plate();
            let clear = (0..20).find_map(|_| {
                let x = dice.between(0.01 - left, 0.99 - right);
                let there = sign.clone().moved_to(x, dice.between(0.01 - top, 0.99 - bottom));
                let free = |other: &Sign| apart(there.plate(), other.plate(), 0.02);
                hung.iter().all(free).then_some(there)
            });
            hung.extend(clear);
        }
        if hung.len() == signs.len() {
            return hung;
        }
        shrink *= 0.92;
    }
}

/// Up to `count` small things beside the signs.
fn scatter(signs: &[Sign], count: usize, dice: &mut Dice) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    for _ in 0..8 * count {
        if items.len() == count {
            break;
        }
        let radius = dice.between(0.06, 0.1);
        let (x, y) = (dice.between(radius, 1.0 - radius), dice.between(radius, 1.0 - radius));
        let around = |x: f32, y: f32, r: f32| [x - r, y - r, x + r, y + r];
        let here = around(x, y, radius);
        let free = signs.iter().all(|sign| apart(here, sign.plate(), 0.01))
            && items.iter().all(|Item { thing, .. }| {
                apart(here, around(thing.x, thing.y, thing.radius), 0.01)
            });
        // Nothing plain is ever held out.
        let fits = |kind: &Kind| kind.texture == Texture::Plain;
        if let Some(kind) = Kind::draw(Compositions::Any, fits, dice).filter(|_| free) {
            let ink = jitter(kind.colour.rgb(), 14, dice);
            let turn = dice.between(-0.12, 0.12);
            let thing = Thing { shape: kind.shape, colour: kind.colour, ink, x, y, radius, turn };
            items.push(Item { thing, texture: Texture::Plain, large: false });
        }
    }
    items
}

/// Whether two boxes lie at least `gap` from each other.
fn apart(a: [f32; 4], b: [f32; 4], gap: f32) -> bool {
    a[0] > b[2] + gap || b[0] > a[2] + gap || a[1] > b[3] + gap || b[1] > a[3] + gap
}

impl Draw for Signs {
    fn draw(&self, width: u32, height: u32) -> RgbImage {
        let mut canvas = Canvas::on(&self.backdrop, width, height);
        for item in &self.items {
            canvas.item(item);
        }
        for sign in &self.signs {
            canvas.polygon(&corners(sign.plate()), sign.ink);
            canvas.text(&sign.text);
        }
        canvas.finish(self.backdrop.light, self.backdrop.noise, self.backdrop.grain)
    }
}

impl Scene for Signs {
    /// The caption reads the signs from top to bottom, then names the things from left to right.
    fn annotations(&self) -> Annotations {
        let mut signs: Vec<&Sign> = self.signs.iter().collect();
        signs.sort_by(|a, b| a.text.middle.total_cmp(&b.text.middle));
        let says = |sign: &&Sign| {
            let what = sign.writing.noun();
            format!("{} sign with the {what} {}", sign.colour.with_article(), sign.text.content)
        };
        let mut items: Vec<&Item> = self.items.iter().collect();
        items.sort_by(|a, b| a.thing.x.total_cmp(&b.thing.x));
        let names = items.iter().map(|item| item.kind().name());
        let plate =
            |sign: &Sign| Object { class: Class::Sign as usize, outline: corners(sign.plate()) };
        Annotations {
            caption: signs.iter().map(says).chain(names).collect::<Vec<_>>().join(", "),
            objects: self
                .items
                .iter()
                .map(Item::object)
                .chain(self.signs.iter().map(plate))
                .collect(),
            glyphs: signs.iter().flat_map(|sign| sign.text.glyphs()).collect(),
        }
    }
}
