//! The kinds of pictures of the named families, one to a file.

use eagle_core::data::Draw;
use eagle_core::data::annotations::Annotations;

pub mod chart;
pub mod diagram;
pub mod form;
pub mod signs;
pub mod still_life;

/// A picture's description.
pub trait Scene: Draw {
    /// What experts are told of it. The caption says everything that there is, and spells what is
    /// printed.
    fn annotations(&self) -> Annotations;
}

/// What stands out against `ground`: nearly black or nearly white.
#[must_use]
pub fn contrast(ground: [u8; 3]) -> [u8; 3] {
    if luminance(ground) > 110 { [22, 22, 26] } else { [240, 240, 236] }
}

fn luminance([r, g, b]: [u8; 3]) -> u32 {
    (u32::from(r) * 3 + u32::from(g) * 6 + u32::from(b)) / 10
}

/// The corners of an upright box.
pub(super) fn corners([left, top, right, bottom]: [f32; 4]) -> Vec<[f32; 2]> {
    vec![[left, top], [right, top], [right, bottom], [left, bottom]]
}
