//! The plugins of eagle-lab: one file per component.
//!
//! A component's file holds its configuration, its promise of shapes, its build and its forward
//! pass, and registers itself; nothing else needs to know it.

#![forbid(unsafe_code)]

pub mod benchmarks;
pub mod datasets;
pub mod encoders;
mod files;
pub mod fusions;
pub mod llms;
pub mod objectives;
pub mod projectors;
mod rows;
pub mod world;

/// Every plugin linked into this program, this crate's among them.
///
/// # Errors
/// Two crates registered a plugin under one name.
pub fn registry() -> Result<eagle_core::registry::Registry, eagle_core::registry::Duplicate> {
    eagle_core::registry::Registry::collect()
}
