//! `mini-textvqa`: which word or number stands on the sign of a colour.

use std::sync::Arc;

use super::{Asked, Domain, Posed, Setting, more};
use crate::world::dice::Dice;
use crate::world::scenes::signs::{Sign, Signs, Writing};

/// Numbers have two digits.
const DIGITS: usize = 2;

pub(super) fn pose(setting: &Setting, dice: &mut Dice) -> Posed {
    let writing = |dice: &mut Dice| {
        if dice.coin() { Writing::Word } else { Writing::Number(DIGITS) }
    };
    let writings: Vec<Writing> = (0..dice.within(1, 3)).map(|_| writing(dice)).collect();
    let (look, items) = (&setting.look, dice.below(3));
    let surroundings = (look.clutter, setting.compositions);
    let scene = Signs::arrange(&writings, items, look.letters, surroundings, dice);
    let first = ask(&scene.signs[0]);
    let asked =
        more(first, setting.turns, || Some(ask(&scene.signs[dice.below(scene.signs.len())])));
    Posed { scene: Arc::new(scene), asked }
}

fn ask(sign: &Sign) -> Asked {
    let (kind, colour) = (sign.writing.noun(), sign.colour.name());
    let domain = match sign.writing {
        Writing::Number(_) => Domain::Number(10, 99),
        _ => Domain::Word,
    };
    Asked {
        kind,
        question: format!("what {kind} is on the {colour} sign?"),
        answer: sign.text.content.clone(),
        domain,
        claim: format!("does the {colour} sign say {{}}?"),
        told: true,
    }
}
