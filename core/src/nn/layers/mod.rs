//! Layers: parameters under the field's names, and the operation that they feed.

mod attention;
mod checkpoint;
mod linear;
mod mlp;
mod norm;
mod norm_linear;
mod rope;
mod windows;

pub use attention::{Attention, AttentionNames};
pub use checkpoint::checkpointed;
pub use linear::{Conv2d, DepthwiseConv2d, Linear};
pub use mlp::{GatedMlp, Mlp};
pub use norm::{LayerNorm, RmsNorm};
pub use norm_linear::NormLinear;
pub use rope::{Rope, Rope2d};
pub use windows::within_windows;
