//! What can go wrong in the engine.

/// What the device reports when it fails. On the CPU only operations composed from dfdx's can.
#[cfg(not(feature = "card"))]
pub type DevError = dfdx::tensor::CpuError;
/// What the device reports when it fails: no driver or no card, out of memory, a launch that failed.
#[cfg(feature = "card")]
pub type DevError = crate::nn::kernels::cuda::GpuError;

/// An error of the engine: shapes that an operation can't take, or the device's own failure.
#[derive(Debug, thiserror::Error)]
pub enum TensorError {
    /// The shapes that reached an operation don't fit it. A promise of a plugin was wrong.
    #[error("{op}: {detail}")]
    Shape {
        /// The operation.
        op: &'static str,
        /// What it got and what it needs.
        detail: String,
    },
    /// The device failed.
    #[error("the device failed: {0}")]
    Device(DevError),
}

impl From<DevError> for TensorError {
    fn from(error: DevError) -> Self {
        TensorError::Device(error)
    }
}

#[cfg(all(feature = "card", not(feature = "cuda")))]
use dfdx::tensor::CpuError as ComposedError;
#[cfg(feature = "cuda")]
use dfdx::tensor::CudaError as ComposedError;

#[cfg(feature = "card")]
impl From<ComposedError> for TensorError {
    fn from(error: ComposedError) -> Self {
        let (call, name) = ("a composed operation", format!("{error:?}"));
        TensorError::Device(DevError::Driver { call, name })
    }
}

/// Whether a device says that it has no room.
pub fn is_memory(error: &DevError) -> bool {
    #[cfg(not(feature = "card"))]
    return matches!(error, DevError::OutOfMemory);
    #[cfg(feature = "card")]
    matches!(error, DevError::OutOfMemory { .. })
}

/// The result of an operation of the engine.
pub type Result<T, E = TensorError> = std::result::Result<T, E>;
