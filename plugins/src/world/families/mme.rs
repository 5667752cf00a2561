//! `mini-mme`: two questions about each picture, one to affirm and one to deny.

use std::sync::Arc;

use eagle_core::data::{AnswerKey, Turn};

use super::gqa::{self, Attribute, Subject};
use super::{Asked, Lesson, Posed, Setting, chart_qa, doc_vqa, finished, pope, text_vqa};
use crate::world::dice::Dice;

/// Both questions in turn; or the one of this `member`, 0 or 1, whose pair is a group. Which of the
/// two is affirmed is left to chance.
pub(super) fn lesson(setting: &Setting, member: Option<usize>, dice: &mut Dice) -> Lesson {
    let single = Setting { turns: 1, ..*setting };
    let (posed, category, pair) = loop {
        if let Some(pair) = draw(&single, dice) {
            break pair;
        }
    };
    let mut turns = pair
        .map(|(question, yes)| Turn { question, answer: if yes { "yes" } else { "no" }.into() });
    if dice.coin() {
        turns.reverse();
    }
    let told = posed.asked.iter().all(|asked| asked.told);
    let turns = match member {
        Some(member) => turns.into_iter().skip(member % 2).take(1).collect(),
        None => turns.into_iter().take(setting.turns).collect(),
    };
    let key = AnswerKey { category: Some(category.into()), ..AnswerKey::default() };
    Lesson { told, ..finished(&posed.scene, turns, Some(key)) }
}

/// A picture, its category, and the questions to affirm and to deny.
type Pair = (Posed, &'static str, [(String, bool); 2]);

fn draw(setting: &Setting, dice: &mut Dice) -> Option<Pair> {
    let about = |subject, dice: &mut Dice| gqa::pose_about(subject, setting, dice);
    let (category, posed) = match dice.below(8) {
        0 => {
            let (posed, lacking) = pope::pair(setting, dice)?;
            let there = posed.asked.first()?.question.clone();
            return Some((posed, "existence", [(there, true), (lacking, false)]));
        }
        1 => ("count", about(Subject::Count, dice)),
        2 => ("position", about(Subject::Position, dice)),
        3 => ("colour", about(Subject::Attribute(Attribute::Colour), dice)),
        4 => ("texture", about(Subject::Attribute(Attribute::Texture), dice)),
        5 => ("ocr", text_vqa::pose(setting, dice)),
        6 => ("chart", chart_qa::pose(setting, dice)),
        _ => ("form", doc_vqa::pose(setting, dice)),
    };
    let asked: &Asked = posed.asked.first()?;
    let wrong = asked.domain.others(&asked.answer, 1, dice).pop()?;
    if asked.claim.is_empty() {
        return None;
    }
    let claims = [(asked.answer.as_str(), true), (wrong.as_str(), false)]
        .map(|(value, yes)| (asked.claim.replace("{}", value), yes));
    Some((Posed { scene: Arc::clone(&posed.scene), asked: posed.asked.clone() }, category, claims))
}
