//! The operations and layers that plugins are built from.

pub mod builder;
pub mod cost;
#[cfg(feature = "card")]
pub mod device;
pub mod fit;
pub mod kernels;
pub mod layers;
pub mod ops;

/// The kernels of the device that operations run on.
#[cfg(not(feature = "card"))]
pub use kernels as device;

pub use builder::{Builder, Init, ParamShape, Store};
