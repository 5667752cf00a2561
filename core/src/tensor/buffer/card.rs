//! With a card.

use std::borrow::Cow;

pub use crate::nn::kernels::cuda::Buffer;

use crate::nn::device::{card, done};
use crate::nn::kernels::cuda::Kind;
use crate::tensor::{Precision, Result};

/// Values on the device, borrowed.
pub type Values = Buffer;

/// Moves values to the device, in f32.
///
/// # Errors
/// There is no card, or it has no room.
pub fn from_host(values: Vec<f32>) -> Result<Buffer> {
    Ok(done(card()?.upload(Kind::F32, &values)))
}

/// How values are stored.
#[derive(Debug, Clone, Copy)]
pub struct Stored(Kind);

impl Stored {
    /// As a model that computes in `precision` stores them.
    pub fn at(precision: Precision) -> Stored {
        Stored(match precision {
            Precision::F32 | Precision::Tf32 => Kind::F32,
            Precision::Bf16 => Kind::Bf16,
            Precision::F16 => Kind::F16,
        })
    }

    /// As `values` are.
    pub fn like(values: &Values) -> Stored {
        Stored(values.kind())
    }

    /// Moves values to the device.
    ///
    /// # Errors
    /// There is no card, or it has no room.
    pub fn upload(self, values: Vec<f32>) -> Result<Buffer> {
        // A card without room unwinds wherever it is found out.
        Ok(done(card()?.upload(self.0, &values)))
    }

    /// The same values, stored so.
    pub fn of(self, values: Buffer) -> Buffer {
        if values.kind() == self.0 { values } else { done(values.cast(self.0)) }
    }

    /// A copy of the values that is stored so; `None` if they are.
    pub(in crate::tensor) fn copy_of(self, values: &Values) -> Option<Buffer> {
        (values.kind() != self.0).then(|| done(values.cast(self.0)))
    }

    /// A precision that stores them so.
    pub fn precision(self) -> Precision {
        match self.0 {
            Kind::F32 => Precision::F32,
            Kind::Bf16 => Precision::Bf16,
            Kind::F16 => Precision::F16,
        }
    }
}

/// The values on the host: in place on the CPU, copied from a card.
pub fn to_host(values: &Values) -> Cow<'_, [f32]> {
    Cow::Owned(done(values.download()))
}

/// The values on the host: moved on the CPU, copied from a card.
pub fn into_host(values: Buffer) -> Vec<f32> {
    done(values.download())
}

/// `len` zeros, in f32.
pub fn zeros(len: usize) -> Buffer {
    done(card().and_then(|card| card.zeros(Kind::F32, len)))
}

/// Lets `f` change the values on the host: in place on the CPU, copied from a card and back.
pub fn change_on_host(values: &mut Values, f: impl FnOnce(&mut [f32])) {
    let mut host = done(values.download());
    f(&mut host);
    done(values.store(&host));
}
