//! The engine's tensor, tape and parameters, over dfdx.
//!
//! dfdx holds the data and the device; shapes are run-time values here, so that one type serves
//! every plugin, and a reshape is free. The tape is ours: it hangs on a tensor only where a gradient
//! must pass, so freezing is a run-time choice and a frozen prefix records nothing by itself.
//!
//! Together with `nn`, this file is the only place that names dfdx.

mod checkpoint;

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use dfdx::tensor::{Gradients, Merge, NoneTape, PutTape, SplitTape};
use dfdx::tensor::{Tape as DfdxTape, Tensor as DfdxTensor, TensorFromVec};
use dfdx::tensor_ops::ReshapeTo;

#[cfg(not(feature = "cuda"))]
use crate::nn::kernels::host::{host_of, update_in_place};

/// Where tensors live: the CPU, or CUDA with the `cuda` feature.
pub type Dev = dfdx::tensor::AutoDevice;
/// What the device reports when it fails (out of memory, a launch that failed).
#[cfg(not(feature = "cuda"))]
pub type DevError = dfdx::tensor::CpuError;
/// What the device reports when it fails (out of memory, a launch that failed).
#[cfg(feature = "cuda")]
pub type DevError = dfdx::tensor::CudaError;
/// A dfdx tensor of run-time shape `S` on our device and tape: what composed operations compute with.
pub type Composed<S> = DfdxTensor<S, f32, Dev, ComposedTape>;

/// An error of the engine: shapes that an operation can't take, or the device's own failure.
#[derive(Debug, thiserror::Error)]
pub enum TensorError {
    /// The shapes that reached an operation don't fit it. A promise of a plugin was wrong.
    #[error("{op}: {detail}")]
    Shape {
        /// The operation.
        op: &'static str,
        /// What it got and what it needs.
        detail: String,
    },
    /// The device failed.
    #[error("the device failed: {0:?}")]
    Device(DevError),
}

impl From<DevError> for TensorError {
    fn from(error: DevError) -> Self {
        TensorError::Device(error)
    }
}

/// The result of an operation of the engine.
pub type Result<T, E = TensorError> = std::result::Result<T, E>;

type BackwardOp = Box<dyn FnOnce(&mut Grads) -> Result<()>>;

#[derive(Default)]
struct TapeCell {
    paused: Cell<bool>,
    checkpointing: Cell<bool>,
    ops: RefCell<Vec<BackwardOp>>,
}

/// The record of one forward pass. Cloning shares it; the default records nothing.
#[derive(Clone, Default)]
pub struct Tape(Option<Rc<TapeCell>>);

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

    fn push(&self, op: BackwardOp) {
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

impl DfdxTape<f32, Dev> for ComposedTape {
    const OWNS_TAPE: bool = true;
    fn add_backward_op<F>(&mut self, operation: F)
    where
        F: 'static + FnOnce(&mut Gradients<f32, Dev>) -> Result<(), DevError>,
    {
        self.tape().push(Box::new(move |grads| Ok(operation(&mut grads.composed)?)));
    }
}

/// Where a tensor's gradient goes. A tensor that doesn't record has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot(u64);

impl Slot {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Slot(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// The gradients of one backward pass.
pub struct Grads {
    of: BTreeMap<Slot, Vec<f32>>,
    composed: Gradients<f32, Dev>,
}

impl Default for Grads {
    fn default() -> Self {
        Grads { of: BTreeMap::new(), composed: Gradients::leaky() }
    }
}

impl Grads {
    /// Adds `gradient` to what `slot` has. Without a slot (nothing upstream records) it is dropped.
    pub fn add(&mut self, slot: Option<Slot>, gradient: Vec<f32>) {
        let Some(slot) = slot else { return };
        match self.of.entry(slot) {
            std::collections::btree_map::Entry::Vacant(entry) => {
                entry.insert(gradient);
            }
            std::collections::btree_map::Entry::Occupied(mut entry) => {
                crate::nn::kernels::add_assign(entry.get_mut(), &gradient);
            }
        }
    }

    /// Like [`Grads::add`], for a gradient that is needed elsewhere, too.
    pub fn add_ref(&mut self, slot: Option<Slot>, gradient: &[f32]) {
        let Some(slot) = slot else { return };
        match self.of.get_mut(&slot) {
            Some(sum) => crate::nn::kernels::add_assign(sum, gradient),
            None => {
                self.of.insert(slot, crate::nn::kernels::elementwise::copy(gradient));
            }
        }
    }

    /// What `slot` has so far, to accumulate into in place; `None` before the first contribution.
    pub fn get_mut(&mut self, slot: Slot) -> Option<&mut Vec<f32>> {
        self.of.get_mut(&slot)
    }

    /// Takes a finished gradient out; `None` if nothing contributed to it.
    pub fn take(&mut self, slot: Slot) -> Option<Vec<f32>> {
        self.of.remove(&slot)
    }
}

/// A dense f32 tensor, row-major, of any shape, with the tape it records on (if it does).
#[derive(Clone)]
pub struct Tensor {
    data: DfdxTensor<(usize,), f32, Dev>,
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
        if values.len() != shape.iter().product::<usize>() {
            let detail = format!("{} values can't fill the shape {shape:?}", values.len());
            return Err(TensorError::Shape { op: "tensor", detail });
        }
        let len = values.len();
        let data = dev.try_tensor_from_vec(values, (len,))?;
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

    /// The device that holds the values.
    pub fn dev(&self) -> &Dev {
        self.data.device()
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

    /// The values, in place on the CPU and copied from another device.
    pub fn host(&self) -> Cow<'_, [f32]> {
        host_of(&self.data, self.len())
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

    /// The result of an operation on `inputs`. If any of them records, so does the result, and
    /// `backward` gets the result's gradient when its turn comes. It must not capture a recording
    /// tensor (take `detached()` values and `slot()`s), or the tape would hold itself.
    ///
    /// # Errors
    /// `values` don't fill `shape`; the device has no room.
    pub fn from_op<F>(
        inputs: &[&Tensor],
        values: Vec<f32>,
        shape: &[usize],
        backward: F,
    ) -> Result<Tensor>
    where
        F: FnOnce(&mut Grads, Vec<f32>) -> Result<()> + 'static,
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
        values: Vec<f32>,
        shape: &[usize],
        backward: impl FnOnce(Tensor) -> F,
    ) -> Result<Tensor>
    where
        F: FnOnce(&mut Grads, Vec<f32>) -> Result<()> + 'static,
    {
        let dev = match inputs.first() {
            Some(first) => first.dev().clone(),
            None => Dev::default(),
        };
        let mut out = Tensor::new(&dev, values, shape)?;
        if let Some(input) = inputs.iter().find(|input| input.records()) {
            let slot = Slot::new();
            let backward = backward(out.detached());
            out.tape = input.tape.clone();
            out.slot = Some(slot);
            out.tape.push(Box::new(move |grads| match grads.take(slot) {
                Some(gradient) => backward(grads, gradient),
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
        grads.add(self.slot(), vec![scale]);
        self.tape.backward(grads)
    }

    /// Starts the backward pass from this tensor, of any shape, whose gradient is given.
    ///
    /// # Errors
    /// The gradient has another number of values, or a backward operation fails.
    pub fn backward_from(&self, gradient: Vec<f32>) -> Result<Grads> {
        if self.len() != gradient.len() {
            let detail = format!("a gradient of {} for {:?}", gradient.len(), self.shape);
            return Err(TensorError::Shape { op: "backward", detail });
        }
        let mut grads = Grads::default();
        grads.add(self.slot(), gradient);
        self.tape.backward(&mut grads)?;
        Ok(grads)
    }

    /// This tensor as a dfdx tensor of shape `S`, for an operation composed from dfdx's own.
    ///
    /// # Errors
    /// The device fails.
    pub fn composed<S: dfdx::shapes::Shape>(&self, shape: S) -> Result<Composed<S>> {
        let tape = if self.records() { self.tape.clone() } else { Tape::default() };
        // A gradient of dfdx's is keyed by dfdx's id, which a reshape keeps apart for us.
        let fresh = self.dev().try_tensor_from_vec(self.host().into_owned(), (self.len(),))?;
        let ghost = fresh.ghost();
        let slot = self.slot();
        tape.push(Box::new(move |grads| {
            grads.composed.try_alloc_for(&ghost)?;
            let gradient = grads.composed.get(&ghost).as_vec();
            grads.add(slot, gradient);
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
        let values = value.as_vec();
        let mut out = Tensor::new(value.device(), values, &shape)?;
        // A tape that never met one of ours hangs on nothing that records.
        if let ComposedTape::Ours(tape) = tape
            && tape.records()
        {
            let slot = Slot::new();
            let ghost = value.ghost();
            tape.push(Box::new(move |grads| {
                if let Some(gradient) = grads.take(slot) {
                    let buffer = grads.composed.get_or_alloc_mut(&ghost)?;
                    write_buffer(buffer, &gradient);
                }
                Ok(())
            }));
            out.tape = tape;
            out.slot = Some(slot);
        }
        Ok(out)
    }
}

#[cfg(feature = "cuda")]
fn host_of(data: &DfdxTensor<(usize,), f32, Dev>, _: usize) -> Cow<'_, [f32]> {
    Cow::Owned(data.as_vec())
}

#[cfg(not(feature = "cuda"))]
fn write_buffer(buffer: &mut <Dev as dfdx::tensor::Storage<f32>>::Vec, values: &[f32]) {
    buffer.copy_from_slice(values);
}

#[cfg(feature = "cuda")]
fn write_buffer(buffer: &mut <Dev as dfdx::tensor::Storage<f32>>::Vec, values: &[f32]) {
    let _ = (buffer, values);
    unimplemented!("gradients of composed operations on CUDA")
}

struct ParamCell {
    name: String,
    shape: Vec<usize>,
    value: RefCell<DfdxTensor<(usize,), f32, Dev>>,
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
        let value = Tensor::new(dev, values, shape)?;
        Ok(Param(Rc::new(ParamCell {
            name: name.to_owned(),
            shape: shape.to_vec(),
            value: RefCell::new(value.data),
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

    /// Changes the values in place.
    pub fn update(&self, f: impl FnOnce(&mut [f32])) {
        update_in_place(&mut self.0.value.borrow_mut(), self.len(), f);
    }
}

#[cfg(feature = "cuda")]
fn update_in_place(
    value: &mut DfdxTensor<(usize,), f32, Dev>,
    _: usize,
    f: impl FnOnce(&mut [f32]),
) {
    let mut values = value.as_vec();
    f(&mut values);
    value.copy_from(&values);
}
