//! The classes of objects in pictures of the mini world: what `Object::class` counts.

use super::lexicon::Shape;

/// What an annotated object is. Its number is its place here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// A disc.
    Circle,
    /// A square.
    Square,
    /// A triangle.
    Triangle,
    /// A star.
    Star,
    /// A plus sign.
    Cross,
    /// A ring.
    Ring,
    /// A plate with something printed on it.
    Sign,
    /// A bar of a chart.
    Bar,
    /// A slice of a pie chart.
    Slice,
    /// A marked point of a line chart.
    Point,
    /// A line of a form: a key and its value.
    Field,
    /// A box of a diagram.
    Box,
    /// An arrow of a diagram.
    Arrow,
}

impl Class {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 13] = [
        Self::Circle,
        Self::Square,
        Self::Triangle,
        Self::Star,
        Self::Cross,
        Self::Ring,
        Self::Sign,
        Self::Bar,
        Self::Slice,
        Self::Point,
        Self::Field,
        Self::Box,
        Self::Arrow,
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Circle => Shape::Circle.name(),
            Self::Square => Shape::Square.name(),
            Self::Triangle => Shape::Triangle.name(),
            Self::Star => Shape::Star.name(),
            Self::Cross => Shape::Cross.name(),
            Self::Ring => Shape::Ring.name(),
            Self::Sign => "sign",
            Self::Bar => "bar",
            Self::Slice => "slice",
            Self::Point => "point",
            Self::Field => "field",
            Self::Box => "box",
            Self::Arrow => "arrow",
        }
    }
}

impl From<Shape> for Class {
    fn from(shape: Shape) -> Self {
        match shape {
            Shape::Circle => Self::Circle,
            Shape::Square => Self::Square,
            Shape::Triangle => Self::Triangle,
            Shape::Star => Self::Star,
            Shape::Cross => Self::Cross,
            Shape::Ring => Self::Ring,
        }
    }
}
