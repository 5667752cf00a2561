//! A miniature MLLM, written on the operations directly: two vision transformers, channel
//! concatenation, a two-layer projector and a Llama. `scripts/mini_mllm.py` is the same network in
//! PyTorch; its parameters' names are used here, so that its weights load.

pub mod network;

use eagle_core::nn::device;
use eagle_core::nn::kernels::AdamW;
use eagle_core::nn::ops::{self, Row};
use eagle_core::tensor::{Buffer, Dev, Grads, Param, Result, Tape, Tensor, buffer};
use network::Network;
use safetensors::SafeTensors;
use std::collections::BTreeMap;

/// What is trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Train {
    /// Everything.
    All,
    /// The projector alone.
    Projector,
    /// Encoders and projector, the LLM frozen.
    Encoders,
}

impl Train {
    /// By the name that the scripts use.
    pub fn named(name: &str) -> Option<Train> {
        match name {
            "all" => Some(Train::All),
            "projector" => Some(Train::Projector),
            "encoders" => Some(Train::Encoders),
            _ => None,
        }
    }

    fn trains(self, name: &str) -> bool {
        match self {
            Train::All => true,
            Train::Projector => name.starts_with("projector."),
            Train::Encoders => name.starts_with("projector.") || name.starts_with("encoders."),
        }
    }
}

/// A file of weights, a batch, and what belongs to them.
pub struct Bundle {
    values: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
}

impl Bundle {
    /// Reads a safetensors file of f32.
    pub fn open(path: &str) -> Bundle {
        let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let file = SafeTensors::deserialize(&bytes).expect("a safetensors file");
        let value = |(name, view): (String, safetensors::tensor::TensorView<'_>)| {
            let (bytes, _) = view.data().as_chunks::<4>();
            let values = bytes.iter().map(|b| f32::from_le_bytes(*b)).collect();
            (name, (view.shape().to_vec(), values))
        };
        Bundle { values: file.tensors().into_iter().map(value).collect() }
    }

    /// A tensor that must be there.
    pub fn get(&self, name: &str) -> (&[usize], &[f32]) {
        let (shape, values) = self.values.get(name).unwrap_or_else(|| panic!("no tensor {name}"));
        (shape, values)
    }

    fn tensor(&self, name: &str) -> Tensor {
        let (shape, values) = self.get(name);
        Tensor::new(&Dev::default(), values.to_vec(), shape).expect("a tensor")
    }

    /// The number of consecutive names `prefix0.…`, `prefix1.…`.
    fn count(&self, prefix: &str) -> usize {
        let there = |i: &usize| {
            let start = format!("{prefix}{i}.");
            self.values.keys().any(|name| name.starts_with(&start))
        };
        (0..).take_while(there).count()
    }
}

/// Makes parameters out of a bundle, and hangs those that are trained on a tape.
pub struct Builder<'a> {
    bundle: &'a Bundle,
    train: Train,
    tape: Tape,
    trained: Vec<Param>,
}

impl Builder<'_> {
    /// The parameter of that name.
    pub fn param(&mut self, name: &str) -> Param {
        let (shape, values) = self.bundle.get(name);
        self.add(name, values.to_vec(), shape)
    }

    /// Rows `part` of `parts` equal ones of the parameter of that name.
    pub fn part(&mut self, name: &str, part: usize, parts: usize) -> Param {
        let (shape, values) = self.bundle.get(name);
        let (mut shape, size) = (shape.to_vec(), values.len() / parts);
        shape[0] /= parts;
        self.add(name, values[part * size..(part + 1) * size].to_vec(), &shape)
    }

    /// The number of modules `prefix0.…`, `prefix1.…`.
    pub fn count(&self, prefix: &str) -> usize {
        self.bundle.count(prefix)
    }

    fn add(&mut self, name: &str, values: Vec<f32>, shape: &[usize]) -> Param {
        let param = Param::new(&Dev::default(), name, values, shape).expect("a parameter");
        if self.train.trains(name) {
            param.set_tape(&self.tape);
            self.trained.push(param.clone());
        }
        param
    }
}

/// The network with its batch and its optimiser: AdamW, lr 1e-3, no decay, no clipping.
pub struct Training {
    network: Network,
    trained: Vec<Param>,
    moments: Vec<[Buffer; 2]>,
    image: Tensor,
    rows: Vec<Row>,
    targets: Vec<(usize, u32)>,
    batch: usize,
    step: u64,
}

impl Training {
    /// From weights and a batch: `image`, `ids`, `labels`, and the numbers of heads.
    pub fn new(bundle: &Bundle, train: Train, checkpointing: bool) -> Training {
        let tape = Tape::recording();
        tape.set_checkpointing(checkpointing);
        let mut b = Builder { bundle, train, tape, trained: Vec::new() };
        let (image, (shape, ids)) = (bundle.tensor("image"), bundle.get("ids"));
        let [batch, text] = [shape[0], shape[1]];
        let patch = bundle.get("encoders.0.patch.weight").0[2];
        let visual = (image.shape()[2] / patch).pow(2);
        let heads = |name: &str| bundle.get(name).1[0] as usize;
        let heads = (heads("heads.vit"), heads("heads.llama"));
        let network = Network::new(&mut b, heads, visual + text);
        let row = |i: usize| match (i / (visual + text), i % (visual + text)) {
            (sample, at) if at < visual => Row::Visual(sample * visual + at),
            (sample, at) => Row::Token(ids[sample * text + at - visual] as u32),
        };
        let labels = bundle.get("labels").1;
        let place = |i: usize| (i / text * (visual + text) + visual + i % text, labels[i] as u32);
        let zeros = |p: &Param| [buffer::zeros(p.len()), buffer::zeros(p.len())];
        let moments = b.trained.iter().map(zeros).collect();
        Training {
            network,
            trained: b.trained,
            moments,
            image,
            rows: (0..batch * (visual + text)).map(row).collect(),
            targets: (0..labels.len()).map(place).collect(),
            batch,
            step: 0,
        }
    }

    /// Samples in the batch.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// One step; the loss before it.
    ///
    /// # Errors
    /// The sizes don't fit.
    pub fn step(&mut self) -> Result<f32> {
        let x = self.network.forward(&self.image, &self.rows, self.batch)?;
        let loss = ops::cross_entropy(&x, &self.network.head.tensor(), &self.targets)?;
        drop(x);
        let count = self.targets.len() as f32;
        let mut grads = Grads::default();
        loss.backward_into(1.0 / count, &mut grads)?;
        self.update(&mut grads);
        Ok(loss.host()[0] / count)
    }

    fn update(&mut self, grads: &mut Grads) {
        self.step += 1;
        let (lr, beta1, beta2, eps) = (1e-3, 0.9, 0.999, 1e-8);
        let rule = AdamW { lr, beta1, beta2, eps, weight_decay: 0.0, step: self.step };
        for (param, [m, v]) in self.trained.iter().zip(&mut self.moments) {
            let gradient = grads.take(param.slot()).expect("a gradient");
            param.change(|values| device::adamw(values, &gradient, m, v, &rule, 1.0));
        }
    }
}
