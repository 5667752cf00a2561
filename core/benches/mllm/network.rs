//! The network's modules.

use super::Builder;
use eagle_core::nn::layers::{Rope, RopeScaling, checkpointed};
use eagle_core::nn::ops::{self, Activation, AttentionSpec, Row};
use eagle_core::tensor::{Param, Result, Tensor};

const EPS: f32 = 1e-5;

#[derive(Clone)]
struct Linear {
    weight: Param,
    bias: Option<Param>,
}

impl Linear {
    fn new(b: &mut Builder<'_>, path: &str, bias: bool) -> Linear {
        Linear::part(b, path, bias, 0, 1)
    }

    fn part(b: &mut Builder<'_>, path: &str, bias: bool, part: usize, parts: usize) -> Linear {
        let weight = b.part(&format!("{path}.weight"), part, parts);
        Linear { weight, bias: bias.then(|| b.part(&format!("{path}.bias"), part, parts)) }
    }

    fn forward(&self, x: &Tensor, activation: Activation) -> Result<Tensor> {
        let bias = self.bias.as_ref().map(Param::tensor);
        ops::linear(x, &self.weight.tensor(), bias.as_ref(), activation)
    }
}

/// Attention over `heads` heads of queries, keys and values `[B, N, C]`.
fn attend([q, k, v]: [Tensor; 3], heads: usize, rope: Option<&Rope>) -> Result<Tensor> {
    let [b, n, d] = q.dims("attention")?;
    let split = |x: Tensor| x.reshape(&[b, n, heads, d / heads]);
    let (mut q, mut k, v) = (split(q)?, split(k)?, split(v)?);
    if let Some(rope) = rope {
        (q, k) = (rope.forward(&q, 0)?, rope.forward(&k, 0)?);
    }
    let scale = (d as f32 / heads as f32).powf(-0.5);
    let spec = AttentionSpec { causal: rope.is_some(), scale, ..Default::default() };
    ops::attention(&q, &k, &v, None, &spec)?.reshape(&[b, n, d])
}

#[derive(Clone)]
struct VitBlock {
    norms: [Param; 4],
    qkv: [Linear; 3],
    out: Linear,
    fc1: Linear,
    fc2: Linear,
    heads: usize,
}

impl VitBlock {
    fn new(b: &mut Builder<'_>, path: &str, heads: usize) -> VitBlock {
        let qkv = format!("{path}.qkv");
        VitBlock {
            norms: ["n1.weight", "n1.bias", "n2.weight", "n2.bias"]
                .map(|name| b.param(&format!("{path}.{name}"))),
            qkv: [0, 1, 2].map(|part| Linear::part(b, &qkv, true, part, 3)),
            out: Linear::new(b, &format!("{path}.out"), true),
            fc1: Linear::new(b, &format!("{path}.fc1"), true),
            fc2: Linear::new(b, &format!("{path}.fc2"), true),
            heads,
        }
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let norms = self.norms.each_ref().map(Param::tensor);
        let y = ops::layer_norm(x, &norms[0], &norms[1], EPS)?;
        let [q, k, v] = &self.qkv;
        let of = |linear: &Linear| linear.forward(&y, Activation::None);
        let y = attend([of(q)?, of(k)?, of(v)?], self.heads, None)?;
        let x = ops::add(x, &self.out.forward(&y, Activation::None)?)?;
        let y = ops::layer_norm(&x, &norms[2], &norms[3], EPS)?;
        let y = self.fc1.forward(&y, Activation::GeluTanh)?;
        ops::add(&x, &self.fc2.forward(&y, Activation::None)?)
    }
}

/// A vision transformer.
pub struct Vit {
    patch: Linear,
    positions: Param,
    blocks: Vec<VitBlock>,
}

impl Vit {
    /// With its parameters below `path`.
    pub fn new(b: &mut Builder<'_>, path: &str, heads: usize) -> Vit {
        let count = b.count(&format!("{path}.blocks."));
        Vit {
            patch: Linear::new(b, &format!("{path}.patch"), true),
            positions: b.param(&format!("{path}.pos")),
            blocks: (0..count)
                .map(|i| VitBlock::new(b, &format!("{path}.blocks.{i}"), heads))
                .collect(),
        }
    }

    /// The patches' features.
    ///
    /// # Errors
    /// The sizes don't fit.
    pub fn forward(&self, image: &Tensor) -> Result<Tensor> {
        let bias = self.patch.bias.as_ref().map(Param::tensor);
        let x = ops::patch_embed(image, &self.patch.weight.tensor(), bias.as_ref())?;
        let positions = self.positions.tensor().reshape(&x.shape()[1..])?;
        let mut x = ops::add_rows(&x, &positions)?;
        for block in &self.blocks {
            x = checkpointed(block, &x, VitBlock::forward)?;
        }
        Ok(x)
    }
}

#[derive(Clone)]
struct LlamaBlock {
    norms: [Param; 2],
    qkvo: [Linear; 4],
    gate: Linear,
    up: Linear,
    down: Linear,
    heads: usize,
}

impl LlamaBlock {
    fn new(b: &mut Builder<'_>, path: &str, heads: usize) -> LlamaBlock {
        let mut linear = |name: &str| Linear::new(b, &format!("{path}.{name}"), false);
        LlamaBlock {
            qkvo: ["q", "k", "v", "o"].map(&mut linear),
            gate: linear("gate"),
            up: linear("up"),
            down: linear("down"),
            norms: ["n1", "n2"].map(|name| b.param(&format!("{path}.{name}.weight"))),
            heads,
        }
    }

    fn forward(&self, x: &Tensor, rope: &Rope) -> Result<Tensor> {
        let y = ops::rms_norm(x, &self.norms[0].tensor(), EPS)?;
        let [q, k, v, o] = &self.qkvo;
        let of = |linear: &Linear| linear.forward(&y, Activation::None);
        let y = attend([of(q)?, of(k)?, of(v)?], self.heads, Some(rope))?;
        let x = ops::add(x, &o.forward(&y, Activation::None)?)?;
        let y = ops::rms_norm(&x, &self.norms[1].tensor(), EPS)?;
        let of = |linear: &Linear| linear.forward(&y, Activation::None);
        let y = ops::swiglu(&of(&self.gate)?, &of(&self.up)?)?;
        ops::add(&x, &self.down.forward(&y, Activation::None)?)
    }
}

/// The whole network.
pub struct Network {
    encoders: Vec<Vit>,
    projector: [Linear; 2],
    embed: Param,
    blocks: Vec<LlamaBlock>,
    norm: Param,
    rope: Rope,
    /// From hidden states to the vocabulary.
    pub head: Param,
}

impl Network {
    /// With heads of the vision transformers and of the Llama, over `length` positions.
    pub fn new(b: &mut Builder<'_>, heads: (usize, usize), length: usize) -> Network {
        let (encoders, layers) = (b.count("encoders."), b.count("blocks."));
        let embed = b.param("embed.weight");
        let width = embed.shape()[1];
        Network {
            encoders: (0..encoders)
                .map(|i| Vit::new(b, &format!("encoders.{i}"), heads.0))
                .collect(),
            projector: ["projector.0", "projector.2"].map(|path| Linear::new(b, path, true)),
            embed,
            blocks: (0..layers)
                .map(|i| LlamaBlock::new(b, &format!("blocks.{i}"), heads.1))
                .collect(),
            norm: b.param("norm.weight"),
            rope: Rope::new(length, width / heads.1, 1e4, RopeScaling::Unscaled),
            head: b.param("head.weight"),
        }
    }

    /// The hidden states of the whole sequence.
    ///
    /// # Errors
    /// The sizes don't fit.
    pub fn forward(&self, image: &Tensor, rows: &[Row], batch: usize) -> Result<Tensor> {
        let maps = self.encoders.iter().map(|e| e.forward(image)).collect::<Result<Vec<_>>>()?;
        let x = ops::concat(&maps.iter().collect::<Vec<_>>(), 2)?;
        drop(maps);
        let x = self.projector[0].forward(&x, Activation::Gelu)?;
        let x = self.projector[1].forward(&x, Activation::None)?;
        let mut x = ops::splice(Some(&x), &self.embed.tensor(), rows, batch)?;
        for block in &self.blocks {
            let rope = self.rope.clone();
            x = checkpointed(block, &x, move |block, x| block.forward(x, &rope))?;
        }
        ops::rms_norm(&x, &self.norm.tensor(), EPS)
    }
}
