//! Where tensors live, and how their values are stored there.

use super::{Precision, Result};

/// Where tensors live: the CPU, or a card with the `cuda` feature. A card is opened when it is first
/// needed, or by [`Dev::open`].
#[derive(Debug, Clone, Default)]
pub struct Dev {
    precision: Precision,
}

impl Dev {
    /// The device, opened: what is wrong with it is told here.
    ///
    /// # Errors
    /// With the `cuda` feature, there is no driver, no card, or one too old for the kernels.
    pub fn open() -> Result<Dev> {
        #[cfg(feature = "card")]
        crate::nn::device::card()?;
        Ok(Dev::default())
    }

    /// The same device, for a model that computes in `precision`.
    #[must_use]
    pub fn at(&self, precision: Precision) -> Dev {
        Dev { precision }
    }

    pub(super) fn of(precision: Precision) -> &'static Dev {
        match precision {
            Precision::F32 => &Dev { precision: Precision::F32 },
            Precision::Tf32 => &Dev { precision: Precision::Tf32 },
            Precision::Bf16 => &Dev { precision: Precision::Bf16 },
            Precision::F16 => &Dev { precision: Precision::F16 },
        }
    }

    /// Whether it is a card, which one process and one model at a time computes on.
    pub const fn is_card() -> bool {
        cfg!(feature = "card")
    }

    /// A card's memory in bytes: what is free, and all of it. `None` on the CPU.
    pub fn memory() -> Option<(u64, u64)> {
        #[cfg(feature = "card")]
        return crate::nn::device::card()
            .and_then(|card| card.memory())
            .ok()
            .map(|(free, total)| (free as u64, total as u64));
        #[cfg(not(feature = "card"))]
        None
    }

    /// Makes the device ready for a model on it.
    ///
    /// # Errors
    /// There is no card, or one too old for the kernels.
    pub fn prepare(&self) -> Result<()> {
        #[cfg(feature = "card")]
        crate::nn::device::card()?.set_tf32(self.precision == Precision::Tf32);
        Ok(())
    }

    /// In what a model on it computes.
    pub fn precision(&self) -> Precision {
        self.precision
    }
}
