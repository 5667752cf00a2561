//! Activation checkpointing (Chen et al., arXiv 1604.06174): a block keeps its input alone, and the
//! backward pass computes the rest again.

use super::{Result, Slot, Tape, Tensor};
use std::rc::Rc;

impl Tape {
    /// Whether blocks keep their inputs alone. It changes no bit of a result.
    pub fn set_checkpointing(&self, on: bool) {
        if let Some(cell) = &self.0 {
            cell.checkpointing.set(on);
        }
    }

    /// Operations that wait for the backward pass.
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |cell| cell.ops.borrow().len())
    }

    /// Whether none does.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn checkpoints(&self) -> bool {
        self.0.as_ref().is_some_and(|cell| cell.checkpointing.get() && !cell.paused.get())
    }
}

impl Tensor {
    /// Whether a block that reads this tensor should be checkpointed.
    pub fn checkpoints(&self) -> bool {
        self.records() && self.tape.checkpoints()
    }

    /// `forward(self)`, computed without recording; the backward pass computes it again and records.
    /// `forward` must give the same values both times, and may use no other tensor that records but
    /// parameters.
    ///
    /// # Errors
    /// What `forward` reports.
    pub fn checkpointed(
        &self,
        forward: impl Fn(&Tensor) -> Result<Tensor> + 'static,
    ) -> Result<Tensor> {
        let Some(cell) = self.tape.0.as_ref().filter(|_| self.records()) else {
            return forward(self);
        };
        let out = self.tape.paused(|| forward(self))?;
        let (slot, input, shape) = (Slot::new(), self.slot, out.shape().to_vec());
        // The tape must not hold itself.
        let (tape, saved) = (Rc::downgrade(cell), self.detached());
        self.tape.push(Box::new(move |grads| {
            let (Some(gradient), Some(cell)) = (grads.take(slot), tape.upgrade()) else {
                return Ok(());
            };
            let tape = Tape(Some(cell));
            // What this records runs next, and adds to the same slots in the same order as if it
            // had been recorded the first time.
            let before = tape.0.as_ref().is_some_and(|cell| cell.checkpointing.replace(false));
            let again = forward(&Tensor { tape: tape.clone(), slot: input, ..saved });
            tape.set_checkpointing(before);
            let again = again?;
            debug_assert_eq!(again.shape(), shape, "a checkpointed block changed its shape");
            grads.add(again.slot(), gradient);
            Ok(())
        }));
        Ok(Tensor { tape: self.tape.clone(), slot: Some(slot), ..out })
    }
}
