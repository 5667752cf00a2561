//! `mini-ocrbench`: everything that is printed: words, numbers, letters that make no word, lines of
//! two words.

use std::sync::Arc;

use super::{Asked, Domain, Posed, Setting};
use crate::world::dice::Dice;
use crate::world::scenes::signs::{Signs, Writing};

pub(super) fn pose(setting: &Setting, dice: &mut Dice) -> Posed {
    let (kind, writing) = match dice.below(4) {
        0 => ("word", Writing::Word),
        1 => ("number", Writing::Number(dice.within(2, 4))),
        2 => ("letters", Writing::Letters(dice.within(3, 5))),
        _ => ("line", Writing::Line),
    };
    let (look, items) = (&setting.look, dice.below(3));
    let surroundings = (look.clutter, setting.compositions);
    let scene = Signs::arrange(&[writing], items, look.letters, surroundings, dice);
    let asked = Asked {
        kind,
        question: "what is written in the picture?".into(),
        answer: scene.signs[0].text.content.clone(),
        domain: Domain::Open,
        claim: String::new(),
        told: true,
    };
    Posed { scene: Arc::new(scene), asked: vec![asked] }
}
