//! What can go wrong with a card.

/// An error of the card, its driver or its libraries.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GpuError {
    /// There is no driver, or it doesn't start.
    #[error(
        "the NVIDIA driver doesn't answer ({name}): is it installed, and does `nvidia-smi` see a card?"
    )]
    NoDriver {
        /// The driver's name of the error.
        name: String,
    },
    /// There is no card of this number.
    #[error(
        "there is no card {ordinal}: the driver sees {count} (CUDA_VISIBLE_DEVICES hides others)"
    )]
    NoDevice {
        /// The card's number, from 0.
        ordinal: usize,
        /// Cards that the driver sees.
        count: usize,
    },
    /// The card lacks what the kernels need.
    #[error(
        "{name} has compute capability {}.{}; 8.0 (A100) or newer is needed", .capability.0, .capability.1
    )]
    TooOld {
        /// The card.
        name: String,
        /// Its compute capability.
        capability: (u32, u32),
    },
    /// There is no room.
    #[error("the card has no room for {bytes} more bytes: {free} of its {total} are free")]
    OutOfMemory {
        /// What was asked for.
        bytes: usize,
        /// What the driver calls free.
        free: usize,
        /// What the card has.
        total: usize,
    },
    /// A kernel doesn't compile for this card.
    #[error("{file} doesn't compile for {architecture}:\n{log}")]
    Compile {
        /// The kernel's file.
        file: &'static str,
        /// For what.
        architecture: String,
        /// What the compiler says.
        log: String,
    },
    /// Another error of the driver.
    #[error("{call} failed: {name}")]
    Driver {
        /// What was being done.
        call: &'static str,
        /// The driver's name of the error.
        name: String,
    },
    /// A matrix product failed.
    #[error("a matrix product failed: {name}")]
    Product {
        /// cuBLAS's name of the error.
        name: String,
    },
    /// No kernel does this.
    #[error("{op}: {detail}")]
    Unsupported {
        /// The operation.
        op: &'static str,
        /// What it got and what it can do.
        detail: String,
    },
}
