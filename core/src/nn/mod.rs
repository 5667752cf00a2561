//! The operations and layers that plugins are built from.

pub mod builder;
pub mod cost;
pub mod fit;
pub mod kernels;
pub mod layers;
pub mod ops;

pub use builder::{Builder, Init, ParamShape, Store};
