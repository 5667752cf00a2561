//! What a tensor holds: its values, in dfdx's storage on the CPU and in the card's memory on CUDA.

use super::buffer::{Buffer, Values};

#[cfg(not(feature = "cuda"))]
type Stored = <dfdx::tensor::Cpu as dfdx::tensor::Storage<f32>>::Vec;
#[cfg(feature = "cuda")]
type Stored = Buffer;

#[derive(Clone)]
pub(super) struct Held(Stored);

impl Held {
    #[cfg(not(feature = "cuda"))]
    pub(super) fn new(values: Buffer) -> super::Result<Held> {
        use dfdx::tensor::{Cpu, Storage};
        thread_local!(static CPU: Cpu = Cpu::default());
        let mut stored: Stored = CPU.with(|cpu| cpu.try_alloc_len(0))?;
        *stored = values;
        Ok(Held(stored))
    }

    #[cfg(feature = "cuda")]
    pub(super) fn new(values: Buffer) -> super::Result<Held> {
        Ok(Held(values))
    }

    pub(super) fn values(&self) -> &Values {
        &self.0
    }

    pub(super) fn values_mut(&mut self) -> &mut Values {
        &mut self.0
    }
}
