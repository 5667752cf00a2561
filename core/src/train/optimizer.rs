//! AdamW over the trained parameters, with a learning rate per node.
//!
//! PyTorch's arithmetic (`torch.optim.AdamW`), and the Hugging Face trainer's conventions: weight
//! decay on weights of two or more axes only (not on biases and norms), clipping by the global norm
//! over all trained parameters, warm-up from 0 over `ceil(warmup * steps)` steps.

use std::collections::BTreeMap;

use super::scaling::LossScale;
use crate::graph::Stage;
use crate::model::Model;
use crate::nn::device;
use crate::nn::kernels::AdamW;
use crate::spec::{Schedule, StageSpec};
use crate::tensor::{Buffer, Grads, Param, Values, buffer};

/// What a checkpoint calls the loss scale.
const SCALE: &str = "loss-scale";

struct Trained {
    name: String,
    param: Param,
    lr: f64,
    decay: f64,
    /// First and second moment.
    moments: [Buffer; 2],
}

/// The optimiser of one stage.
pub struct Optimizer {
    params: Vec<Trained>,
    /// What the trained nodes keep beside their parameters.
    buffers: Vec<(String, Param)>,
    recipe: StageSpec,
    steps: usize,
    /// Of a model that computes in f16.
    scale: Option<LossScale>,
}

/// What an update did.
#[derive(Debug, Clone, Copy)]
pub struct Update {
    /// The stage's learning rate at this step; a node's own is in proportion.
    pub lr: f64,
    /// The global norm of the gradient, before clipping.
    pub norm: f64,
    /// How many times the loss counted, where it is scaled.
    pub loss_scale: Option<f32>,
    /// Whether a gradient overflowed in f16, so that nothing was changed.
    pub left_out: bool,
}

impl Optimizer {
    /// The optimiser of a stage's trained parameters over `steps` updates.
    pub fn new(model: &Model, stage: &Stage, steps: usize) -> Optimizer {
        let recipe = &stage.spec;
        let trained = |(node, param, lr): (&str, &Param, f64)| Trained {
            name: format!("{node}/{}", param.name()),
            param: param.clone(),
            lr,
            decay: if param.shape().len() > 1 { recipe.weight_decay } else { 0.0 },
            moments: [buffer::zeros(param.len()), buffer::zeros(param.len())],
        };
        let params = model.trained(stage).map(trained).collect();
        let buffer =
            |(node, param): (&str, &Param)| (format!("{node}/{}", param.name()), param.clone());
        let buffers = model.buffers(stage).map(buffer).collect();
        let scaled = model.dev().precision().scales_loss();
        let scale = scaled.then(LossScale::default);
        Optimizer { params, buffers, recipe: recipe.clone(), steps, scale }
    }

    /// How many times the loss must count in the gradients of the next update.
    pub fn loss_scale(&self) -> f32 {
        self.scale.map_or(1.0, LossScale::factor)
    }

    /// Applies the gradients of update number `step` (from 0), of a loss that counts
    /// [`Optimizer::loss_scale`] times. A gradient that is not finite changes nothing; the caller
    /// sees it in the norm.
    pub fn update(&mut self, grads: &mut Grads, step: usize) -> Update {
        let gradients: Vec<Option<Buffer>> =
            self.params.iter().map(|trained| grads.take(trained.param.slot())).collect();
        let all: Vec<&Values> = gradients.iter().flatten().map(|g| -> &Values { g }).collect();
        let squares: f64 = device::sums_of_squares(&all).into_iter().sum();
        let (loss_scale, counted) = (self.scale.map(LossScale::factor), self.loss_scale());
        let norm = squares.sqrt() / f64::from(counted);
        let factor = self.factor(step);
        let heard = self.scale.as_mut().is_some_and(|scale| scale.heard(norm.is_finite()));
        let left_out = heard && !norm.is_finite();
        let update = Update { lr: self.recipe.lr * factor, norm, loss_scale, left_out };
        if !norm.is_finite() {
            return update;
        }
        let scale = match self.recipe.clip {
            Some(clip) if norm > clip => clip / (norm + 1e-6),
            _ => 1.0,
        } / f64::from(counted);
        for (trained, gradient) in self.params.iter_mut().zip(gradients) {
            let Some(gradient) = gradient else { continue };
            let rule = AdamW {
                lr: (trained.lr * factor) as f32,
                beta1: self.recipe.betas.0 as f32,
                beta2: self.recipe.betas.1 as f32,
                eps: self.recipe.eps as f32,
                weight_decay: trained.decay as f32,
                step: step as u64 + 1,
            };
            let [m, v] = &mut trained.moments;
            trained.param.change(|values| {
                device::adamw(values, &gradient, m, v, &rule, scale as f32);
            });
        }
        update
    }

    /// The share of the learning rate at `step`, as the Hugging Face schedulers have it.
    fn factor(&self, step: usize) -> f64 {
        let warmup = (self.recipe.warmup * self.steps as f64).ceil() as usize;
        if step < warmup {
            return step as f64 / warmup.max(1) as f64;
        }
        let progress = (step - warmup) as f64 / (self.steps - warmup).max(1) as f64;
        match self.recipe.schedule {
            Schedule::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()),
            Schedule::Linear => 1.0 - progress,
            Schedule::Constant => 1.0,
        }
    }

    /// The trained parameters with their moments, and the buffers, by name, for a checkpoint.
    pub fn state(&self) -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
        let mut state = BTreeMap::new();
        for trained in &self.params {
            let shape = trained.param.shape().to_vec();
            let value = trained.param.host();
            state.insert(format!("param/{}", trained.name), (shape.clone(), value));
            let [m, v] = trained.moments.each_ref().map(|m| buffer::to_host(m).into_owned());
            state.insert(format!("m/{}", trained.name), (shape.clone(), m));
            state.insert(format!("v/{}", trained.name), (shape, v));
        }
        for (name, buffer) in &self.buffers {
            state.insert(format!("buffer/{name}"), (buffer.shape().to_vec(), buffer.host()));
        }
        if let Some(scale) = self.scale {
            state.insert(SCALE.to_owned(), (vec![2], scale.state()));
        }
        state
    }

    /// Sets parameters, moments and buffers from a checkpoint.
    ///
    /// # Errors
    /// The name of the first tensor that is missing or of another shape.
    pub fn restore(
        &mut self,
        state: &BTreeMap<String, (Vec<usize>, Vec<f32>)>,
    ) -> Result<(), String> {
        for trained in &mut self.params {
            let get = |kind: &str| {
                let name = format!("{kind}/{}", trained.name);
                match state.get(&name) {
                    Some((shape, values)) if shape == trained.param.shape() => Ok(values),
                    _ => Err(name),
                }
            };
            let (value, moments) = (get("param")?, [get("m")?, get("v")?]);
            trained.param.update(|target| target.copy_from_slice(value));
            for (moment, values) in trained.moments.iter_mut().zip(moments) {
                buffer::change_on_host(moment, |target| target.copy_from_slice(values));
            }
        }
        for (name, buffer) in &self.buffers {
            let name = format!("buffer/{name}");
            match state.get(&name) {
                Some((shape, values)) if shape == buffer.shape() => {
                    buffer.update(|target| target.copy_from_slice(values));
                }
                _ => return Err(name),
            }
        }
        if let Some(scale) = &mut self.scale {
            let kept = state.get(SCALE).and_then(|(_, values)| LossScale::of(values));
            *scale = kept.ok_or(SCALE)?;
        }
        Ok(())
    }
}
