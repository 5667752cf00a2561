//! Diagrams: labelled boxes and the arrows from each to the next.

use eagle_core::data::Draw;
use eagle_core::data::annotations::{Annotations, Object};
use image::RgbImage;

use super::{Scene, contrast, corners};
use crate::world::canvas::Canvas;
use crate::world::classes::Class;
use crate::world::compositions::Compositions;
use crate::world::dice::Dice;
use crate::world::lettering::{Font, Style, Text};
use crate::world::lexicon::{Colour, PRINTED};
use crate::world::scene::{Backdrop, backdrop, jitter};

/// Columns and rows of places for boxes.
const COLUMNS: usize = 3;
const ROWS: usize = 2;
/// Half of the width and of the height of a box.
const HALF: [f32; 2] = [0.115, 0.09];

/// A chain of labelled boxes.
#[derive(Debug, Clone, PartialEq)]
pub struct Diagram {
    /// The boxes; an arrow leads from each to the one after it.
    pub nodes: Vec<Node>,
    /// Height of the letters.
    pub height: f32,
    /// How they look.
    pub style: Style,
    /// What lies behind it.
    pub backdrop: Backdrop,
}

/// A labelled box.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Its label's place in the lexicon.
    pub label: usize,
    /// Its centre.
    pub centre: [f32; 2],
    /// The colour that it is filled with, sRGB.
    pub fill: [u8; 3],
}

impl Node {
    /// Its label.
    #[must_use]
    pub fn name(&self) -> &'static str {
        PRINTED[self.label]
    }

    fn place(&self) -> [f32; 4] {
        let [x, y] = self.centre;
        [x - HALF[0], y - HALF[1], x + HALF[0], y + HALF[1]]
    }
}

impl Diagram {
    /// A chain of so many boxes, at most six, with labels that differ.
    pub fn draw_chain(
        boxes: usize,
        letters: (f32, f32),
        (clutter, compositions): (f32, Compositions),
        dice: &mut Dice,
    ) -> Self {
        let all: Vec<usize> = (0..COLUMNS * ROWS).collect();
        let slots = loop {
            let mut slots = dice.shuffled(&all);
            slots.truncate(boxes);
            // An arrow along a row must not run under the box in its middle.
            let blocked = |pair: &[usize]| {
                pair[0].abs_diff(pair[1]) == 2
                    && pair[0] / COLUMNS == pair[1] / COLUMNS
                    && slots.contains(&((pair[0] + pair[1]) / 2))
            };
            if !slots.windows(2).any(blocked) {
                break slots;
            }
        };
        let mut nodes: Vec<Node> = Vec::new();
        for slot in slots {
            let free = |label: &usize| {
                compositions.allow_label(*label, slot) && nodes.iter().all(|n| n.label != *label)
            };
            let labels: Vec<usize> = (0..PRINTED.len()).filter(free).collect();
            let (column, row) = ((slot % COLUMNS) as f32, (slot / COLUMNS) as f32);
            let shake = [(); 2].map(|()| dice.between(-0.015, 0.015));
            let colour = dice.pick(&Colour::ALL).unwrap_or(Colour::Red);
            let centre = [0.165 + 0.335 * column + shake[0], 0.27 + 0.46 * row + shake[1] * 3.0];
            let fill = jitter(colour.rgb(), 14, dice);
            nodes.push(Node { label: dice.pick(&labels).unwrap_or(0), centre, fill });
        }
        let font = dice.pick(&Font::ALL).unwrap_or(Font::Block);
        let style = Style::upright(font, dice);
        let room = 1.7 * HALF[0] / style.width(3);
        let height = dice.between(letters.0, letters.1).min(room);
        Self { nodes, height, style, backdrop: backdrop(clutter, dice) }
    }

    fn text(&self, node: &Node) -> Text {
        let text = Text {
            content: node.name().into(),
            left: 0.0,
            middle: node.centre[1],
            height: self.height,
            style: self.style,
            ink: contrast(node.fill),
        };
        text.centred_at(node.centre[0])
    }

    /// The outlines of the arrows, from each box's edge to the next one's.
    fn arrows(&self) -> Vec<Vec<[f32; 2]>> {
        self.nodes.windows(2).map(|pair| arrow(pair[0].centre, pair[1].centre)).collect()
    }
}

/// The outline of an arrow from one box to another, given their centres.
fn arrow(from: [f32; 2], to: [f32; 2]) -> Vec<[f32; 2]> {
    let (dx, dy) = (to[0] - from[0], to[1] - from[1]);
    let length = (dx * dx + dy * dy).sqrt();
    let (x, y) = (dx / length, dy / length);
    let margin = 0.012;
    let edge = ((HALF[0] + margin) / x.abs()).min((HALF[1] + margin) / y.abs());
    let (shaft, wing, head) = (0.011, 0.03, 0.045);
    let at =
        |along: f32, aside: f32| [from[0] + along * x - aside * y, from[1] + along * y + aside * x];
    let (tail, tip) = (edge, length - edge);
    vec![
        at(tail, shaft),
        at(tip - head, shaft),
        at(tip - head, wing),
        at(tip, 0.0),
        at(tip - head, -wing),
        at(tip - head, -shaft),
        at(tail, -shaft),
    ]
}

impl Draw for Diagram {
    fn draw(&self, width: u32, height: u32) -> RgbImage {
        let mut canvas = Canvas::on(&self.backdrop, width, height);
        let ink = contrast(self.backdrop.ground);
        for arrow in self.arrows() {
            canvas.polygon(&arrow, ink);
        }
        for node in &self.nodes {
            canvas.polygon(&corners(node.place()), node.fill);
            canvas.outline(&corners(node.place()), 0.01, ink);
            canvas.text(&self.text(node));
        }
        canvas.finish(self.backdrop.light, self.backdrop.noise, self.backdrop.grain)
    }
}

impl Scene for Diagram {
    /// The caption follows the arrows.
    fn annotations(&self) -> Annotations {
        let pairs = self.nodes.windows(2);
        let steps: Vec<String> =
            pairs.map(|pair| format!("{} to {}", pair[0].name(), pair[1].name())).collect();
        let object = |class: Class, outline| Object { class: class as usize, outline };
        let arrows = self.arrows().into_iter().map(|outline| object(Class::Arrow, outline));
        let boxes = self.nodes.iter().map(|node| object(Class::Box, corners(node.place())));
        let mut read: Vec<&Node> = self.nodes.iter().collect();
        let row = |node: &Node| u8::from(node.centre[1] > 0.5);
        read.sort_by(|a, b| row(a).cmp(&row(b)).then(a.centre[0].total_cmp(&b.centre[0])));
        Annotations {
            caption: format!("a diagram from {}", steps.join(", ")),
            objects: arrows.chain(boxes).collect(),
            glyphs: read.iter().flat_map(|node| self.text(node).glyphs()).collect(),
        }
    }
}
