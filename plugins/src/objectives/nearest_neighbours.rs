//! Classification by nearest neighbours, as DINO judges features (arXiv 2104.14294): the neighbours vote,
//! the nearer the more. It has no parameters and nothing to learn: it judges alone.
//!
//! `[B, N, width]` to one vector a picture, the mean over the map.

use std::sync::Arc;

use eagle_core::data::annotations::{Annotations, Object};
use eagle_core::nn::{Builder, ops};
use eagle_core::registry::{
    Backbone, Cost, Features, Judgement, Labeller, Misfit, Objective, ObjectiveConfig, Seen, Target,
};
use eagle_core::tensor::{Result, Tensor};
use eagle_core::text::Tokenizer;

use super::places::UNKNOWN;

eagle_core::config! {
    /// A judge of features, without a loss: the share of pictures whose nearest neighbours among the
    /// others are of the class of its largest object. Pictures without objects are not judged.
    pub struct NearestNeighbours {
        /// The neighbours that vote.
        neighbours: usize = 10,
    }
}

eagle_core::register!(objective NearestNeighbours, examples ["NearestNeighbours(neighbours: 3)"]);

/// The temperature of the votes, DINO's.
const TEMPERATURE: f32 = 0.07;

impl ObjectiveConfig for NearestNeighbours {
    fn metric(&self) -> &'static str {
        "knn-accuracy"
    }

    fn meets(&self, _: Backbone<'_>) -> std::result::Result<(), Misfit> {
        match self.neighbours {
            0 => Err(Misfit::field("neighbours", "must be at least 1")),
            _ => Ok(()),
        }
    }

    fn cost(&self, _: Backbone<'_>) -> Cost {
        Cost::default()
    }

    fn labeller(&self, _: Backbone<'_>, _: Option<Arc<Tokenizer>>) -> Arc<dyn Labeller> {
        Arc::new(Largest)
    }

    fn build(&self, _: Backbone<'_>, _: &mut Builder<'_>) -> Result<Box<dyn Objective>> {
        Ok(Box::new(Module { neighbours: self.neighbours }))
    }
}

/// The class of the largest object.
struct Largest;

impl Labeller for Largest {
    fn target(&self, known: Option<&Annotations>) -> std::result::Result<Target, String> {
        let class = largest_class(known.ok_or(UNKNOWN)?);
        Ok(Target {
            labels: class.map(|class| class as u32).into_iter().collect(),
            count: 1.0,
            answer: class.map_or(String::new(), |class| class.to_string()),
            ..Target::default()
        })
    }
}

struct Module {
    neighbours: usize,
}

impl Objective for Module {
    fn loss(&self, _: Seen<'_>) -> Result<Option<Tensor>> {
        Ok(None)
    }

    fn read(&self, features: &Features, _: &[Target]) -> Result<Vec<Vec<f32>>> {
        let vectors = ops::unit_rows(&ops::mean_rows(&features.map)?)?;
        let (_, width) = vectors.rows();
        Ok(vectors.host().chunks(width).map(<[f32]>::to_vec).collect())
    }

    fn judge(&self, readings: &[Vec<f32>], targets: &[Target]) -> Vec<Option<Judgement>> {
        let classes: Vec<Option<u32>> = targets.iter().map(|t| t.labels.first().copied()).collect();
        vote(readings, &classes, self.neighbours)
    }
}

/// The class of the object with the largest outline; the one in front of equals.
fn largest_class(known: &Annotations) -> Option<usize> {
    let largest = known.objects.iter().max_by(|a, b| area(a).total_cmp(&area(b)));
    largest.map(|object| object.class)
}

/// The area within an outline (the shoelace formula).
fn area(object: &Object) -> f32 {
    let next = object.outline.iter().cycle().skip(1);
    let sum: f32 = object.outline.iter().zip(next).map(|(a, b)| a[0] * b[1] - b[0] * a[1]).sum();
    (sum / 2.0).abs()
}

/// For each vector of length 1, the class for which its `most` nearest neighbours among the others
/// vote; `None` where no class is known.
fn vote(vectors: &[Vec<f32>], classes: &[Option<u32>], most: usize) -> Vec<Option<Judgement>> {
    let known: Vec<usize> = (0..vectors.len()).filter(|&at| classes[at].is_some()).collect();
    let judged = |at: usize| {
        let class = classes[at]?;
        let product = |other: usize| -> f32 {
            vectors[at].iter().zip(&vectors[other]).map(|(a, b)| a * b).sum()
        };
        let others = known.iter().copied().filter(|&other| other != at);
        let mut near: Vec<(f32, u32)> =
            others.filter_map(|other| Some((product(other), classes[other]?))).collect();
        near.sort_by(|a, b| b.0.total_cmp(&a.0));
        near.truncate(most);
        let mut votes: Vec<(u32, f32)> = Vec::new();
        for (product, class) in near {
            let weight = ((product - 1.0) / TEMPERATURE).exp();
            match votes.iter_mut().find(|(known, _)| *known == class) {
                Some((_, sum)) => *sum += weight,
                None => votes.push((class, weight)),
            }
        }
        // The first of equals: that of the nearest neighbour.
        let best = votes.iter().rev().max_by(|a, b| a.1.total_cmp(&b.1))?;
        let score = f64::from(u8::from(best.0 == class));
        Some(Judgement { prediction: best.0.to_string(), score })
    };
    (0..vectors.len()).map(judged).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearer_neighbours_outvote_the_farther_ones() {
        let at = |angle: f32| vec![angle.cos(), angle.sin()];
        let vectors = [0.0, 0.05, 0.6, 0.65, 0.7].map(at);
        let classes = [Some(1), Some(1), Some(2), Some(2), None];
        let found = vote(&vectors, &classes, 3);
        let said: Vec<Option<String>> =
            found.into_iter().map(|verdict| verdict.map(|v| v.prediction)).collect();
        let said: Vec<Option<&str>> = said.iter().map(Option::as_deref).collect();
        assert_eq!(said, [Some("1"), Some("1"), Some("2"), Some("2"), None]);
    }

    #[test]
    fn the_largest_outline_names_the_picture() {
        let square = |class, side: f32| Object {
            class,
            outline: vec![[0.0, 0.0], [side, 0.0], [side, side], [0.0, side]],
        };
        let objects = vec![square(3, 0.5), square(1, 0.4)];
        assert_eq!(largest_class(&Annotations { objects, ..Annotations::default() }), Some(3));
        assert_eq!(largest_class(&Annotations::default()), None);
    }
}
