//! Frozen features: what a frozen encoder makes of a picture is computed once and kept on disk.
//!
//! An encoder that no gradient passes gives a picture the same bits in every epoch, trial and study
//! and in every batch (see `nn::kernels::gemm`). A [`Shelf`] keeps them, one fixed-size record per
//! picture; [`Frozen`] says which encoders of a model have a shelf, and completes a batch.

mod frozen;
mod shelf;

pub use frozen::{Frozen, Image, Kept, Recall};
pub use shelf::{Shelf, ShelfError, Shelves, check, size};

/// How features are kept.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize,
)]
pub enum FeatureCache {
    /// Not at all: computed whenever they are needed, with the same bits as `F32`.
    Off,
    /// As they are.
    #[default]
    F32,
    /// Rounded to 16 bits, whether they come from the disk or not: half the room, other numbers.
    F16,
}

impl FeatureCache {
    /// Bytes that a record of `values` values takes on disk.
    pub fn record_bytes(self, values: usize) -> u64 {
        if self == FeatureCache::Off { 0 } else { (shelf::CHECKSUM + values * self.width()) as u64 }
    }

    /// Bytes of a value.
    fn width(self) -> usize {
        if self == FeatureCache::F16 { 2 } else { 4 }
    }
}
