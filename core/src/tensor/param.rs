//! Parameters: named weights, trained while they hang on a tape.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

use super::held::Held;
use super::{Dev, Result, Slot, Tape, Tensor, Values, buffer, fill};

struct ParamCell {
    name: String,
    shape: Vec<usize>,
    value: RefCell<Rc<Held>>,
    slot: Slot,
    tape: RefCell<Tape>,
    buffer: Cell<bool>,
}

/// A named weight of a model. Cloning shares it. It is trained while it hangs on a tape.
#[derive(Clone)]
pub struct Param(Rc<ParamCell>);

impl fmt::Debug for Param {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Param({} {:?})", self.0.name, self.0.shape)
    }
}

impl Param {
    /// A frozen parameter of `values`.
    ///
    /// # Errors
    /// `values` don't fill `shape`; the device has no room.
    pub fn new(dev: &Dev, name: &str, values: Vec<f32>, shape: &[usize]) -> Result<Param> {
        fill(values.len(), shape)?;
        let value = Held::param(buffer::from_host(values)?, dev.precision())?;
        Ok(Param(Rc::new(ParamCell {
            name: name.to_owned(),
            shape: shape.to_vec(),
            value: RefCell::new(Rc::new(value)),
            slot: Slot::new(),
            tape: RefCell::default(),
            buffer: Cell::new(false),
        })))
    }

    /// The name under which it stands in a checkpoint.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The sizes of its axes.
    pub fn shape(&self) -> &[usize] {
        &self.0.shape
    }

    /// The number of values.
    pub fn len(&self) -> usize {
        self.0.shape.iter().product()
    }

    /// Whether it has no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The same as a buffer, which is never trained: its module changes it.
    #[must_use]
    pub fn into_buffer(self) -> Param {
        self.0.buffer.set(true);
        self
    }

    /// Whether it is a buffer.
    pub fn is_buffer(&self) -> bool {
        self.0.buffer.get()
    }

    /// Trains it on `tape` from now on, or freezes it with the default tape. A buffer stays frozen.
    pub fn set_tape(&self, tape: &Tape) {
        if self.is_buffer() {
            return;
        }
        *self.0.tape.borrow_mut() = tape.clone();
    }

    /// Whether it gets updates.
    pub fn trained(&self) -> bool {
        self.0.tape.borrow().0.is_some()
    }

    /// Where its gradient is found after a backward pass.
    pub fn slot(&self) -> Slot {
        self.0.slot
    }

    /// Its value, as a leaf that records if it is trained.
    pub fn tensor(&self) -> Tensor {
        let tape = self.0.tape.borrow().clone();
        let slot = tape.0.is_some().then_some(self.0.slot);
        Tensor { data: self.0.value.borrow().clone(), shape: self.0.shape.clone(), tape, slot }
    }

    /// The values on the host, as they are kept: in place on the CPU, copied from a card.
    pub fn host(&self) -> Vec<f32> {
        buffer::to_host(self.0.value.borrow().kept()).into_owned()
    }

    /// Keeps the values only as operations read them, in 16 bits where that is the precision: of a
    /// parameter that no stage trains.
    pub fn settle(&self) {
        Rc::make_mut(&mut self.0.value.borrow_mut()).settle();
    }

    /// Changes the values in place, where they are.
    pub fn change(&self, f: impl FnOnce(&mut Values)) {
        // A tensor that still holds the old values keeps them.
        f(Rc::make_mut(&mut self.0.value.borrow_mut()).kept_mut());
    }

    /// Changes the values on the host: in place on the CPU, copied from a card and back.
    pub fn update(&self, f: impl FnOnce(&mut [f32])) {
        self.change(|values| buffer::change_on_host(values, f));
    }
}
