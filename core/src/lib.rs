//! eagle-core.
pub mod data;
pub mod nn;
pub mod score;
pub mod tensor;
pub mod text;
