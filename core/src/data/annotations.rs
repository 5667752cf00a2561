//! What is known of a picture beside what is said about it: what experts are taught by.
//!
//! Lengths are fractions of the picture's sides, x from the left and y from the top, so that one
//! annotation serves every resolution. [`Place`]s are those of the *picture*; a preparation that
//! crops or pads moves them.

/// An upright box: left, top, right, bottom, each from 0 to 1.
pub type Place = [f32; 4];

/// What is known of one picture.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Annotations {
    /// One sentence that says what there is; empty where none is known.
    pub caption: String,
    /// The objects, the ones in front last.
    pub objects: Vec<Object>,
    /// The printed characters, in reading order.
    pub glyphs: Vec<Glyph>,
}

/// One object of a known class.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// Its class, from 0.
    pub class: usize,
    /// The corners of its outline, in order, at least three; holes are not told.
    pub outline: Vec<[f32; 2]>,
}

/// One printed character.
#[derive(Debug, Clone, PartialEq)]
pub struct Glyph {
    /// What it is.
    pub character: char,
    /// Where it stands.
    pub place: Place,
}

impl Object {
    /// The smallest upright box around it.
    #[must_use]
    pub fn place(&self) -> Place {
        let start = [f32::INFINITY, f32::INFINITY, f32::NEG_INFINITY, f32::NEG_INFINITY];
        self.outline.iter().fold(start, |[left, top, right, bottom], &[x, y]| {
            [left.min(x), top.min(y), right.max(x), bottom.max(y)]
        })
    }

    /// Whether a point lies inside, by the even-odd rule.
    #[must_use]
    pub fn covers(&self, [x, y]: [f32; 2]) -> bool {
        let mut inside = false;
        let mut last = self.outline.len().saturating_sub(1);
        for (at, &[to_x, to_y]) in self.outline.iter().enumerate() {
            let [from_x, from_y] = self.outline[last];
            let crosses = (to_y > y) != (from_y > y);
            if crosses && x < (from_x - to_x) * (y - to_y) / (from_y - to_y) + to_x {
                inside = !inside;
            }
            last = at;
        }
        inside
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_triangle_has_its_box_and_its_inside() {
        let outline = vec![[0.5, 0.2], [0.8, 0.7], [0.2, 0.7]];
        let triangle = Object { class: 0, outline };
        assert_eq!(triangle.place(), [0.2, 0.2, 0.8, 0.7]);
        assert!(triangle.covers([0.5, 0.5]));
        assert!(!triangle.covers([0.25, 0.3]), "in the box and outside");
        assert!(!triangle.covers([0.5, 0.8]));
    }
}
