//! One training step of the miniature MLLM: two ViTs, channel concatenation, a two-layer projector
//! and a Llama, written on the operations
//! directly: `cargo bench -p eagle-core --bench step -- [all|projector|encoders] [--threads N]`.
//!
//! Prints the median and the least milliseconds of a step, samples per second, and the loss.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use eagle_core::nn::kernels::{self, AdamW};
use eagle_core::nn::ops::{self, Activation, AttentionSpec, Row};
use eagle_core::tensor::{Dev, Param, Result, Tape, Tensor};
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: kernels::allocator::Recycling = kernels::allocator::Recycling;

const BATCH: usize = 32;
const VOCABULARY: usize = 512;

/// The parameters, their moments, and what makes new ones.
struct Model {
    params: Vec<Param>,
    moments: Vec<(Vec<f32>, Vec<f32>)>,
    tape: Tape,
    trained: bool,
    seed: u64,
}

impl Model {
    fn param(&mut self, shape: &[usize], scale: f32, offset: f32) -> Param {
        let len = shape.iter().product();
        let values = (0..len).map(|_| self.number() * scale + offset).collect();
        let param = Param::new(&Dev::default(), "p", values, shape).unwrap();
        if self.trained {
            param.set_tape(&self.tape);
            self.moments.push((vec![0.0; len], vec![0.0; len]));
            self.params.push(param.clone());
        }
        param
    }

    fn number(&mut self) -> f32 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        (self.seed >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    fn linear(&mut self, input: usize, output: usize, bias: bool) -> Linear {
        let scale = (input as f32).powf(-0.5);
        let weight = self.param(&[output, input], scale, 0.0);
        Linear { weight, bias: bias.then(|| self.param(&[output], scale, 0.0)) }
    }

    fn update(&mut self, grads: &mut eagle_core::tensor::Grads, step: u64) {
        let settings =
            AdamW { lr: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0, step };
        for (param, (m, v)) in self.params.iter().zip(&mut self.moments) {
            let gradient = grads.take(param.slot()).unwrap();
            param.update(|values| kernels::adamw(values, &gradient, m, v, &settings, 1.0));
        }
    }
}

struct Linear {
    weight: Param,
    bias: Option<Param>,
}

impl Linear {
    fn forward(&self, x: &Tensor, activation: Activation) -> Result<Tensor> {
        let bias = self.bias.as_ref().map(Param::tensor);
        ops::linear(x, &self.weight.tensor(), bias.as_ref(), activation)
    }
}

struct VitBlock {
    norms: [Param; 4],
    qkv: [Linear; 3],
    out: Linear,
    fc1: Linear,
    fc2: Linear,
}

impl VitBlock {
    fn new(m: &mut Model, d: usize) -> Self {
        let norms = [1.0, 0.0, 1.0, 0.0].map(|offset| m.param(&[d], 0.0, offset));
        let qkv = [0, 1, 2].map(|_| m.linear(d, d, true));
        let (out, fc1, fc2) =
            (m.linear(d, d, true), m.linear(d, 4 * d, true), m.linear(4 * d, d, true));
        VitBlock { norms, qkv, out, fc1, fc2 }
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let [b, n, d] = x.dims("block")?;
        let norms = self.norms.each_ref().map(Param::tensor);
        let y = ops::layer_norm(x, &norms[0], &norms[1], 1e-5)?;
        let mut heads = Vec::new();
        for linear in &self.qkv {
            heads.push(linear.forward(&y, Activation::None)?.reshape(&[b, n, 4, d / 4])?);
        }
        let spec = AttentionSpec { scale: (d as f32 / 4.0).powf(-0.5), ..Default::default() };
        let y = ops::attention(&heads[0], &heads[1], &heads[2], None, &spec)?;
        let y = self.out.forward(&y.reshape(&[b, n, d])?, Activation::None)?;
        let x = ops::add(x, &y)?;
        let y = ops::layer_norm(&x, &norms[2], &norms[3], 1e-5)?;
        let y = self.fc1.forward(&y, Activation::GeluTanh)?;
        ops::add(&x, &self.fc2.forward(&y, Activation::None)?)
    }
}

struct Vit {
    patch: Linear,
    positions: Param,
    blocks: Vec<VitBlock>,
}

impl Vit {
    fn new(m: &mut Model) -> Self {
        let d = 128;
        let weight = m.param(&[d, 3, 8, 8], 0.07, 0.0);
        let patch = Linear { weight, bias: Some(m.param(&[d], 0.07, 0.0)) };
        let positions = m.param(&[64, d], 0.02, 0.0);
        Vit { patch, positions, blocks: (0..4).map(|_| VitBlock::new(m, d)).collect() }
    }

    fn forward(&self, image: &Tensor) -> Result<Tensor> {
        let bias = self.patch.bias.as_ref().map(Param::tensor);
        let x = ops::patch_embed(image, &self.patch.weight.tensor(), bias.as_ref())?;
        let mut x = ops::add_rows(&x, &self.positions.tensor())?;
        for block in &self.blocks {
            x = block.forward(&x)?;
        }
        Ok(x)
    }
}

struct LlamaBlock {
    norms: [Param; 2],
    qkvo: [Linear; 4],
    gate: Linear,
    up: Linear,
    down: Linear,
}

impl LlamaBlock {
    fn new(m: &mut Model, d: usize, hidden: usize) -> Self {
        LlamaBlock {
            norms: [0, 1].map(|_| m.param(&[d], 0.0, 1.0)),
            qkvo: [0, 1, 2, 3].map(|_| m.linear(d, d, false)),
            gate: m.linear(d, hidden, false),
            up: m.linear(d, hidden, false),
            down: m.linear(hidden, d, false),
        }
    }

    fn forward(&self, x: &Tensor, cos: &[f32], sin: &[f32]) -> Result<Tensor> {
        let [b, n, d] = x.dims("block")?;
        let y = ops::rms_norm(x, &self.norms[0].tensor(), 1e-5)?;
        let head =
            |i: usize| self.qkvo[i].forward(&y, Activation::None)?.reshape(&[b, n, 4, d / 4]);
        let (q, k) = (ops::rotary(&head(0)?, cos, sin)?, ops::rotary(&head(1)?, cos, sin)?);
        let spec = AttentionSpec {
            causal: true,
            scale: (d as f32 / 4.0).powf(-0.5),
            ..Default::default()
        };
        let y = ops::attention(&q, &k, &head(2)?, None, &spec)?.reshape(&[b, n, d])?;
        let x = ops::add(x, &self.qkvo[3].forward(&y, Activation::None)?)?;
        let y = ops::rms_norm(&x, &self.norms[1].tensor(), 1e-5)?;
        let (gate, up) =
            (self.gate.forward(&y, Activation::None)?, self.up.forward(&y, Activation::None)?);
        ops::add(&x, &self.down.forward(&ops::swiglu(&gate, &up)?, Activation::None)?)
    }
}

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let threads = arguments
        .iter()
        .position(|a| a == "--threads")
        .and_then(|i| arguments.get(i + 1)?.parse().ok())
        .unwrap_or(2);
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .use_current_thread()
        .build_global()
        .unwrap();
    let mode = arguments.first().filter(|a| !a.starts_with("--")).map_or("all", String::as_str);
    run(mode).unwrap();
}

fn run(mode: &str) -> Result<()> {
    let (d, n) = (192, 96);
    let tape = Tape::recording();
    let mut m =
        Model { params: vec![], moments: vec![], tape: tape.clone(), trained: true, seed: 1234567 };
    m.trained = mode != "projector";
    let encoders = [Vit::new(&mut m), Vit::new(&mut m)];
    m.trained = true;
    let project = [m.linear(256, d, true), m.linear(d, d, true)];
    m.trained = mode == "all";
    let embed = m.param(&[VOCABULARY, d], 1.0, 0.0);
    let blocks: Vec<_> = (0..4).map(|_| LlamaBlock::new(&mut m, d, 512)).collect();
    let norm = m.param(&[d], 0.0, 1.0);
    let head = m.param(&[VOCABULARY, d], (d as f32).powf(-0.5), 0.0);
    let angle = |i: usize| (i / 24) as f32 * 1e4_f32.powf(-((i % 24) as f32) / 24.0);
    let (cos, sin): (Vec<_>, Vec<_>) =
        (0..n * 24).map(|i| (angle(i).cos(), angle(i).sin())).unzip();
    let image = (0..BATCH * 3 * 64 * 64).map(|_| m.number() * 1.7).collect();
    let image = Tensor::new(&Dev::default(), image, &[BATCH, 3, 64, 64])?;
    let id = |i: usize| (i * 7919 % VOCABULARY) as u32;
    let rows: Vec<_> = (0..BATCH * n)
        .map(|i| if i % n < 64 { Row::Visual(i / n * 64 + i % n) } else { Row::Token(id(i)) })
        .collect();
    let targets: Vec<_> = (0..BATCH * n).filter(|i| i % n >= 64).map(|i| (i, id(i + 1))).collect();
    let (mut times, mut losses) = (Vec::new(), Vec::new());
    for step in 1..=25 {
        let start = Instant::now();
        let visual =
            ops::concat(&[&encoders[0].forward(&image)?, &encoders[1].forward(&image)?], 2)?;
        let visual = project[0].forward(&visual, Activation::Gelu)?;
        let visual = project[1].forward(&visual, Activation::None)?;
        let mut x = ops::splice(Some(&visual), &embed.tensor(), &rows, BATCH)?;
        for block in &blocks {
            x = block.forward(&x, &cos, &sin)?;
        }
        let x = ops::rms_norm(&x, &norm.tensor(), 1e-5)?;
        let loss = ops::cross_entropy(&x, &head.tensor(), &targets)?;
        let loss = ops::scale(&loss, 1.0 / targets.len() as f32)?;
        drop((x, visual));
        let mut grads = loss.backward()?;
        m.update(&mut grads, step);
        times.push(start.elapsed().as_secs_f64() * 1e3);
        losses.push(loss.host()[0]);
    }
    let mut times = times.split_off(5);
    times.sort_by(f64::total_cmp);
    let median = times[times.len() / 2];
    println!(
        "{mode} {median:.1} {:.1} ms, {:.1} samples/s, loss {} to {}",
        times[0],
        BATCH as f64 / median * 1e3,
        losses[0],
        losses[losses.len() - 1]
    );
    Ok(())
}
