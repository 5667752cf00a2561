//! One case of the comparison with PyTorch on a card, from random weights:
//! `cargo bench -p eagle-core --features cuda --bench card -- CASE [--batch N] [--steps N]
//! [--precision F32|Tf32|Bf16|F16] [--checkpointing] [--tiny]`.
//!
//! The cases are those of [`CASES`]; `--tiny` makes each small enough for the CPU, which runs it without
//! the feature. `scripts/bench_card.py` runs this and PyTorch in turn. Prints one line of JSON: the
//! median and least milliseconds, the batch, and the bytes of the card's memory that are taken.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod mllm;

use eagle_core::tensor::{Dev, Param, Precision, Result, Tape, Tensor};
use mllm::network::Vit;
use mllm::{Builder, Bundle, Train, Training};
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: eagle_core::nn::kernels::allocator::Recycling =
    eagle_core::nn::kernels::allocator::Recycling;

/// Runs before the first that counts.
const WARM: usize = 3;

/// The sizes of a network; `scripts/mini_mllm.py` has the same.
#[derive(Clone, Copy)]
struct Sizes {
    encoders: usize,
    image: usize,
    patch: usize,
    vit: (usize, usize, usize),
    llama: (usize, usize, usize),
    hidden: usize,
    vocabulary: usize,
    text: usize,
}

/// Width, layers and heads of CLIP-L/14, at 448 pixels; of a Llama of 7 billion parameters.
const CLIP: Sizes = Sizes {
    encoders: 1,
    image: 448,
    patch: 14,
    vit: (1024, 24, 16),
    llama: (4096, 32, 32),
    hidden: 11_008,
    vocabulary: 32_000,
    text: 256,
};
const MINI: Sizes = Sizes {
    encoders: 2,
    image: 64,
    patch: 8,
    vit: (128, 4, 4),
    llama: (192, 4, 4),
    hidden: 512,
    vocabulary: 512,
    text: 32,
};
/// What `--tiny` takes.
const TINY: Sizes = Sizes {
    encoders: 1,
    image: 16,
    patch: 8,
    vit: (16, 1, 2),
    llama: (16, 1, 2),
    hidden: 24,
    vocabulary: 20,
    text: 3,
};

/// What is timed.
#[derive(Clone, Copy, PartialEq)]
enum Work {
    Forward,
    ForwardBackward,
    Step(Train),
}

/// Name, sizes, what is timed, batch.
const CASES: [(&str, Sizes, Work, usize); 6] = [
    ("mini-32", MINI, Work::Step(Train::All), 32),
    ("mini-512", MINI, Work::Step(Train::All), 512),
    ("clip-forward", CLIP, Work::Forward, 32),
    ("clip-forward-backward", CLIP, Work::ForwardBackward, 32),
    ("llama-7b-pre-alignment", CLIP, Work::Step(Train::Encoders), 4),
    ("llama-7b-projector", CLIP, Work::Step(Train::Projector), 4),
];

impl Sizes {
    fn patches(&self) -> usize {
        (self.image / self.patch).pow(2)
    }

    /// The parameters' names and shapes, of the encoders alone or of the whole network.
    fn shapes(&self, whole: bool) -> Vec<(String, Vec<usize>)> {
        let mut all = Vec::new();
        for i in 0..self.encoders {
            let (width, layers, _) = self.vit;
            let mut add = |name: &str, shape: &[usize]| {
                all.push((format!("encoders.{i}.{name}"), shape.to_vec()));
            };
            add("patch.weight", &[width, 3, self.patch, self.patch]);
            add("patch.bias", &[width]);
            add("pos", &[1, self.patches(), width]);
            for layer in 0..layers {
                for (name, rows, columns) in
                    [("qkv", 3, 1), ("out", 1, 1), ("fc1", 4, 1), ("fc2", 1, 4)]
                {
                    add(&format!("blocks.{layer}.{name}.weight"), &[rows * width, columns * width]);
                    add(&format!("blocks.{layer}.{name}.bias"), &[rows * width]);
                }
                for name in ["n1.weight", "n1.bias", "n2.weight", "n2.bias"] {
                    add(&format!("blocks.{layer}.{name}"), &[width]);
                }
            }
        }
        if whole {
            all.extend(self.llama_shapes());
        }
        all
    }

    fn llama_shapes(&self) -> Vec<(String, Vec<usize>)> {
        let (width, layers, _) = self.llama;
        let (joined, hidden) = (self.encoders * self.vit.0, self.hidden);
        let mut all: Vec<(String, Vec<usize>)> = vec![
            ("projector.0.weight".into(), vec![width, joined]),
            ("projector.0.bias".into(), vec![width]),
            ("projector.2.weight".into(), vec![width, width]),
            ("projector.2.bias".into(), vec![width]),
            ("embed.weight".into(), vec![self.vocabulary, width]),
            ("norm.weight".into(), vec![width]),
            ("head.weight".into(), vec![self.vocabulary, width]),
        ];
        for layer in 0..layers {
            let mut add = |name: &str, shape: &[usize]| {
                all.push((format!("blocks.{layer}.{name}.weight"), shape.to_vec()));
            };
            ["q", "k", "v", "o"].iter().for_each(|name| add(name, &[width, width]));
            ["gate", "up"].iter().for_each(|name| add(name, &[hidden, width]));
            add("down", &[width, hidden]);
            ["n1", "n2"].iter().for_each(|name| add(name, &[width]));
        }
        all
    }

    /// Random weights and a batch.
    fn bundle(&self, whole: bool, batch: usize, dev: Dev) -> Bundle {
        let mut shapes = self.shapes(whole);
        shapes.push(("image".into(), vec![batch, 3, self.image, self.image]));
        let mut bundle = Bundle::random(shapes, dev);
        let draw = |step: usize| {
            (0..batch * self.text).map(|i| (i * step % self.vocabulary) as f32).collect()
        };
        bundle.insert("ids", &[batch, self.text], draw(7));
        bundle.insert("labels", &[batch, self.text], draw(11));
        bundle.insert("heads.vit", &[1], vec![self.vit.2 as f32]);
        bundle.insert("heads.llama", &[1], vec![self.llama.2 as f32]);
        bundle
    }
}

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let value = |name: &str| {
        let at = arguments.iter().position(|a| a == name)?;
        arguments.get(at + 1)
    };
    let number = |name: &str| value(name).and_then(|value| value.parse::<usize>().ok());
    let has = |name: &str| arguments.iter().any(|a| a == name);
    let Some((_, sizes, work, batch)) = CASES.into_iter().find(|case| has(case.0)) else {
        println!("cases: {}", CASES.map(|case| case.0).join(" "));
        return;
    };
    let sizes = if has("--tiny") { TINY } else { sizes };
    let batch = number("--batch").unwrap_or(if has("--tiny") { 2 } else { batch });
    let precision = match value("--precision").map(String::as_str) {
        None | Some("F32") => Precision::F32,
        Some("Tf32") => Precision::Tf32,
        Some("Bf16") => Precision::Bf16,
        Some("F16") => Precision::F16,
        Some(other) => panic!("no precision {other}"),
    };
    let dev = Dev::open().unwrap_or_else(|error| panic!("{error}")).at(precision);
    dev.prepare().unwrap_or_else(|error| panic!("{error}"));
    let free = Dev::memory().map_or(0, |memory| memory.0);
    let steps = number("--steps").unwrap_or(20);
    let mut run = prepared(sizes, work, batch, dev, has("--checkpointing"));
    let mut times = Vec::new();
    for _ in 0..WARM + steps {
        let start = Instant::now();
        let result = run().unwrap_or_else(|error| panic!("{error}"));
        assert!(result.is_finite(), "the result is {result}");
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    let mut times = times.split_off(WARM);
    times.sort_by(f64::total_cmp);
    let taken = free.saturating_sub(Dev::memory().map_or(0, |memory| memory.0));
    let (median, least) = (times[times.len() / 2], times[0]);
    println!(
        "{{\"ms\": {median:.3}, \"least_ms\": {least:.3}, \"batch\": {batch}, \"bytes\": {taken}}}"
    );
}

/// What is timed, with everything that it needs. It ends when the card is done.
fn prepared(
    sizes: Sizes,
    work: Work,
    batch: usize,
    dev: Dev,
    checkpointing: bool,
) -> Box<dyn FnMut() -> Result<f32>> {
    let bundle = sizes.bundle(matches!(work, Work::Step(_)), batch, dev);
    if let Work::Step(train) = work {
        let mut training = Training::new(&bundle, train, checkpointing);
        return Box::new(move || training.step());
    }
    let tape = if work == Work::Forward { Tape::default() } else { Tape::recording() };
    tape.set_checkpointing(checkpointing);
    let mut builder = Builder::new(&bundle, Train::Encoders, tape);
    let (vit, image) = (Vit::new(&mut builder, "encoders.0", sizes.vit.2), bundle.tensor("image"));
    let trained = builder.trained().to_vec();
    Box::new(move || encoded(&vit, &image, &trained, work))
}

fn encoded(vit: &Vit, image: &Tensor, trained: &[Param], work: Work) -> Result<f32> {
    let mean = eagle_core::nn::ops::mean_rows(&vit.forward(image)?)?;
    if work == Work::ForwardBackward {
        let mut grads = mean.backward_from(vec![1.0; mean.len()])?;
        // Of the patches' bias, which is the last to be computed: waiting for it is waiting for all.
        let last = trained.iter().find(|param| param.name().ends_with("patch.bias"));
        let last = last.and_then(|param| grads.take(param.slot())).expect("a gradient");
        return Ok(eagle_core::tensor::buffer::to_host(&last)[0]);
    }
    Ok(mean.host()[0])
}
