//! Semantic segmentation: which class of object, if any, is seen at each location of the map.
//!
//! Cross-entropy at the centres of the locations, as fully convolutional networks are trained (Long et
//! al., arXiv 1411.4038). Without hidden channels the head is a linear probe.
//!
//! `[B, N, width]` on a grid to logits `[B, H, W, 1 + classes]`, class 0 being the background.

use std::sync::Arc;

use eagle_core::data::annotations::Annotations;
use eagle_core::nn::layers::{DenseHead, DenseShape};
use eagle_core::nn::{Builder, ops};
use eagle_core::registry::{
    Backbone, Cost, Features, Labeller, Misfit, Objective, ObjectiveConfig, Seen, Target, Judgement,
};
use eagle_core::tensor::{Result, Tensor};
use eagle_core::text::Tokenizer;

use super::places::{UNKNOWN, classes, known_classes};

eagle_core::config! {
    /// The class of object at each location, from outlines. Its metric is the mean over the pictures
    /// of the mean intersection over union of the classes that a picture shows or is said to show,
    /// the background left out, at 32 x 32 points.
    pub struct Segmentation {
        /// Classes of objects; more than the data's largest.
        classes: usize = 13,
        /// Channels of a 3x3 convolution before the last layer; 0 for none: a linear probe.
        hidden: usize = 0,
        /// Locations along each side of a cell of the encoder's map.
        upsample: usize = 1,
        /// How much a location of the background counts, from 0 to 1.
        background: f32 = 1.0,
    }
}

eagle_core::register!(objective Segmentation, examples [
    "Segmentation(classes: 3)",
    "Segmentation(classes: 3, hidden: 4, upsample: 2, background: 0.3)",
]);

/// The points along a side at which the metric looks.
const POINTS: usize = 32;

impl Segmentation {
    fn head(&self) -> DenseShape {
        let (hidden, upsample) = (self.hidden, self.upsample);
        DenseShape { outputs: self.classes + 1, hidden, upsample }
    }
}

impl ObjectiveConfig for Segmentation {
    fn metric(&self) -> &'static str {
        "mean-iou"
    }

    fn meets(&self, backbone: Backbone<'_>) -> std::result::Result<(), Misfit> {
        if self.classes == 0 {
            return Err(Misfit::field("classes", "must be at least 1"));
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
        Arc::new(Labels { grid, classes: self.classes, background: self.background })
    }

    fn build(&self, backbone: Backbone<'_>, b: &mut Builder<'_>) -> Result<Box<dyn Objective>> {
        Ok(Box::new(Module { head: DenseHead::build(b, backbone.shape.width, self.head())? }))
    }
}

/// Labels at the training's locations; in `values`, those at the metric's points.
struct Labels {
    grid: (usize, usize),
    classes: usize,
    background: f32,
}

impl Labeller for Labels {
    fn target(&self, known: Option<&Annotations>) -> std::result::Result<Target, String> {
        let known = known.ok_or(UNKNOWN)?;
        known_classes(known, self.classes)?;
        let labels = classes(known, self.grid);
        let weight = |label: &u32| if *label == 0 { self.background } else { 1.0 };
        let weights: Vec<f32> = labels.iter().map(weight).collect();
        let points = classes(known, (POINTS, POINTS));
        let mut shown: Vec<u32> = points.iter().copied().filter(|label| *label > 0).collect();
        shown.sort_unstable();
        shown.dedup();
        Ok(Target {
            count: weights.iter().map(|weight| f64::from(*weight)).sum(),
            labels,
            weights,
            values: points.iter().map(|label| *label as f32).collect(),
            answer: listed(&shown),
        })
    }
}

/// Classes, counted from 0 as the data does.
fn listed(labels: &[u32]) -> String {
    labels.iter().map(|label| (label - 1).to_string()).collect::<Vec<_>>().join(" ")
}

struct Module {
    head: DenseHead,
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

    fn read(&self, features: &Features, _: &[Target]) -> Result<Vec<Vec<f32>>> {
        let logits = ops::resize_bilinear(&self.head.forward(features)?, POINTS, POINTS, false)?;
        let (_, outputs) = logits.rows();
        let best = |values: &[f32]| {
            let greatest = (0..outputs).rev().max_by(|&a, &b| values[a].total_cmp(&values[b]));
            greatest.unwrap_or(0) as f32
        };
        let labels: Vec<f32> = logits.host().chunks(outputs).map(best).collect();
        Ok(labels.chunks(POINTS * POINTS).map(<[f32]>::to_vec).collect())
    }

    fn judge(&self, readings: &[Vec<f32>], targets: &[Target]) -> Vec<Option<Judgement>> {
        readings.iter().zip(targets).map(|(read, target)| judged(read, &target.values)).collect()
    }
}

/// The mean intersection over union of the classes in either, the background left out; `None` if
/// there are none.
fn judged(read: &[f32], truth: &[f32]) -> Option<Judgement> {
    let mut found: Vec<u32> = read.iter().map(|class| *class as u32).collect();
    found.sort_unstable();
    found.dedup();
    let mut classes: Vec<u32> =
        truth.iter().map(|class| *class as u32).chain(found.clone()).filter(|c| *c > 0).collect();
    classes.sort_unstable();
    classes.dedup();
    let overlap = |class: &u32| {
        let (mut both, mut either) = (0, 0);
        for (read, truth) in read.iter().zip(truth) {
            let (read, truth) = (*read as u32 == *class, *truth as u32 == *class);
            both += usize::from(read && truth);
            either += usize::from(read || truth);
        }
        both as f64 / either.max(1) as f64
    };
    found.retain(|class| *class > 0);
    let score = classes.iter().map(overlap).sum::<f64>() / classes.len().max(1) as f64;
    (!classes.is_empty()).then(|| Judgement { prediction: listed(&found), score })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlap_is_the_mean_over_the_classes_that_are_there_or_said_to_be() {
        // Class 1: 1 of 3 points; class 2: 0 of 1; class 3 is said to be at one point and is not.
        let verdict = judged(&[1.0, 1.0, 0.0, 3.0, 0.0], &[1.0, 0.0, 1.0, 2.0, 0.0]);
        let verdict = verdict.map(|v| (v.prediction, v.score));
        assert_eq!(verdict, Some(("0 2".to_owned(), (1.0 / 3.0) / 3.0)));
        assert_eq!(judged(&[0.0, 0.0], &[0.0, 0.0]), None, "nothing to find, nothing found");
    }
}
