//! Operations and layers.
pub mod kernels;
