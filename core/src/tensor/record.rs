//! Operations on the tape, and the backward pass.

use super::buffer::Stored;
use super::{Buffer, Grads, Result, Slot, Tensor, TensorError};

impl Tensor {
    /// The result of an operation on `inputs`. If any of them records, so does the result, and
    /// `backward` gets the result's gradient when its turn comes. It must not capture a recording
    /// tensor (take `detached()` values and `slot()`s), or the tape would hold itself.
    ///
    /// # Errors
    /// `values` don't fill `shape`; the device has no room.
    pub fn from_op<F>(
        inputs: &[&Tensor],
        values: Buffer,
        shape: &[usize],
        backward: F,
    ) -> Result<Tensor>
    where
        F: FnOnce(&mut Grads, Buffer) -> Result<()> + 'static,
    {
        Tensor::from_op_with(inputs, values, shape, |_| backward)
    }

    /// Like [`Tensor::from_op`], where the backward pass needs the result itself: `backward` is
    /// made from the result's detached values, and only if the result records.
    ///
    /// # Errors
    /// `values` don't fill `shape`; the device has no room.
    pub fn from_op_with<F>(
        inputs: &[&Tensor],
        values: Buffer,
        shape: &[usize],
        backward: impl FnOnce(Tensor) -> F,
    ) -> Result<Tensor>
    where
        F: FnOnce(&mut Grads, Buffer) -> Result<()> + 'static,
    {
        let mut out = Tensor::of(values, shape)?;
        if let Some(input) = inputs.iter().find(|input| input.records()) {
            let (slot, stored) = (Slot::new(), Stored::like(out.values()));
            let backward = backward(out.detached());
            out.tape = input.tape.clone();
            out.slot = Some(slot);
            out.tape.push(Box::new(move |grads| match grads.take(slot) {
                Some(gradient) => backward(grads, stored.of(gradient)),
                None => Ok(()),
            }));
        }
        Ok(out)
    }

    /// Starts the backward pass from this scalar and returns the gradients of the leaves.
    ///
    /// # Errors
    /// The tensor is not a single value, or a backward operation fails.
    pub fn backward(&self) -> Result<Grads> {
        let mut grads = Grads::default();
        self.backward_into(1.0, &mut grads)?;
        Ok(grads)
    }

    /// Starts the backward pass with `scale` in place of 1 as this scalar's own gradient, and adds
    /// the gradients of the leaves to `grads`.
    ///
    /// # Errors
    /// The tensor is not a single value, or a backward operation fails.
    pub fn backward_into(&self, scale: f32, grads: &mut Grads) -> Result<()> {
        if self.len() != 1 {
            let detail = format!("starts from a single value, got the shape {:?}", self.shape);
            return Err(TensorError::Shape { op: "backward", detail });
        }
        grads.add(self.slot(), Stored::like(self.values()).upload(vec![scale])?);
        self.tape.backward(grads)
    }

    /// Starts the backward pass from this tensor, of any shape, whose gradient is given on the host.
    ///
    /// # Errors
    /// The gradient has another number of values, or a backward operation fails.
    pub fn backward_from(&self, gradient: Vec<f32>) -> Result<Grads> {
        if self.len() != gradient.len() {
            let detail = format!("a gradient of {} for {:?}", gradient.len(), self.shape);
            return Err(TensorError::Shape { op: "backward", detail });
        }
        let mut grads = Grads::default();
        grads.add(self.slot(), Stored::like(self.values()).upload(gradient)?);
        self.tape.backward(&mut grads)?;
        Ok(grads)
    }
}
