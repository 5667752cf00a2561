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

    /// In what a model on it computes.
    pub fn precision(&self) -> Precision {
        self.precision
    }
}
