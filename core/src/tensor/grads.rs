//! Gradients, on the device, by the slot of what they belong to.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::atomic::{AtomicU64, Ordering};

use dfdx::tensor::{AutoDevice, Gradients};

use super::buffer::{self, Buffer, Values};
use crate::nn::device::elementwise;

/// Where a tensor's gradient goes. A tensor that doesn't record has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot(u64);

impl Slot {
    pub(super) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Slot(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// The gradients of one backward pass.
pub struct Grads {
    of: BTreeMap<Slot, Buffer>,
    /// dfdx's own, of composed operations.
    pub(super) composed: Gradients<f32, AutoDevice>,
}

impl Default for Grads {
    fn default() -> Self {
        Grads { of: BTreeMap::new(), composed: Gradients::leaky() }
    }
}

impl Grads {
    /// Adds `gradient` to what `slot` has. Without a slot (nothing upstream records) it is dropped.
    pub fn add(&mut self, slot: Option<Slot>, gradient: Buffer) {
        let Some(slot) = slot else { return };
        match self.of.entry(slot) {
            Entry::Vacant(entry) => {
                entry.insert(gradient);
            }
            Entry::Occupied(mut entry) => {
                elementwise::add_assign(entry.get_mut(), &gradient);
            }
        }
    }

    /// Like [`Grads::add`], for a gradient that is needed elsewhere, too.
    pub fn add_ref(&mut self, slot: Option<Slot>, gradient: &Values) {
        let Some(slot) = slot else { return };
        match self.of.get_mut(&slot) {
            Some(sum) => elementwise::add_assign(sum, gradient),
            None => {
                self.of.insert(slot, elementwise::copy(gradient));
            }
        }
    }

    /// What `slot` has so far, to accumulate into in place; `None` before the first contribution.
    pub fn get_mut(&mut self, slot: Slot) -> Option<&mut Buffer> {
        self.of.get_mut(&slot)
    }

    /// Takes a finished gradient out; `None` if nothing contributed to it.
    pub fn take(&mut self, slot: Slot) -> Option<Buffer> {
        self.of.remove(&slot)
    }

    /// Like [`Grads::take`], on the host.
    pub fn take_host(&mut self, slot: Slot) -> Option<Vec<f32>> {
        self.take(slot).map(buffer::into_host)
    }
}
