//! Benchmarks: one file each.

mod mini_vqa;

pub use mini_vqa::MiniVqa;
