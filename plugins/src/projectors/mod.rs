//! Projectors of visual tokens to the LLM's width: one file each.

mod identity;
mod linear;
mod mlp;

pub use identity::Identity;
pub use linear::Linear;
pub use mlp::Mlp;
