//! What a tensor holds: its values, in dfdx's storage on the CPU and in the card's memory on CUDA.

use super::buffer::{Buffer, Values};
use super::{Precision, Result};

#[cfg(feature = "card")]
use on_card as on;
#[cfg(not(feature = "card"))]
use on_cpu as on;

/// A tensor's values.
#[derive(Clone)]
pub(super) struct Held(on::Stored);

impl Held {
    /// `values`, to be read as they are.
    pub(super) fn new(values: Buffer) -> Result<Held> {
        Ok(Held(on::Stored::new(values)?))
    }

    /// `values` of a parameter, to be read as a model that computes in `precision` reads them.
    pub(super) fn param(values: Buffer, precision: Precision) -> Result<Held> {
        Ok(Held(on::Stored::read_in(values, precision)?))
    }

    /// As operations read them.
    pub(super) fn values(&self) -> &Values {
        self.0.values()
    }

    /// As they are kept.
    pub(super) fn kept(&self) -> &Values {
        self.0.kept()
    }

    /// As they are kept, to be changed.
    pub(super) fn kept_mut(&mut self) -> &mut Values {
        self.0.kept_mut()
    }

    /// Keeps them as they are read: of a parameter that is never trained.
    pub(super) fn settle(&mut self) {
        self.0.settle();
    }
}

#[cfg(not(feature = "card"))]
mod on_cpu {
    use super::{Buffer, Precision, Result, Values};
    use dfdx::tensor::{Cpu, Storage};

    #[derive(Clone)]
    pub(super) struct Stored(<Cpu as Storage<f32>>::Vec);

    impl Stored {
        pub(super) fn new(values: Buffer) -> Result<Stored> {
            thread_local!(static CPU: Cpu = Cpu::default());
            let mut stored = CPU.with(|cpu| cpu.try_alloc_len(0))?;
            *stored = values;
            Ok(Stored(stored))
        }

        pub(super) fn read_in(values: Buffer, _: Precision) -> Result<Stored> {
            Stored::new(values)
        }

        pub(super) fn values(&self) -> &Values {
            &self.0
        }

        pub(super) fn kept(&self) -> &Values {
            &self.0
        }

        pub(super) fn kept_mut(&mut self) -> &mut Values {
            &mut self.0
        }

        pub(super) fn settle(&mut self) {}
    }
}

#[cfg(feature = "card")]
mod on_card {
    use std::cell::OnceCell;

    use super::{Buffer, Precision, Result, Values};
    use crate::nn::device::done;
    use crate::tensor::buffer::Stored as Storage;

    pub(super) struct Stored {
        kept: Buffer,
        read: Storage,
        /// The values as they are read, if they are kept otherwise.
        copy: OnceCell<Option<Buffer>>,
    }

    impl Clone for Stored {
        fn clone(&self) -> Stored {
            Stored { kept: done(self.kept.copy()), read: self.read, copy: OnceCell::new() }
        }
    }

    impl Stored {
        pub(super) fn new(values: Buffer) -> Result<Stored> {
            let read = Storage::like(&values);
            Ok(Stored { kept: values, read, copy: OnceCell::new() })
        }

        pub(super) fn read_in(values: Buffer, precision: Precision) -> Result<Stored> {
            Ok(Stored { kept: values, read: Storage::at(precision), copy: OnceCell::new() })
        }

        pub(super) fn values(&self) -> &Values {
            let copy = self.copy.get_or_init(|| self.read.copy_of(&self.kept));
            copy.as_ref().unwrap_or(&self.kept)
        }

        pub(super) fn kept(&self) -> &Values {
            &self.kept
        }

        pub(super) fn kept_mut(&mut self) -> &mut Values {
            self.copy = OnceCell::new();
            &mut self.kept
        }

        pub(super) fn settle(&mut self) {
            if let Some(copy) = self.read.copy_of(&self.kept) {
                self.kept = copy;
                self.copy = OnceCell::new();
            }
        }
    }
}
