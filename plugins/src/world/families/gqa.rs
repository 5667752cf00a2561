//! `mini-gqa`: attributes, places, relations, counting and comparison of things.
//!
//! A thing is named by one attribute that no other shares, and asked for another one.

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
        let Some((scene, first)) = plan(subject, setting, dice) else { continue };
        let asked = more(first, setting.turns, || {
            let subject = dice.pick(&Subject::ALL)?;
            let targets = dice.shuffled(&(0..scene.items.len()).collect::<Vec<_>>());
            let by = dice.pick(&Attribute::NAMING)?;
            ask(subject, &scene, &targets, by)
        });
        return Posed { scene: Arc::new(scene), asked };
    }
}

/// A picture in which the answer, drawn first, is right, and the question; none where the
/// combinations that may be shown have no such picture.
fn plan(subject: Subject, setting: &Setting, dice: &mut Dice) -> Option<(StillLife, Asked)> {
    let by = dice.pick(&Attribute::NAMING)?;
    let (kinds, fits) = match subject {
        Subject::Attribute(attribute) => {
            let target = with(setting, &[(attribute, dice.bits()), (by, dice.bits())], dice)?;
            (alone(vec![target], number(setting, 1, dice), setting, dice)?, None)
        }
        Subject::Position => {
            let quarter = (dice.coin(), dice.coin());
            let kinds = alone(Vec::new(), number(setting, 1, dice), setting, dice)?;
            (kinds, Some(Fit::Quarter(quarter)))
        }
        Subject::Relation => {
            let side = dice.below(4);
            let kinds = alone(Vec::new(), number(setting, 2, dice), setting, dice)?;
            (kinds, Some(Fit::Side(side)))
        }
        Subject::Count => {
            let count = dice.within(1, 4);
            let others = dice.within(1, if count == 4 { 1 } else { 2 });
            (alike(by, count, others, setting, dice)?, None)
        }
        Subject::Same(attribute) => (pair(setting, attribute, dice)?, None),
        Subject::Larger => {
            let mut kinds = alone(Vec::new(), number(setting, 2, dice), setting, dice)?;
            kinds[0].large = dice.coin();
            kinds[1].large = !kinds[0].large;
            (kinds, None)
        }
    };
    // What lies in front is not to tell which thing is asked for.
    let order = dice.shuffled(&(0..kinds.len()).collect::<Vec<_>>());
    let shown: Vec<Kind> = order.iter().map(|&i| kinds[i]).collect();
    let targets: Vec<usize> =
        (0..kinds.len()).filter_map(|i| order.iter().position(|&at| at == i)).collect();
    let fit = |items: &[Item]| fits.as_ref().is_none_or(|fit| fit.holds(items, &targets));
    let scene = StillLife::arrange(&shown, setting.look.clutter, fit, dice);
    let asked = ask(subject, &scene, &targets, by)?;
    Some((scene, asked))
}

/// Where things have to lie.
enum Fit {
    Quarter((bool, bool)),
    Side(usize),
}

impl Fit {
    fn holds(&self, items: &[Item], targets: &[usize]) -> bool {
        match self {
            Self::Quarter(wanted) => quarter(&items[targets[0]]) == Some(*wanted),
            Self::Side(wanted) => side(&items[targets[0]], &items[targets[1]]) == Some(*wanted),
        }
    }
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

/// Things in a picture where no question decides their number.
fn number(setting: &Setting, least: usize, dice: &mut Dice) -> usize {
    let (fewest, most) = setting.look.things;
    let fewest = fewest.max(least);
    dice.within(fewest, most.max(fewest))
}

/// A kind whose attributes are the ones that the numbers stand for, the others by chance.
fn with(setting: &Setting, fixed: &[(Attribute, u64)], dice: &mut Dice) -> Option<Kind> {
    let value = |attribute: Attribute, bits: u64| {
        let values = attribute.domain().values();
        values[((u128::from(bits) * values.len() as u128) >> 64) as usize].clone()
    };
    // The name is that of another attribute than the one that is asked for.
    let fixed: Vec<(Attribute, String)> =
        fixed.iter().map(|&(a, bits)| (a, value(a, bits))).collect();
    let fits = |kind: &Kind| {
        let mut named = fixed.iter().filter(|(attribute, _)| *attribute != Size);
        named.all(|(attribute, value)| attribute.of(kind) == value)
    };
    let mut kind = Kind::draw(setting.compositions, fits, dice)?;
    if let Some((_, size)) = fixed.iter().find(|(attribute, _)| *attribute == Size) {
        kind.large = size == "large";
    }
    Some(kind)
}

/// These kinds and others up to `count`, of which no two share colour, shape or texture.
fn alone(
    mut kinds: Vec<Kind>,
    count: usize,
    setting: &Setting,
    dice: &mut Dice,
) -> Option<Vec<Kind>> {
    while kinds.len() < count {
        let fits = |kind: &Kind| kinds.iter().all(|other| kind.shared(other) == 0);
        kinds.push(Kind::draw(setting.compositions, fits, dice)?);
    }
    Some(kinds)
}

/// `count` kinds that share one attribute and differ in the other two, then `others` that don't.
fn alike(
    by: Attribute,
    count: usize,
    others: usize,
    setting: &Setting,
    dice: &mut Dice,
) -> Option<Vec<Kind>> {
    let first = with(setting, &[(by, dice.bits())], dice)?;
    let mut kinds = vec![first];
    while kinds.len() < count {
        let fits = |kind: &Kind| {
            by.of(kind) == by.of(&first) && kinds.iter().all(|other| kind.shared(other) == 1)
        };
        kinds.push(Kind::draw(setting.compositions, fits, dice)?);
    }
    for _ in 0..others {
        let fits = |kind: &Kind| {
            by.of(kind) != by.of(&first) && kinds.iter().all(|other| kind.shared(other) <= 1)
        };
        kinds.push(Kind::draw(setting.compositions, fits, dice)?);
    }
    Some(kinds)
}

/// Two kinds of different shapes that share `attribute` or don't, a coin decides, and others that
/// share nothing.
fn pair(setting: &Setting, attribute: Attribute, dice: &mut Dice) -> Option<Vec<Kind>> {
    let mut kinds = alone(Vec::new(), number(setting, 2, dice), setting, dice)?;
    let same = dice.coin();
    if attribute == Size {
        kinds[1].large = same == kinds[0].large;
    } else if same {
        let fits = |kind: &Kind| {
            attribute.of(kind) == attribute.of(&kinds[0])
                && kind.shared(&kinds[0]) == 1
                && kinds[2..].iter().all(|other| kind.shared(other) == 0)
        };
        let large = kinds[1].large;
        kinds[1] = Kind { large, ..Kind::draw(setting.compositions, fits, dice)? };
    }
    Some(kinds)
}

/// The question about these things of a picture, the ones asked for first; none if it can't be
/// asked of them. `by` is how the first one is named, and what is counted.
fn ask(subject: Subject, scene: &StillLife, targets: &[usize], by: Attribute) -> Option<Asked> {
    let item = scene.items.get(*targets.first()?)?;
    let kind = item.kind();
    match subject {
        Subject::Attribute(attribute) => {
            let name = name(scene, &kind, by, attribute)?;
            let answer = attribute.of(&kind);
            let asks = attribute.name();
            let question = match attribute {
                Shape => format!("which shape is {}?", name.strip_suffix(" shape")?),
                _ => format!("what {asks} is the {name}?"),
            };
            let claim = if attribute == Shape {
                format!("is the {name} a {{}}?")
            } else {
                format!("is the {name} {{}}?")
            };
            Some(asked(asks, question, answer, attribute.domain(), claim))
        }
        Subject::Position => {
            let name = name(scene, &kind, by, Size)?;
            let answer = match quarter(item)? {
                (false, false) => "top left",
                (true, false) => "top right",
                (false, true) => "bottom left",
                (true, true) => "bottom right",
            };
            let question = format!("where is the {name}?");
            let claim = format!("is the {name} at the {{}}?");
            Some(Asked {
                told: false,
                ..asked("position", question, answer, Domain::Quarter, claim)
            })
        }
        Subject::Relation => {
            let other = scene.items.get(*targets.get(1)?)?;
            let (one, other_name) =
                (name(scene, &kind, by, Size)?, name(scene, &other.kind(), by, Size)?);
            let answer = ["left", "right", "above", "below"][side(item, other)?];
            let question = format!("where is the {one} relative to the {other_name}?");
            let claim = format!("is the {one} to the {{}} of the {other_name}?");
            Some(Asked { told: false, ..asked("relation", question, answer, Domain::Side, claim) })
        }
        Subject::Count => {
            let alike = |other: &&Item| by.of(&other.kind()) == by.of(&kind);
            let count = scene.items.iter().filter(alike).count();
            let counted = by.plural(&kind);
            let question = format!("how many {counted} are there?");
            let claim = format!("is the number of {counted} {{}}?");
            Some(asked("count", question, &count.to_string(), Domain::Number(1, 4), claim))
        }
        Subject::Same(attribute) => {
            let other = scene.items.get(*targets.get(1)?)?.kind();
            let (one, other_name) =
                (name(scene, &kind, Shape, Size)?, name(scene, &other, Shape, Size)?);
            let answer = if attribute.of(&kind) == attribute.of(&other) { "yes" } else { "no" };
            let asks = attribute.name();
            let question = format!("is the {asks} of the {one} and the {other_name} the same?");
            Some(asked("same", question, answer, Domain::Decision, String::new()))
        }
        Subject::Larger => {
            let other = scene.items.get(*targets.get(1)?)?.kind();
            let (one, other_name) = (name(scene, &kind, by, Size)?, name(scene, &other, by, Size)?);
            let answer = if kind.large { "yes" } else { "no" };
            let question = format!("is the {one} larger than the {other_name}?");
            (kind.large != other.large)
                .then(|| asked("larger", question, answer, Domain::Decision, String::new()))
        }
    }
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
