//! Values on the device: what operations give, what is saved for the backward pass, gradients and
//! optimiser moments. On the CPU a buffer is a `Vec`; with the `cuda` feature it lies in the card's
//! memory, and comes to the host only through the functions here that say so.

#[cfg(not(feature = "cuda"))]
mod on {
    use std::borrow::Cow;

    use crate::tensor::Result;

    /// Values on the device, owned.
    pub type Buffer = Vec<f32>;
    /// Values on the device, borrowed.
    pub type Values = [f32];

    /// Moves values to the device.
    ///
    /// # Errors
    /// The device has no room.
    pub fn from_host(values: Vec<f32>) -> Result<Buffer> {
        Ok(values)
    }

    /// The values, in place on the CPU and copied from a card.
    pub fn to_host(values: &Values) -> Cow<'_, [f32]> {
        Cow::Borrowed(values)
    }

    /// The values, moved on the CPU and copied from a card.
    pub fn into_host(values: Buffer) -> Vec<f32> {
        values
    }

    /// `len` zeros.
    pub fn zeros(len: usize) -> Buffer {
        vec![0.0; len]
    }

    /// Lets `f` change the values: in place on the CPU, and copied from a card and back.
    pub fn change_on_host(values: &mut Values, f: impl FnOnce(&mut [f32])) {
        f(values);
    }
}

#[cfg(feature = "cuda")]
use crate::nn::kernels::cuda::buffer as on;

pub use on::{Buffer, Values, change_on_host, from_host, into_host, to_host, zeros};
