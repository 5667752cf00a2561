//! Pictures that the answer to a question, drawn first, is right about.

use super::Attribute::{self, Size};
use super::{Subject, ask, quarter, side};
use crate::world::dice::Dice;
use crate::world::families::{Asked, Setting};
use crate::world::scenes::still_life::{Item, Kind, StillLife};

/// A picture in which the answer, drawn first, is right, and the question; none where the
/// combinations that may be shown have no such picture.
pub(super) fn plan(
    subject: Subject,
    setting: &Setting,
    dice: &mut Dice,
) -> Option<(StillLife, Asked)> {
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
