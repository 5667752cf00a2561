//! What can go wrong in the engine.

#[cfg(feature = "cuda")]
use dfdx::tensor::CudaError as ComposedError;

/// What the device reports when it fails. On the CPU only operations composed from dfdx's can.
#[cfg(not(feature = "cuda"))]
pub type DevError = dfdx::tensor::CpuError;
/// What the device reports when it fails: no driver or no card, out of memory, a launch that failed.
#[cfg(feature = "cuda")]
pub type DevError = crate::nn::kernels::cuda::Failure;

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

#[cfg(feature = "cuda")]
impl From<ComposedError> for TensorError {
    fn from(error: ComposedError) -> Self {
        TensorError::Device(error.into())
    }
}

/// The result of an operation of the engine.
pub type Result<T, E = TensorError> = std::result::Result<T, E>;
