//! `mini-pope`: whether a thing is there. Of those that aren't, `random` ones have little in common
//! with what is, `popular` ones are of the sorts that pictures show most often, and `adversarial` ones
//! differ from a thing that is there in one attribute.
//!
//! What is asked for and whether it is there are drawn first, so that even a popular thing is there
//! every other time.

use std::sync::Arc;

use super::{Asked, Domain, Posed, Setting, more};
use crate::world::compositions::Compositions;
use crate::world::dice::Dice;
use crate::world::scenes::still_life::{Kind, StillLife};

/// POPE's three ways to choose what isn't there.
const CATEGORIES: [&str; 3] = ["random", "popular", "adversarial"];

pub(super) fn pose(setting: &Setting, dice: &mut Dice) -> Posed {
    loop {
        let category = CATEGORIES[dice.below(CATEGORIES.len())];
        let Some((scene, kind, there)) = plan(setting, category, dice.coin(), dice) else {
            continue;
        };
        let first = asked(&kind, there, category);
        let asked = more(first, setting.turns, || further(&scene, setting, dice));
        return Posed { scene: Arc::new(scene), asked };
    }
}

/// A picture with or without a thing, and that thing.
fn plan(
    setting: &Setting,
    category: &str,
    there: bool,
    dice: &mut Dice,
) -> Option<(StillLife, Kind, bool)> {
    let wanted = |kind: &Kind| category != "popular" || popular(kind);
    let asked_for = Kind::draw(setting.compositions, wanted, dice)?;
    let others = beside(setting.compositions);
    let mut kinds = Vec::new();
    if there {
        kinds.push(asked_for);
    }
    if category == "adversarial" {
        kinds.push(Kind::draw(others, |kind| kind.shared(&asked_for) == 2, dice)?);
    }
    let (_, most) = setting.look.things;
    let count = dice.within(2, most.max(2));
    while kinds.len() < count {
        let often = dice.coin();
        let fits = |kind: &Kind| {
            kind.shared(&asked_for) <= 1
                && (popular(kind) || !often)
                && kinds.iter().all(|other| kind.shared(other) < 3)
        };
        kinds.push(Kind::draw(others, fits, dice)?);
    }
    let kinds = dice.shuffled(&kinds);
    let scene = StillLife::arrange(&kinds, setting.look.clutter, |_| true, dice);
    Some((scene, asked_for, there))
}

/// Which combinations stand beside what is asked for: two that are held out never share all but
/// one attribute.
fn beside(compositions: Compositions) -> Compositions {
    if compositions == Compositions::HeldOut { Compositions::Any } else { compositions }
}

/// The sorts that pictures show most often: one colour for each shape.
fn popular(kind: &Kind) -> bool {
    kind.colour as usize == kind.shape as usize
}

/// Another question about a picture: something of it, or something that it lacks.
fn further(scene: &StillLife, setting: &Setting, dice: &mut Dice) -> Option<Asked> {
    let present: Vec<Kind> = scene.items.iter().map(|item| item.kind()).collect();
    let there = dice.coin();
    let kind = if there {
        dice.pick(&present)?
    } else {
        let absent = |kind: &Kind| present.iter().all(|other| kind.shared(other) < 3);
        Kind::draw(beside(setting.compositions), absent, dice)?
    };
    Some(asked(&kind, there, "random"))
}

fn asked(kind: &Kind, there: bool, category: &'static str) -> Asked {
    Asked {
        kind: category,
        question: format!("is there a {} in the picture?", kind.sort()),
        answer: if there { "yes" } else { "no" }.into(),
        domain: Domain::Decision,
        claim: String::new(),
        told: true,
    }
}

/// A picture with the question to affirm, and the question to deny: about something that differs
/// from the first in one attribute.
pub(super) fn pair(setting: &Setting, dice: &mut Dice) -> Option<(Posed, String)> {
    let (scene, there, _) = plan(setting, "adversarial", true, dice)?;
    let present: Vec<Kind> = scene.items.iter().map(|item| item.kind()).collect();
    let lacking = |kind: &Kind| {
        kind.shared(&there) == 2 && present.iter().all(|other| kind.shared(other) < 3)
    };
    let lacking = Kind::draw(beside(setting.compositions), lacking, dice)?;
    let asked = vec![asked(&there, true, "existence")];
    let question = format!("is there a {} in the picture?", lacking.sort());
    Some((Posed { scene: Arc::new(scene), asked }, question))
}
