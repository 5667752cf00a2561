//! Vision encoders: one file each.

mod clip_vit;
mod conv_next;

pub(crate) use clip_vit::check_heads;
pub use clip_vit::{ClassToken, ClipVit};
pub use conv_next::ConvNext;
