//! Text recognition with a dense target: which character is printed at each location of the map, if
//! any. It stands in for what Pix2Struct's pre-training (Lee et al., arXiv 2210.03347) makes an encoder
//! learn, without a decoder; the paper's expert has read screenshots.
//!
//! A target at every location teaches a small encoder to read within some ten thousand pictures, where
//! one query per letter does not.
//!
//! `[B, N, width]` on a grid to logits `[B, H, W, 1 + characters]`, class 0 being no character.

use std::sync::Arc;

use eagle_core::data::annotations::{Annotations, Glyph, Place};
use eagle_core::nn::layers::{DenseHead, DenseShape};
use eagle_core::nn::{Builder, ops};
use eagle_core::registry::{
    Backbone, Cost, Features, Labeller, Misfit, Objective, ObjectiveConfig, Seen, Target, Judgement,
};
use eagle_core::tensor::{Result, Tensor};
use eagle_core::text::Tokenizer;

use super::places::{UNKNOWN, cell, centre, middle, within};

eagle_core::config! {
    /// The printed character at each location, from characters with their boxes. Its metric is the
    /// share of a picture's characters that are read right, each from the locations in its box;
    /// pictures in which nothing is printed are not judged.
    pub struct TextRecognition {
        /// The characters that are told apart, in lower case; what is printed in capitals counts as
        /// its lower case.
        characters: String = "abcdefghijklmnopqrstuvwxyz0123456789".to_string(),
        /// Channels of a 3x3 convolution before the last layer; 0 for none: a linear probe.
        hidden: usize = 0,
        /// Locations along each side of a cell of the encoder's map. A character needs one of its
        /// own.
        upsample: usize = 1,
        /// How much a location without a character counts, from 0 to 1.
        background: f32 = 0.1,
    }
}

eagle_core::register!(objective TextRecognition, examples [
    "TextRecognition(characters: \"abc\")",
    "TextRecognition(characters: \"abc\", hidden: 4, upsample: 2)",
]);

/// What is written for a place where no character is read.
const NOTHING: char = '·';

impl TextRecognition {
    fn head(&self) -> DenseShape {
        let (hidden, upsample) = (self.hidden, self.upsample);
        DenseShape { outputs: self.characters.chars().count() + 1, hidden, upsample }
    }
}

impl ObjectiveConfig for TextRecognition {
    fn metric(&self) -> &'static str {
        "character-accuracy"
    }

    fn meets(&self, backbone: Backbone<'_>) -> std::result::Result<(), Misfit> {
        let mut characters: Vec<char> = self.characters.chars().collect();
        if let Some(other) = characters.iter().find(|c| lower(**c) != **c) {
            return Err(Misfit::field("characters", format!("{other:?} is not in lower case")));
        }
        characters.sort_unstable();
        if let Some(twice) = characters.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Misfit::field("characters", format!("has {:?} twice", twice[0])));
        }
        if characters.is_empty() {
            return Err(Misfit::field("characters", "there must be at least one"));
        }
        if !(0.0..=1.0).contains(&self.background) {
            return Err(Misfit::field("background", "lies between 0 and 1"));
        }
        self.head().grid(backbone.shape).map(drop)
    }

    fn cost(&self, backbone: Backbone<'_>) -> Cost {
        self.head().cost(backbone.shape)
    }

    fn labeller(&self, backbone: Backbone<'_>, _: Option<Arc<Tokenizer>>) -> Arc<dyn Labeller> {
        let grid = self.head().grid(backbone.shape).unwrap_or_default();
        let characters = self.characters.chars().collect();
        Arc::new(Labels { grid, characters, background: self.background })
    }

    fn build(&self, backbone: Backbone<'_>, b: &mut Builder<'_>) -> Result<Box<dyn Objective>> {
        let head = DenseHead::build(b, backbone.shape.width, self.head())?;
        Ok(Box::new(Module { head, characters: self.characters.chars().collect() }))
    }
}

/// The first character of the lower case.
fn lower(character: char) -> char {
    character.to_lowercase().next().unwrap_or(character)
}

/// A character of 0 (none) and more at each location; in `values`, the boxes of the printed
/// characters.
struct Labels {
    grid: (usize, usize),
    characters: Vec<char>,
    background: f32,
}

impl Labeller for Labels {
    fn target(&self, known: Option<&Annotations>) -> std::result::Result<Target, String> {
        let known = known.ok_or(UNKNOWN)?;
        let mut labels = vec![0; self.grid.0 * self.grid.1];
        let mut target = Target::default();
        for glyph in &known.glyphs {
            let character = lower(glyph.character);
            let Some(class) = self.characters.iter().position(|known| *known == character) else {
                return Err(format!(
                    "has {character:?} printed in it, and `characters` is {:?}: add it there",
                    self.characters.iter().collect::<String>()
                ));
            };
            if middle(glyph.place).iter().any(|at| !(0.0..1.0).contains(at)) {
                continue;
            }
            for at in locations(glyph.place, self.grid) {
                if nearest(&known.glyphs, centre(at, self.grid), glyph) {
                    labels[at] = class as u32 + 1;
                }
            }
            target.values.extend(glyph.place);
            target.answer.push(character);
        }
        let weight = |label: &u32| if *label == 0 { self.background } else { 1.0 };
        target.weights = labels.iter().map(weight).collect();
        target.count = target.weights.iter().map(|weight| f64::from(*weight)).sum();
        Ok(Target { labels, ..target })
    }
}

/// The locations in a box; the one at its middle if it is smaller than they are apart.
fn locations(place: Place, grid: (usize, usize)) -> Vec<usize> {
    let inside = |at: &usize| within(place, centre(*at, grid));
    let found: Vec<usize> = (0..grid.0 * grid.1).filter(inside).collect();
    if found.is_empty() { vec![cell(middle(place), grid)] } else { found }
}

/// Whether no other box that holds a point has its middle nearer to it than `glyph`'s.
fn nearest(glyphs: &[Glyph], point: [f32; 2], glyph: &Glyph) -> bool {
    let distance = |place: Place| {
        let [x, y] = middle(place);
        (x - point[0]).powi(2) + (y - point[1]).powi(2)
    };
    let own = distance(glyph.place);
    let other = glyphs.iter().filter(|other| within(other.place, point));
    other.map(|other| distance(other.place)).all(|other| other >= own)
}

struct Module {
    head: DenseHead,
    characters: Vec<char>,
}

impl Objective for Module {
    fn loss(&self, seen: Seen<'_>) -> Result<Option<Tensor>> {
        let logits = self.head.forward(seen.features)?;
        let (rows, outputs) = logits.rows();
        let labels: Vec<u32> = seen.targets.iter().flat_map(|t| t.labels.clone()).collect();
        let weights: Vec<f32> = seen.targets.iter().flat_map(|t| t.weights.clone()).collect();
        let logits = logits.reshape(&[rows, outputs])?;
        ops::softmax_cross_entropy(&logits, &labels, Some(&weights)).map(Some)
    }

    /// The character of each box: the likeliest by the mean of its locations' probabilities.
    fn read(&self, features: &Features, targets: &[Target]) -> Result<Vec<Vec<f32>>> {
        let probabilities = ops::softmax(&self.head.forward(features)?)?;
        let [_, rows, columns, outputs] = probabilities.dims("text recognition")?;
        let values = probabilities.host();
        let picture = rows * columns * outputs;
        let read = |(at, target): (usize, &Target)| {
            let picture = &values[at * picture..(at + 1) * picture];
            let boxes = target.values.as_chunks::<4>().0.iter();
            boxes.map(|place| likeliest(picture, outputs, *place, (rows, columns))).collect()
        };
        Ok(targets.iter().enumerate().map(read).collect())
    }

    fn judge(&self, readings: &[Vec<f32>], targets: &[Target]) -> Vec<Option<Judgement>> {
        let character = |class: &f32| match *class as usize {
            0 => NOTHING,
            class => self.characters.get(class - 1).copied().unwrap_or(NOTHING),
        };
        let judged = |(read, target): (&Vec<f32>, &Target)| {
            let prediction: String = read.iter().map(character).collect();
            let pairs = prediction.chars().zip(target.answer.chars());
            let right = pairs.filter(|(read, printed)| read == printed).count();
            let score = right as f64 / read.len().max(1) as f64;
            (!read.is_empty()).then_some(Judgement { prediction, score })
        };
        readings.iter().zip(targets).map(judged).collect()
    }
}

/// The class of the greatest sum of probabilities over the locations in a box.
fn likeliest(picture: &[f32], outputs: usize, place: Place, grid: (usize, usize)) -> f32 {
    let mut sums = vec![0.0f32; outputs];
    for at in locations(place, grid) {
        let probabilities = &picture[at * outputs..(at + 1) * outputs];
        sums.iter_mut().zip(probabilities).for_each(|(sum, p)| *sum += p);
    }
    (0..outputs).rev().max_by(|&a, &b| sums[a].total_cmp(&sums[b])).unwrap_or(0) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn glyph(character: char, left: f32, right: f32) -> Glyph {
        Glyph { character, place: [left, 0.0, right, 1.0] }
    }

    #[test]
    fn a_location_teaches_the_character_whose_middle_is_nearest() {
        // Centres at 0.125, 0.375, 0.625, 0.875; the boxes overlap at 0.375, the last has none inside.
        let glyphs = vec![glyph('B', 0.0, 0.45), glyph('a', 0.3, 0.8), glyph('b', 0.9, 0.95)];
        let known = Annotations { glyphs, ..Annotations::default() };
        let labels = Labels { grid: (1, 4), characters: vec!['a', 'b'], background: 0.25 };
        let target = labels.target(Some(&known)).unwrap_or_default();
        assert_eq!(target.labels, [2, 2, 1, 2]);
        assert_eq!(target.answer, "bab");
        assert!((target.count - 4.0).abs() < 1e-9);
        let fault = labels.target(Some(&Annotations { glyphs: vec![glyph('é', 0.0, 1.0)], ..known }));
        assert!(fault.is_err_and(|fault| fault.contains("'é'")));
        assert!(labels.target(None).is_err());
    }

    #[test]
    fn a_box_is_read_from_the_locations_inside() {
        // Two locations say 1 and 2 with these probabilities; together 2 is likelier.
        let picture = [0.1, 0.6, 0.3, 0.1, 0.2, 0.7];
        assert_eq!(likeliest(&picture, 3, [0.0, 0.0, 1.0, 1.0], (1, 2)), 2.0);
        assert_eq!(likeliest(&picture, 3, [0.0, 0.0, 0.4, 1.0], (1, 2)), 1.0);
    }
}
