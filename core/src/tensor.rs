//! The engine's tensor, tape and parameters, over dfdx.
//!
//! Shapes are run-time values here, so that one type serves every plugin, and a reshape is free. The
//! tape is ours: it hangs on a tensor only where a gradient must pass, so freezing is a run-time
//! choice and a frozen prefix records nothing by itself.
//!
//! Together with `nn`, this file and its folder are the only place that names dfdx.

pub mod buffer;
mod checkpoint;
mod composed;
mod dev;
mod error;
mod grads;
mod held;
mod param;
mod precision;
mod record;
mod tape;

use std::borrow::Cow;
use std::fmt;
use std::rc::Rc;

pub use buffer::{Buffer, Values};
pub use composed::{Composed, ComposedTape};
pub use dev::Dev;
pub use error::{DevError, Result, TensorError, is_memory};
pub use grads::{Grads, Slot};
pub use param::Param;
pub use precision::Precision;
pub use tape::Tape;

use buffer::Stored;
use held::Held;

/// A dense tensor, row-major, of any shape, with the tape it records on (if it does).
#[derive(Clone)]
pub struct Tensor {
    data: Rc<Held>,
    shape: Vec<usize>,
    tape: Tape,
    slot: Option<Slot>,
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tensor{:?}{}", self.shape, if self.records() { " recording" } else { "" })
    }
}

impl Tensor {
    /// A tensor of `values`, row-major; it records nothing.
    ///
    /// # Errors
    /// The number of values is not the product of `shape`; the device has no room.
    pub fn new(dev: &Dev, values: Vec<f32>, shape: &[usize]) -> Result<Tensor> {
        Tensor::of(Stored::at(dev.precision()).upload(values)?, shape)
    }

    /// A tensor of values that are on the device.
    fn of(values: Buffer, shape: &[usize]) -> Result<Tensor> {
        fill(values.len(), shape)?;
        let data = Rc::new(Held::new(values)?);
        Ok(Tensor { data, shape: shape.to_vec(), tape: Tape::default(), slot: None })
    }

    /// The sizes of the axes, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The shape as an array of `N` sizes.
    ///
    /// # Errors
    /// The tensor has another number of axes; the message names `op`.
    pub fn dims<const N: usize>(&self, op: &'static str) -> Result<[usize; N]> {
        self.shape.as_slice().try_into().map_err(|_| TensorError::Shape {
            op,
            detail: format!("needs {N} axes, got the shape {:?}", self.shape),
        })
    }

    /// The size of the last axis, and the product of the others.
    pub fn rows(&self) -> (usize, usize) {
        let width = self.shape.last().copied().unwrap_or(1);
        (self.len().checked_div(width).unwrap_or(0), width)
    }

    /// The number of values.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The device that holds the values, storing others as it does these.
    pub fn dev(&self) -> &Dev {
        Dev::of(Stored::like(self.values()).precision())
    }

    /// Whether gradients will pass through this tensor.
    pub fn records(&self) -> bool {
        self.slot.is_some() && self.tape.records()
    }

    /// Where this tensor's gradient goes, if it records.
    pub fn slot(&self) -> Option<Slot> {
        self.slot.filter(|_| self.tape.records())
    }

    /// The same values, cut off from the tape.
    pub fn detached(&self) -> Tensor {
        Tensor { tape: Tape::default(), slot: None, ..self.clone() }
    }

    /// The same values as a fresh leaf on `tape`: its gradient can be asked for by its slot.
    pub fn leaf(&self, tape: &Tape) -> Tensor {
        Tensor { tape: tape.clone(), slot: Some(Slot::new()), ..self.clone() }
    }

    /// The values, where they are.
    pub fn values(&self) -> &Values {
        self.data.values()
    }

    /// The values on the host: in place on the CPU, copied from a card.
    pub fn host(&self) -> Cow<'_, [f32]> {
        buffer::to_host(self.data.values())
    }

    /// The same values in another shape; free, and transparent to gradients.
    ///
    /// # Errors
    /// The number of values differs.
    pub fn reshape(&self, shape: &[usize]) -> Result<Tensor> {
        if shape.iter().product::<usize>() != self.len() {
            let detail = format!("{:?} can't become {shape:?}", self.shape);
            return Err(TensorError::Shape { op: "reshape", detail });
        }
        Ok(Tensor { shape: shape.to_vec(), ..self.clone() })
    }
}

/// Fails unless `len` values fill `shape`.
fn fill(len: usize, shape: &[usize]) -> Result<()> {
    if len == shape.iter().product::<usize>() {
        return Ok(());
    }
    let detail = format!("{len} values can't fill the shape {shape:?}");
    Err(TensorError::Shape { op: "tensor", detail })
}
