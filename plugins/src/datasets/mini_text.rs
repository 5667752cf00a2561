//! `MiniText`: the mini world in words alone, for an LLM to learn its language from.

use std::path::Path;
use std::sync::Arc;

use eagle_core::data::{DataError, Dataset, Sample, Turn};
use eagle_core::registry::{DatasetConfig, Misfit};
use serde::{Deserialize, Serialize};

use super::mini_world::{MiniWorld, Split};
use crate::world::dice::{Dice, key};
use crate::world::families::Setting;
use crate::world::lexicon::PRINTED;
use crate::world::questions::Family;

/// Part of the fingerprint: raised with every change of what a seed says.
const GENERATOR: u32 = 1;

/// What a sample is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sort {
    /// A description of a picture, after no question.
    Caption,
    /// Words and numbers to say again: how they are spelled.
    Echo,
    /// A description of a picture, then questions that it answers.
    Described,
}

eagle_core::config! {
    /// Text about the mini world, without pictures: captions, spelled words and numbers, and
    /// questions about pictures that are described in words.
    pub struct MiniText {
        /// Which of three sets, Train, Validation or Test; they share no described picture.
        split: Split = Split::Train,
        /// What samples are, in turn: Caption, Echo, Described.
        sorts: Vec<Sort> = vec![Sort::Caption, Sort::Echo, Sort::Described],
        /// The families of `MiniWorld` that have pictures of their own, in turn: what is described
        /// and asked. Questions that a description doesn't answer (where something is) are left out.
        families: Vec<Family> = Family::NAMED.to_vec(),
        /// Number of samples.
        samples: usize = 32_000,
        /// Questions about a described picture, at most.
        turns: usize = 2,
        /// Another seed, other texts.
        seed: u64 = 0,
    }
}

eagle_core::register!(dataset MiniText);

impl DatasetConfig for MiniText {
    fn validate(&self) -> Result<(), Misfit> {
        if self.sorts.is_empty() {
            return Err(Misfit::field("sorts", "nothing is said").help("name at least Caption"));
        }
        if let Some(family) = self.families.iter().find(|family| !family.has_own_pictures()) {
            let names: Vec<String> = Family::NAMED.iter().map(|f| format!("{f:?}")).collect();
            let message = format!("{family:?} is no family with pictures of its own");
            return Err(Misfit::field("families", message).help(format!(
                "there are {} and Scenes",
                names.join(", ")
            )));
        }
        for (field, value) in [
            ("families", self.families.len()),
            ("samples", self.samples),
            ("turns", self.turns),
        ] {
            if value == 0 {
                return Err(Misfit::field(field, "must be at least 1"));
            }
        }
        Ok(())
    }

    fn open(&self, _: &Path) -> Result<Arc<dyn Dataset>, DataError> {
        Ok(Arc::new(self.clone()))
    }
}

impl MiniText {
    fn sort(&self, index: usize) -> Sort {
        self.sorts[index % self.sorts.len()]
    }

    /// The turns of a sample about a picture that isn't shown.
    fn told(&self, sort: Sort, index: usize) -> Vec<Turn> {
        let family = self.families[(index / self.sorts.len()) % self.families.len()];
        let world = MiniWorld { split: self.split, seed: self.seed, ..MiniWorld::default() };
        let setting = Setting { turns: self.turns, ..world.setting() };
        // Only this stream decides: what is left out depends on nothing else.
        let mut dice = world.dice(index);
        loop {
            let lesson = crate::world::families::lesson(family, &setting, None, &mut dice);
            let caption = lesson.annotations.caption;
            if sort == Sort::Caption {
                return vec![Turn { question: String::new(), answer: caption }];
            }
            if lesson.told {
                let mut turns = lesson.turns;
                if let Some(first) = turns.first_mut() {
                    first.question = format!("{caption}.\n{}", first.question);
                }
                return turns;
            }
        }
    }
}

/// One to three words or numbers.
fn echo(dice: &mut Dice) -> Vec<Turn> {
    let said = (0..dice.within(1, 3)).map(|_| {
        if dice.coin() {
            PRINTED[dice.below(PRINTED.len())].to_string()
        } else {
            let least = [1, 10, 100, 1000][dice.below(4)];
            dice.within(least, 10 * least - 1).to_string()
        }
    });
    let answer = said.collect::<Vec<_>>().join(", ");
    vec![Turn { question: format!("say {answer}."), answer }]
}

impl Dataset for MiniText {
    fn len(&self) -> usize {
        self.samples
    }

    fn sample(&self, index: usize) -> Result<Sample, DataError> {
        let turns = match self.sort(index) {
            Sort::Echo => {
                echo(&mut Dice::new(key(&[self.split as u64, self.seed, index as u64])))
            }
            sort => self.told(sort, index),
        };
        let id = format!("mini-text/{}/{}/{index}", self.split.name(), self.seed);
        Ok(Sample { id, turns, ..Sample::default() })
    }

    fn fingerprint(&self) -> String {
        let world = crate::datasets::mini_world::GENERATOR;
        let text = format!("mini-text {GENERATOR} {world} {self:?}");
        blake3::hash(text.as_bytes()).to_hex().to_string()
    }
}
