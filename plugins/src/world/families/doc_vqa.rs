//! `mini-docvqa`: the value of a form's key.

use std::sync::Arc;

use super::{Asked, Domain, Posed, Setting, more};
use crate::world::dice::Dice;
use crate::world::scenes::form::{Form, KEYS, Line, holds_word};

pub(super) fn pose(setting: &Setting, dice: &mut Dice) -> Posed {
    let count = dice.within(2, 5);
    let mut lines: Vec<Line> = Vec::new();
    while lines.len() < count {
        let fits = |key: &usize| {
            setting.compositions.allow_label(*key, lines.len())
                && lines.iter().all(|line| line.key != *key)
        };
        let keys: Vec<usize> = (0..KEYS).filter(fits).collect();
        let Some(key) = dice.pick(&keys) else { break };
        lines.push(Line::draw(key, dice));
    }
    let look = &setting.look;
    let scene = Form::of(lines, look.letters, look.clutter, dice);
    let first = ask(&scene.lines[dice.below(scene.lines.len())]);
    let asked =
        more(first, setting.turns, || Some(ask(&scene.lines[dice.below(scene.lines.len())])));
    Posed { scene: Arc::new(scene), asked }
}

fn ask(line: &Line) -> Asked {
    let key = line.name();
    let domain = if holds_word(line.key) {
        Domain::Word
    } else {
        // Numbers of as many digits, so that the length says nothing.
        let least = 10usize.pow(line.value.len() as u32 - 1);
        Domain::Number(least, 10 * least - 1)
    };
    Asked {
        kind: if holds_word(line.key) { "word" } else { "number" },
        question: format!("what is the {key}?"),
        answer: line.value.clone(),
        domain,
        claim: format!("is the {key} {{}}?"),
        told: true,
    }
}
