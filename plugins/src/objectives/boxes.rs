//! Detected boxes: what overlaps, which are kept, how well they do.

use eagle_core::data::annotations::Place;

/// A detection.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Found {
    /// Its class.
    pub class: usize,
    /// How likely it is there.
    pub likelihood: f32,
    /// Its box.
    pub place: Place,
}

impl Found {
    /// A detection as six numbers.
    pub fn numbers(&self) -> [f32; 6] {
        let [left, top, right, bottom] = self.place;
        [self.class as f32, self.likelihood, left, top, right, bottom]
    }

    /// The detection of six numbers.
    pub fn of([class, likelihood, place @ ..]: &[f32; 6]) -> Found {
        Found { class: *class as usize, likelihood: *likelihood, place: *place }
    }
}

/// The intersection over union of two boxes.
pub fn overlap(a: Place, b: Place) -> f32 {
    let across = a[2].min(b[2]) - a[0].max(b[0]);
    let down = a[3].min(b[3]) - a[1].max(b[1]);
    let both = across.max(0.0) * down.max(0.0);
    let area = |[left, top, right, bottom]: Place| (right - left) * (bottom - top);
    both / (area(a) + area(b) - both).max(f32::MIN_POSITIVE)
}

/// At most `most` detections, likeliest first, none of which overlaps a likelier one of its class by
/// more than `limit` (non-maximum suppression).
pub fn keep_best(mut found: Vec<Found>, limit: f32, most: usize) -> Vec<Found> {
    found.sort_by(|a, b| b.likelihood.total_cmp(&a.likelihood));
    let mut kept: Vec<Found> = Vec::new();
    for one in found {
        let same = kept.iter().filter(|other| other.class == one.class);
        if kept.len() < most && same.clone().all(|o| overlap(o.place, one.place) <= limit) {
            kept.push(one);
        }
    }
    kept
}

/// The area under the curve of precision over recall of detections, likeliest first, against what
/// is there: right is one whose class fits and whose box overlaps by `limit` or more one that no
/// likelier detection has found. `None` if nothing is there.
pub fn average_precision(
    found: &[Found],
    truth: &[(usize, Place)],
    limit: f32,
) -> Option<f64> {
    let mut taken = vec![false; truth.len()];
    let mut right = Vec::new();
    for one in found {
        let fits = |at: &usize| !taken[*at] && truth[*at].0 == one.class;
        let by_overlap = |&at: &usize| overlap(truth[at].1, one.place);
        let best = (0..truth.len()).filter(fits).max_by(|a, b| by_overlap(a).total_cmp(&by_overlap(b)));
        let hit = best.filter(|at| by_overlap(at) >= limit);
        if let Some(at) = hit {
            taken[at] = true;
        }
        right.push(hit.is_some());
    }
    let mut hits = 0;
    let mut precisions: Vec<f64> = Vec::new();
    for (at, right) in right.iter().enumerate() {
        hits += usize::from(*right);
        precisions.push(hits as f64 / (at + 1) as f64);
    }
    // The precision at a recall is the best at that or a greater one.
    for at in (1..precisions.len()).rev() {
        precisions[at - 1] = precisions[at - 1].max(precisions[at]);
    }
    let sum: f64 =
        precisions.iter().zip(&right).filter(|(_, right)| **right).map(|(p, _)| p).sum();
    (!truth.is_empty()).then(|| sum / truth.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACES: [Place; 3] = [[0.0, 0.0, 0.4, 0.4], [0.5, 0.5, 0.9, 0.9], [0.0, 0.5, 0.3, 0.9]];

    fn found(class: usize, likelihood: f32, place: Place) -> Found {
        Found { class, likelihood, place }
    }

    #[test]
    fn of_overlapping_boxes_of_a_class_the_likeliest_stays() {
        let shifted = [0.05, 0.0, 0.45, 0.4];
        assert!((overlap(PLACES[0], shifted) - 0.14 / 0.18).abs() < 1e-6);
        let all = vec![found(0, 0.5, PLACES[0]), found(0, 0.9, shifted), found(1, 0.2, PLACES[0])];
        assert_eq!(keep_best(all.clone(), 0.6, 9), [all[1], all[2]]);
        assert_eq!(keep_best(all.clone(), 0.8, 9).len(), 3);
        assert_eq!(keep_best(all.clone(), 0.8, 1), [all[1]]);
    }

    #[test]
    fn precision_is_averaged_over_recall() {
        let truth = [(0, PLACES[0]), (1, PLACES[1])];
        let right = [found(0, 0.9, PLACES[0]), found(1, 0.8, PLACES[1])];
        assert_eq!(average_precision(&right, &truth, 0.5), Some(1.0));
        // Right, wrong class, right: precisions 1 and 2/3 at recalls 1/2 and 1.
        let mixed = [right[0], found(2, 0.85, PLACES[1]), right[1]];
        let value = average_precision(&mixed, &truth, 0.5).unwrap_or_default();
        assert!((value - (1.0 + 2.0 / 3.0) / 2.0).abs() < 1e-9);
        // A second detection of one object is wrong.
        let twice = [right[0], right[0]];
        assert_eq!(average_precision(&twice, &truth, 0.5), Some(0.5));
        assert_eq!(average_precision(&[], &truth, 0.5), Some(0.0));
        assert_eq!(average_precision(&right, &[], 0.5), None);
    }
}
