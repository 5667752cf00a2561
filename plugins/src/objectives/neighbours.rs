//! Classification by nearest neighbours, as DINO judges features (arXiv 2104.14294): the neighbours vote,
//! the nearer the more.

use eagle_core::data::annotations::{Annotations, Object};
use eagle_core::registry::Judgement;

/// The temperature of the votes, DINO's.
const TEMPERATURE: f32 = 0.07;

/// The class of the object with the largest outline; the one in front of equals.
pub fn largest_class(known: &Annotations) -> Option<usize> {
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
pub fn vote(vectors: &[Vec<f32>], classes: &[Option<u32>], most: usize) -> Vec<Option<Judgement>> {
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
