//! The mini world's benchmarks: one family of questions each, judged as what it miniatures is.

use std::path::Path;
use std::sync::Arc;

use eagle_core::data::{AnswerKey, DataError, Dataset, Sample};
use eagle_core::registry::{BenchmarkConfig, DatasetConfig, Misfit};
use eagle_core::score::anls::anls;
use eagle_core::score::pairs::{accuracy_and_plus, all_of_group};
use eagle_core::score::relaxed::relaxed_correctness;
use eagle_core::score::{
    Judged, Question, Statistic, Verdict, choice, exact_match, mean, mean_by_category, yes_no,
};

use crate::datasets::mini_world::{MiniWorld, Split};
use crate::world::compositions::Compositions;
use crate::world::questions::Family;

eagle_core::config! {
    /// One family of the mini world's questions on its test split. See docs/world.md.
    pub struct MiniVqa {
        /// What tables call it; none: `mini-colour` and so on, after the family.
        name: Option<String> = None,
        /// What is asked: Gqa, TextVqa, OcrBench, ChartQa, DocVqa, Pope, Mme, Sqa, Seed, MmBench;
        /// Colour, Shape, Count, Exist, Relation, Position, Word, Caption, Scenes.
        family: Family = Family::Colour,
        /// Number of questions. Each has a picture of its own; Mme's pairs and the four rounds of
        /// MmBench share one.
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
        match self.family {
            Family::DocVqa => "anls",
            Family::Pope => "f1",
            Family::Mme => "accuracy+",
            Family::MmBench => "circular-accuracy",
            _ => "accuracy",
        }
    }

    fn validate(&self) -> Result<(), Misfit> {
        let size = self.family.group_size();
        if !self.samples.is_multiple_of(size) {
            let message = format!("{size} questions count together: must be a multiple of {size}");
            return Err(Misfit::field("samples", message));
        }
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
            Family::Scenes => 96,
            _ => 12,
        }
    }

    fn judge(&self, question: &Question<'_>, prediction: &str) -> Verdict {
        let answer = question.answer;
        match self.family {
            Family::OcrBench => Verdict::right(prediction.to_lowercase().contains(answer)),
            Family::ChartQa => Verdict::right(relaxed_correctness(prediction.trim(), answer)),
            Family::DocVqa => Verdict::scored(anls(prediction, &[answer])),
            Family::Pope | Family::Mme => match yes_no::read_beginning(prediction) {
                Some(yes) => {
                    let said = yes_no::word(yes);
                    Verdict::right(said == answer).reading(said)
                }
                None => Verdict::right(false),
            },
            Family::Sqa | Family::Seed | Family::MmBench => {
                let said = choice::first_letter(prediction).to_uppercase();
                Verdict::right(said == answer).reading(said)
            }
            _ => Verdict::right(exact_match(prediction, answer)),
        }
    }

    fn summarise(&self, answers: &[Judged<'_>]) -> Vec<Statistic> {
        match self.family {
            Family::Pope => yes_no::summary(answers),
            Family::Mme => {
                let mut accuracy = mean("accuracy", answers);
                accuracy.scale.chance = Some(0.5);
                let plus = all_of_group(self.metric(), answers, Some(0.5));
                vec![plus, accuracy, accuracy_and_plus("score", answers)]
            }
            Family::MmBench => {
                vec![all_of_group(self.metric(), answers, None), mean("accuracy", answers)]
            }
            _ => {
                let mut all = vec![mean(self.metric(), answers)];
                if let Some(chance) = self.family.chance() {
                    all[0].scale.chance = Some(chance);
                }
                let parts = mean_by_category(self.metric(), answers);
                // What a guess gives is known of the whole.
                let unknown = |mut part: Statistic| {
                    part.scale.chance = part.scale.chance.filter(|chance| *chance > 0.0);
                    part
                };
                all.extend(parts.into_iter().map(unknown));
                all
            }
        }
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
        let world = self.world.fingerprint();
        match self.size {
            1 => world,
            // Its pictures are others than those of a data set of the same configuration.
            size => blake3::hash(format!("{world} {size}").as_bytes()).to_hex().to_string(),
        }
    }
}
