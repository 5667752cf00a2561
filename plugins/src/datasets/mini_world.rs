//! `MiniWorld`: questions about pictures drawn from a seed. See [`crate::world`].

use std::path::Path;
use std::sync::Arc;

use eagle_core::data::{DataError, Dataset, Picture, Sample};
use serde::{Deserialize, Serialize};

use crate::world::conversation::{Look, conversation};
use crate::world::dice::{Dice, key};
use crate::world::questions::Family;

/// Part of the fingerprint: raised with every change of what a seed draws or asks.
const GENERATOR: u32 = 1;

/// Questions about pictures drawn from a seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MiniWorld {
    /// Which of three sets of pictures; they share none, whatever the seeds.
    pub split: Split,
    /// What is asked, in turn: sample `i` begins with family `i mod n`.
    pub families: Vec<Family>,
    /// Number of samples, each with a picture of its own.
    pub samples: usize,
    /// Questions per picture, at most; a picture with little in it gets fewer. More of them teach
    /// more per encoded picture. 1 to judge by.
    pub turns: usize,
    /// Another seed, other pictures.
    pub seed: u64,
    /// Heights of printed letters, least and largest, as fractions of the picture's side: 0.1
    /// is 6 pixels at 64. At most 0.3.
    pub letters: (f32, f32),
    /// Scratches, uneven light and noise: from 0 (none) to 1.
    pub clutter: f32,
}

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

impl Default for MiniWorld {
    fn default() -> Self {
        Self {
            split: Split::Train,
            families: vec![
                Family::Colour,
                Family::Shape,
                Family::Count,
                Family::Exist,
                Family::Position,
            ],
            samples: 32_000,
            turns: 1,
            seed: 0,
            letters: (0.12, 0.2),
            clutter: 0.5,
        }
    }
}

impl MiniWorld {
    /// The data set. It reads no file.
    ///
    /// # Errors
    /// A field out of its range.
    pub fn open(&self, _base: &Path) -> Result<Arc<dyn Dataset>, DataError> {
        let wrong = |detail: &str| {
            Err(DataError::Config { dataset: "MiniWorld", detail: detail.to_string() })
        };
        let (least, largest) = self.letters;
        if self.families.is_empty() {
            return wrong("`families` is empty: name at least one, such as Colour");
        }
        if self.samples == 0 || self.turns == 0 {
            return wrong("`samples` and `turns` are at least 1");
        }
        if !(0.0 < least && least <= largest && largest <= 0.3) {
            return wrong("`letters` are (least, largest) with 0 < least <= largest <= 0.3");
        }
        if !(0.0..=1.0).contains(&self.clutter) {
            return wrong("`clutter` lies between 0 and 1");
        }
        Ok(Arc::new(self.clone()))
    }

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
        let look = Look { letters: self.letters, clutter: self.clutter };
        let (scene, turns) = conversation(&families, self.turns, look, &mut dice);
        Ok(Sample {
            id: format!("mini-world/{}/{}/{index}", self.split.name(), self.seed),
            picture: Some(Picture::Drawn(Arc::new(scene))),
            turns,
        })
    }

    fn fingerprint(&self) -> String {
        let text = format!("mini-world {GENERATOR} {self:?}");
        blake3::hash(text.as_bytes()).to_hex().to_string()
    }
}
