//! Data sets, one file each.

pub mod llava_json;
pub mod mini_world;
