//! The outlines of things.

use super::lexicon::Shape;
use super::scene::Thing;

/// Radius of a circle whose extent is 1.
pub const CIRCLE: f32 = 0.92;
/// Radii of a ring, outside and inside.
pub const RING: (f32, f32) = (0.95, 0.5);

/// Corners of a regular five-pointed star around 0, one point up.
const STAR: [(f32, f32); 10] = [
    (0.0, -1.0),
    (0.2645, -0.3641),
    (0.9511, -0.3090),
    (0.4280, 0.1391),
    (0.5878, 0.8090),
    (0.0, 0.4500),
    (-0.5878, 0.8090),
    (-0.4280, 0.1391),
    (-0.9511, -0.3090),
    (-0.2645, -0.3641),
];
const TRIANGLE: [(f32, f32); 3] = [(0.0, -0.95), (0.95, 0.7), (-0.95, 0.7)];
const SQUARE: [(f32, f32); 4] = [(-0.82, -0.82), (0.82, -0.82), (0.82, 0.82), (-0.82, 0.82)];
/// Half the width of a cross's bars.
const BAR: f32 = 0.32;
const CROSS: [(f32, f32); 12] = [
    (-BAR, -1.0),
    (BAR, -1.0),
    (BAR, -BAR),
    (1.0, -BAR),
    (1.0, BAR),
    (BAR, BAR),
    (BAR, 1.0),
    (-BAR, 1.0),
    (-BAR, BAR),
    (-1.0, BAR),
    (-1.0, -BAR),
    (-BAR, -BAR),
];
const DIAGONAL: f32 = std::f32::consts::FRAC_1_SQRT_2;
/// Sixteen points of the unit circle. Written out, because `cos` differs between platforms.
pub const ROUND: [(f32, f32); 16] = [
    (1.0, 0.0),
    (0.9239, 0.3827),
    (DIAGONAL, DIAGONAL),
    (0.3827, 0.9239),
    (0.0, 1.0),
    (-0.3827, 0.9239),
    (-DIAGONAL, DIAGONAL),
    (-0.9239, 0.3827),
    (-1.0, 0.0),
    (-0.9239, -0.3827),
    (-DIAGONAL, -DIAGONAL),
    (-0.3827, -0.9239),
    (0.0, -1.0),
    (0.3827, -0.9239),
    (DIAGONAL, -DIAGONAL),
    (0.9239, -0.3827),
];

impl Thing {
    /// The corners of its outline, in order; a circle has sixteen, a ring's hole isn't told.
    #[must_use]
    pub fn outline(&self) -> Vec<[f32; 2]> {
        // A turn by angle t without `sin` and `cos`, from its half angle's tangent.
        let (square, scale) = (self.turn * self.turn, self.radius);
        let (cosine, sine) = ((1.0 - square) / (1.0 + square), 2.0 * self.turn / (1.0 + square));
        let place = |&(x, y): &(f32, f32)| {
            [self.x + scale * (cosine * x - sine * y), self.y + scale * (sine * x + cosine * y)]
        };
        let round = |radius: f32| {
            let scale = self.radius * radius;
            ROUND.iter().map(|&(x, y)| [self.x + scale * x, self.y + scale * y]).collect()
        };
        match self.shape {
            Shape::Circle => round(CIRCLE),
            Shape::Ring => round(RING.0),
            Shape::Square => SQUARE.iter().map(place).collect(),
            Shape::Triangle => TRIANGLE.iter().map(place).collect(),
            Shape::Star => STAR.iter().map(place).collect(),
            Shape::Cross => CROSS.iter().map(place).collect(),
        }
    }
}

/// The point of the unit circle at `turn` of a full turn, clockwise from the top: an own series,
/// because `sin` differs between platforms.
#[must_use]
pub fn direction(turn: f32) -> [f32; 2] {
    let quarters = (f64::from(turn) * 4.0).rem_euclid(4.0);
    let quarter = quarters as u8;
    let a = (quarters - f64::from(quarter)) * std::f64::consts::FRAC_PI_2;
    let (mut sine, mut cosine, mut term) = (0.0, 0.0, 1.0);
    for n in 1..=8 {
        cosine += term;
        term *= a / f64::from(2 * n - 1);
        sine += term;
        term *= -a / f64::from(2 * n);
    }
    let (x, y) = match quarter {
        0 => (sine, -cosine),
        1 => (cosine, sine),
        2 => (-sine, cosine),
        _ => (-cosine, -sine),
    };
    [x as f32, y as f32]
}
