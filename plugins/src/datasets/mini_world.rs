//! `MiniWorld`: questions about pictures drawn from a seed. See [`crate::world`].

use std::path::Path;
use std::sync::Arc;

use eagle_core::data::{DataError, Dataset, Picture, Sample};
use eagle_core::registry::{DatasetConfig, Misfit};
use serde::{Deserialize, Serialize};

use crate::world::compositions::Compositions;
use crate::world::conversation::{Look, conversation};
use crate::world::dice::{Dice, key};
use crate::world::families::{Setting, lesson};
use crate::world::questions::Family;

/// Part of the fingerprint: raised with every change of what a seed draws or asks.
pub(super) const GENERATOR: u32 = 2;
/// The same of the elementary families alone, whose pictures the named ones don't touch.
const ELEMENTARY: u32 = 1;

eagle_core::config! {
    /// Questions about synthetic pictures drawn from a seed; nothing is read from disk.
    pub struct MiniWorld {
        /// Which of three sets of pictures, Train, Validation or Test; they share none, whatever
        /// the seeds.
        split: Split = Split::Train,
        /// What is asked, in turn: sample `i` begins with family `i mod n`. Elementary: Colour, Shape,
        /// Count, Exist, Relation, Position, Word, Caption. With pictures of their own: Gqa, TextVqa,
        /// OcrBench, ChartQa, DocVqa, Pope, Mme, Sqa, Seed, MmBench; Scenes: captions of those.
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
        /// is 6 pixels at 64. At most 0.3; smaller where there is no room. None: (0.12, 0.2) for the
        /// elementary families, (0.06, 0.2) for the others.
        letters: Option<(f32, f32)> = None,
        /// Scratches, uneven light and noise: from 0 (none) to 1.
        clutter: f32 = 0.5,
        /// Things in a picture, least and most, from 1 to 4. A count decides by itself, a relation
        /// needs two. With (1, 1) nothing can be mixed up: a first lesson.
        things: (usize, usize) = (1, 4),
        /// Which combinations (colour, shape and texture; print and typeface; label and place)
        /// pictures of the named families show: Any, Seen, HeldOut. None: Seen to train on, Any in
        /// the other splits.
        compositions: Option<Compositions> = None,
    }
}

eagle_core::register!(dataset MiniWorld);

/// Heights of letters where none are given.
const ELEMENTARY_LETTERS: (f32, f32) = (0.12, 0.2);
const NAMED_LETTERS: (f32, f32) = (0.06, 0.2);

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
        let (least, largest) = self.letters.unwrap_or(NAMED_LETTERS);
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
        if self.split == Split::Train && !matches!(self.compositions, None | Some(Compositions::Seen))
        {
            let message = "training never shows what is held out";
            return Err(Misfit::field("compositions", message).help("leave it out, or say Seen"));
        }
        Ok(())
    }

    fn open(&self, _: &Path) -> Result<Arc<dyn Dataset>, DataError> {
        Ok(Arc::new(self.clone()))
    }

    fn annotates(&self) -> bool {
        true
    }
}

impl MiniWorld {
    /// A sample of a family with pictures of its own: picture number `picture`, and all questions
    /// about it, or the one at `member` of its group.
    pub(crate) fn named(
        &self,
        family: Family,
        id: String,
        picture: usize,
        member: Option<usize>,
    ) -> Sample {
        let mut dice = self.dice(picture);
        let setting = self.setting();
        let lesson = lesson(family, &setting, member, &mut dice);
        Sample {
            id,
            picture: Some(Picture::Drawn(lesson.picture)),
            turns: lesson.turns,
            annotations: Some(Arc::new(lesson.annotations)),
            key: lesson.key.map(Arc::new),
        }
    }

    /// What errors call a sample.
    pub(crate) fn id(&self, index: usize) -> String {
        format!("mini-world/{}/{}/{index}", self.split.name(), self.seed)
    }

    /// The chance that makes one picture.
    pub(crate) fn dice(&self, picture: usize) -> Dice {
        Dice::new(self.picture_seed(picture))
    }

    /// How pictures of the named families are made.
    pub(crate) fn setting(&self) -> Setting {
        let compositions = self.compositions.unwrap_or(match self.split {
            Split::Train => Compositions::Seen,
            Split::Validation | Split::Test => Compositions::Any,
        });
        Setting { look: self.look(NAMED_LETTERS), compositions, turns: self.turns }
    }

    fn look(&self, letters: (f32, f32)) -> Look {
        let letters = self.letters.unwrap_or(letters);
        Look { letters, clutter: self.clutter, things: self.things }
    }

    /// What elementary pictures depend on. `compositions` is no part of it.
    fn elementary(&self) -> String {
        let Self { split, families, samples, turns, seed, clutter, things, .. } = self;
        let letters = self.letters.unwrap_or(ELEMENTARY_LETTERS);
        format!(
            "mini-world {ELEMENTARY} MiniWorld {{ split: {split:?}, families: {families:?}, samples: \
             {samples:?}, turns: {turns:?}, seed: {seed:?}, letters: {letters:?}, clutter: {clutter:?}, \
             things: {things:?} }}"
        )
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
        let family = self.families[index % self.families.len()];
        let id = self.id(index);
        if family.has_own_pictures() {
            return Ok(self.named(family, id, index, None));
        }
        let mut dice = self.dice(index);
        let beside = |other: &Family| *other != family && !other.has_own_pictures();
        let others: Vec<Family> = self.families.iter().copied().filter(beside).collect();
        let mut families = vec![family];
        families.extend(dice.shuffled(&others));
        let (scene, turns) =
            conversation(&families, self.turns, self.look(ELEMENTARY_LETTERS), &mut dice);
        Ok(Sample {
            id,
            annotations: Some(Arc::new(scene.annotations())),
            picture: Some(Picture::Drawn(Arc::new(scene))),
            turns,
            key: None,
        })
    }

    fn fingerprint(&self) -> String {
        let text = if self.families.iter().any(|family| family.has_own_pictures()) {
            format!("mini-world {GENERATOR} {self:?}")
        } else {
            self.elementary()
        };
        blake3::hash(text.as_bytes()).to_hex().to_string()
    }
}
