//! The mini world's benchmarks: one question about each of the test split's pictures, of one family,
//! judged by exact match.

use std::path::Path;
use std::sync::Arc;

use eagle_core::data::{DataError, Dataset};
use eagle_core::registry::{BenchmarkConfig, DatasetConfig, Misfit};
use eagle_core::score::{Question, Verdict, exact_match};

use crate::datasets::mini_world::{MiniWorld, Split};
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
        letters: (f32, f32) = (0.12, 0.2),
        /// Scratches, uneven light and noise: from 0 (none) to 1.
        clutter: f32 = 0.5,
        /// Things in a picture, least and most, from 1 to 4. A count decides by itself.
        things: (usize, usize) = (1, 4),
    }
}

eagle_core::register!(benchmark MiniVqa);

impl MiniVqa {
    fn world(&self) -> MiniWorld {
        MiniWorld {
            split: Split::Test,
            families: vec![self.family],
            samples: self.samples,
            turns: 1,
            seed: self.seed,
            letters: self.letters,
            clutter: self.clutter,
            things: self.things,
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

    fn open(&self, base: &Path) -> Result<Arc<dyn Dataset>, DataError> {
        self.world().open(base)
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
