//! The named families: questions in the manner of a benchmark, each about pictures made for it.
//!
//! The answer is drawn first, uniformly, then a picture that it fits and the question. Further
//! questions about the same picture are for training: their answers may be a little uneven.

use std::sync::Arc;

use eagle_core::data::annotations::Annotations;
use eagle_core::data::{AnswerKey, Draw, Turn};

use super::compositions::Compositions;
use super::conversation::Look;
use super::dice::Dice;
use super::lexicon::{Colour, PRINTED, Shape, Texture};
use super::questions::{DESCRIBE, Family};
use super::scenes::Scene;

mod chart_qa;
mod choice;
mod doc_vqa;
mod gqa;
mod mme;
mod ocr_bench;
mod pope;
mod sqa;
mod text_vqa;

/// How pictures and questions are made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Setting {
    /// What pictures look like.
    pub look: Look,
    /// Which combinations they show.
    pub compositions: Compositions,
    /// Questions about a picture, at most.
    pub turns: usize,
}

/// A picture, what is asked about it, and what is known of it.
#[derive(Debug, Clone)]
pub struct Lesson {
    /// The picture.
    pub picture: Arc<dyn Draw>,
    /// What experts are told.
    pub annotations: Annotations,
    /// Questions and answers; at least one.
    pub turns: Vec<Turn>,
    /// What a scorer has to know of the last turn, if that is more than its answer.
    pub key: Option<AnswerKey>,
    /// Whether the caption alone answers them all.
    pub told: bool,
}

/// A picture and open questions about it.
struct Posed {
    scene: Arc<dyn Scene>,
    asked: Vec<Asked>,
}

/// An open question with a known answer.
#[derive(Debug, Clone)]
struct Asked {
    /// What it asks for: `colour`.
    kind: &'static str,
    question: String,
    answer: String,
    /// What the answer is one of, each as likely.
    domain: Domain,
    /// The same as a statement to affirm or deny, `{}` in place of the answer.
    claim: String,
    /// Whether the caption answers it.
    told: bool,
}

/// What an answer is one of.
#[derive(Debug, Clone)]
enum Domain {
    Decision,
    Colour,
    Shape,
    Texture,
    Size,
    Side,
    Quarter,
    Number(usize, usize),
    Word,
    /// These, one of them being the answer.
    Listed(Vec<String>),
    /// Anything.
    Open,
}

impl Domain {
    fn values(&self) -> Vec<String> {
        let owned = |values: &[&str]| values.iter().map(|value| (*value).to_string()).collect();
        match self {
            Self::Decision => owned(&["yes", "no"]),
            Self::Colour => owned(&Colour::ALL.map(Colour::name)),
            Self::Shape => owned(&Shape::ALL.map(Shape::name)),
            Self::Texture => owned(&Texture::ALL.map(Texture::name)),
            Self::Size => owned(&["small", "large"]),
            Self::Side => owned(&["left", "right", "above", "below"]),
            Self::Quarter => owned(&["top left", "top right", "bottom left", "bottom right"]),
            Self::Number(least, most) => (*least..=*most).map(|n| n.to_string()).collect(),
            Self::Word => owned(&PRINTED),
            Self::Listed(values) => values.clone(),
            Self::Open => Vec::new(),
        }
    }

    /// `count` other values than `answer` by chance; fewer where there are no more.
    fn others(&self, answer: &str, count: usize, dice: &mut Dice) -> Vec<String> {
        let mut others: Vec<String> = Vec::new();
        if let Self::Number(least, most) = self
            && most - least > 100
        {
            while others.len() < count {
                let value = dice.within(*least, *most).to_string();
                if value != answer && !others.contains(&value) {
                    others.push(value);
                }
            }
            return others;
        }
        let values: Vec<String> = self.values().into_iter().filter(|v| v != answer).collect();
        let order: Vec<usize> = dice.shuffled(&(0..values.len()).collect::<Vec<_>>());
        order.into_iter().take(count).map(|i| values[i].clone()).collect()
    }
}

impl Family {
    /// The families that miniature a benchmark; a picture of theirs is made for one of them alone.
    pub const NAMED: [Self; 10] = [
        Self::Gqa,
        Self::TextVqa,
        Self::OcrBench,
        Self::ChartQa,
        Self::DocVqa,
        Self::Pope,
        Self::Mme,
        Self::Sqa,
        Self::Seed,
        Self::MmBench,
    ];

    /// Every family.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::ELEMENTARY.into_iter().chain(Self::NAMED).chain([Self::Scenes])
    }

    /// Whether [`lesson`] makes its pictures.
    #[must_use]
    pub fn has_own_pictures(self) -> bool {
        !Self::ELEMENTARY.contains(&self)
    }

    /// What the best guess from the question alone scores, where the choices don't say it.
    #[must_use]
    pub fn chance(self) -> Option<f64> {
        match self {
            Self::Colour | Self::Shape => Some(1.0 / 6.0),
            Self::Count | Self::Relation | Self::Position => Some(0.25),
            Self::Exist | Self::Pope | Self::Mme => Some(0.5),
            Self::Word => Some(1.0 / PRINTED.len() as f64),
            // Three of nine questions have six answers, three have four, three have two.
            Self::Gqa => Some((3.0 / 6.0 + 3.0 / 4.0 + 3.0 / 2.0) / 9.0),
            Self::TextVqa => Some((1.0 / PRINTED.len() as f64 + 1.0 / 90.0) / 2.0),
            Self::OcrBench => Some(0.01),
            // Of five: two values, of which a guess has a tenth within 5 %; two extremes, by
            // colour or by label; one comparison.
            Self::ChartQa => Some(0.17),
            // Short words are alike: a guess has some letters right.
            Self::DocVqa => Some(0.07),
            Self::Sqa | Self::Seed | Self::MmBench => Some(1.0 / choice::CHOICES as f64),
            Self::Caption | Self::Scenes => None,
        }
    }

    /// Questions of it that count together: a pair about one picture, the turns of a circle.
    #[must_use]
    pub fn group_size(self) -> usize {
        match self {
            Self::Mme => 2,
            Self::MmBench => choice::CHOICES,
            _ => 1,
        }
    }
}

/// A picture for `family` and questions about it. `member` is a question's place in its group, of
/// which only that one is asked; the same dice give the same group.
#[must_use]
pub fn lesson(family: Family, setting: &Setting, member: Option<usize>, dice: &mut Dice) -> Lesson {
    match family {
        Family::Pope => open(pope::pose(setting, dice)),
        Family::TextVqa => open(text_vqa::pose(setting, dice)),
        Family::OcrBench => open(ocr_bench::pose(setting, dice)),
        Family::ChartQa => open(chart_qa::pose(setting, dice)),
        Family::DocVqa => open(doc_vqa::pose(setting, dice)),
        Family::Sqa => choice::one(sqa::pose(setting, dice), dice),
        Family::Mme => mme::lesson(setting, member, dice),
        Family::Seed => choice::any(setting, dice),
        Family::MmBench => choice::circular(setting, member, dice),
        Family::Scenes => describe(any_scene(setting, dice)),
        _ => open(gqa::pose(setting, dice)),
    }
}

/// The questions as they are.
fn open(posed: Posed) -> Lesson {
    let turn =
        |asked: &Asked| Turn { question: asked.question.clone(), answer: asked.answer.clone() };
    let category = posed.asked.last().map(|asked| asked.kind.to_string());
    let turns = posed.asked.iter().map(turn).collect();
    let told = posed.asked.iter().all(|asked| asked.told);
    let key = AnswerKey { category, ..AnswerKey::default() };
    Lesson { told, ..finished(&posed.scene, turns, Some(key)) }
}

fn describe(posed: Posed) -> Lesson {
    let mut lesson = finished(&posed.scene, Vec::new(), None);
    let answer = lesson.annotations.caption.clone();
    lesson.turns.push(Turn { question: DESCRIBE.into(), answer });
    lesson
}

fn finished(scene: &Arc<dyn Scene>, turns: Vec<Turn>, key: Option<AnswerKey>) -> Lesson {
    let annotations = scene.annotations();
    Lesson { picture: scene.clone(), annotations, turns, key, told: true }
}

/// A picture of any kind.
fn any_scene(setting: &Setting, dice: &mut Dice) -> Posed {
    match dice.below(5) {
        0 => gqa::pose(setting, dice),
        1 => text_vqa::pose(setting, dice),
        2 => chart_qa::pose(setting, dice),
        3 => doc_vqa::pose(setting, dice),
        _ => sqa::pose(setting, dice),
    }
}

/// Adds further questions to a first one until there are `turns`; none is asked twice.
fn more(first: Asked, turns: usize, mut next: impl FnMut() -> Option<Asked>) -> Vec<Asked> {
    let mut asked = vec![first];
    for _ in 1..turns {
        let new = |one: &Asked| asked.iter().all(|other| other.question != one.question);
        let found = (0..4).find_map(|_| next().filter(new));
        asked.extend(found);
    }
    asked
}
