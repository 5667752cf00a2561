//! `mini-chartqa`: values, extremes and comparisons of bars, points and slices.

use std::sync::Arc;

use super::{Asked, Domain, Posed, Setting, more};
use crate::world::dice::Dice;
use crate::world::lexicon::PRINTED;
use crate::world::scenes::chart::{Chart, ChartKind, Entry};

/// The least value, and the least difference of two.
const LEAST: usize = 10;
const APART: usize = 4;
/// The largest share of a pie that is asked for: two or three others have room beside it.
const MOST_SHARE: usize = 56;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    Value,
    Highest,
    Lowest,
    Higher,
}

use Subject::{Higher, Highest, Lowest, Value};

const SUBJECTS: [Subject; 5] = [Value, Value, Highest, Lowest, Higher];

pub(super) fn pose(setting: &Setting, dice: &mut Dice) -> Posed {
    let subject = dice.pick(&SUBJECTS).unwrap_or(Value);
    let kind = dice.pick(&ChartKind::ALL).unwrap_or(ChartKind::Bar);
    let values = match kind {
        ChartKind::Pie => shares(dice.within(3, 4), dice),
        _ => free(dice.within(2, 4), dice),
    };
    let labels: Vec<usize> = (0..PRINTED.len())
        .filter(|&label| setting.compositions.allow_label(label, kind as usize))
        .collect();
    let values: Vec<(usize, usize)> = dice.shuffled(&labels).into_iter().zip(values).collect();
    // The value that was drawn first is the one that is asked for: it may stand anywhere.
    let order = dice.shuffled(&(0..values.len()).collect::<Vec<_>>());
    let target = order.iter().position(|&i| i == 0).unwrap_or(0);
    let values: Vec<(usize, usize)> = order.iter().map(|&i| values[i]).collect();
    let look = &setting.look;
    let scene = Chart::of(kind, &values, look.letters, look.clutter, dice);
    let first = ask(subject, &scene, target, dice);
    let asked = more(first, setting.turns, || {
        let subject = dice.pick(&SUBJECTS)?;
        Some(ask(subject, &scene, dice.below(scene.entries.len()), dice))
    });
    Posed { scene: Arc::new(scene), asked }
}

/// Values from 10 to 99 that clearly differ.
fn free(count: usize, dice: &mut Dice) -> Vec<usize> {
    let mut values: Vec<usize> = Vec::new();
    while values.len() < count {
        let value = dice.within(LEAST, 99);
        if values.iter().all(|other| value.abs_diff(*other) >= APART) {
            values.push(value);
        }
    }
    values
}

/// Values that add up to 100 and clearly differ; the first one is any from 10 to 56, each as
/// likely.
fn shares(count: usize, dice: &mut Dice) -> Vec<usize> {
    let first = dice.within(LEAST, MOST_SHARE);
    loop {
        let mut values = vec![first];
        let mut left = 100 - first;
        for others in (1..count - 1).rev() {
            let value = dice.within(LEAST, left - LEAST * others);
            values.push(value);
            left -= value;
        }
        values.push(left);
        let differ = |(i, value): (usize, &usize)| {
            values[..i].iter().all(|other| value.abs_diff(*other) >= APART)
        };
        if values.iter().enumerate().all(differ) {
            return values;
        }
    }
}

fn ask(subject: Subject, scene: &Chart, target: usize, dice: &mut Dice) -> Asked {
    let noun = scene.kind.entry();
    let by_colour = dice.coin();
    let label = |entry: &Entry| if by_colour { entry.colour.name() } else { entry.name() };
    let name = |entry: &Entry| {
        if by_colour { format!("the {} {noun}", label(entry)) } else { label(entry).to_string() }
    };
    let extreme = |word: &str, entry: Option<&Entry>| {
        let question = if by_colour {
            format!("what colour is the {word} {noun}?")
        } else {
            format!("which {noun} is the {word}?")
        };
        let labels = scene.entries.iter().map(|entry| label(entry).to_string()).collect();
        let claim = format!("is the {word} {noun} {{}}?");
        (question, entry.map(label).unwrap_or_default().into(), Domain::Listed(labels), claim)
    };
    let one = &scene.entries[target];
    let (kind, (question, answer, domain, claim)) = match subject {
        Value => {
            let name = name(one);
            let most = if scene.kind == ChartKind::Pie { MOST_SHARE } else { 99 };
            let question = format!("what is the value of {name}?");
            let claim = format!("is the value of {name} {{}}?");
            ("value", (question, one.value.to_string(), Domain::Number(LEAST, most), claim))
        }
        Highest => ("extreme", extreme("highest", scene.entries.iter().max_by_key(|e| e.value))),
        Lowest => ("extreme", extreme("lowest", scene.entries.iter().min_by_key(|e| e.value))),
        Higher => {
            let others = scene.entries.len() - 1;
            let other = &scene.entries[(target + 1 + dice.below(others)) % (others + 1)];
            let yes = dice.coin();
            let (one, other) =
                if (one.value > other.value) == yes { (one, other) } else { (other, one) };
            let question = format!("is {} higher than {}?", name(one), name(other));
            let answer = if yes { "yes" } else { "no" };
            ("higher", (question, answer.into(), Domain::Decision, String::new()))
        }
    };
    Asked { kind, question, answer, domain, claim, told: true }
}
