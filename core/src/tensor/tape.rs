//! The record of a forward pass, played backwards.
//!
//! It hangs on a tensor only where a gradient must pass, so freezing is a run-time choice and a frozen
//! prefix records nothing by itself.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

use super::{Grads, Result};

pub(super) type BackwardOp = Box<dyn FnOnce(&mut Grads) -> Result<()>>;

#[derive(Default)]
pub(super) struct TapeCell {
    pub(super) paused: Cell<bool>,
    pub(super) checkpointing: Cell<bool>,
    pub(super) ops: RefCell<Vec<BackwardOp>>,
}

/// The record of one forward pass. Cloning shares it; the default records nothing.
#[derive(Clone, Default)]
pub struct Tape(pub(super) Option<Rc<TapeCell>>);

impl Tape {
    /// A tape that records.
    pub fn recording() -> Self {
        Tape(Some(Rc::default()))
    }

    /// Whether operations are recorded now.
    pub fn records(&self) -> bool {
        self.0.as_ref().is_some_and(|cell| !cell.paused.get())
    }

    /// Runs `f` with recording off: evaluation, or the forward pass of a checkpointed block.
    pub fn paused<T>(&self, f: impl FnOnce() -> T) -> T {
        let Some(cell) = &self.0 else { return f() };
        let before = cell.paused.replace(true);
        let result = f();
        cell.paused.set(before);
        result
    }

    pub(super) fn push(&self, op: BackwardOp) {
        if let Some(cell) = self.0.as_ref().filter(|cell| !cell.paused.get()) {
            cell.ops.borrow_mut().push(op);
        }
    }

    /// Runs everything recorded, last first, and empties the tape. An operation may record more
    /// while it runs (a checkpointed block does): that runs next.
    ///
    /// # Errors
    /// What an operation's backward pass reports; the tape is empty then, too.
    pub fn backward(&self, grads: &mut Grads) -> Result<()> {
        let Some(cell) = &self.0 else { return Ok(()) };
        loop {
            let Some(op) = cell.ops.borrow_mut().pop() else { return Ok(()) };
            if let Err(error) = op(grads) {
                cell.ops.borrow_mut().clear();
                return Err(error);
            }
        }
    }

    /// Drops what was recorded: after a forward pass that gets no backward pass.
    pub fn clear(&self) {
        if let Some(cell) = &self.0 {
            cell.ops.borrow_mut().clear();
        }
    }
}

impl fmt::Debug for Tape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tape(records: {})", self.records())
    }
}
