//! Data sets, one file each.

pub mod mini_world;
