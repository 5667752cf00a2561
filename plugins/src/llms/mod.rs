//! LLMs: one file each.

mod llama;

pub use llama::Llama;
