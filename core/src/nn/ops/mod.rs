//! The tape operations on tensors: shapes checked, values computed by the kernels, gradients only
//! where something records. Row-major, channels last.

mod activation;
mod attention;
mod conv;
mod cross_entropy;
mod deformable;
mod detection;
mod elementwise;
mod embedding;
mod grid_sample;
mod layout;
mod linear;
mod norm;
mod relative;
mod resize;
mod rotary;
mod softmax;
#[cfg(test)]
mod tests;
mod windows;

pub use activation::{Activation, activate, swiglu};
pub use attention::{AttentionSpec, Bias, attention, attention_with};
pub use conv::{conv2d, depthwise_conv2d, patch_embed};
pub use cross_entropy::{cross_entropy, soft_cross_entropy, softmax_cross_entropy};
pub use deformable::deformable_attention;
pub use detection::{giou_loss, sigmoid_focal};
pub use elementwise::{add, add_rows, exp, mul, mul_channels, scale, scale_rows, sub};
pub use embedding::{Row, embedding, gather_rows, splice};
pub use grid_sample::grid_sample;
pub use layout::{average_pool, concat, mean_rows, narrow, pixel_shuffle, pixel_unshuffle};
pub use linear::{linear, matmul};
pub use norm::{layer_norm, rms_norm, unit_rows};
pub use relative::{GridAxis, relative_bias};
pub use resize::{
    resize_bicubic, resize_bicubic_offset, resize_bilinear, resize_bilinear_antialias,
};
pub use rotary::{Angles, RotaryLayout, rotary, rotary_with};
pub use softmax::softmax;
pub use windows::{join_windows, windows};

use crate::tensor::{Result, TensorError};

/// Fails with `detail` unless `holds`.
fn require(op: &'static str, holds: bool, detail: impl FnOnce() -> String) -> Result<()> {
    if holds { Ok(()) } else { Err(TensorError::Shape { op, detail: detail() }) }
}
