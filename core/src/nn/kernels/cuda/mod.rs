//! The kernels' twins on an NVIDIA card: the same names and arguments as in `nn::kernels`, on
//! [`Buffer`]s in place of slices.
//!
//! A `.cu` file holds an operation's kernels in the common subset of C and CUDA C, so that the
//! machine's C compiler compiles the same text for the tests, which run it thread by thread on the CPU
//! (`emulated.rs`); on the card NVRTC compiles it when it is first used, for the card's own
//! architecture and for the storage of the values (f32, bf16, f16). The file of the same name beside
//! it computes grids and arguments, and is tested with it, against the CPU's kernels.
//!
//! Every kernel computes in f32, whatever the storage. None uses atomics: sums are made by one owner
//! or in two steps, so that two runs are equal to the last bit.

pub mod activation;
pub mod adamw;
pub mod attention;
mod buffer;
mod call;
mod cast;
pub mod conv;
pub mod cross_entropy;
pub mod deformable;
pub mod detection;
#[cfg(feature = "cuda")]
mod device;
pub mod elementwise;
#[cfg(not(feature = "cuda"))]
mod emulated;
mod error;
pub mod grid_sample;
pub mod linear;
pub mod norm;
pub mod relative;
pub mod resize;
pub mod rotary;
pub mod rows;
pub mod softmax;
#[cfg(test)]
mod tests;
pub mod windows;

pub use buffer::{Buffer, Indices};
#[cfg(feature = "cuda")]
pub use device::Gpu;
#[cfg(not(feature = "cuda"))]
pub use emulated::Gpu;
pub use error::GpuError;

/// The result of work on the card.
pub type Result<T, E = GpuError> = std::result::Result<T, E>;

/// How values are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// 32 bits.
    F32,
    /// 16 bits with the exponent of f32.
    Bf16,
    /// IEEE's 16 bits.
    F16,
}

impl Kind {
    /// Bytes of a value.
    pub fn bytes(self) -> usize {
        if self == Kind::F32 { 4 } else { 2 }
    }

    /// What kernels are compiled with as `STORAGE`.
    fn code(self) -> u32 {
        match self {
            Kind::F32 => 0,
            Kind::Bf16 => 1,
            Kind::F16 => 2,
        }
    }
}
