//! `MiniWorld`: questions about pictures drawn from a seed. See [`crate::world`].

use std::path::Path;
use std::sync::Arc;

use eagle_core::data::{DataError, Dataset, Picture, Sample};
use eagle_core::registry::{DatasetConfig, Misfit};
use serde::{Deserialize, Serialize};

use crate::world::conversation::{Look, conversation};
use crate::world::dice::{Dice, key};
use crate::world::questions::Family;

/// Part of the fingerprint: raised with every change of what a seed draws or asks.
const GENERATOR: u32 = 1;

eagle_core::config! {
    /// Questions about synthetic pictures drawn from a seed; nothing is read from disk.
    pub struct MiniWorld {
        /// Which of three sets of pictures, Train, Validation or Test; they share none, whatever
        /// the seeds.
        split: Split = Split::Train,
        /// What is asked, in turn: sample `i` begins with family `i mod n`. Colour, Shape, Count,
        /// Exist, Relation, Position, Word, Caption.
        families: Vec<Family> =
            vec![Family::Colour, Family::Shape, Family::Count, Family::Exist, Family::Position],
        /// Number of samples, each with a picture of its own.
        samples: usize = 32_000,
        /// Questions per picture, at most; a picture with little in it gets fewer. More of them
        /// teach more per encoded picture. 1 to judge by.
        turns: usize = 1,
        /// Another seed, other pictures.
        seed: u64 = 0,
        /// Heights of printed letters, least and largest, as fractions of the picture's side: 0.1
        /// is 6 pixels at 64. At most 0.3.
        letters: (f32, f32) = (0.12, 0.2),
        /// Scratches, uneven light and noise: from 0 (none) to 1.
        clutter: f32 = 0.5,
        /// Things in a picture, least and most, from 1 to 4. A count decides by itself, a relation
        /// needs two. With (1, 1) nothing can be mixed up: a first lesson.
        things: (usize, usize) = (1, 4),
    }
}

eagle_core::register!(dataset MiniWorld);

/// Which of three sets of pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Split {
    /// To learn from.
    Train,
    /// To choose by.
    Validation,
    /// To report.
    Test,
}

impl DatasetConfig for MiniWorld {
    fn validate(&self) -> Result<(), Misfit> {
        let (least, largest) = self.letters;
        if self.families.is_empty() {
            return Err(Misfit::field("families", "nothing is asked").help("name at least Colour"));
        }
        if self.samples == 0 {
            return Err(Misfit::field("samples", "must be at least 1"));
        }
        if self.turns == 0 {
            return Err(Misfit::field("turns", "must be at least 1"));
        }
        if !(0.0 < least && least <= largest && largest <= 0.3) {
            let message = "are (least, largest) with 0 < least <= largest <= 0.3";
            return Err(Misfit::field("letters", message));
        }
        let (fewest, most) = self.things;
        if !(1 <= fewest && fewest <= most && most <= 4) {
            let message = "are (least, most) with 1 <= least <= most <= 4";
            return Err(Misfit::field("things", message));
        }
        if !(0.0..=1.0).contains(&self.clutter) {
            return Err(Misfit::field("clutter", "lies between 0 and 1"));
        }
        Ok(())
    }

    fn open(&self, _: &Path) -> Result<Arc<dyn Dataset>, DataError> {
        Ok(Arc::new(self.clone()))
    }
}

impl MiniWorld {
    /// The seed of one picture. Its two topmost bits are the split's: no two splits share one.
    fn picture_seed(&self, index: usize) -> u64 {
        (self.split as u64) << 62 | key(&[self.seed, index as u64]) >> 2
    }
}

impl Split {
    /// Its name in a sample's id.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }
}

impl Dataset for MiniWorld {
    fn len(&self) -> usize {
        self.samples
    }

    fn sample(&self, index: usize) -> Result<Sample, DataError> {
        let mut dice = Dice::new(self.picture_seed(index));
        let first = self.families[index % self.families.len()];
        let others: Vec<Family> = self.families.iter().copied().filter(|&f| f != first).collect();
        let mut families = vec![first];
        families.extend(dice.shuffled(&others));
        let look = Look { letters: self.letters, clutter: self.clutter, things: self.things };
        let (scene, turns) = conversation(&families, self.turns, look, &mut dice);
        let annotations = Some(Arc::new(scene.annotations()));
        Ok(Sample {
            annotations,
            id: format!("mini-world/{}/{}/{index}", self.split.name(), self.seed),
            picture: Some(Picture::Drawn(Arc::new(scene))),
            turns,
            ..Sample::default()
        })
    }

    fn fingerprint(&self) -> String {
        let text = format!("mini-world {GENERATOR} {self:?}");
        blake3::hash(text.as_bytes()).to_hex().to_string()
    }
}
