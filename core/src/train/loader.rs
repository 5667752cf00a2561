//! From a data set to batches: preparation and prefetching.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use rayon::prelude::*;

use super::order::Order;
use super::sequence::{Sequence, TextSpec};
use super::taught::{self, Taught};
use crate::data::preprocess::{ImageSpec, prepare_as};
use crate::data::tiles::Layout;
use crate::data::{DataError, Dataset, Sample};
use crate::features::{Frozen, Image, Kept};
use crate::nn::ops::Row;
use crate::registry::Target;
use crate::tensor::{Dev, Result as TensorResult, Tensor};

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
