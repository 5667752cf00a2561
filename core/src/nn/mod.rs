//! Operations and layers.
pub mod builder;
pub mod kernels;

pub use builder::{Builder, Init, ParamShape, Store};
