//! Operations and layers.
pub mod kernels;
pub mod ops;
