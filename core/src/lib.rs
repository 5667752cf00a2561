//! eagle-core: from the text of an experiment to a trained model.
//!
//! The road reads in one direction: `spec` (what was typed), `graph` (what can run), `schedule`
//! (what a stage does), `model` (tensors), `train` and `evaluate` (numbers), `lab` (all of it, with
//! nothing done twice). No concrete plugin and no data frame is known here.

pub mod chat;
pub mod data;
pub mod evaluate;
pub mod features;
pub mod generate;
pub mod graph;
pub mod identity;
pub mod lab;
pub mod measure;
pub mod model;
pub mod nn;
pub mod record;
pub mod registry;
pub mod schedule;
pub mod score;
pub mod seed;
pub mod spec;
pub mod tensor;
pub mod text;
pub mod trace;
pub mod train;
pub mod weights;

#[doc(hidden)]
pub use inventory;
#[doc(hidden)]
pub use serde;

#[allow(unused_extern_crates)]
extern crate self as eagle_core;
