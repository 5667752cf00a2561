//! A scene and what is asked of it, made for each other.

use eagle_core::data::Turn;

use super::dice::Dice;
use super::questions::{Counted, DESCRIBE, Family, Told, ask};
use super::scene::{Alike, Brief, Scene, compose};

/// What the picture of one sample may look like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Look {
    /// Heights of printed letters, least and largest, as fractions of the picture's side.
    pub letters: (f32, f32),
    /// From 0 (a plain background) to 1.
    pub clutter: f32,
    /// Things in a picture, least and most, where no question decides their number.
    pub things: (usize, usize),
}

/// A scene and at most `turns` questions about it, at least one: the first is of `families[0]`,
/// the others go round through `families`.
///
/// One scene is never asked for a number and for a relation: the latter needs two things, which
/// would say something about the number. A caption comes last, because it tells everything.
#[must_use]
pub fn conversation(
    families: &[Family],
    turns: usize,
    look: Look,
    dice: &mut Dice,
) -> (Scene, Vec<Turn>) {
    let mut asked: Vec<Family> = families.iter().copied().cycle().take(turns.max(1)).collect();
    let conflict = match asked.iter().find(|f| matches!(f, Family::Count | Family::Relation)) {
        Some(Family::Count) => Some(Family::Relation),
        Some(_) => Some(Family::Count),
        None => None,
    };
    asked.retain(|&family| Some(family) != conflict);
    let first = asked.first().copied();
    asked.sort_by_key(|&family| family == Family::Caption);

    let (brief, count) = plan(&asked, look, dice);
    loop {
        let scene = compose(&brief, dice);
        let mut told = Told { things: vec![false; scene.things.len()], turns: Vec::new() };
        // The first family has the first choice of things; were it refused because of another's
        // question, scenes would be chosen by that question's answer.
        let order = first.into_iter().chain(skip_one(&asked, first));
        let mut refused = false;
        for (i, family) in order.enumerate() {
            let turn = ask(family, &scene, count, &mut told, dice);
            match turn {
                Some(turn) if told.turns.iter().all(|t| t.question != turn.question) => {
                    told.turns.push(turn);
                }
                Some(_) => {}
                None => refused |= i == 0,
            }
        }
        if !refused {
            told.turns.sort_by_key(|turn| turn.question == DESCRIBE);
            return (scene, told.turns);
        }
    }
}

/// The scene that these questions need. The numbers of things are fixed here, once, so that no
/// later choice among scenes can favour one of them.
fn plan(asked: &[Family], look: Look, dice: &mut Dice) -> (Brief, Counted) {
    let has = |family| asked.contains(&family);
    let print = has(Family::Word) || (has(Family::Caption) && dice.coin());
    let (least, most) = look.things;
    let least = least.max(if has(Family::Relation) { 2 } else { 1 });
    let mut brief = Brief {
        things: dice.within(least, most.max(least)),
        alike: Alike::Nothing,
        print: print.then_some(look.letters),
        clutter: look.clutter,
    };
    let mut counted = Counted::Everything;
    if has(Family::Count) {
        let number = dice.within(1, 4);
        let others = dice.within(1, if number == 4 { 1 } else { 2 });
        (counted, brief.alike, brief.things) = match dice.below(3) {
            0 => (Counted::Everything, Alike::Nothing, number),
            1 => (Counted::SameShape, Alike::Shape(number), number + others),
            _ => (Counted::SameColour, Alike::Colour(number), number + others),
        };
    } else if asked.iter().all(|&family| family == Family::Word) {
        brief.things = dice.within(0, 2);
    }
    (brief, counted)
}

fn skip_one(asked: &[Family], first: Option<Family>) -> impl Iterator<Item = Family> {
    let at = asked.iter().position(|&family| Some(family) == first);
    asked.iter().enumerate().filter(move |(i, _)| Some(*i) != at).map(|(_, &family)| family)
}
