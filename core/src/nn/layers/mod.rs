//! Layers: parameters under the field's names, and the operation that they feed.

mod attention;
mod block;
mod checkpoint;
mod dense_head;
mod linear;
mod mlp;
mod norm;
mod norm_linear;
mod positions;
mod rope;
mod vit;
mod windows;

pub use attention::{Attention, AttentionNames, FusedProjection};
pub use block::{FeedForward, VitBlock};
pub use checkpoint::checkpointed;
pub use dense_head::{DenseHead, DenseShape};
pub use linear::{Conv2d, DepthwiseConv2d, Linear};
pub use mlp::{GatedMlp, Mlp};
pub use norm::{LayerNorm, Norm, NormKind, RmsNorm};
pub use norm_linear::NormLinear;
pub use positions::{Positions, Resample};
pub use rope::{Rope, Rope2d, RopeScaling};
pub use vit::{ClassToken, Vit, VitEmbedding, VitShape};
pub use windows::within_windows;
