//! Dense object detection: at each location of the map the class of the object around it, and the
//! distances to its box's edges. FCOS (Tian et al., arXiv 1904.01355) on one level, with its centre
//! sampling in place of the centre-ness branch; focal loss and generalised intersection over union.
//!
//! `[B, N, width]` on a grid to `[B, H, W, classes + 4]`.

use std::sync::Arc;

use eagle_core::data::annotations::{Annotations, Place};
use eagle_core::nn::layers::{DenseHead, DenseShape};
use eagle_core::nn::{Builder, ops};
use eagle_core::registry::{
    Backbone, Cost, Features, Labeller, Misfit, Objective, ObjectiveConfig, Seen, Target, Judgement,
};
use eagle_core::tensor::{Result, Tensor};
use eagle_core::text::Tokenizer;

use super::boxes::{Found, average_precision, keep_best};
use super::places::{UNKNOWN, cell, centre, known_classes, middle, seen, within};

eagle_core::config! {
    /// The class and the box of the object around each location. Its metric is the mean over the
    /// pictures of the average precision at an intersection over union of 0.5, all classes of a
    /// picture ranked together; pictures without objects are not judged.
    pub struct Detection {
        /// Classes of objects; more than the data's largest.
        classes: usize = 13,
        /// Channels of a 3x3 convolution before the last layer; 0 for none: a linear probe.
        hidden: usize = 0,
        /// Locations along each side of a cell of the encoder's map.
        upsample: usize = 1,
        /// A location is an object's if it lies in its box and no farther than this from the box's
        /// middle, across and down, in locations; 0 means anywhere in the box.
        radius: f32 = 1.5,
        /// How much the boxes count against the classes.
        box_weight: f32 = 1.0,
    }
}

eagle_core::register!(objective Detection, examples [
    "Detection(classes: 3)",
    "Detection(classes: 3, hidden: 4, upsample: 2, radius: 0, box_weight: 2)",
]);

/// RetinaNet's: the share of what is there, and how fast what is easily told loses weight.
const FOCAL: (f64, f64) = (0.25, 2.0);
/// The logit of a class before anything is learnt: a probability of 0.01.
const PRIOR: f32 = -4.595;
/// What is less likely is no detection.
const LEAST: f32 = 0.02;
/// Of boxes of a class that overlap more than this, the likeliest is kept.
const OVERLAP: f32 = 0.6;
/// Detections in a picture, at most.
const MOST: usize = 20;

impl Detection {
    fn head(&self) -> DenseShape {
        let (hidden, upsample) = (self.hidden, self.upsample);
        DenseShape { outputs: self.classes + 4, hidden, upsample }
    }
}

impl ObjectiveConfig for Detection {
    fn metric(&self) -> &'static str {
        "ap50"
    }

    fn meets(&self, backbone: Backbone<'_>) -> std::result::Result<(), Misfit> {
        if self.classes == 0 {
            return Err(Misfit::field("classes", "must be at least 1"));
        }
        for (field, value) in [("radius", self.radius), ("box_weight", self.box_weight)] {
            if !(value.is_finite() && value >= 0.0) {
                return Err(Misfit::field(field, "must be 0 or more"));
            }
        }
        self.head().grid(backbone.shape).map(drop)
    }

    fn cost(&self, backbone: Backbone<'_>) -> Cost {
        self.head().cost(backbone.shape)
    }

    fn labeller(&self, backbone: Backbone<'_>, _: Option<Arc<Tokenizer>>) -> Arc<dyn Labeller> {
        let grid = self.head().grid(backbone.shape).unwrap_or_default();
        Arc::new(Labels { grid, classes: self.classes, radius: self.radius })
    }

    fn build(&self, backbone: Backbone<'_>, b: &mut Builder<'_>) -> Result<Box<dyn Objective>> {
        let head = DenseHead::build(b, backbone.shape.width, self.head())?;
        Ok(Box::new(Module { head, classes: self.classes, box_weight: self.box_weight }))
    }
}

/// The class of 0 (none) and more at each location; in `values` the four distances of every
/// location to its object's edges, in locations, and then every object: class, box.
struct Labels {
    grid: (usize, usize),
    classes: usize,
    radius: f32,
}

/// The least distance from a location to an edge of its object, in locations: FCOS has positive ones
/// alone, and the nearest location of a small object lies outside.
const NEAREST: f32 = 0.05;

impl Labeller for Labels {
    fn target(&self, known: Option<&Annotations>) -> std::result::Result<Target, String> {
        let known = known.ok_or(UNKNOWN)?;
        known_classes(known, self.classes)?;
        let mut objects: Vec<(usize, Place)> = known
            .objects
            .iter()
            .filter_map(|object| Some((object.class, seen(object.place())?)))
            .collect();
        let cells = self.grid.0 * self.grid.1;
        let mut target = Target { labels: vec![0; cells], ..Target::default() };
        target.values = vec![1.0; 4 * cells];
        // The smallest object of a location is its own, so it comes last.
        let area = |(_, [left, top, right, bottom]): &(usize, Place)| (right - left) * (bottom - top);
        objects.sort_by(|a, b| area(b).total_cmp(&area(a)));
        for (class, place) in &objects {
            for at in self.locations(*place) {
                target.labels[at] = *class as u32 + 1;
                target.values[4 * at..4 * at + 4].copy_from_slice(&self.distances(at, *place));
            }
        }
        let weight = |label: &u32| f32::from(u8::from(*label > 0));
        target.weights = target.labels.iter().map(weight).collect();
        target.count = target.weights.iter().map(|weight| f64::from(*weight)).sum();
        for (class, place) in &objects {
            target.values.push(*class as f32);
            target.values.extend(place);
        }
        let classes: Vec<String> = objects.iter().map(|(class, _)| class.to_string()).collect();
        Ok(Target { answer: classes.join(" "), ..target })
    }
}

impl Labels {
    /// The locations that teach an object.
    fn locations(&self, place: Place) -> Vec<usize> {
        let [x, y] = middle(place);
        let (rows, columns) = (self.grid.0 as f32, self.grid.1 as f32);
        let near = |at: &usize| {
            let point = centre(*at, self.grid);
            let (across, down) = ((point[0] - x) * columns, (point[1] - y) * rows);
            let close = across.abs().max(down.abs()) <= self.radius;
            within(place, point) && (self.radius == 0.0 || close)
        };
        let found: Vec<usize> = (0..self.grid.0 * self.grid.1).filter(near).collect();
        if found.is_empty() { vec![cell([x, y], self.grid)] } else { found }
    }

    /// From a location to the left, upper, right and lower edge of a box, in locations.
    fn distances(&self, at: usize, [left, top, right, bottom]: Place) -> [f32; 4] {
        let [x, y] = centre(at, self.grid);
        let (rows, columns) = (self.grid.0 as f32, self.grid.1 as f32);
        let away =
            [(x - left) * columns, (y - top) * rows, (right - x) * columns, (bottom - y) * rows];
        away.map(|distance| distance.max(NEAREST))
    }
}

struct Module {
    head: DenseHead,
    classes: usize,
    box_weight: f32,
}

impl Module {
    /// Logits of the classes and logarithms of the distances, a row for each location.
    fn forward(&self, features: &Features) -> Result<(Tensor, Tensor)> {
        let out = self.head.forward(features)?;
        let (rows, outputs) = out.rows();
        let out = out.reshape(&[rows, outputs])?;
        let prior = Tensor::new(out.dev(), vec![PRIOR; self.classes], &[self.classes])?;
        let logits = ops::add_rows(&ops::narrow(&out, 1, 0, self.classes)?, &prior)?;
        Ok((logits, ops::narrow(&out, 1, self.classes, 4)?))
    }
}

impl Objective for Module {
    fn loss(&self, seen: Seen<'_>) -> Result<Option<Tensor>> {
        let (logits, boxes) = self.forward(seen.features)?;
        let labels: Vec<u32> = seen.targets.iter().flat_map(|t| t.labels.clone()).collect();
        let weights: Vec<f32> = seen.targets.iter().flat_map(|t| t.weights.clone()).collect();
        let distances = |t: &Target| t.values[..4 * t.labels.len()].to_vec();
        let right: Vec<f32> = seen.targets.iter().flat_map(distances).collect();
        let classes = ops::sigmoid_focal(&logits, &labels, FOCAL.0, FOCAL.1)?;
        let boxes = ops::giou_loss(&boxes, &right, &weights)?;
        ops::add(&classes, &ops::scale(&boxes, self.box_weight)?).map(Some)
    }

    /// Detections: class, likelihood and box each.
    fn read(&self, features: &Features, targets: &[Target]) -> Result<Vec<Vec<f32>>> {
        let grid = self.head.forward(features)?.dims::<4>("detection")?;
        let (grid, cells) = ((grid[1], grid[2]), grid[1] * grid[2]);
        let (logits, boxes) = self.forward(features)?;
        let (logits, boxes) = (logits.host(), boxes.host());
        let found = |location: usize| {
            let logits = &logits[location * self.classes..(location + 1) * self.classes];
            let class = (0..self.classes).rev().max_by(|&a, &b| logits[a].total_cmp(&logits[b]))?;
            let likelihood = 1.0 / (1.0 + (-logits[class]).exp());
            let place = place(centre(location % cells, grid), &boxes[4 * location..], grid);
            Some(Found { class, likelihood, place: seen(place)? })
        };
        let read = |picture: usize| {
            let found = (picture * cells..(picture + 1) * cells).filter_map(found);
            let found = found.filter(|found| found.likelihood >= LEAST).collect();
            let best = keep_best(found, OVERLAP, MOST);
            best.iter().flat_map(Found::numbers).collect()
        };
        Ok((0..targets.len()).map(read).collect())
    }

    fn judge(&self, readings: &[Vec<f32>], targets: &[Target]) -> Vec<Option<Judgement>> {
        let judged = |(read, target): (&Vec<f32>, &Target)| {
            let truth: Vec<(usize, Place)> = target.values[4 * target.labels.len()..]
                .as_chunks::<5>()
                .0
                .iter()
                .map(|[class, place @ ..]| (*class as usize, *place))
                .collect();
            let found: Vec<Found> = read.as_chunks::<6>().0.iter().map(Found::of).collect();
            let likely = found.iter().filter(|found| found.likelihood > 0.3);
            let classes: Vec<String> = likely.map(|found| found.class.to_string()).collect();
            let score = average_precision(&found, &truth, 0.5)?;
            Some(Judgement { prediction: classes.join(" "), score })
        };
        readings.iter().zip(targets).map(judged).collect()
    }
}

/// The box around a point with the logarithms of its distances, in locations.
fn place([x, y]: [f32; 2], logs: &[f32], (rows, columns): (usize, usize)) -> Place {
    let away: Vec<f32> = logs[..4].iter().map(|log| log.min(8.0).exp()).collect();
    let (rows, columns) = (rows as f32, columns as f32);
    [x - away[0] / columns, y - away[1] / rows, x + away[2] / columns, y + away[3] / rows]
}

#[cfg(test)]
mod tests {
    use super::*;
    use eagle_core::data::annotations::Object;

    fn object(class: usize, [left, top, right, bottom]: Place) -> Object {
        Object { class, outline: vec![[left, top], [right, top], [right, bottom], [left, bottom]] }
    }

    #[test]
    fn a_location_belongs_to_the_smallest_object_near_whose_middle_it_lies() {
        let large = object(0, [0.0, 0.0, 1.0, 1.0]);
        let small = object(2, [0.25, 0.0, 0.5, 0.25]);
        let known = Annotations { objects: vec![small, large], ..Annotations::default() };
        let labels = Labels { grid: (4, 4), classes: 3, radius: 1.0 };
        let target = labels.target(Some(&known)).unwrap_or_default();
        #[rustfmt::skip]
        assert_eq!(target.labels, [
            0, 3, 0, 0,
            0, 1, 1, 0,
            0, 1, 1, 0,
            0, 0, 0, 0,
        ]);
        assert_eq!(target.values[4..8], [0.5, 0.5, 0.5, 0.5], "the small one, around its location");
        assert_eq!(target.values[20..24], [1.5, 1.5, 2.5, 2.5], "the large one, from row 1, column 1");
        assert_eq!(target.values[64..], [0.0, 0.0, 0.0, 1.0, 1.0, 2.0, 0.25, 0.0, 0.5, 0.25]);
        assert!((target.count - 5.0).abs() < 1e-9);
        assert_eq!(target.answer, "0 2");
    }

    #[test]
    fn an_object_smaller_than_a_location_has_the_one_at_its_middle() {
        let known = Annotations { objects: vec![object(0, [0.3, 0.3, 0.32, 0.32])], ..Annotations::default() };
        let labels = Labels { grid: (2, 2), classes: 1, radius: 1.5 };
        let target = labels.target(Some(&known)).unwrap_or_default();
        assert_eq!(target.labels, [1, 0, 0, 0]);
        assert!(target.values[..4].iter().all(|distance| *distance >= NEAREST));
    }

    #[test]
    fn boxes_are_read_as_they_are_taught() {
        let labels = Labels { grid: (4, 2), classes: 1, radius: 0.0 };
        let [left, top, right, bottom] = [0.2, 0.1, 0.9, 0.7];
        let logs = labels.distances(2, [left, top, right, bottom]).map(f32::ln);
        let found = place(centre(2, (4, 2)), &logs, (4, 2));
        for (found, expected) in found.iter().zip([left, top, right, bottom]) {
            assert!((found - expected).abs() < 1e-5, "{found} for {expected}");
        }
    }
}
