//! From a data set to batches: order, preparation and prefetching.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use rayon::prelude::*;

use super::grouped::Grouping;
use super::taught::{self, Taught};
use crate::data::preprocess::{ImageSpec, prepare_as};
use crate::data::tiles::{Layout, VisualTokens};
use crate::data::{DataError, Dataset, Sample};
use crate::features::{Frozen, Image, Kept};
use crate::nn::ops::Row;
use crate::registry::Target;
use crate::seed::{self, Rng};
use crate::tensor::{Dev, Result as TensorResult, Tensor};
use crate::text::{EncodeError, Fitted, Piece, Template, Tokenizer, TooLong};

/// How a conversation becomes a sequence.
#[derive(Clone)]
pub struct TextSpec {
    /// The LLM's tokenizer.
    pub tokenizer: Arc<Tokenizer>,
    /// The conversation template.
    pub template: Template,
    /// The longest sequence in tokens, visual ones included.
    pub max_length: usize,
    /// What becomes of longer ones.
    pub too_long: TooLong,
    /// Visual tokens of each picture.
    pub visual: VisualTokens,
    /// Whether a fusion reads the questions.
    pub asks: bool,
}

/// What is learnt from samples.
#[derive(Clone)]
pub enum Lesson {
    /// An LLM learns to answer.
    Text(TextSpec),
    /// Objectives teach encoders.
    Objectives(Vec<Taught>),
}

/// Samples ready for a forward pass, still on the host.
#[derive(Debug, Default)]
pub struct Batch {
    /// The samples' ids.
    pub ids: Vec<String>,
    /// For each of the model's image specifications, the pictures that must be prepared so.
    pub images: Vec<Prepared>,
    /// Pictures in the batch; text-only samples have none.
    pub pictures: usize,
    /// What is asked about each picture, in tokens; no list where no fusion reads it.
    pub questions: Vec<Vec<u32>>,
    /// How each picture is cut into tiles; no list where that is the same for all. Where it is not,
    /// each tile is a picture of its own to the encoders, and so to all that follows.
    pub layouts: Vec<Layout>,
    /// Each picture's slot on the shelves of frozen features.
    pub slots: Vec<usize>,
    /// For each frozen encoder that has a shelf, what is there of each picture.
    pub kept: Vec<Vec<Option<Vec<f32>>>>,
    /// The sequences, padded on the right to one length.
    pub rows: Vec<Row>,
    /// For each objective that is followed, what the pictures teach it.
    pub lessons: Vec<Vec<Target>>,
    /// Where a prediction is asked for, and which token is right: row `r` predicts what stands at
    /// `r + 1`.
    pub targets: Vec<(usize, u32)>,
    /// Samples cut to the longest length.
    pub truncated: usize,
    /// Samples left out as too long.
    pub skipped: usize,
}

/// Pictures that were prepared in one way.
#[derive(Debug, Default)]
pub struct Prepared {
    /// `[pictures, planes, S, S]`.
    pub values: Vec<f32>,
    /// Three, or three times the tiles that every picture has.
    pub planes: usize,
    /// S.
    pub side: usize,
    /// Which of the batch's pictures they are.
    pub pictures: Vec<usize>,
}

/// A sample as the order drew it.
#[derive(Debug, Clone)]
pub struct Drawn {
    /// The sample.
    pub sample: Sample,
    /// Its index in the data set.
    pub index: usize,
    /// Whether its picture is mirrored.
    pub flipped: bool,
    /// The seed of what else is left to chance.
    pub chance: u64,
}

impl Drawn {
    /// Its picture's slot on the shelves of frozen features.
    fn slot(&self) -> usize {
        2 * self.index + usize::from(self.flipped)
    }
}

impl Batch {
    /// The images as tensors on `dev`; `None` where no picture had to be prepared.
    ///
    /// # Errors
    /// The device has no room.
    pub fn tensors(&mut self, dev: &Dev) -> TensorResult<Vec<Option<Image>>> {
        let tensor = |prepared: Prepared| {
            let Prepared { values, planes, side, pictures } = prepared;
            if pictures.is_empty() {
                return Ok(None);
            }
            let tensor = Tensor::new(dev, values, &[pictures.len(), planes, side, side])?;
            Ok(Some(Image { tensor, pictures }))
        };
        std::mem::take(&mut self.images).into_iter().map(tensor).collect()
    }

    /// Adds the pictures: what is on the shelves, and prepared what is not.
    ///
    /// # Errors
    /// A picture that is missing or can't be read; the message names the sample.
    pub fn add_pictures(
        &mut self,
        drawn: &[&Drawn],
        images: &[ImageSpec],
        frozen: &Frozen,
    ) -> Result<(), DataError> {
        let tiles = |at: usize| self.layouts.get(at).map_or(1, Layout::count);
        // The first of each picture's tiles, and one behind the last.
        let starts: Vec<usize> = std::iter::once(0)
            .chain((0..drawn.len()).scan(0, |end, at| {
                *end += tiles(at);
                Some(*end)
            }))
            .collect();
        let slot = |(at, drawn): (usize, &&Drawn)| {
            let first = drawn.slot() * frozen.tiles();
            first..first + tiles(at)
        };
        self.slots = drawn.iter().enumerate().flat_map(slot).collect();
        self.pictures = self.slots.len();
        let recall = |kept: &Kept| self.slots.par_iter().map(|slot| kept.recall(*slot)).collect();
        self.kept = frozen.encoders.iter().map(recall).collect();
        self.images = images
            .iter()
            .enumerate()
            .map(|(image, spec)| {
                let wants = |tile| frozen.wants(image, tile, &self.kept);
                let wanted = |at: &usize| (starts[*at]..starts[at + 1]).any(wants);
                let wanted: Vec<usize> = (0..drawn.len()).filter(wanted).collect();
                let prepared = wanted
                    .par_iter()
                    .map(|&at| prepared(drawn[at], spec))
                    .collect::<Result<Vec<_>, _>>()?;
                let pictures = wanted.iter().flat_map(|&at| starts[at]..starts[at + 1]).collect();
                let (values, planes) = (prepared.concat(), spec.planes());
                Ok(Prepared { values, planes, side: spec.size, pictures })
            })
            .collect::<Result<_, _>>()?;
        Ok(())
    }
}

pub(super) fn prepared(drawn: &Drawn, spec: &ImageSpec) -> Result<Vec<f32>, DataError> {
    let sample = &drawn.sample;
    let fault = |detail: String| DataError::Sample { sample: sample.id.clone(), detail };
    let Some(picture) = &sample.picture else { return Err(fault("has no picture".into())) };
    prepare_as(picture, spec, drawn.flipped).map_err(|error| fault(error.to_string()))
}

/// Prepares samples: pictures as every encoder wants them, conversations as padded rows.
///
/// # Errors
/// A picture that can't be read, or a conversation that doesn't fit; both name the sample.
pub fn assemble(
    drawn: &[Drawn],
    images: &[ImageSpec],
    text: &TextSpec,
    frozen: &Frozen,
) -> Result<Batch, DataError> {
    let encoded =
        drawn.iter().map(|drawn| text.encode(&drawn.sample)).collect::<Result<Vec<_>, _>>()?;
    let mut batch = Batch::default();
    let kept: Vec<(&Drawn, &Sequence)> = drawn
        .iter()
        .zip(&encoded)
        .filter_map(|(drawn, sequence)| Some((drawn, sequence.as_ref()?)))
        .collect();
    batch.skipped = drawn.len() - kept.len();
    batch.truncated = kept.iter().filter(|(_, sequence)| sequence.truncated).count();
    let length = kept.iter().map(|(_, sequence)| sequence.rows.len()).max().unwrap_or(0);
    let mut seen = Vec::new();
    let mut first = 0;
    for (at, (drawn, sequence)) in kept.iter().enumerate() {
        batch.ids.push(drawn.sample.id.clone());
        if sequence.pictured {
            seen.push(*drawn);
            batch.questions.extend(sequence.question.clone());
            batch.layouts.extend(sequence.layout);
        }
        batch.rows.extend(sequence.rows.iter().map(|row| match row {
            Row::Visual(i) => Row::Visual(first + i),
            other => *other,
        }));
        first += sequence.visual;
        batch.rows.extend(std::iter::repeat_n(Row::Pad, length - sequence.rows.len()));
        let targets = sequence.targets.iter().map(|(row, label)| (at * length + row, *label));
        batch.targets.extend(targets);
    }
    batch.add_pictures(&seen, images, frozen)?;
    Ok(batch)
}

/// One conversation as rows.
pub struct Sequence {
    /// Visual rows count from 0 for the sample's own picture.
    pub rows: Vec<Row>,
    /// (row, label).
    pub targets: Vec<(usize, u32)>,
    /// Whether there are visual rows.
    pub pictured: bool,
    /// How many of them the picture has.
    pub visual: usize,
    /// How the picture is cut into tiles, where that depends on it.
    pub layout: Option<Layout>,
    /// Whether its end was cut off.
    pub truncated: bool,
    /// The tokens of what is asked about the picture; `None` where no fusion reads it.
    pub question: Option<Vec<u32>>,
}

impl TextSpec {
    /// A training sequence; `None` if the sample is too long and to be skipped.
    ///
    /// # Errors
    /// The conversation can't be encoded, or is too long and that is an error.
    pub fn encode(&self, sample: &Sample) -> Result<Option<Sequence>, DataError> {
        let fault = |error: EncodeError| DataError::Sample {
            sample: sample.id.clone(),
            detail: error.kind.to_string(),
        };
        let question = self.question(sample)?;
        let encoded = self.template.encode(&self.tokenizer, sample).map_err(fault)?;
        let layout = self.layout(sample)?;
        let visual = self.visual.of(layout.as_ref());
        let fitted =
            encoded.fit(&sample.id, self.max_length, visual, self.too_long).map_err(fault)?;
        let (encoded, truncated) = match fitted {
            Fitted::Whole(encoded) => (encoded, false),
            Fitted::Truncated(encoded) => (encoded, true),
            Fitted::Skipped => return Ok(None),
        };
        Ok(Some(Sequence { question, truncated, ..self.lay_out(&encoded.pieces, layout) }))
    }

    /// How a sample's picture is cut into tiles, where that depends on it.
    fn layout(&self, sample: &Sample) -> Result<Option<Layout>, DataError> {
        let Some(picture) = &sample.picture else { return Ok(None) };
        self.visual.layout(picture).map_err(|error| error.of_sample(&sample.id))
    }

    /// The rows of a prompt: everything up to where the last turn's answer begins.
    ///
    /// # Errors
    /// The conversation can't be encoded, or leaves no room for `answer` tokens.
    pub fn prompt(&self, sample: &Sample, answer: usize) -> Result<Sequence, DataError> {
        let fault = |detail: String| DataError::Sample { sample: sample.id.clone(), detail };
        let last = sample.turns.len().saturating_sub(1);
        let pieces = self.template.prompt(&self.tokenizer, sample, last);
        let pieces = pieces.map_err(|error| fault(error.kind.to_string()))?;
        let sequence = self.lay_out(&pieces, self.layout(sample)?);
        if sequence.rows.len() + answer > self.max_length {
            return Err(fault(format!(
                "a prompt of {} tokens leaves no room for an answer of {answer} within {}",
                sequence.rows.len(),
                self.max_length
            )));
        }
        Ok(Sequence { question: self.question(sample)?, ..sequence })
    }

    /// The tokens of the first turn's question, for fusions that read it: a picture is seen once,
    /// before the turns that follow.
    fn question(&self, sample: &Sample) -> Result<Option<Vec<u32>>, DataError> {
        if !self.asks {
            return Ok(None);
        }
        let text = sample.turns.first().map_or("", |turn| turn.question.as_str());
        let tokens = self.tokenizer.encode(text).map_err(|error| DataError::Sample {
            sample: sample.id.clone(),
            detail: error.to_string(),
        })?;
        Ok(Some(tokens.into_iter().map(|token| token.id).collect()))
    }

    /// An LLM that reads no visual tokens is not shown the picture.
    fn lay_out(&self, pieces: &[Piece], layout: Option<Layout>) -> Sequence {
        let mut rows = Vec::new();
        let mut targets = Vec::new();
        let mut visual = 0;
        for piece in pieces {
            match piece {
                Piece::Image => {
                    visual = self.visual.of(layout.as_ref());
                    rows.extend((0..visual).map(Row::Visual));
                }
                Piece::Token { id, label } => {
                    // The row before a labelled token predicts it.
                    if *label && !rows.is_empty() {
                        targets.push((rows.len() - 1, *id));
                    }
                    rows.push(Row::Token(*id));
                }
            }
        }
        let pictured = visual > 0;
        let layout = layout.filter(|_| pictured);
        Sequence { rows, targets, pictured, visual, layout, truncated: false, question: None }
    }
}

/// The order in which a stage meets its samples: a fresh permutation each epoch, one after the
/// other. It depends on the seed alone, so that a resumed run goes on where it was.
pub struct Order {
    seed: u64,
    len: usize,
    total: usize,
    epoch: Option<(usize, Vec<u32>)>,
    grouped: Option<(Grouping, Vec<i32>)>,
}

impl Order {
    /// `epochs` passes over `len` samples; the last one may be partial.
    pub fn new(seed: u64, len: usize, epochs: f64) -> Order {
        let total = (len as f64 * epochs).round().max(1.0) as usize;
        let total = if len == 0 { 0 } else { total };
        Order { seed, len, total, epoch: None, grouped: None }
    }

    /// The same, with a step's samples alike: `words` says how long each sample's conversation is,
    /// negative without a picture.
    #[must_use]
    pub fn grouped(self, grouping: Grouping, words: Vec<i32>) -> Order {
        Order { grouped: Some((grouping, words)), ..self }
    }

    /// Samples in all epochs together.
    pub fn total(&self) -> usize {
        self.total
    }

    /// The seed of the views of sample number `position` of the run.
    fn chance(&self, position: usize) -> u64 {
        seed::derive(self.seed, &format!("views {position}"))
    }

    /// A coin of sample number `position` of the run.
    fn coin(&self, position: usize) -> bool {
        Rng::of(self.seed, &format!("flip {position}")).bits() & 1 == 1
    }

    /// The data set's index of sample number `position` of the run.
    pub fn at(&mut self, position: usize) -> usize {
        let epoch = position / self.len;
        if self.epoch.as_ref().is_none_or(|(known, _)| *known != epoch) {
            let mut rng = Rng::of(self.seed, &format!("epoch {epoch}"));
            let order = match &self.grouped {
                Some((grouping, words)) => grouping.epoch(words, &mut rng, epoch * self.len),
                None => {
                    let mut order: Vec<u32> = (0..self.len as u32).collect();
                    rng.shuffle(&mut order);
                    order
                }
            };
            self.epoch = Some((epoch, order));
        }
        self.epoch.as_ref().map_or(0, |(_, order)| order[position % self.len] as usize)
    }
}

/// The micro-batches of one optimiser step.
pub type StepBatches = Result<Vec<Batch>, DataError>;

/// What a loader needs to know, apart from the order.
pub struct Source {
    /// Where samples come from.
    pub dataset: Arc<dyn Dataset>,
    /// How pictures are prepared.
    pub images: Vec<ImageSpec>,
    /// What is learnt from the samples.
    pub lesson: Lesson,
    /// Samples per micro-batch.
    pub batch: usize,
    /// Micro-batches per step.
    pub accumulate: usize,
    /// Whether pictures are mirrored half of the time.
    pub flip: bool,
    /// The frozen encoders whose features are kept.
    pub frozen: Arc<Frozen>,
}

/// Prepares the batches of steps `from..to` on background threads, two steps ahead. They are not
/// those that compute: a kernel would wait for the picture that its thread has begun.
pub fn prefetch(source: Source, mut order: Order, from: usize, to: usize) -> Receiver<StepBatches> {
    let (sender, receiver): (SyncSender<StepBatches>, _) = sync_channel(2);
    let threads = rayon::current_num_threads();
    let loaders = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(|number| format!("loader {number}"))
        .build();
    std::thread::spawn(move || {
        for step in from..to {
            let batches = match &loaders {
                Ok(loaders) => loaders.install(|| source.step(&mut order, step)),
                // No more threads to be had: with those that compute.
                Err(_) => source.step(&mut order, step),
            };
            let failed = batches.is_err();
            // The trainer has gone, or needs no more after an error.
            if sender.send(batches).is_err() || failed {
                return;
            }
        }
    });
    receiver
}

impl Source {
    fn step(&self, order: &mut Order, step: usize) -> StepBatches {
        let per_step = self.batch * self.accumulate;
        let positions: Vec<usize> =
            (step * per_step..((step + 1) * per_step).min(order.total())).collect();
        positions
            .chunks(self.batch)
            .map(|chunk| {
                let draws: Vec<(usize, bool, u64)> = chunk
                    .iter()
                    .map(|&p| (order.at(p), self.flip && order.coin(p), order.chance(p)))
                    .collect();
                let drawn = draws
                    .into_par_iter()
                    .map(|(index, flipped, chance)| {
                        let sample = self.dataset.sample(index)?;
                        Ok(Drawn { sample, index, flipped, chance })
                    })
                    .collect::<Result<Vec<_>, DataError>>()?;
                match &self.lesson {
                    Lesson::Text(text) => assemble(&drawn, &self.images, text, &self.frozen),
                    Lesson::Objectives(taught) => {
                        taught::assemble(&drawn, &self.images, taught, &self.frozen)
                    }
                }
            })
            .collect()
    }
}
