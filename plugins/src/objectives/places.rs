//! Locations on a grid over the picture, and what of the annotations lies there.

use eagle_core::data::annotations::{Annotations, Object, Place};

/// The centre of cell `at` of a grid, in fractions of the picture's sides.
pub fn centre(at: usize, (rows, columns): (usize, usize)) -> [f32; 2] {
    [(at % columns) as f32 + 0.5, (at / columns) as f32 + 0.5]
        .into_iter()
        .zip([columns, rows])
        .map(|(cell, cells)| cell / cells as f32)
        .collect::<Vec<_>>()
        .try_into()
        .unwrap_or_default()
}

/// The cell of a grid that a point lies in; the nearest one if it lies outside.
pub fn cell([x, y]: [f32; 2], (rows, columns): (usize, usize)) -> usize {
    let at = |x: f32, cells: usize| ((x * cells as f32).max(0.0) as usize).min(cells - 1);
    at(y, rows) * columns + at(x, columns)
}

/// Whether a point lies in a box.
pub fn within([left, top, right, bottom]: Place, [x, y]: [f32; 2]) -> bool {
    left <= x && x < right && top <= y && y < bottom
}

/// The middle of a box.
pub fn middle([left, top, right, bottom]: Place) -> [f32; 2] {
    [(left + right) / 2.0, (top + bottom) / 2.0]
}

/// The part of a box that the encoder sees; `None` if nothing is left of it.
pub fn seen(place: Place) -> Option<Place> {
    let place = place.map(|at| at.clamp(0.0, 1.0));
    (place[0] < place[2] && place[1] < place[3]).then_some(place)
}

/// For every cell of a grid, the frontmost object at its centre: 0 for none, else its class and 1.
pub fn classes(known: &Annotations, grid: (usize, usize)) -> Vec<u32> {
    let boxed: Vec<(Place, &Object)> =
        known.objects.iter().rev().map(|object| (object.place(), object)).collect();
    let class = |at: usize| {
        let point = centre(at, grid);
        let front = boxed.iter().find(|(place, o)| within(*place, point) && o.covers(point));
        front.map_or(0, |(_, object)| object.class as u32 + 1)
    };
    (0..grid.0 * grid.1).map(class).collect()
}

/// The fault of an object whose class is beyond `classes`, in words.
///
/// # Errors
/// There is one.
pub fn known_classes(known: &Annotations, classes: usize) -> Result<(), String> {
    match known.objects.iter().map(|object| object.class).max().filter(|most| *most >= classes) {
        None => Ok(()),
        Some(most) => Err(format!(
            "has an object of class {most}, and `classes` is {classes}: set it to {} or more",
            most + 1
        )),
    }
}

/// What is said of a sample without annotations.
pub const UNKNOWN: &str = "has no annotations";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_counted_row_by_row() {
        let grid = (2, 4);
        assert_eq!(centre(5, grid), [0.375, 0.75]);
        assert_eq!((0..8).map(|at| cell(centre(at, grid), grid)).collect::<Vec<_>>(), [
            0, 1, 2, 3, 4, 5, 6, 7
        ]);
        assert_eq!(cell([1.5, -1.0], grid), 3, "beyond the edges");
    }

    #[test]
    fn the_object_in_front_hides_the_one_behind() {
        let square = |class, left: f32, right: f32| Object {
            class,
            outline: vec![[left, 0.0], [right, 0.0], [right, 1.0], [left, 1.0]],
        };
        let known = Annotations {
            objects: vec![square(3, 0.0, 0.75), square(0, 0.5, 0.75)],
            ..Annotations::default()
        };
        assert_eq!(classes(&known, (1, 4)), [4, 4, 1, 0]);
        assert!(known_classes(&known, 4).is_ok());
        assert!(known_classes(&known, 3).is_err_and(|fault| fault.contains("set it to 4")));
    }
}
