//! Objectives: what a vision encoder learns from when no LLM speaks for it.
//!
//! An objective has two halves. Its [`Labeller`] makes a [`Target`] of what is known of a picture, on
//! the loader's threads and without tensors; its [`Objective`] is the module: a head with parameters,
//! a loss against the targets, and a metric.

use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;

use super::{Cost, EncoderConfig, Features, MapShape, Misfit};
use crate::data::annotations::Annotations;
use crate::data::{DataError, Picture};
use crate::nn::Builder;
use crate::seed::Rng;
use crate::tensor::{Param, Result as TensorResult, Tensor};
use crate::text::{TextError, Tokenizer};
use crate::weights::Keys;

/// The vision encoder that an objective reads.
#[derive(Debug, Clone, Copy)]
pub struct Backbone<'a> {
    /// Its configuration.
    pub encoder: &'a dyn EncoderConfig,
    /// What it promises.
    pub shape: &'a MapShape,
}

/// What one picture teaches: plain numbers that the objective's own two halves understand.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Target {
    /// Classes, characters or tokens.
    pub labels: Vec<u32>,
    /// How much each label counts.
    pub weights: Vec<f32>,
    /// Boxes, or whatever is no label.
    pub values: Vec<f32>,
    /// What it adds to the number that the summed loss is divided by.
    pub count: f64,
    /// What is right, as a person would write it.
    pub answer: String,
}

/// Makes targets of what is known of pictures.
pub trait Labeller: Send + Sync {
    /// The target of a picture. Places in `known` are those of the square that the encoder sees, a
    /// mirror image's included.
    ///
    /// # Errors
    /// What is missing or can't be, in words; the caller names the sample.
    fn target(&self, known: Option<&Annotations>) -> Result<Target, String>;

    /// View number `view` of a picture, for an objective with several [views](ObjectiveConfig::views):
    /// prepared and augmented, `[3, S, S]`.
    ///
    /// # Errors
    /// A picture that can't be read.
    fn view(&self, _picture: &Picture, view: usize, _rng: &mut Rng) -> Result<Vec<f32>, DataError> {
        Err(DataError::Picture { detail: format!("view {view} of an objective that has one") })
    }
}

/// What a loss is computed from.
#[derive(Clone, Copy)]
pub struct Seen<'a> {
    /// What the encoder made of the pictures; of several views, the first view of all, then the
    /// second.
    pub features: &'a Features,
    /// The pictures `[B, 3, S, S]`; `None` where the features were found and not computed.
    pub image: Option<&'a Tensor>,
    /// One for each picture.
    pub targets: &'a [Target],
    /// The share of the stage's steps that are done.
    pub progress: f64,
}

/// What was found about one picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// What was read out of it.
    pub prediction: String,
    /// The metric's value, 0 to 1.
    pub score: f64,
}

/// A built objective.
pub trait Objective {
    /// The *summed* loss, a single value; the trainer divides it by the targets' counts. `None` of
    /// an objective that only judges.
    ///
    /// # Errors
    /// Shapes that break the promise, or the device fails.
    fn loss(&self, seen: Seen<'_>) -> TensorResult<Option<Tensor>>;

    /// What is read out of each picture, plain numbers for [`Objective::judge`]; of several
    /// [measured views](ObjectiveConfig::measured_views), out of all of a picture together. Their
    /// features lie as in training: the first view of all, then the second.
    ///
    /// # Errors
    /// Shapes that break the promise, or the device fails.
    fn read(&self, features: &Features, targets: &[Target]) -> TensorResult<Vec<Vec<f32>>>;

    /// The judgements of a whole set of pictures, from what was read out of them; `None` of a
    /// picture that asks nothing of this objective. The metric's value is their mean.
    fn judge(&self, readings: &[Vec<f32>], targets: &[Target]) -> Vec<Option<Judgement>>;

    /// Called before the first step of a stage, with the encoder's parameters.
    ///
    /// # Errors
    /// The device fails.
    fn begin(&self, _encoder: &[Param]) -> TensorResult<()> {
        Ok(())
    }

    /// Called after every step, with the encoder's updated parameters and the share of the steps
    /// that are done. What it keeps between steps must be in [buffers](Builder::buffers).
    ///
    /// # Errors
    /// The device fails.
    fn after_step(&self, _encoder: &[Param], _progress: f64) -> TensorResult<()> {
        Ok(())
    }
}

/// The configuration of an objective.
pub trait ObjectiveConfig: Debug + Send + Sync {
    /// The name of its metric: `recall@1`, `mean-iou`.
    fn metric(&self) -> &'static str;
    /// Whether it learns from annotations, beside the pictures.
    fn reads_annotations(&self) -> bool {
        true
    }
    /// The views in which its encoder sees every picture in training.
    fn views(&self) -> usize {
        1
    }
    /// The views in which its encoder sees every picture when it is measured. With several, nothing
    /// is augmented by more than [`Labeller::view`] does, and kept features are not used.
    fn measured_views(&self) -> usize {
        1
    }
    /// The token embeddings of an objective that reads text; at least the tokenizer's.
    fn vocabulary(&self) -> usize {
        0
    }
    /// The tokenizer of an objective that reads text. A relative path starts at `base`, the
    /// experiment file's folder.
    ///
    /// # Errors
    /// A file that can't be read or isn't a tokenizer.
    fn tokenizer(&self, _base: &Path) -> Result<Option<Tokenizer>, TextError> {
        Ok(None)
    }
    /// Fields that contradict each other, or an encoder that it can't read.
    ///
    /// # Errors
    /// The first one.
    fn meets(&self, backbone: Backbone<'_>) -> Result<(), Misfit>;
    /// What a forward pass of its head costs per image.
    fn cost(&self, backbone: Backbone<'_>) -> Cost;
    /// Its half without tensors; `tokenizer` is its own.
    fn labeller(
        &self,
        backbone: Backbone<'_>,
        tokenizer: Option<Arc<Tokenizer>>,
    ) -> Arc<dyn Labeller>;
    /// The module.
    ///
    /// # Errors
    /// The device has no room.
    fn build(
        &self,
        backbone: Backbone<'_>,
        builder: &mut Builder<'_>,
    ) -> TensorResult<Box<dyn Objective>>;
    /// What checkpoints of its reference have beside or instead of its parameters' names.
    fn keys(&self) -> Keys {
        Keys::default()
    }
}
