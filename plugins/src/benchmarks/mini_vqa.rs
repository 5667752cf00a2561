//! The mini world's benchmarks: one question about each of the test split's pictures, of one family,
//! judged by exact match.

use std::path::Path;
use std::sync::Arc;

use eagle_core::data::{AnswerKey, DataError, Dataset, Sample};
use eagle_core::registry::{BenchmarkConfig, DatasetConfig, Misfit};
use eagle_core::score::{Question, Verdict, exact_match};

use crate::datasets::mini_world::{MiniWorld, Split};
use crate::world::compositions::Compositions;
use crate::world::questions::Family;

eagle_core::config! {
    /// One family of the mini world's questions on its test split.
    pub struct MiniVqa {
        /// What tables call it; none: `mini-colour` and so on, after the family.
        name: Option<String> = None,
        /// What is asked: Colour, Shape, Count, Exist, Relation, Position, Word, Caption.
        family: Family = Family::Colour,
        /// Number of questions, each about a picture of its own.
        samples: usize = 200,
        /// Another seed, other pictures.
        seed: u64 = 0,
        /// Heights of printed letters, least and largest, as fractions of the picture's side.
        /// None: as for `MiniWorld`.
        letters: Option<(f32, f32)> = None,
        /// Scratches, uneven light and noise: from 0 (none) to 1.
        clutter: f32 = 0.5,
        /// Things in a picture, least and most, from 1 to 4. A count decides by itself.
        things: (usize, usize) = (1, 4),
        /// Which set of pictures: Test to report, Validation to choose by.
        split: Split = Split::Test,
        /// Which combinations pictures of the named families show: Any, Seen, HeldOut (those that
        /// training never shows). None: Any.
        compositions: Option<Compositions> = None,
    }
}

eagle_core::register!(benchmark MiniVqa);

impl MiniVqa {
    /// The benchmark that tables call so by default: `mini-chartqa`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let mut all = Family::all().map(|family| Self { family, ..Self::default() });
        all.find(|benchmark| benchmark.name() == name)
    }

    /// What tables call them by default.
    #[must_use]
    pub fn names() -> Vec<String> {
        Family::all().map(|family| Self { family, ..Self::default() }.name()).collect()
    }

    fn world(&self) -> MiniWorld {
        MiniWorld {
            split: self.split,
            families: vec![self.family],
            samples: self.samples,
            turns: 1,
            seed: self.seed,
            letters: self.letters,
            clutter: self.clutter,
            things: self.things,
            compositions: self.compositions,
        }
    }
}

impl BenchmarkConfig for MiniVqa {
    fn name(&self) -> String {
        let family = || format!("mini-{:?}", self.family).to_lowercase();
        self.name.clone().unwrap_or_else(family)
    }

    fn metric(&self) -> &'static str {
        "accuracy"
    }

    fn validate(&self) -> Result<(), Misfit> {
        self.world().validate()
    }

    fn open(&self, _: &Path) -> Result<Arc<dyn Dataset>, DataError> {
        let world = self.world();
        let size = self.family.group_size();
        Ok(Arc::new(Questions { world, family: self.family, size }))
    }

    fn max_new_tokens(&self) -> usize {
        match self.family {
            Family::Caption => 64,
            _ => 12,
        }
    }

    fn judge(&self, question: &Question<'_>, prediction: &str) -> Verdict {
        Verdict::right(exact_match(prediction, question.answer))
    }
}

/// The questions: those that count together one after the other.
#[derive(Debug)]
struct Questions {
    world: MiniWorld,
    family: Family,
    /// Questions in a group.
    size: usize,
}

impl Dataset for Questions {
    fn len(&self) -> usize {
        self.world.samples
    }

    fn sample(&self, index: usize) -> Result<Sample, DataError> {
        if self.size == 1 {
            return self.world.sample(index);
        }
        let (group, member) = (index / self.size, index % self.size);
        let id = self.world.id(index);
        let mut sample = self.world.named(self.family, id, group, Some(member));
        let mut key = sample.key.map(|key| AnswerKey::clone(&key)).unwrap_or_default();
        key.group = Some(group.to_string());
        sample.key = Some(Arc::new(key));
        Ok(sample)
    }

    fn fingerprint(&self) -> String {
        self.world.fingerprint()
    }
}
