//! The loss of a step: of an LLM per target token, of objectives per target of each.

use super::Job;
use super::loader::Batch;
use crate::graph::Stage;
use crate::model::{Model, SeeError, Teaches};
use crate::nn::ops;
use crate::registry::{NoTap, Seen};
use crate::tensor::{Grads, Tensor};

/// The mean loss over all micro-batches, and the gradients of `scale` times it. `progress` is the
/// share of the steps that are done.
pub(super) fn forward_backward(
    job: &Job<'_>,
    batches: &mut [Batch],
    progress: f64,
    scale: f32,
) -> Result<(f64, Grads), SeeError> {
    match followed(job.model, job.stage)[..] {
        [] => answers(job, batches, scale),
        ref followed => lessons(job, followed, batches, progress, scale),
    }
}

/// The objectives that a stage follows: those that it trains, or whose encoders.
pub(super) fn followed<'a>(model: &'a Model, stage: &Stage) -> Vec<Teaches<'a>> {
    let follows = |t: &Teaches<'_>| model.trains(stage, t.node) || model.trains(stage, t.encoder);
    model.objectives().filter(follows).collect()
}

/// An LLM's: the mean cross-entropy per target token.
fn answers(job: &Job<'_>, batches: &mut [Batch], scale: f32) -> Result<(f64, Grads), SeeError> {
    let (model, frozen) = (job.model, &job.frozen);
    let targets: usize = batches.iter().map(|batch| batch.targets.len()).sum();
    let mut grads = Grads::default();
    let mut sum = 0.0;
    for batch in batches.iter_mut().filter(|batch| !batch.targets.is_empty()) {
        let visual = frozen.see(model, batch)?;
        let hidden = model.read(visual.as_ref(), &batch.rows, batch.ids.len(), None, &mut NoTap)?;
        let head = model.llm()?.head().tensor();
        let loss = ops::cross_entropy(&hidden, &head, &batch.targets)?;
        sum += value(&loss);
        drop((visual, hidden));
        loss.backward_into(scale / targets as f32, &mut grads)?;
    }
    Ok((sum / targets.max(1) as f64, grads))
}

/// The sum over the objectives of each one's mean per target.
fn lessons(
    job: &Job<'_>,
    followed: &[Teaches<'_>],
    batches: &mut [Batch],
    progress: f64,
    scale: f32,
) -> Result<(f64, Grads), SeeError> {
    let (model, frozen) = (job.model, &job.frozen);
    let count = |at: usize| {
        let targets = batches.iter().flat_map(|batch| batch.lessons.get(at)).flatten();
        targets.map(|target| target.count).sum::<f64>().max(1.0)
    };
    let counts: Vec<f64> = (0..followed.len()).map(count).collect();
    let mut grads = Grads::default();
    let mut sum = 0.0;
    for batch in batches {
        let (images, given) = frozen.given(model, batch)?;
        let features = model.features_given(&images, given)?;
        let mut whole: Option<Tensor> = None;
        for (at, teaches) in followed.iter().enumerate() {
            let seen = Seen {
                features: &features[&teaches.encoder],
                image: images[teaches.image].as_ref(),
                targets: &batch.lessons[at],
                progress,
            };
            let Some(loss) = teaches.module.loss(seen)? else { continue };
            let loss = ops::scale(&loss, 1.0 / counts[at] as f32)?;
            whole = Some(match whole {
                None => loss,
                Some(whole) => ops::add(&whole, &loss)?,
            });
        }
        drop(features);
        if let Some(whole) = whole.filter(Tensor::records) {
            sum += value(&whole);
            whole.backward_into(scale, &mut grads)?;
        }
    }
    Ok((sum, grads))
}

fn value(loss: &Tensor) -> f64 {
    f64::from(loss.host().first().copied().unwrap_or(0.0))
}
