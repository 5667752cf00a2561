//! The words of the mini world. Adding a colour or a shape here is enough: scenes, questions and
//! the vocabulary read these tables.

/// What a thing can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shape {
    /// A disc.
    Circle,
    /// A square, turned a little at most.
    Square,
    /// An equilateral triangle.
    Triangle,
    /// A star of five points.
    Star,
    /// A plus sign.
    Cross,
    /// A disc with a hole.
    Ring,
}

impl Shape {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Circle, Self::Square, Self::Triangle, Self::Star, Self::Cross, Self::Ring];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Circle => "circle",
            Self::Square => "square",
            Self::Triangle => "triangle",
            Self::Star => "star",
            Self::Cross => "cross",
            Self::Ring => "ring",
        }
    }

    /// Its name for several.
    #[must_use]
    pub fn plural(self) -> &'static str {
        match self {
            Self::Circle => "circles",
            Self::Square => "squares",
            Self::Triangle => "triangles",
            Self::Star => "stars",
            Self::Cross => "crosses",
            Self::Ring => "rings",
        }
    }
}

/// What colour a thing can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Colour {
    /// Red.
    Red,
    /// Green.
    Green,
    /// Blue.
    Blue,
    /// Yellow.
    Yellow,
    /// Purple.
    Purple,
    /// Orange.
    Orange,
}

impl Colour {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Red, Self::Green, Self::Blue, Self::Yellow, Self::Purple, Self::Orange];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Red => "red",
            Self::Green => "green",
            Self::Blue => "blue",
            Self::Yellow => "yellow",
            Self::Purple => "purple",
            Self::Orange => "orange",
        }
    }

    /// Its name with the indefinite article.
    #[must_use]
    pub fn with_article(self) -> String {
        let article = if self == Self::Orange { "an" } else { "a" };
        format!("{article} {}", self.name())
    }

    /// Its middle, sRGB; things deviate from it by up to 14 per channel.
    #[must_use]
    pub fn rgb(self) -> [u8; 3] {
        match self {
            Self::Red => [214, 40, 44],
            Self::Green => [44, 160, 62],
            Self::Blue => [40, 88, 214],
            Self::Yellow => [238, 214, 46],
            Self::Purple => [146, 58, 176],
            Self::Orange => [240, 132, 28],
        }
    }
}

/// How the surface of a thing looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Texture {
    /// One colour.
    Plain,
    /// Upright stripes.
    Striped,
    /// Dots.
    Dotted,
    /// Squares in turn.
    Checked,
    /// A rim.
    Framed,
    /// Two halves, upper and lower.
    Halved,
}

impl Texture {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Plain, Self::Striped, Self::Dotted, Self::Checked, Self::Framed, Self::Halved];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Striped => "striped",
            Self::Dotted => "dotted",
            Self::Checked => "checked",
            Self::Framed => "framed",
            Self::Halved => "halved",
        }
    }
}

/// What can be printed: short words, none of which is a word of a question.
pub const PRINTED: [&str; 48] = [
    "ant", "ape", "bag", "bat", "bed", "bee", "bib", "bow", "box", "bun", "bus", "cab", "cap",
    "cat", "cog", "cow", "cub", "cup", "dog", "ear", "egg", "elk", "fan", "fig", "fox", "gem",
    "gum", "hat", "hen", "ink", "jam", "jar", "key", "kit", "leg", "lid", "map", "mug", "net",
    "nut", "owl", "pan", "peg", "pig", "ram", "sun", "tub", "van",
];

/// The words of questions and answers that no table above names.
pub const GLUE: [&str; 34] = [
    "a", "above", "an", "and", "are", "below", "bottom", "colour", "describe", "how", "is", "it",
    "left", "many", "no", "of", "picture", "printed", "relative", "right", "shape", "shapes",
    "the", "there", "this", "to", "top", "what", "where", "which", "with", "word", "yes", "in",
];

/// The keys of forms whose values are words.
pub const WORD_KEYS: [&str; 4] = ["name", "city", "item", "owner"];
/// The keys of forms whose values are numbers.
pub const NUMBER_KEYS: [&str; 4] = ["total", "price", "room", "code"];

/// Further words of the questions and captions of the named families.
pub const FURTHER: [&str; 37] = [
    "after", "at", "b", "bar", "before", "begin", "c", "chart", "comes", "d", "diagram", "does",
    "end", "form", "from", "higher", "highest", "large", "larger", "line", "lowest", "number",
    "on", "pie", "point", "same", "say", "sign", "size", "slice", "small", "text", "texture",
    "than", "value", "words", "written",
];

/// Every word that is a single token of the mini vocabulary: those of the elementary families,
/// sorted, and then those that came later, so that the first ones keep their numbers.
#[must_use]
pub fn words() -> Vec<&'static str> {
    let mut words: Vec<_> = GLUE.to_vec();
    words.extend(Shape::ALL.iter().flat_map(|shape| [shape.name(), shape.plural()]));
    words.extend(Colour::ALL.iter().map(|colour| colour.name()));
    words.sort_unstable();
    words.dedup();
    let mut later: Vec<_> = FURTHER.to_vec();
    later.extend(Texture::ALL.iter().map(|texture| texture.name()));
    later.extend(WORD_KEYS.iter().chain(&NUMBER_KEYS));
    later.sort_unstable();
    words.extend(later);
    words
}
