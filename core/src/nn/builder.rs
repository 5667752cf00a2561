//! Where modules get their parameters from.
//!
//! The path under which a parameter is asked for is its key in a checkpoint, so a plugin that builds
//! under the reference implementation's names loads the reference's weights. Initial values come
//! from a hash of the seed and the parameter's name, so that adding a node or a layer changes no
//! other parameter's values.

use std::fmt::Display;

use super::kernels::memory::room;
use crate::seed::Rng;
use crate::tensor::{Dev, Param, Result, TensorError};

/// Parameter tensors of a module, at most: a wrong number of layers must not count for minutes.
const MOST: usize = 1_000_000;

/// The distribution of a parameter's initial values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// 0.
    Zeros,
    /// 1.
    Ones,
    /// The same value everywhere.
    Constant(f32),
    /// Normal with mean 0 and this standard deviation.
    Normal(f32),
    /// Uniform in `-bound..bound`.
    Uniform(f32),
}

impl Init {
    /// Xavier / Glorot's uniform distribution of a `[outputs, inputs]` weight.
    pub fn xavier(inputs: usize, outputs: usize) -> Init {
        Init::Uniform((6.0 / (inputs + outputs) as f32).sqrt())
    }

    /// PyTorch's default for a linear layer or a convolution of `fan_in` inputs, weight and bias.
    pub fn fan_in(fan_in: usize) -> Init {
        Init::Uniform(1.0 / (fan_in.max(1) as f32).sqrt())
    }

    fn fill(self, len: usize, mut rng: Rng) -> Vec<f32> {
        let mut values = room(len);
        match self {
            Init::Zeros => values.resize(len, 0.0),
            Init::Ones => values.resize(len, 1.0),
            Init::Constant(value) => values.resize(len, value),
            Init::Normal(std) => values.extend((0..len).map(|_| rng.normal() * std)),
            Init::Uniform(bound) => {
                values.extend((0..len).map(|_| (rng.uniform() * 2.0 - 1.0) * bound));
            }
        }
        values
    }
}

/// A parameter's name and shape: what is known of it before anything is allocated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParamShape {
    /// Its key in a checkpoint.
    pub name: String,
    /// The sizes of its axes.
    pub shape: Vec<usize>,
    /// Whether it is a buffer: kept in checkpoints, and never trained by gradients.
    pub buffer: bool,
}

impl ParamShape {
    /// The number of its values.
    pub fn len(&self) -> usize {
        self.shape.iter().fold(1, |len, size| len.saturating_mul(*size))
    }

    /// Whether it has no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a module's build collects.
pub struct Store {
    dev: Dev,
    seed: u64,
    allocate: bool,
    /// Which parameters are never trained, by their number.
    settled: Vec<bool>,
    shapes: Vec<ParamShape>,
    params: Vec<Param>,
}

impl Store {
    /// A store that allocates and initialises.
    pub fn new(dev: &Dev, seed: u64) -> Store {
        Store {
            dev: dev.clone(),
            seed,
            allocate: true,
            settled: Vec::new(),
            shapes: Vec::new(),
            params: Vec::new(),
        }
    }

    /// The same, where the parameters of these numbers are never trained: they need no more room than
    /// operations on them do.
    #[must_use]
    pub fn settling(self, settled: Vec<bool>) -> Store {
        Store { settled, ..self }
    }

    /// A store that only notes names and shapes: to count a 13B model in a millisecond.
    pub fn counting() -> Store {
        Store {
            dev: Dev::default(),
            seed: 0,
            allocate: false,
            settled: Vec::new(),
            shapes: Vec::new(),
            params: Vec::new(),
        }
    }

    /// The builder at the root of the parameters' names.
    pub fn root(&mut self) -> Builder<'_> {
        Builder { store: self, path: String::new(), buffers: false }
    }

    /// Names and shapes, in the order in which they were asked for.
    pub fn shapes(&self) -> &[ParamShape] {
        &self.shapes
    }

    /// The parameters, in the order in which they were asked for.
    pub fn into_params(self) -> Vec<Param> {
        self.params
    }
}

/// Hands out parameters under one path.
pub struct Builder<'a> {
    store: &'a mut Store,
    path: String,
    buffers: bool,
}

impl Builder<'_> {
    /// The builder one level down: `builder.at("layers").at(3)` names `layers.3.…`.
    pub fn at(&mut self, name: impl Display) -> Builder<'_> {
        let path = self.join(name);
        Builder { store: self.store, path, buffers: self.buffers }
    }

    /// The same path, where everything is a buffer: kept in checkpoints with the module's parameters, and
    /// changed by the module itself, never by gradients.
    pub fn buffers(&mut self) -> Builder<'_> {
        Builder { path: self.path.clone(), store: self.store, buffers: true }
    }

    /// The parameter `name` of this path.
    ///
    /// # Errors
    /// The device has no room, or the module has more parameters than any real one.
    pub fn param(&mut self, name: impl Display, shape: &[usize], init: Init) -> Result<Param> {
        let (seed, key) = (self.store.seed, self.join(&name));
        let len = shape.iter().product();
        self.param_with(name, shape, || init.fill(len, Rng::of(seed, &key)))
    }

    /// The parameter `name` of this path, with initial values that no distribution gives.
    ///
    /// # Errors
    /// The device has no room, the module has more parameters than any real one, or the values don't
    /// fill `shape`.
    pub fn param_with(
        &mut self,
        name: impl Display,
        shape: &[usize],
        values: impl FnOnce() -> Vec<f32>,
    ) -> Result<Param> {
        if self.store.shapes.len() == MOST {
            let detail =
                format!("more than {MOST} weights and biases; is a number of layers wrong?");
            return Err(TensorError::Shape { op: "build", detail });
        }
        let name = self.join(name);
        let (buffer, shape_of) = (self.buffers, shape.to_vec());
        self.store.shapes.push(ParamShape { name: name.clone(), shape: shape_of, buffer });
        if !self.store.allocate {
            return Param::new(&self.store.dev, &name, Vec::new(), &[0]);
        }
        let param = Param::new(&self.store.dev, &name, values(), shape)?;
        if self.store.settled.get(self.store.params.len()) == Some(&true) {
            param.settle();
        }
        let param = if self.buffers { param.into_buffer() } else { param };
        self.store.params.push(param.clone());
        Ok(param)
    }

    /// The parameters that were asked for under this path so far, in order.
    pub fn params(&self) -> Vec<Param> {
        let under = |param: &&Param| match self.path.is_empty() {
            true => true,
            false => {
                param.name().strip_prefix(&self.path).is_some_and(|rest| rest.starts_with('.'))
            }
        };
        self.store.params.iter().filter(under).cloned().collect()
    }

    /// The device on which the module lives.
    pub fn dev(&self) -> &Dev {
        &self.store.dev
    }

    fn join(&self, name: impl Display) -> String {
        if self.path.is_empty() { name.to_string() } else { format!("{}.{name}", self.path) }
    }
}
