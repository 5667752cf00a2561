//! Times every operation, forward and backward, on the sizes of the miniature MLLM and of the
//! encoders: `cargo bench -p eagle-core -- [FILTER] [--threads N] [--rounds N]
//! [--cpu]`.
//!
//! Prints one line per operation: its name, the median and the least milliseconds. `scripts/bench_ops.py` runs
//! it in turn with the same operations in PyTorch and prints the ratios.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use eagle_core::nn::kernels::{self, AdamW};
use eagle_core::nn::ops::{self, Activation, AttentionSpec, Bias, GridAxis};
use eagle_core::tensor::{Dev, Result, Tape, Tensor};
use std::time::Instant;

/// Seconds on the clock, or of this thread's own processor time where the machine is not idle.
struct Clock(Option<f64>, Instant);

impl Clock {
    fn start(settings: &Settings) -> Self {
        Clock(settings.cpu.then(busy), Instant::now())
    }

    fn seconds(&self) -> f64 {
        self.0.map_or_else(|| self.1.elapsed().as_secs_f64(), |start| busy() - start)
    }
}

fn busy() -> f64 {
    // The kernel brings the count up to date when the thread yields.
    std::thread::yield_now();
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse::<f64>().unwrap() * 1e-9
}

#[global_allocator]
static ALLOCATOR: kernels::allocator::Recycling = kernels::allocator::Recycling;

struct Settings {
    filter: String,
    rounds: usize,
    cpu: bool,
}

fn numbers(seed: usize, len: usize) -> Vec<f32> {
    let mut state = (seed as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            ((state >> 40) as f32 / (1u64 << 23) as f32 - 1.0) * 1.7
        })
        .collect()
}

fn report(name: &str, settings: &Settings, mut run: impl FnMut() -> f64) {
    for _ in 0..3 {
        run();
    }
    let mut times: Vec<f64> = (0..settings.rounds).map(|_| run()).collect();
    times.sort_by(f64::total_cmp);
    println!("{name} {:.4} {:.4}", times[times.len() / 2] * 1e3, times[0] * 1e3);
}

/// Times an operation whose inputs all record, or all but the frozen ones.
fn op(
    settings: &Settings,
    name: &str,
    shapes: &[&[usize]],
    frozen: &[usize],
    f: &dyn Fn(&[Tensor]) -> Result<Tensor>,
) {
    if !name.contains(&settings.filter) {
        return;
    }
    let dev = Dev::default();
    let tensor =
        |i: usize| Tensor::new(&dev, numbers(i, shapes[i].iter().product()), shapes[i]).unwrap();
    let inputs: Vec<_> = (0..shapes.len()).map(tensor).collect();
    let gradient = numbers(99, f(&inputs).unwrap().len());
    report(name, settings, || {
        let tape = Tape::recording();
        let leaf = |(i, x): (usize, &Tensor)| {
            if frozen.contains(&i) { x.clone() } else { x.leaf(&tape) }
        };
        let leaves: Vec<_> = inputs.iter().enumerate().map(leaf).collect();
        let gradient = gradient.clone();
        let start = Clock::start(settings);
        let out = f(&leaves).unwrap();
        let grads = out.backward_from(gradient).unwrap();
        let time = start.seconds();
        drop(grads);
        time
    });
}

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let value = |name: &str| {
        let at = arguments.iter().position(|a| a == name)?;
        arguments.get(at + 1)?.parse::<usize>().ok()
    };
    let threads = value("--threads").unwrap_or(2);
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .use_current_thread()
        .build_global()
        .unwrap();
    let filter = arguments.first().filter(|a| !a.starts_with("--")).cloned().unwrap_or_default();
    let settings = Settings {
        filter,
        rounds: value("--rounds").unwrap_or(30),
        cpu: arguments.iter().any(|a| a == "--cpu"),
    };
    products(&settings);
    attentions(&settings);
    relative_positions(&settings);
    row_wise(&settings);
    maps(&settings);
    optimiser(&settings);
}

fn products(s: &Settings) {
    for (name, m, n, k, activation) in [
        ("linear.fc1_gelu_tanh", 2048, 512, 128, Activation::GeluTanh),
        ("linear.fc2", 2048, 128, 512, Activation::None),
        ("linear.qkv", 2048, 384, 128, Activation::None),
        ("linear.project_gelu", 2048, 192, 256, Activation::Gelu),
        ("linear.llm_q", 3072, 192, 192, Activation::None),
        ("linear.llm_gate", 3072, 512, 192, Activation::None),
        ("linear.llm_down", 3072, 192, 512, Activation::None),
        ("linear.large", 1024, 1024, 1024, Activation::None),
    ] {
        let shapes: [&[usize]; 3] = [&[m, k], &[n, k], &[n]];
        op(s, name, &shapes, &[], &|x| ops::linear(&x[0], &x[1], Some(&x[2]), activation));
    }
    op(s, "linear.frozen", &[&[3072, 192], &[512, 192]], &[1], &|x| {
        ops::linear(&x[0], &x[1], None, Activation::None)
    });
    op(s, "matmul", &[&[16, 128, 128], &[16, 128, 128]], &[], &|x| ops::matmul(&x[0], &x[1]));
    let targets: Vec<_> = (0..1024).map(|i| (i, (i * 7 % 512) as u32)).collect();
    op(s, "cross_entropy", &[&[1024, 192], &[512, 192]], &[], &|x| {
        ops::cross_entropy(&x[0], &x[1], &targets)
    });
    let targets: Vec<_> = (0..256).map(|i| (i, (i * 7 % 512) as u32)).collect();
    op(s, "cross_entropy.large", &[&[256, 512], &[32000, 512]], &[], &|x| {
        ops::cross_entropy(&x[0], &x[1], &targets)
    });
}

fn attentions(s: &Settings) {
    for (name, b, n, h, d, causal) in [
        ("attention.vit", 32, 64, 4, 32, false),
        ("attention.llm", 32, 96, 4, 48, true),
        ("attention.large", 1, 1024, 16, 64, false),
        ("attention.large_causal", 1, 1024, 16, 64, true),
    ] {
        let spec = AttentionSpec { causal, scale: (d as f32).powf(-0.5), ..Default::default() };
        let shape: [usize; 4] = [b, n, h, d];
        op(s, name, &[&shape, &shape, &shape], &[], &|x| {
            ops::attention(&x[0], &x[1], &x[2], None, &spec)
        });
    }
}

/// Segment Anything's: a decomposed bias and its tables, and windows with padding.
fn relative_positions(s: &Settings) {
    let (n, side, h, d) = (784, 28, 4, 64);
    let spec = AttentionSpec { scale: (d as f32).powf(-0.5), ..Default::default() };
    let (shape, half) = ([1, n, h, d], [1, h, n, side]);
    op(s, "attention.decomposed", &[&shape, &shape, &shape, &half, &half], &[], &|x| {
        let bias = Bias::Decomposed(&x[3], &x[4]);
        ops::attention_with(&x[0], &x[1], &x[2], bias, &spec)
    });
    op(
        s,
        "attention.bias",
        &[&[8, 196, h, d], &[8, 196, h, d], &[8, 196, h, d], &[h, 196, 196]],
        &[],
        &|x| ops::attention(&x[0], &x[1], &x[2], Some(&x[3]), &spec),
    );
    op(s, "relative_bias", &[&[1, n, h, d], &[2 * side - 1, d]], &[], &|x| {
        ops::relative_bias(&x[0], &x[1], (side, side), GridAxis::Rows)
    });
    op(s, "windows", &[&[1, 64, 64, 256]], &[], &|x| ops::windows(&x[0], (14, 14)));
}

fn row_wise(s: &Settings) {
    for activation in
        [Activation::Gelu, Activation::GeluTanh, Activation::QuickGelu, Activation::Silu]
    {
        let name = format!("activate.{activation:?}");
        op(s, &name, &[&[2048, 512]], &[], &|x| ops::activate(&x[0], activation));
    }
    op(s, "swiglu", &[&[3072, 512], &[3072, 512]], &[], &|x| ops::swiglu(&x[0], &x[1]));
    op(s, "add", &[&[3072, 192], &[3072, 192]], &[], &|x| ops::add(&x[0], &x[1]));
    op(s, "add_rows", &[&[32, 64, 128], &[64, 128]], &[], &|x| ops::add_rows(&x[0], &x[1]));
    op(s, "mul_channels", &[&[32, 576, 96], &[96]], &[], &|x| ops::mul_channels(&x[0], &x[1]));
    op(s, "layer_norm", &[&[2048, 128], &[128], &[128]], &[], &|x| {
        ops::layer_norm(&x[0], &x[1], &x[2], 1e-5)
    });
    op(s, "layer_norm.wide", &[&[1024, 1024], &[1024], &[1024]], &[], &|x| {
        ops::layer_norm(&x[0], &x[1], &x[2], 1e-5)
    });
    op(s, "rms_norm", &[&[3072, 192], &[192]], &[], &|x| ops::rms_norm(&x[0], &x[1], 1e-5));
    let (cos, sin): (Vec<_>, Vec<_>) =
        numbers(3, 96 * 24).iter().map(|a| (a.cos(), a.sin())).unzip();
    let angles = ops::Angles::new(cos, sin, 24).unwrap();
    op(s, "rotary", &[&[32, 96, 4, 48]], &[], &|x| ops::rotary(&x[0], &angles));
    let ids: Vec<_> = (0..1024).map(|i| i * 7 % 512).collect();
    op(s, "embedding", &[&[512, 192]], &[], &|x| ops::embedding(&x[0], &ids));
    op(s, "concat", &[&[32, 64, 128], &[32, 64, 128]], &[], &|x| ops::concat(&[&x[0], &x[1]], 2));
    let labels: Vec<_> = (0..1024).map(|i| i * 7 % 512).collect();
    op(s, "softmax_cross_entropy", &[&[1024, 512]], &[], &|x| {
        ops::softmax_cross_entropy(&x[0], &labels, None)
    });
}

fn maps(s: &Settings) {
    op(s, "patch_embed", &[&[32, 3, 64, 64], &[128, 3, 8, 8], &[128]], &[0], &|x| {
        ops::patch_embed(&x[0], &x[1], Some(&x[2]))
    });
    op(s, "conv2d.3x3", &[&[4, 32, 32, 64], &[64, 64, 3, 3], &[64]], &[], &|x| {
        ops::conv2d(&x[0], &x[1], Some(&x[2]), 1, 1)
    });
    op(s, "conv2d.2x2_down", &[&[8, 24, 24, 96], &[192, 96, 2, 2], &[192]], &[], &|x| {
        ops::conv2d(&x[0], &x[1], Some(&x[2]), 2, 0)
    });
    op(s, "depthwise_conv2d", &[&[8, 24, 24, 96], &[96, 1, 7, 7], &[96]], &[], &|x| {
        ops::depthwise_conv2d(&x[0], &x[1], Some(&x[2]), 3)
    });
    op(s, "resize_bilinear", &[&[8, 16, 16, 256]], &[], &|x| {
        ops::resize_bilinear(&x[0], 24, 24, false)
    });
    op(s, "resize_bicubic", &[&[8, 16, 16, 256]], &[], &|x| {
        ops::resize_bicubic(&x[0], 24, 24, false)
    });
    op(s, "pixel_unshuffle", &[&[8, 32, 32, 64]], &[], &|x| ops::pixel_unshuffle(&x[0], 2));
    op(s, "average_pool", &[&[8, 32, 32, 64]], &[], &|x| ops::average_pool(&x[0], 2));
    op(s, "grid_sample", &[&[8, 16, 16, 128], &[8, 24, 24, 2]], &[], &|x| {
        ops::grid_sample(&x[0], &x[1], false)
    });
}

fn optimiser(s: &Settings) {
    if !"adamw".contains(&s.filter) {
        return;
    }
    let len = 3_000_000;
    let (mut p, g) = (numbers(0, len), numbers(1, len));
    let (mut m, mut v) = (vec![0.0; len], vec![0.0; len]);
    let mut step = 0;
    report("adamw", s, || {
        step += 1;
        let settings =
            AdamW { lr: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0, step };
        let start = Clock::start(s);
        kernels::adamw(&mut p, &g, &mut m, &mut v, &settings, 1.0);
        start.seconds()
    });
}
