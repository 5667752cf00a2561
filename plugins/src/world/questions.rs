//! What can be asked of a scene, with the answer known by construction.
//!
//! No answer can be guessed from its question: shapes and colours are drawn alike, and where a
//! scene decides how often an answer is right (yes or no, a side, a number), the answer is drawn
//! first, uniformly, and the scene or the question is made to fit. Only a later turn about the
//! same picture is left out where it doesn't fit, which tilts the answers of later turns by a few
//! per cent.

use eagle_core::data::Turn;
use serde::{Deserialize, Serialize};

use super::dice::Dice;
use super::lexicon::{Colour, Shape};
use super::scene::{Scene, Thing};

/// A kind of question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Family {
    /// "what colour is the circle?": six colours.
    Colour,
    /// "which shape is red?": six shapes.
    Shape,
    /// "how many circles are there?": 1 to 4.
    Count,
    /// "is there a red circle?": yes or no, as often.
    Exist,
    /// "where is the circle relative to the star?": left, right, above, below.
    Relation,
    /// "where is the circle?": top left, top right, bottom left, bottom right.
    Position,
    /// "what word is printed?": one of 48 words, spelled.
    Word,
    /// "describe the picture.": everything from left to right, then the printed word.
    Caption,
    /// Attributes, places, relations, counting, comparison of things of several sizes and textures.
    Gqa,
    /// "what word is on the red sign?": words and numbers of several sizes.
    TextVqa,
    /// "what is written in the picture?": words, numbers, letters, lines.
    OcrBench,
    /// "what is the value of cat?", "which bar is the highest?": bar, line and pie charts.
    ChartQa,
    /// "what is the total?": the values of a form.
    DocVqa,
    /// "is there a striped red circle in the picture?": what isn't there is random, popular, or nearly
    /// there.
    Pope,
    /// Two questions about each picture, one to affirm and one to deny.
    Mme,
    /// "what comes after cat?": multiple choice about a diagram.
    Sqa,
    /// Multiple choice about every kind of picture.
    Seed,
    /// The same, each question once for every rotation of its choices.
    MmBench,
    /// "describe the picture.": a picture of any of the kinds above; the caption spells what is
    /// printed.
    Scenes,
}

impl Family {
    /// Those that ask about one kind of picture, several of them about the same one.
    pub const ELEMENTARY: [Self; 8] = [
        Self::Colour,
        Self::Shape,
        Self::Count,
        Self::Exist,
        Self::Relation,
        Self::Position,
        Self::Word,
        Self::Caption,
    ];
}

/// What asks for a caption.
pub(super) const DESCRIBE: &str = "describe the picture.";

/// What earlier turns of a conversation have said.
pub(super) struct Told {
    /// Per thing, whether a turn was about it: a second one could be answered from the first.
    pub things: Vec<bool>,
    /// In the order in which they were asked.
    pub turns: Vec<Turn>,
}

/// What a question for a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counted {
    /// All things.
    Everything,
    /// Those that share the first one's shape.
    SameShape,
    /// Those that share the first one's colour.
    SameColour,
}

/// A question of `family` that `scene` can answer, if there is one.
pub(super) fn ask(
    family: Family,
    scene: &Scene,
    counted: Counted,
    told: &mut Told,
    dice: &mut Dice,
) -> Option<Turn> {
    match family {
        Family::Colour => {
            let i = untold(scene, told, dice, |thing| alone(scene, thing, same_shape))?;
            told.things[i] = true;
            let thing = &scene.things[i];
            Some(turn(format!("what colour is the {}?", thing.shape.name()), thing.colour.name()))
        }
        Family::Shape => {
            let i = untold(scene, told, dice, |thing| alone(scene, thing, same_colour))?;
            told.things[i] = true;
            let thing = &scene.things[i];
            Some(turn(format!("which shape is {}?", thing.colour.name()), thing.shape.name()))
        }
        Family::Count => count(scene, counted, told),
        Family::Exist => exist(scene, told, dice),
        Family::Relation => relation(scene, told, dice),
        Family::Position => position(scene, told, dice),
        Family::Word => Some(turn("what word is printed?", scene.print.as_ref()?.word)),
        Family::Caption => Some(turn(DESCRIBE, &caption(scene))),
        // These have pictures of their own.
        _ => None,
    }
}

/// Tells of everything that is counted by its shape or colour.
fn count(scene: &Scene, counted: Counted, told: &mut Told) -> Option<Turn> {
    let first = scene.things.first()?;
    let (kind, alike): (String, fn(&Thing, &Thing) -> bool) = match counted {
        Counted::Everything => {
            let number = scene.things.len().to_string();
            return Some(turn("how many shapes are there?", &number));
        }
        Counted::SameShape => (first.shape.plural().into(), same_shape),
        Counted::SameColour => (format!("{} shapes", first.colour.name()), same_colour),
    };
    let mut number = 0;
    for (thing, told) in scene.things.iter().zip(&mut told.things) {
        if alike(first, thing) {
            *told = true;
            number += 1;
        }
    }
    Some(turn(format!("how many {kind} are there?"), &number.to_string()))
}

fn exist(scene: &Scene, told: &mut Told, dice: &mut Dice) -> Option<Turn> {
    let yes = dice.coin();
    // Looked for even if the answer is to be no: else a scene of which all is told could only
    // be asked for what it lacks.
    let i = untold(scene, told, dice, |_| true)?;
    let has_shape = |shape| scene.things.iter().any(|thing| thing.shape == shape);
    let has_colour = |colour| scene.things.iter().any(|thing| thing.colour == colour);
    let (shape, colour) = (scene.things[i].shape, scene.things[i].colour);
    let what = match (dice.below(3), yes) {
        (0, true) => format!("a {}", shape.name()),
        (1, true) => format!("{} shape", colour.with_article()),
        (_, true) => format!("{} {}", colour.with_article(), shape.name()),
        (0, false) => {
            let absent: Vec<Shape> = Shape::ALL.into_iter().filter(|&s| !has_shape(s)).collect();
            format!("a {}", dice.pick(&absent)?.name())
        }
        (1, false) => {
            let absent: Vec<Colour> = Colour::ALL.into_iter().filter(|&c| !has_colour(c)).collect();
            format!("{} shape", dice.pick(&absent)?.with_article())
        }
        (_, false) => {
            // The shape or the colour is there, on something else: neither alone decides.
            let pairs = Shape::ALL.into_iter().flat_map(|s| Colour::ALL.map(|c| (s, c)));
            let absent: Vec<(Shape, Colour)> = pairs
                .filter(|&(s, c)| has_shape(s) || has_colour(c))
                .filter(|&(s, c)| scene.things.iter().all(|t| (t.shape, t.colour) != (s, c)))
                .collect();
            let (shape, colour) = dice.pick(&absent)?;
            format!("{} {}", colour.with_article(), shape.name())
        }
    };
    told.things[i] |= yes;
    Some(turn(format!("is there {what}?"), if yes { "yes" } else { "no" }))
}

fn relation(scene: &Scene, told: &mut Told, dice: &mut Dice) -> Option<Turn> {
    let (dx, dy, answer) = dice.pick(&[
        (-1.0, 0.0, "left"),
        (1.0, 0.0, "right"),
        (0.0, -1.0, "above"),
        (0.0, 1.0, "below"),
    ])?;
    let free: Vec<usize> = (0..scene.things.len()).filter(|&i| !told.things[i]).collect();
    let pairs: Vec<(usize, usize)> = free
        .iter()
        .flat_map(|&a| free.iter().map(move |&b| (a, b)))
        .filter(|(a, b)| a != b)
        .collect();
    let clearly = |&(a, b): &(usize, usize)| {
        let (a, b) = (&scene.things[a], &scene.things[b]);
        let along = (a.x - b.x) * dx + (a.y - b.y) * dy;
        let across = (a.x - b.x) * dy + (a.y - b.y) * dx;
        along > 0.2 && along > 1.6 * across.abs()
    };
    let (a, b) = dice.shuffled(&pairs).into_iter().find(clearly)?;
    let (one, other) = (name(scene, a, dice)?, name(scene, b, dice)?);
    (told.things[a], told.things[b]) = (true, true);
    Some(turn(format!("where is the {one} relative to the {other}?"), answer))
}

fn position(scene: &Scene, told: &mut Told, dice: &mut Dice) -> Option<Turn> {
    let (right, below) = (dice.coin(), dice.coin());
    let i = untold(scene, told, dice, |thing| {
        let (x, y) = (thing.x - 0.5, thing.y - 0.5);
        x.abs() > 0.08 && y.abs() > 0.08 && (x > 0.0) == right && (y > 0.0) == below
    })?;
    let name = name(scene, i, dice)?;
    told.things[i] = true;
    let answer = match (below, right) {
        (false, false) => "top left",
        (false, true) => "top right",
        (true, false) => "bottom left",
        (true, true) => "bottom right",
    };
    Some(turn(format!("where is the {name}?"), answer))
}

/// Everything from left to right, then the printed word.
pub(super) fn caption(scene: &Scene) -> String {
    let mut things: Vec<&Thing> = scene.things.iter().collect();
    things.sort_by(|a, b| a.x.total_cmp(&b.x));
    let names = things.iter().map(|t| format!("{} {}", t.colour.name(), t.shape.name()));
    let word = scene.print.iter().map(|print| format!("the word {}", print.word));
    names.chain(word).collect::<Vec<_>>().join(", ")
}

/// A phrase that means this thing and no other, if there is one.
fn name(scene: &Scene, i: usize, dice: &mut Dice) -> Option<String> {
    let thing = &scene.things[i];
    let by_shape = alone(scene, thing, same_shape).then(|| thing.shape.name().to_string());
    let by_colour =
        alone(scene, thing, same_colour).then(|| format!("{} shape", thing.colour.name()));
    if dice.coin() { by_shape.or(by_colour) } else { by_colour.or(by_shape) }
}

/// A thing of which no turn has told, and for which `fits` holds, by chance.
fn untold(
    scene: &Scene,
    told: &Told,
    dice: &mut Dice,
    fits: impl Fn(&Thing) -> bool,
) -> Option<usize> {
    let fitting: Vec<usize> =
        (0..scene.things.len()).filter(|&i| !told.things[i] && fits(&scene.things[i])).collect();
    dice.pick(&fitting)
}

fn alone(scene: &Scene, thing: &Thing, alike: fn(&Thing, &Thing) -> bool) -> bool {
    scene.things.iter().filter(|other| alike(thing, other)).count() == 1
}

fn same_shape(a: &Thing, b: &Thing) -> bool {
    a.shape == b.shape
}

fn same_colour(a: &Thing, b: &Thing) -> bool {
    a.colour == b.colour
}

fn turn(question: impl Into<String>, answer: &str) -> Turn {
    Turn { question: question.into(), answer: answer.into() }
}
