//! Bar, line and pie charts with labels and values.

use eagle_core::data::Draw;
use eagle_core::data::annotations::{Annotations, Object};
use image::RgbImage;

use super::{Scene, contrast, corners};
use crate::world::canvas::Canvas;
use crate::world::classes::Class;
use crate::world::dice::Dice;
use crate::world::lettering::{Font, Style, Text};
use crate::world::lexicon::{Colour, PRINTED};
use crate::world::scene::{Backdrop, backdrop, jitter};
use crate::world::shapes::{ROUND, direction};

/// What a chart is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChartKind {
    /// Upright bars.
    Bar,
    /// Points joined by a line.
    Line,
    /// Slices of a disc; the values add up to 100.
    Pie,
}

/// A chart.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// Bars, a line or a pie.
    pub kind: ChartKind,
    /// What it shows, from left to right; a pie clockwise from the top, its legend line by line.
    pub entries: Vec<Entry>,
    /// Whether the values are printed; if not, there is a grid with a line at every 10. A pie's are.
    pub printed: bool,
    /// Height of the letters.
    pub height: f32,
    /// How they look.
    pub style: Style,
    /// What lies behind it.
    pub backdrop: Backdrop,
}

/// A bar, a point or a slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Its label's place in the lexicon.
    pub label: usize,
    /// Its colour by its name; no two entries share one.
    pub colour: Colour,
    /// Its colour as drawn, sRGB.
    pub ink: [u8; 3],
    /// From 10 to 99.
    pub value: usize,
}

/// Where bars and lines stand: left, top, right, bottom.
const PLOT: [f32; 4] = [0.13, 0.19, 0.97, 0.82];
/// Centre and radius of a pie.
const PIE: ([f32; 2], f32) = ([0.5, 0.34], 0.3);
/// Radius of a line chart's points.
const POINT: f32 = 0.028;

impl ChartKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Bar, Self::Line, Self::Pie];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bar => "bar",
            Self::Line => "line",
            Self::Pie => "pie",
        }
    }

    /// What one of its entries is called.
    #[must_use]
    pub fn entry(self) -> &'static str {
        self.class().name()
    }

    fn class(self) -> Class {
        match self {
            Self::Bar => Class::Bar,
            Self::Line => Class::Point,
            Self::Pie => Class::Slice,
        }
    }
}

impl Entry {
    /// Its label.
    #[must_use]
    pub fn name(&self) -> &'static str {
        PRINTED[self.label]
    }
}

impl Chart {
    /// A chart of these values, in this order; colours are left to chance.
    pub fn of(
        kind: ChartKind,
        values: &[(usize, usize)],
        letters: (f32, f32),
        clutter: f32,
        dice: &mut Dice,
    ) -> Self {
        let colours = dice.shuffled(&Colour::ALL);
        let entry = |(&(label, value), &colour): (&(usize, usize), &Colour)| Entry {
            label,
            colour,
            ink: jitter(colour.rgb(), 14, dice),
            value,
        };
        let entries: Vec<Entry> = values.iter().zip(&colours).map(entry).collect();
        let font = dice.pick(&Font::ALL).unwrap_or(Font::Block);
        let style = Style::upright(font, dice);
        let room = match kind {
            // A legend of two columns: "cat  52" beside a square.
            ChartKind::Pie => 0.45 / (style.width(7) + 1.35),
            _ => (PLOT[2] - PLOT[0]) / entries.len() as f32 / style.width(4),
        };
        Self {
            kind,
            entries,
            printed: kind == ChartKind::Pie || dice.coin(),
            height: dice.between(letters.0, letters.1).min(room).min(0.1),
            style,
            backdrop: backdrop(clutter, dice),
        }
    }

    fn text(&self, content: impl Into<String>, left: f32, middle: f32) -> Text {
        let ink = contrast(self.backdrop.ground);
        let (height, style) = (self.height, self.style);
        Text { content: content.into(), left, middle, height, style, ink }
    }

    /// The middle of entry `i`, from the left, and the width that it has.
    fn column(&self, i: usize) -> (f32, f32) {
        let width = (PLOT[2] - PLOT[0]) / self.entries.len() as f32;
        (PLOT[0] + width * (i as f32 + 0.5), width)
    }

    /// What is printed, in reading order.
    fn texts(&self) -> Vec<Text> {
        let mut texts = Vec::new();
        for (i, entry) in self.entries.iter().enumerate() {
            if self.kind == ChartKind::Pie {
                let [left, _, right, middle] = self.legend(i);
                texts.push(self.text(entry.name(), right + (right - left) / 2.0, middle));
                let value = right + (right - left) / 2.0 + self.style.width(5) * self.height;
                texts.push(self.text(entry.value.to_string(), value, middle));
                continue;
            }
            let (x, _) = self.column(i);
            let under = PLOT[3] + 0.9 * self.height;
            texts.push(self.text(entry.name(), 0.0, under).centred_at(x));
            if self.printed {
                let over = height_of(entry.value) - self.height - POINT;
                texts.push(self.text(entry.value.to_string(), 0.0, over).centred_at(x));
            }
        }
        if !self.printed {
            for tick in ["0", "50", "100"] {
                let value = tick.parse().unwrap_or(0);
                let mut text = self.text(tick, 0.0, height_of(value));
                text.height = text.height.min(0.1 / text.style.width(3));
                text.left = PLOT[0] - 0.02 - text.width();
                texts.push(text);
            }
        }
        texts.sort_by(|a, b| a.middle.total_cmp(&b.middle).then(a.left.total_cmp(&b.left)));
        texts
    }

    /// The square of entry `i` in a pie's legend: left, top, right, and the line's middle.
    fn legend(&self, i: usize) -> [f32; 4] {
        let (column, row) = ((i % 2) as f32, (i / 2) as f32);
        let side = self.height * 0.9;
        let (left, middle) = (0.05 + 0.47 * column, 0.75 + 0.15 * row);
        [left, middle - side / 2.0, left + side, middle]
    }

    /// The outlines of the entries.
    fn outlines(&self) -> Vec<Vec<[f32; 2]>> {
        let mut turned = 0;
        let outline = |(i, entry): (usize, &Entry)| {
            let (x, width) = self.column(i);
            let y = height_of(entry.value);
            match self.kind {
                ChartKind::Bar => corners([x - 0.3 * width, y, x + 0.3 * width, PLOT[3]]),
                ChartKind::Line => {
                    ROUND.iter().map(|(dx, dy)| [x + POINT * dx, y + POINT * dy]).collect()
                }
                ChartKind::Pie => {
                    let (centre, radius) = PIE;
                    let rim = (turned..=turned + entry.value).map(|step| {
                        let [dx, dy] = direction(step as f32 / 100.0);
                        [centre[0] + radius * dx, centre[1] + radius * dy]
                    });
                    turned += entry.value;
                    std::iter::once(centre).chain(rim).collect()
                }
            }
        };
        self.entries.iter().enumerate().map(outline).collect()
    }

    fn grid(&self, canvas: &mut Canvas) {
        let ground = self.backdrop.ground;
        let ink = contrast(ground);
        let faint = [0, 1, 2].map(|i| ((3 * u32::from(ground[i]) + u32::from(ink[i])) / 4) as u8);
        let [left, top, right, bottom] = PLOT;
        if !self.printed {
            for tick in 1..=10 {
                let y = height_of(tick * 10);
                let pen = if tick % 5 == 0 { 0.008 } else { 0.004 };
                canvas.line([left, y, right, y], pen, faint);
            }
        }
        canvas.line([left, bottom, right, bottom], 0.01, ink);
        canvas.line([left, top, left, bottom], 0.01, ink);
    }
}

/// Where a value of 0 to 100 lies.
fn height_of(value: usize) -> f32 {
    PLOT[3] - (PLOT[3] - PLOT[1]) * value as f32 / 100.0
}

impl Draw for Chart {
    fn draw(&self, width: u32, height: u32) -> RgbImage {
        let mut canvas = Canvas::on(&self.backdrop, width, height);
        if self.kind != ChartKind::Pie {
            self.grid(&mut canvas);
        }
        let outlines = self.outlines();
        if self.kind == ChartKind::Line {
            let point = |i: usize| (self.column(i).0, height_of(self.entries[i].value));
            for i in 1..self.entries.len() {
                let ((x, y), (to_x, to_y)) = (point(i - 1), point(i));
                canvas.line([x, y, to_x, to_y], 0.014, contrast(self.backdrop.ground));
            }
        }
        for (i, (outline, entry)) in outlines.iter().zip(&self.entries).enumerate() {
            canvas.polygon(outline, entry.ink);
            if self.kind == ChartKind::Pie {
                let [left, top, right, middle] = self.legend(i);
                canvas.polygon(&corners([left, top, right, 2.0 * middle - top]), entry.ink);
            }
        }
        for text in self.texts() {
            match self.kind {
                ChartKind::Line => canvas.text_over(&text, self.backdrop.ground),
                _ => canvas.text(&text),
            }
        }
        canvas.finish(self.backdrop.light, self.backdrop.noise, self.backdrop.grain)
    }
}

impl Scene for Chart {
    fn annotations(&self) -> Annotations {
        let entry =
            |entry: &Entry| format!("{} {} {}", entry.colour.name(), entry.name(), entry.value);
        let entries: Vec<String> = self.entries.iter().map(entry).collect();
        let class = self.kind.class() as usize;
        Annotations {
            caption: format!("a {} chart with {}", self.kind.name(), entries.join(", ")),
            objects: self.outlines().into_iter().map(|outline| Object { class, outline }).collect(),
            glyphs: self.texts().iter().flat_map(Text::glyphs).collect(),
        }
    }
}
