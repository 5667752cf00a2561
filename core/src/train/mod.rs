//! One stage of training, from a built model to trained weights.
//!
//! The loss is the mean cross-entropy per target token (an objective's: per target of its own): with accumulation, the sum over all
//! micro-batches divided by their target tokens together, so that how a step is cut changes nothing
//! (transformers pull request 34191).

pub mod checkpoint;
mod follow;
pub mod grouped;
pub mod loader;
pub mod optimizer;
pub mod order;
pub mod scaling;
pub mod sequence;
pub mod taught;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use rayon::prelude::*;

use crate::data::{DataError, Dataset};
use crate::features::{Frozen, Recall};
use crate::graph::Stage;
use crate::model::{Model, SeeError};
use crate::nn::kernels::allocator;
use crate::record::{Metrics, RecordError};
use crate::tensor::{Tape, TensorError};
use crate::weights::WeightsError;
use checkpoint::Checkpoint;
use follow::forward_backward;
use grouped::Grouping;
use loader::{Batch, Lesson, Source};
use optimizer::{Optimizer, Update};
use order::Order;

/// Why a stage stopped.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A sample that can't be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// An operation failed: out of memory, or a plugin broke its promise.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// An operation failed while a picture was seen, or kept features can't be written.
    #[error(transparent)]
    See(#[from] SeeError),
    /// A checkpoint or the weights can't be read or written.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The metrics can't be read or written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The loss or the gradient is not a number any more.
    #[error(
        "the {what} of step {step} is {value}; the last good state is the checkpoint of step \
         {kept}. Lower `lr`, lengthen `warmup`, or set `clip: 1.0`. The samples: {samples}"
    )]
    NonFinite {
        /// Loss or gradient norm.
        what: &'static str,
        /// The step, from 1.
        step: usize,
        /// What it is instead of a number.
        value: f64,
        /// The step of the last checkpoint.
        kept: usize,
        /// The ids of the samples of the step.
        samples: String,
    },
    /// The batches ended early: the loader's thread died.
    #[error("the data loader stopped at step {0}; this is a bug of a data set or an encoder")]
    Loader(usize),
}

/// What happened in one step.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// The step, from 1.
    pub step: usize,
    /// Steps in the stage.
    pub steps: usize,
    /// Samples in the step.
    pub samples: usize,
    /// The mean loss per target token.
    pub loss: f64,
}

/// Who watches a stage, and may ask it to stop after a step.
pub trait Watch {
    /// Training begins, at `done` of `steps` steps.
    fn begin(&mut self, done: usize, steps: usize);
    /// A step was made.
    fn step(&mut self, step: &Step);
    /// Whether to write a checkpoint and stop now.
    fn stop(&self) -> bool;
}

/// How a stage ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All steps were made.
    Done,
    /// It was asked to stop after this step, and wrote a checkpoint.
    Stopped(usize),
}

/// Totals of a stage, over all its sittings.
#[derive(Debug, Clone, Copy, Default, serde::Serialize, serde::Deserialize)]
pub struct Totals {
    /// Optimiser steps.
    pub steps: usize,
    /// Samples seen.
    pub samples: usize,
    /// Samples cut to the longest length.
    pub truncated: usize,
    /// Samples left out as too long.
    pub skipped: usize,
    /// Wall time in seconds.
    pub seconds: f64,
    /// Of these, how many the trainer waited for data.
    #[serde(default)]
    pub waited: f64,
    /// Frozen features, in pictures times encoders: read from the cache, and computed.
    #[serde(default)]
    pub features: Recall,
}

/// What a stage needs.
pub struct Job<'a> {
    /// The model; its trained nodes are changed.
    pub model: &'a Model,
    /// What to do.
    pub stage: &'a Stage,
    /// What to train on.
    pub dataset: Arc<dyn Dataset>,
    /// What is learnt from the samples.
    pub lesson: Lesson,
    /// The frozen encoders whose features are kept.
    pub frozen: Arc<Frozen>,
    /// The seed of the order of samples.
    pub seed: u64,
    /// Where checkpoint and metrics are kept.
    pub folder: &'a Path,
}

/// Steps that a stage takes over `samples` samples.
pub fn steps(stage: &Stage, samples: usize) -> usize {
    let order = Order::new(0, samples, stage.spec.epochs);
    order.total().div_ceil((stage.spec.batch * stage.spec.accumulate).max(1))
}

/// Trains a stage, from its checkpoint if there is one, to its end or until `watch` asks to stop.
///
/// # Errors
/// See [`TrainError`]; the last checkpoint is kept.
pub fn run(job: &Job<'_>, watch: &mut dyn Watch) -> Result<(Outcome, Totals), TrainError> {
    let spec = &job.stage.spec;
    let steps = steps(job.stage, job.dataset.len());
    let tape = Tape::recording();
    tape.set_checkpointing(spec.gradient_checkpointing);
    // What another stage left fits few buffers of this one.
    allocator::release();
    job.model.train(job.stage, &tape);
    let mut optimizer = Optimizer::new(job.model, job.stage, steps);
    let mut checkpoint = Checkpoint::at(job.folder);
    let mut totals = checkpoint.resume(&mut optimizer)?;
    let mut metrics = Metrics::resume(job.folder, &spec.name.value, totals.steps)?;
    let mut kept = totals.steps;
    let followed = follow::followed(job.model, job.stage);
    let progress = |done: usize| done as f64 / steps.max(1) as f64;
    for teaches in followed.iter().filter(|_| totals.steps == 0) {
        teaches.module.begin(&job.model.nodes[teaches.encoder].params)?;
    }
    tracing::info!(stage = spec.name.value, steps, done = totals.steps, "training");
    watch.begin(totals.steps, steps);
    let batches = loader::prefetch(
        Source {
            dataset: job.dataset.clone(),
            images: job.model.images.clone(),
            lesson: job.lesson.clone(),
            batch: spec.batch,
            accumulate: spec.accumulate,
            flip: spec.flip,
            frozen: job.frozen.clone(),
        },
        order(job)?,
        totals.steps,
        steps,
    );
    let sitting = Instant::now();
    let before = totals;
    for step in totals.steps..steps {
        let asked = Instant::now();
        let mut batches = batches.recv().map_err(|_| TrainError::Loader(step + 1))??;
        totals.waited += asked.elapsed().as_secs_f64();
        let samples = sample_names(&batches);
        let (loss, mut grads) =
            forward_backward(job, &mut batches, progress(step), optimizer.loss_scale())?;
        let broken = |what, value| TrainError::NonFinite {
            what,
            step: step + 1,
            value,
            kept,
            samples: samples.clone(),
        };
        if !loss.is_finite() {
            return Err(broken("loss", loss));
        }
        let update = optimizer.update(&mut grads, step);
        if !update.norm.is_finite() && !update.left_out {
            return Err(broken("gradient norm", update.norm));
        }
        for teaches in &followed {
            let encoder = &job.model.nodes[teaches.encoder].params;
            teaches.module.after_step(encoder, progress(step + 1))?;
        }
        totals.count(step + 1, &batches, before.seconds + sitting.elapsed().as_secs_f64());
        totals.features = before.features + job.frozen.recall();
        metrics.write(step + 1, &measured(loss, &update))?;
        let seen = batches.iter().map(|batch| batch.ids.len()).sum();
        watch.step(&Step { step: step + 1, steps, samples: seen, loss });
        let stopping = watch.stop() && step + 1 < steps;
        if stopping || (step + 1).is_multiple_of(spec.checkpoint_every) {
            metrics.sync()?;
            checkpoint.write(&optimizer, &totals)?;
            tracing::debug!(stage = spec.name.value, step = step + 1, "checkpoint");
            kept = step + 1;
        }
        if stopping {
            job.model.freeze();
            return Ok((Outcome::Stopped(step + 1), totals));
        }
    }
    metrics.sync()?;
    job.model.freeze();
    let share = 100.0 * totals.waited / totals.seconds.max(1e-9);
    tracing::info!(stage = spec.name.value, "waited {share:.1} % of the time for data");
    Ok((Outcome::Done, totals))
}

/// The order of the stage's samples.
fn order(job: &Job<'_>) -> Result<Order, DataError> {
    let spec = &job.stage.spec;
    let order = Order::new(job.seed, job.dataset.len(), spec.epochs);
    if !spec.group_by_modality_length {
        return Ok(order);
    }
    let grouping = Grouping { batch: spec.batch, accumulate: spec.accumulate };
    let dataset = &job.dataset;
    let words = (0..dataset.len()).into_par_iter().map(|index| dataset.words(index));
    Ok(order.grouped(grouping, words.collect::<Result<Vec<i32>, DataError>>()?))
}

/// What a step is recorded by. One that was left out has no gradient.
fn measured(loss: f64, update: &Update) -> Vec<(&'static str, f64)> {
    let norm = (!update.left_out).then_some(("gradient-norm", update.norm));
    let scale = update.loss_scale.map(|scale| ("loss-scale", f64::from(scale)));
    [("loss", loss), ("lr", update.lr)].into_iter().chain(norm).chain(scale).collect()
}

fn sample_names(batches: &[Batch]) -> String {
    const SHOWN: usize = 8;
    let ids: Vec<&str> = batches.iter().flat_map(|b| &b.ids).map(String::as_str).collect();
    let shown = ids.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
    match ids.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

impl Totals {
    fn count(&mut self, step: usize, batches: &[Batch], seconds: f64) {
        self.steps = step;
        self.seconds = seconds;
        for batch in batches {
            self.samples += batch.ids.len();
            self.truncated += batch.truncated;
            self.skipped += batch.skipped;
        }
    }
}
