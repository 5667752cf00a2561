//! eagle-plugins.
pub mod datasets;
pub mod world;
