//! Things of several sizes and textures, the ones in front hiding a little of those behind.

use eagle_core::data::Draw;
use eagle_core::data::annotations::{Annotations, Object};
use image::RgbImage;

use super::Scene;
use crate::world::canvas::Canvas;
use crate::world::classes::Class;
use crate::world::compositions::Compositions;
use crate::world::dice::Dice;
use crate::world::lexicon::{Colour, Shape, Texture};
use crate::world::scene::{Backdrop, Thing, backdrop, jitter};

/// Things on a ground.
#[derive(Debug, Clone, PartialEq)]
pub struct StillLife {
    /// The things, the ones in front last.
    pub items: Vec<Item>,
    /// What lies behind them.
    pub backdrop: Backdrop,
}

/// One thing.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// Its outline, place and main colour.
    pub thing: Thing,
    /// Its surface.
    pub texture: Texture,
    /// Whether it is one of the large ones.
    pub large: bool,
}

/// What a thing is, apart from its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// Its colour.
    pub colour: Colour,
    /// Its shape.
    pub shape: Shape,
    /// Its surface.
    pub texture: Texture,
    /// Whether it is large.
    pub large: bool,
}

impl Kind {
    /// How many of colour, shape and texture two things share.
    #[must_use]
    pub fn shared(&self, other: &Kind) -> usize {
        usize::from(self.colour == other.colour)
            + usize::from(self.shape == other.shape)
            + usize::from(self.texture == other.texture)
    }

    /// "large striped red circle".
    #[must_use]
    pub fn name(&self) -> String {
        format!("{} {}", size(self.large), self.sort())
    }

    /// "striped red circle".
    #[must_use]
    pub fn sort(&self) -> String {
        format!("{} {} {}", self.texture.name(), self.colour.name(), self.shape.name())
    }

    /// One that `fits`, of a size by chance, if there is one. Each is as likely.
    pub fn draw(
        compositions: Compositions,
        fits: impl Fn(&Kind) -> bool,
        dice: &mut Dice,
    ) -> Option<Kind> {
        let large = dice.coin();
        let mut fitting = Vec::new();
        for colour in Colour::ALL {
            for shape in Shape::ALL {
                for texture in Texture::ALL {
                    let kind = Kind { colour, shape, texture, large };
                    if compositions.allow_thing(colour, shape, texture) && fits(&kind) {
                        fitting.push(kind);
                    }
                }
            }
        }
        dice.pick(&fitting)
    }
}

/// The name of a size.
#[must_use]
pub fn size(large: bool) -> &'static str {
    if large { "large" } else { "small" }
}

impl Item {
    /// What it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        Kind {
            colour: self.thing.colour,
            shape: self.thing.shape,
            texture: self.texture,
            large: self.large,
        }
    }
}

impl StillLife {
    /// These things, the ones in front last, at places that `fit`, on a ground with `clutter`.
    pub fn arrange(
        kinds: &[Kind],
        clutter: f32,
        fit: impl Fn(&[Item]) -> bool,
        dice: &mut Dice,
    ) -> Self {
        let mut crowd = 1.0;
        loop {
            if let Some(items) = place(kinds, crowd, dice).filter(|items| fit(items)) {
                return Self { items, backdrop: backdrop(clutter, dice) };
            }
            crowd = f32::max(crowd * 0.995, 0.5);
        }
    }
}

/// Places at which no thing hides more than a little of another; `crowd` scales the sizes.
fn place(kinds: &[Kind], crowd: f32, dice: &mut Dice) -> Option<Vec<Item>> {
    let mut items: Vec<Item> = Vec::with_capacity(kinds.len());
    for kind in kinds {
        let radius =
            if kind.large { dice.between(0.135, 0.165) } else { dice.between(0.07, 0.09) } * crowd;
        let near = |x: f32, y: f32, item: &Item| {
            let (dx, dy) = (x - item.thing.x, y - item.thing.y);
            let apart = 0.86 * (radius + item.thing.radius);
            dx * dx + dy * dy < apart * apart
        };
        let mut tries = (0..30).map(|_| {
            let x = dice.between(radius, 1.0 - radius);
            (x, dice.between(radius, 1.0 - radius))
        });
        let (x, y) = tries.find(|&(x, y)| !items.iter().any(|item| near(x, y, item)))?;
        let thing = Thing {
            shape: kind.shape,
            colour: kind.colour,
            ink: jitter(kind.colour.rgb(), 14, dice),
            x,
            y,
            radius,
            turn: dice.between(-0.12, 0.12),
        };
        items.push(Item { thing, texture: kind.texture, large: kind.large });
    }
    Some(items)
}

impl Draw for StillLife {
    fn draw(&self, width: u32, height: u32) -> RgbImage {
        let mut canvas = Canvas::on(&self.backdrop, width, height);
        for item in &self.items {
            canvas.item(item);
        }
        canvas.finish(self.backdrop.light, self.backdrop.noise, self.backdrop.grain)
    }
}

impl Scene for StillLife {
    /// The caption names everything from left to right.
    fn annotations(&self) -> Annotations {
        let mut items: Vec<&Item> = self.items.iter().collect();
        items.sort_by(|a, b| a.thing.x.total_cmp(&b.thing.x));
        let names: Vec<String> = items.iter().map(|item| item.kind().name()).collect();
        Annotations {
            caption: names.join(", "),
            objects: self.items.iter().map(Item::object).collect(),
            glyphs: Vec::new(),
        }
    }
}

impl Item {
    pub(super) fn object(&self) -> Object {
        Object { class: Class::from(self.thing.shape) as usize, outline: self.thing.outline() }
    }
}
