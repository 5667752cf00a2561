//! Multiple choice: `mini-sqa`'s form, `mini-seed` over everything, and `mini-mmbench`, which asks
//! each question once for every rotation of its choices.

use eagle_core::data::{AnswerKey, Turn};

use super::gqa::{self, Attribute, Subject};
use super::{Asked, Lesson, Posed, Setting, chart_qa, doc_vqa, finished, sqa, text_vqa};
use crate::world::dice::Dice;

/// Choices of every question.
pub(super) const CHOICES: usize = 4;

/// An open question with its choices, in an order of its own.
struct Choices<'a> {
    asked: &'a Asked,
    texts: Vec<String>,
}

impl Choices<'_> {
    /// The answer among others of its kind, all in a random order; none if there are too few.
    fn of<'a>(asked: &'a Asked, dice: &mut Dice) -> Option<Choices<'a>> {
        let mut texts = asked.domain.others(&asked.answer, CHOICES - 1, dice);
        if texts.len() < CHOICES - 1 {
            return None;
        }
        texts.insert(dice.below(CHOICES), asked.answer.clone());
        Some(Choices { asked, texts })
    }

    /// The same with its last choice first, `times` times.
    fn rotated(mut self, times: usize) -> Self {
        self.texts.rotate_right(times % CHOICES);
        self
    }

    fn turn(&self) -> Turn {
        let letter = |i: usize| char::from(b'A' + i as u8);
        let mut question = self.asked.question.clone();
        for (i, text) in self.texts.iter().enumerate() {
            question += &format!("\n{}. {text}", letter(i));
        }
        let right = self.texts.iter().position(|text| *text == self.asked.answer).unwrap_or(0);
        Turn { question, answer: letter(right).into() }
    }
}

/// The questions with choices; those without enough of them are left out.
pub(super) fn one(posed: Posed, dice: &mut Dice) -> Lesson {
    let choices: Vec<Choices<'_>> =
        posed.asked.iter().filter_map(|asked| Choices::of(asked, dice)).collect();
    finish(&posed, choices)
}

fn finish(posed: &Posed, choices: Vec<Choices<'_>>) -> Lesson {
    let key = choices.last().map(|last| AnswerKey {
        choices: last.texts.clone(),
        category: Some(last.asked.kind.to_string()),
        ..AnswerKey::default()
    });
    let told = choices.iter().all(|choices| choices.asked.told);
    let turns = choices.iter().map(Choices::turn).collect();
    Lesson { told, ..finished(&posed.scene, turns, key) }
}

/// A question of any kind that has four possible answers.
pub(super) fn any(setting: &Setting, dice: &mut Dice) -> Lesson {
    loop {
        let posed = pose(setting, dice);
        let choices: Vec<Choices<'_>> =
            posed.asked.iter().filter_map(|asked| Choices::of(asked, dice)).collect();
        // The first question is the one whose answer is even.
        if choices.first().is_some_and(|first| first.asked.question == posed.asked[0].question) {
            return finish(&posed, choices);
        }
    }
}

/// One question with its choices turned by `member`; by chance if there is none.
pub(super) fn circular(setting: &Setting, member: Option<usize>, dice: &mut Dice) -> Lesson {
    let single = Setting { turns: 1, ..*setting };
    loop {
        let posed = pose(&single, dice);
        let Some(choices) = Choices::of(&posed.asked[0], dice) else { continue };
        let times = member.unwrap_or_else(|| dice.below(CHOICES));
        return finish(&posed, vec![choices.rotated(times)]);
    }
}

fn pose(setting: &Setting, dice: &mut Dice) -> Posed {
    let subjects = [
        Subject::Attribute(Attribute::Colour),
        Subject::Attribute(Attribute::Shape),
        Subject::Attribute(Attribute::Texture),
        Subject::Position,
        Subject::Relation,
        Subject::Count,
    ];
    match dice.below(subjects.len() + 4) {
        0 => text_vqa::pose(setting, dice),
        1 => chart_qa::pose(setting, dice),
        2 => doc_vqa::pose(setting, dice),
        3 => sqa::pose(setting, dice),
        n => gqa::pose_about(subjects[n - 4], setting, dice),
    }
}
