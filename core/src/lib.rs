//! eagle-core.
pub mod data;
pub mod graph;
pub mod nn;
pub mod registry;
pub mod seed;
pub mod spec;
pub mod tensor;

#[doc(hidden)]
pub use inventory;
#[doc(hidden)]
pub use serde;

#[allow(unused_extern_crates)]
extern crate self as eagle_core;
