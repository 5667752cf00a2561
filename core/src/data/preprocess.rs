//! From a picture to a tensor. (Placeholder of the agreed type; the `world` branch has the body.)
use serde::{Deserialize, Serialize};

/// How a picture becomes an encoder's input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageSpec {
    /// Side in pixels.
    pub size: usize,
}
