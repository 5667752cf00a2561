//! In which numbers a model computes.

use serde::{Deserialize, Serialize};

/// How values are stored and multiplied: an experiment's `precision`. Sums, statistics, losses,
/// gradients of parameters, moments and the weights that are trained are f32 in all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Precision {
    /// f32 throughout.
    #[default]
    F32,
    /// f32, but products round what they multiply to 10 bits of mantissa.
    Tf32,
    /// Activations and frozen weights in bfloat16: f32's exponent, 7 bits of mantissa.
    Bf16,
    /// Activations and frozen weights in f16: 5 bits of exponent, 10 of mantissa. The loss is scaled,
    /// so that small gradients don't vanish.
    F16,
}

impl Precision {
    /// Bytes of an activation, and of a frozen weight.
    pub fn bytes(self) -> u64 {
        match self {
            Precision::F32 | Precision::Tf32 => 4,
            Precision::Bf16 | Precision::F16 => 2,
        }
    }

    /// Whether the loss must be scaled.
    pub fn scales_loss(self) -> bool {
        self == Precision::F16
    }

    /// What is wrong with computing so on this build's device, if something is.
    pub fn fault(self) -> Option<&'static str> {
        let cpu = !cfg!(feature = "card");
        (cpu && self != Precision::F32).then_some(
            "the CPU computes in f32: write `precision: F32`, or run a build with `--features cuda`",
        )
    }
}
