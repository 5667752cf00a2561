//! Benchmarks: one file each.

mod llava_vqa;
mod mini_vqa;

pub use llava_vqa::LlavaVqa;
pub use mini_vqa::MiniVqa;
