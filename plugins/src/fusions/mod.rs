//! Fusions of several experts' features: one file each.

mod channel_concat;
mod sequence_append;

pub use channel_concat::ChannelConcat;
pub use sequence_append::SequenceAppend;
