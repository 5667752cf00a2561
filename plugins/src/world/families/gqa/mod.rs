//! `mini-gqa`: attributes, places, relations, counting and comparison of things.
//!
//! A thing is named by one attribute that no other shares, and asked for another one.

mod plan;

use std::sync::Arc;

use super::{Asked, Domain, Posed, Setting, more};
use crate::world::dice::Dice;
use crate::world::scenes::still_life::{Item, Kind, StillLife, size};

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    /// A thing's colour, shape, texture or size.
    Attribute(Attribute),
    /// In which quarter of the picture it lies.
    Position,
    /// Where it lies relative to another.
    Relation,
    /// How many share an attribute.
    Count,
    /// Whether two share this attribute.
    Same(Attribute),
    /// Whether one is larger.
    Larger,
}

/// One of the things that can be said of a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attribute {
    Colour,
    Shape,
    Texture,
    Size,
}

use Attribute::{Colour, Shape, Size, Texture};

impl Subject {
    pub(super) const ALL: [Self; 9] = [
        Self::Attribute(Colour),
        Self::Attribute(Shape),
        Self::Attribute(Texture),
        Self::Attribute(Size),
        Self::Position,
        Self::Relation,
        Self::Count,
        Self::Same(Size),
        Self::Larger,
    ];

    /// A subject to make a picture for.
    fn draw(dice: &mut Dice) -> Self {
        match dice.pick(&Self::ALL).unwrap_or(Self::Count) {
            Self::Same(_) => Self::Same(dice.pick(&[Colour, Texture, Size]).unwrap_or(Size)),
            subject => subject,
        }
    }
}

impl Attribute {
    const NAMING: [Self; 3] = [Colour, Shape, Texture];

    fn of(self, kind: &Kind) -> &'static str {
        match self {
            Colour => kind.colour.name(),
            Shape => kind.shape.name(),
            Texture => kind.texture.name(),
            Size => size(kind.large),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Colour => "colour",
            Shape => "shape",
            Texture => "texture",
            Size => "size",
        }
    }

    fn domain(self) -> Domain {
        match self {
            Colour => Domain::Colour,
            Shape => Domain::Shape,
            Texture => Domain::Texture,
            Size => Domain::Size,
        }
    }

    /// "circle", "red shape".
    fn phrase(self, kind: &Kind) -> String {
        match self {
            Shape => kind.shape.name().into(),
            _ => format!("{} shape", self.of(kind)),
        }
    }

    fn plural(self, kind: &Kind) -> String {
        match self {
            Shape => kind.shape.plural().into(),
            _ => format!("{} shapes", self.of(kind)),
        }
    }
}

/// A picture, and the question that it was made for, first.
pub(super) fn pose(setting: &Setting, dice: &mut Dice) -> Posed {
    let subject = Subject::draw(dice);
    pose_about(subject, setting, dice)
}

pub(super) fn pose_about(subject: Subject, setting: &Setting, dice: &mut Dice) -> Posed {
    loop {
        let Some((scene, first)) = plan::plan(subject, setting, dice) else { continue };
        let asked = more(first, setting.turns, || {
            let subject = dice.pick(&Subject::ALL)?;
            let targets = dice.shuffled(&(0..scene.items.len()).collect::<Vec<_>>());
            let by = dice.pick(&Attribute::NAMING)?;
            ask(subject, &scene, &targets, by)
        });
        return Posed { scene: Arc::new(scene), asked };
    }
}

/// The question about these things of a picture, the ones asked for first; none if it can't be
/// asked of them. `by` is how they are named, and what is counted.
fn ask(subject: Subject, scene: &StillLife, targets: &[usize], by: Attribute) -> Option<Asked> {
    let item = scene.items.get(*targets.first()?)?;
    let other = targets.get(1).and_then(|&i| scene.items.get(i));
    match subject {
        Subject::Attribute(attribute) => of_attribute(attribute, scene, &item.kind(), by),
        Subject::Position => of_position(scene, item, by),
        Subject::Relation => of_relation(scene, item, other?, by),
        Subject::Count => Some(of_count(scene, &item.kind(), by)),
        Subject::Same(attribute) => of_same(attribute, scene, &item.kind(), &other?.kind()),
        Subject::Larger => of_larger(scene, &item.kind(), &other?.kind(), by),
    }
}

fn of_attribute(
    attribute: Attribute,
    scene: &StillLife,
    kind: &Kind,
    by: Attribute,
) -> Option<Asked> {
    let name = name(scene, kind, by, attribute)?;
    let asks = attribute.name();
    let (question, claim) = match attribute {
        Shape => {
            let question = format!("which shape is {}?", name.strip_suffix(" shape")?);
            (question, format!("is the {name} a {{}}?"))
        }
        _ => (format!("what {asks} is the {name}?"), format!("is the {name} {{}}?")),
    };
    Some(asked(asks, question, attribute.of(kind), attribute.domain(), claim))
}

fn of_position(scene: &StillLife, item: &Item, by: Attribute) -> Option<Asked> {
    let name = name(scene, &item.kind(), by, Size)?;
    let answer = match quarter(item)? {
        (false, false) => "top left",
        (true, false) => "top right",
        (false, true) => "bottom left",
        (true, true) => "bottom right",
    };
    let question = format!("where is the {name}?");
    let claim = format!("is the {name} at the {{}}?");
    Some(Asked { told: false, ..asked("position", question, answer, Domain::Quarter, claim) })
}

fn of_relation(scene: &StillLife, item: &Item, other: &Item, by: Attribute) -> Option<Asked> {
    let one = name(scene, &item.kind(), by, Size)?;
    let another = name(scene, &other.kind(), by, Size)?;
    let answer = ["left", "right", "above", "below"][side(item, other)?];
    let question = format!("where is the {one} relative to the {another}?");
    // Nobody says whether something is "to the above" of another.
    let claim = String::new();
    Some(Asked { told: false, ..asked("relation", question, answer, Domain::Side, claim) })
}

fn of_count(scene: &StillLife, kind: &Kind, by: Attribute) -> Asked {
    let alike = |other: &&Item| by.of(&other.kind()) == by.of(kind);
    let count = scene.items.iter().filter(alike).count();
    let counted = by.plural(kind);
    let question = format!("how many {counted} are there?");
    let claim = format!("is the number of {counted} {{}}?");
    asked("count", question, &count.to_string(), Domain::Number(1, 4), claim)
}

fn of_same(attribute: Attribute, scene: &StillLife, one: &Kind, other: &Kind) -> Option<Asked> {
    let (first, second) = (name(scene, one, Shape, Size)?, name(scene, other, Shape, Size)?);
    let answer = decision(attribute.of(one) == attribute.of(other));
    let asks = attribute.name();
    let question = format!("is the {asks} of the {first} and the {second} the same?");
    Some(asked("same", question, answer, Domain::Decision, String::new()))
}

fn of_larger(scene: &StillLife, one: &Kind, other: &Kind, by: Attribute) -> Option<Asked> {
    let (first, second) = (name(scene, one, by, Size)?, name(scene, other, by, Size)?);
    let question = format!("is the {first} larger than the {second}?");
    let asked = asked("larger", question, decision(one.large), Domain::Decision, String::new());
    (one.large != other.large).then_some(asked)
}

fn decision(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}

/// Whether a thing lies on the right and below, if it clearly lies in a quarter.
fn quarter(item: &Item) -> Option<(bool, bool)> {
    let (x, y) = (item.thing.x - 0.5, item.thing.y - 0.5);
    (x.abs() > 0.08 && y.abs() > 0.08).then_some((x > 0.0, y > 0.0))
}

/// 0 to 3: left, right, above, below; none where it isn't clear.
fn side(item: &Item, other: &Item) -> Option<usize> {
    let (dx, dy) = (item.thing.x - other.thing.x, item.thing.y - other.thing.y);
    let (along, across) = if dx.abs() > dy.abs() { (dx, dy) } else { (dy, dx) };
    let clear = along.abs() > 0.2 && along.abs() > 1.6 * across.abs();
    clear.then_some(2 * usize::from(dx.abs() <= dy.abs()) + usize::from(along > 0.0))
}

/// The phrase that means this thing alone: by `by`, which must not be what is asked for.
fn name(scene: &StillLife, kind: &Kind, by: Attribute, not: Attribute) -> Option<String> {
    let shares = |item: &&Item| by.of(&item.kind()) == by.of(kind);
    (by != not && scene.items.iter().filter(shares).count() == 1).then(|| by.phrase(kind))
}

fn asked(
    kind: &'static str,
    question: String,
    answer: &str,
    domain: Domain,
    claim: String,
) -> Asked {
    Asked { kind, question, answer: answer.into(), domain, claim, told: true }
}
