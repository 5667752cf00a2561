//! Operations composed from dfdx's own: what an operation of ours is tested against. A tensor passes
//! through the host on its way in and out.

use std::rc::Rc;

use dfdx::tensor::{AutoDevice, Gradients, HasErr, Merge, NoneTape, PutTape, SplitTape, Storage};
use dfdx::tensor::{Tape as DfdxTape, Tensor as DfdxTensor, TensorFromVec};
use dfdx::tensor_ops::ReshapeTo;

use super::{Result, Slot, Tape, Tensor, buffer};

/// A dfdx tensor of run-time shape `S` on our device and tape: what composed operations compute with.
pub type Composed<S> = DfdxTensor<S, f32, AutoDevice, ComposedTape>;

/// The tape of a composed operation. dfdx makes fresh ones inside its operations (`retaped`, in
/// softmax and normalisation) and merges them later, so they must hold on to what they record.
#[derive(Clone)]
pub enum ComposedTape {
    /// Hangs on a tape of ours, or on none that records.
    Ours(Tape),
    /// Made by dfdx, and not yet merged into one of ours.
    Fresh(Tape),
}

impl Default for ComposedTape {
    fn default() -> Self {
        ComposedTape::Fresh(Tape::recording())
    }
}

impl ComposedTape {
    fn tape(&self) -> &Tape {
        match self {
            ComposedTape::Ours(tape) | ComposedTape::Fresh(tape) => tape,
        }
    }
}

impl Merge<ComposedTape> for ComposedTape {
    fn merge(self, other: ComposedTape) -> ComposedTape {
        use ComposedTape::{Fresh, Ours};
        let (to, from) = match (self, other) {
            (Ours(a), Ours(b)) => return Ours(if a.records() { a } else { b }),
            (Ours(a), b @ Fresh(_)) | (b @ Fresh(_), Ours(a)) if !a.records() => return b,
            (Ours(a), Fresh(b)) | (Fresh(b), Ours(a)) => (Ours(a), b),
            (Fresh(a), Fresh(b)) => (Fresh(a), b),
        };
        // What the two recorded before they met is independent, so either order is right.
        if let (Some(to), Some(from)) = (&to.tape().0, &from.0)
            && !Rc::ptr_eq(to, from)
        {
            to.ops.borrow_mut().append(&mut from.ops.borrow_mut());
        }
        to
    }
}

impl Merge<NoneTape> for ComposedTape {
    fn merge(self, _: NoneTape) -> ComposedTape {
        self
    }
}

impl DfdxTape<f32, AutoDevice> for ComposedTape {
    const OWNS_TAPE: bool = true;
    fn add_backward_op<F>(&mut self, operation: F)
    where
        F: 'static
            + FnOnce(&mut Gradients<f32, AutoDevice>) -> Result<(), <AutoDevice as HasErr>::Err>,
    {
        self.tape().push(Box::new(move |grads| Ok(operation(&mut grads.composed)?)));
    }
}

impl Tensor {
    /// This tensor as a dfdx tensor of shape `S`, for an operation composed from dfdx's own.
    ///
    /// # Errors
    /// The device fails.
    pub fn composed<S: dfdx::shapes::Shape>(&self, shape: S) -> Result<Composed<S>> {
        let tape = if self.records() { self.tape.clone() } else { Tape::default() };
        // A gradient of dfdx's is keyed by dfdx's id, which a reshape keeps apart for us.
        let fresh = device()?.try_tensor_from_vec(self.host().into_owned(), (self.len(),))?;
        let ghost = fresh.ghost();
        let slot = self.slot();
        tape.push(Box::new(move |grads| {
            grads.composed.try_alloc_for(&ghost)?;
            let gradient = grads.composed.get(&ghost).as_vec();
            grads.add(slot, buffer::from_host(gradient)?);
            Ok(())
        }));
        Ok(fresh.put_tape(ComposedTape::Ours(tape)).try_reshape_like(&shape)?)
    }

    /// The result of composed operations, back as a tensor of ours.
    ///
    /// # Errors
    /// The device fails.
    pub fn from_composed<S: dfdx::shapes::Shape>(value: Composed<S>) -> Result<Tensor> {
        use dfdx::shapes::HasShape;
        let shape: Vec<usize> = value.shape().concrete().into_iter().collect();
        let (value, tape) = value.split_tape();
        let mut out = Tensor::of(buffer::from_host(value.as_vec())?, &shape)?;
        // A tape that never met one of ours hangs on nothing that records.
        if let ComposedTape::Ours(tape) = tape
            && tape.records()
        {
            let slot = Slot::new();
            let ghost = value.ghost();
            tape.push(Box::new(move |grads| {
                if let Some(gradient) = grads.take(slot) {
                    write(grads.composed.get_or_alloc_mut(&ghost)?, &buffer::to_host(&gradient))?;
                }
                Ok(())
            }));
            out.tape = tape;
            out.slot = Some(slot);
        }
        Ok(out)
    }
}

fn device() -> Result<AutoDevice> {
    // What is wrong with the card is told by ours; dfdx panics.
    super::Dev::open()?;
    Ok(AutoDevice::default())
}

#[cfg(not(feature = "cuda"))]
fn write(to: &mut <AutoDevice as Storage<f32>>::Vec, values: &[f32]) -> Result<()> {
    to.copy_from_slice(values);
    Ok(())
}

#[cfg(feature = "cuda")]
fn write(to: &mut <AutoDevice as Storage<f32>>::Vec, values: &[f32]) -> Result<()> {
    let written = to.device().htod_sync_copy_into(values, &mut **to);
    Ok(written.map_err(dfdx::tensor::CudaError::from)?)
}
