//! Which combinations of what a picture shows are kept out of training.
//!
//! Every part of a held-out combination is learnt in others: a striped thing, a red thing, a circle
//! and every two of them, but not this striped red circle. No question names the parts that decide,
//! so that the rule says nothing about the answer.

use serde::{Deserialize, Serialize};

use super::lettering::Font;
use super::lexicon::{Colour, Shape, Texture};

/// One combination in so many is held out.
const ONE_IN: usize = 6;

/// Which combinations a picture may show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Compositions {
    /// All.
    Any,
    /// Those of training.
    Seen,
    /// Those that training never shows.
    HeldOut,
}

impl Compositions {
    /// Whether a picture may show a combination that is held out, or one that isn't.
    fn allow(self, held_out: bool) -> bool {
        match self {
            Self::Any => true,
            Self::Seen => !held_out,
            Self::HeldOut => held_out,
        }
    }

    /// Whether a thing may look so. Held out where the places of colour, shape and texture in their
    /// tables add up to a multiple of six; nothing plain is, since the elementary families show it.
    #[must_use]
    pub fn allow_thing(self, colour: Colour, shape: Shape, texture: Texture) -> bool {
        let sum = colour as usize + shape as usize + texture as usize;
        self.allow(texture != Texture::Plain && sum.is_multiple_of(ONE_IN))
    }

    /// Whether the word or number `print`, by its place or value, may stand in this typeface. Block
    /// capitals are never held out: the elementary families print them.
    #[must_use]
    pub fn allow_print(self, print: usize, font: Font) -> bool {
        self.allow(font != Font::Block && (print + font as usize).is_multiple_of(ONE_IN))
    }

    /// Whether word `label` may stand at `place`: in that kind of chart, on that line of a form, at
    /// that place of a diagram.
    #[must_use]
    pub fn allow_label(self, label: usize, place: usize) -> bool {
        self.allow((label + place).is_multiple_of(ONE_IN))
    }
}
