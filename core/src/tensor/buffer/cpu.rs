//! On the CPU.

use std::borrow::Cow;

use crate::tensor::{Precision, Result};

/// Values on the device, owned.
pub type Buffer = Vec<f32>;
/// Values on the device, borrowed.
pub type Values = [f32];

/// Moves values to the device, in f32.
///
/// # Errors
/// The device has no room.
pub fn from_host(values: Vec<f32>) -> Result<Buffer> {
    Ok(values)
}

/// How values are stored: as f32.
#[derive(Debug, Clone, Copy)]
pub struct Stored;

impl Stored {
    /// As a model that computes in `precision` stores them.
    pub fn at(_: Precision) -> Stored {
        Stored
    }

    /// As `values` are.
    pub fn like(_: &Values) -> Stored {
        Stored
    }

    /// Moves values to the device.
    ///
    /// # Errors
    /// The device has no room.
    pub fn upload(self, values: Vec<f32>) -> Result<Buffer> {
        Ok(values)
    }

    /// The same values, stored so.
    pub fn of(self, values: Buffer) -> Buffer {
        values
    }

    /// A precision that stores them so.
    pub fn precision(self) -> Precision {
        Precision::F32
    }
}

/// The values on the host: in place on the CPU, copied from a card.
pub fn to_host(values: &Values) -> Cow<'_, [f32]> {
    Cow::Borrowed(values)
}

/// The values on the host: moved on the CPU, copied from a card.
pub fn into_host(values: Buffer) -> Vec<f32> {
    values
}

/// `len` zeros, in f32.
pub fn zeros(len: usize) -> Buffer {
    vec![0.0; len]
}

/// Lets `f` change the values on the host: in place on the CPU, copied from a card and back.
pub fn change_on_host(values: &mut Values, f: impl FnOnce(&mut [f32])) {
    f(values);
}
