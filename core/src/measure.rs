//! What a model is trained for, measured itself on held-out samples: an objective by its own metric,
//! an LLM by the share of the next tokens that it would have said.
//!
//! As with benchmarks there is a *blind* measurement, every picture shown as the mean colour of its
//! preparation: what is known without seeing.

use crate::data::{AnswerKey, Dataset};
use crate::evaluate::EvaluateError;
use crate::features::Frozen;
use crate::model::{Model, Teaches};
use crate::nn::ops::{self, Activation};
use crate::record::Prediction;
use crate::registry::{Judgement, NoTap, Target};
use crate::score::Verdict;
use crate::train::loader::{self, Batch, Drawn};
use crate::train::sequence::TextSpec;
use crate::train::taught::{self, Taught};

/// What is measured.
#[derive(Clone, Copy)]
pub enum Sink<'a> {
    /// The LLM's next tokens.
    Llm(&'a TextSpec),
    /// An objective.
    Objective(&'a Taught, Teaches<'a>),
}

/// The name of the LLM's metric.
pub const TOKEN_ACCURACY: &str = "token-accuracy";

/// What is measured, and on what.
pub struct Measurement<'a> {
    /// The model.
    pub model: &'a Model,
    /// What is measured.
    pub sink: Sink<'a>,
    /// The held-out samples.
    pub dataset: &'a dyn Dataset,
    /// The frozen encoders whose features of the samples' pictures are kept.
    pub frozen: &'a Frozen,
    /// Whether the pictures are withheld.
    pub blind: bool,
    /// Samples in a forward pass.
    pub batch: usize,
}

/// The judgement of every sample that asks something, in the order of the data set. `watch` hears how
/// many are done, and stops the measurement by returning `false`; the result is `None` then.
///
/// # Errors
/// A sample can't be used, or an operation fails.
pub fn measure(
    what: &Measurement<'_>,
    watch: &mut dyn FnMut(usize, usize) -> bool,
) -> Result<Option<Vec<Prediction>>, EvaluateError> {
    let none = Frozen::none(what.model);
    let views = matches!(what.sink, Sink::Objective(taught, _) if taught.measured_views > 1);
    let frozen = if what.blind || views { &none } else { what.frozen };
    let mut predictions = Vec::new();
    let mut seen = Readings::default();
    let all: Vec<usize> = (0..what.dataset.len()).collect();
    for chunk in all.chunks(what.batch.max(1)) {
        let drawn = |&index: &usize| {
            let sample = what.dataset.sample(index)?;
            Ok(Drawn { sample, index, flipped: false, chance: index as u64 })
        };
        let drawn = chunk.iter().map(drawn).collect::<Result<Vec<_>, EvaluateError>>()?;
        match what.sink {
            Sink::Llm(text) => predictions.extend(what.next_tokens(&drawn, text, frozen)?),
            Sink::Objective(taught, teaches) => {
                seen.extend(what, &drawn, frozen, (taught, teaches))?;
            }
        }
        if !watch(chunk.last().map_or(0, |last| last + 1), all.len()) {
            return Ok(None);
        }
    }
    if let Sink::Objective(_, teaches) = what.sink {
        predictions = seen.judged(teaches);
    }
    Ok(Some(predictions))
}

impl Measurement<'_> {
    fn next_tokens(
        &self,
        drawn: &[Drawn],
        text: &TextSpec,
        frozen: &Frozen,
    ) -> Result<Vec<Prediction>, EvaluateError> {
        let mut batch = loader::assemble(drawn, &self.model.images, text, frozen)?;
        self.withhold(&mut batch);
        let visual = frozen.see(self.model, &mut batch)?;
        let count = batch.ids.len();
        let hidden = self.model.read(visual.as_ref(), &batch.rows, count, None, &mut NoTap)?;
        let rows: Vec<usize> = batch.targets.iter().map(|(row, _)| *row).collect();
        let head = self.model.llm()?.head().tensor();
        let asked = ops::gather_rows(&hidden, &rows)?;
        let logits = ops::linear(&asked, &head, None, Activation::None)?;
        let (_, vocabulary) = logits.rows();
        let values = logits.host();
        let said: Vec<u32> = values.chunks(vocabulary.max(1)).map(crate::generate::best).collect();
        let length = (batch.rows.len() / count.max(1)).max(1);
        let mut predictions = Vec::new();
        for (at, id) in batch.ids.iter().enumerate() {
            let of_sample = |(_, (row, _)): &(usize, &(usize, u32))| *row / length == at;
            let own: Vec<(usize, &(usize, u32))> =
                batch.targets.iter().enumerate().filter(of_sample).collect();
            let guesses: Vec<u32> = own.iter().map(|(i, _)| said[*i]).collect();
            let right: Vec<u32> = own.iter().map(|(_, (_, label))| *label).collect();
            let hits = guesses.iter().zip(&right).filter(|(guess, right)| guess == right).count();
            let score = hits as f64 / right.len().max(1) as f64;
            let say = |ids: &[u32]| {
                let text = text.tokenizer.decode(ids);
                text.map_err(|error| EvaluateError::Text(error.to_string()))
            };
            predictions.push(judged(id.clone(), say(&guesses)?, say(&right)?, score));
        }
        Ok(predictions)
    }

    /// Paints the pictures in the mean colour of their preparation, if they are withheld.
    fn withhold(&self, batch: &mut Batch) {
        if self.blind {
            batch.images.iter_mut().for_each(|image| image.values.fill(0.0));
        }
    }
}

/// What an objective has read so far.
#[derive(Default)]
struct Readings {
    ids: Vec<String>,
    values: Vec<Vec<f32>>,
    targets: Vec<Target>,
}

impl Readings {
    fn extend(
        &mut self,
        what: &Measurement<'_>,
        drawn: &[Drawn],
        frozen: &Frozen,
        (taught, teaches): (&Taught, Teaches<'_>),
    ) -> Result<(), EvaluateError> {
        let measured = [Taught { views: taught.measured_views, ..taught.clone() }];
        let mut batch = taught::assemble(drawn, &what.model.images, &measured, frozen)?;
        what.withhold(&mut batch);
        let targets = batch.lessons.pop().unwrap_or_default();
        let (images, given) = frozen.given(what.model, &mut batch)?;
        let features = what.model.features_given(&images, given)?;
        let read = teaches.module.read(&features[&teaches.encoder], &targets)?;
        self.ids.append(&mut batch.ids);
        self.values.extend(read);
        self.targets.extend(targets);
        Ok(())
    }

    fn judged(self, teaches: Teaches<'_>) -> Vec<Prediction> {
        let verdicts = teaches.module.judge(&self.values, &self.targets);
        let samples = self.ids.into_iter().zip(self.targets).zip(verdicts);
        let prediction = |((sample, target), verdict): ((String, Target), Option<_>)| {
            let Judgement { prediction, score } = verdict?;
            Some(judged(sample, prediction, target.answer, score))
        };
        samples.filter_map(prediction).collect()
    }
}

/// A judgement as predictions are kept; nothing is asked.
fn judged(sample: String, prediction: String, answer: String, score: f64) -> Prediction {
    Prediction {
        sample,
        question: String::new(),
        prediction,
        answer,
        key: AnswerKey::default(),
        verdict: Verdict { score, parsed: None, undecided: false },
        correct: score >= 1.0,
    }
}
