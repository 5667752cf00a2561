//! eagle-core.
pub mod data;
pub mod nn;
pub mod tensor;
