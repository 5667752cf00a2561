//! `mini-sqa`: multiple choice about a diagram: what comes before or after, where it begins or ends.

use std::sync::Arc;

use super::{Asked, Domain, Posed, Setting, more};
use crate::world::dice::Dice;
use crate::world::scenes::diagram::{Diagram, Node};

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    After,
    Before,
    First,
    Last,
}

use Subject::{After, Before, First, Last};

/// Boxes: one more where a question names one, so that four are left to choose from.
pub(super) fn pose(setting: &Setting, dice: &mut Dice) -> Posed {
    let subject = dice.pick(&[After, Before, First, Last]).unwrap_or(After);
    let named = matches!(subject, After | Before);
    let look = &setting.look;
    let surroundings = (look.clutter, setting.compositions);
    let scene = Diagram::draw_chain(if named { 5 } else { 4 }, look.letters, surroundings, dice);
    let first = ask(subject, &scene, dice);
    let subjects: &[Subject] = if named { &[After, Before] } else { &[First, Last] };
    let asked = more(first, setting.turns, || Some(ask(dice.pick(subjects)?, &scene, dice)));
    Posed { scene: Arc::new(scene), asked }
}

fn ask(subject: Subject, scene: &Diagram, dice: &mut Dice) -> Asked {
    let nodes = &scene.nodes;
    let step = dice.below(nodes.len() - 1);
    let (earlier, later) = (nodes[step].name(), nodes[step + 1].name());
    let (kind, question, answer, named, claim) = match subject {
        After => {
            let claim = format!("does {{}} come after {earlier}?");
            ("after", format!("what comes after {earlier}?"), later, Some(earlier), claim)
        }
        Before => {
            let claim = format!("does {{}} come before {later}?");
            ("before", format!("what comes before {later}?"), earlier, Some(later), claim)
        }
        First => {
            let (question, claim) = ("where does it begin?", "does it begin at {}?");
            ("first", question.into(), nodes[0].name(), None, claim.into())
        }
        Last => {
            let (question, claim) = ("where does it end?", "does it end at {}?");
            ("last", question.into(), nodes[nodes.len() - 1].name(), None, claim.into())
        }
    };
    let choices = nodes.iter().map(Node::name).filter(|name| Some(*name) != named);
    let domain = Domain::Listed(choices.map(String::from).collect());
    Asked { kind, question, answer: answer.into(), domain, claim, told: true }
}
