//! One training step of a miniature MLLM, from weights and a batch in a file:
//! `cargo bench -p eagle-core --bench step -- FILE [all|projector|encoders] [--threads N] [--steps N]
//! [--checkpointing]`. `scripts/bench_step.py` writes the file, runs this and PyTorch in turn, and
//! prints the ratios.
//!
//! Prints one line of JSON: the median and least milliseconds of a step, processor seconds per step,
//! peak memory in MB, the rate of a product in GFLOP/s, and the losses.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod mllm;

use eagle_core::nn::kernels::linear;
use eagle_core::nn::ops::Activation;
use mllm::{Bundle, Train, Training};
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: eagle_core::nn::kernels::allocator::Recycling =
    eagle_core::nn::kernels::allocator::Recycling;

/// Steps before the first that counts.
const WARM: usize = 5;

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let value = |name: &str| {
        let at = arguments.iter().position(|a| a == name)?;
        arguments.get(at + 1)?.parse::<usize>().ok()
    };
    rayon::ThreadPoolBuilder::new()
        .num_threads(value("--threads").unwrap_or(2))
        .use_current_thread()
        .build_global()
        .unwrap();
    let Some(file) = arguments.first().filter(|a| !a.starts_with("--")) else {
        println!("scripts/bench_step.py runs this with a file of weights");
        return;
    };
    let train = arguments.iter().find_map(|a| Train::named(a)).unwrap_or(Train::All);
    let checkpointing = arguments.iter().any(|a| a == "--checkpointing");
    run(file, train, checkpointing, value("--steps").unwrap_or(20));
}

fn run(file: &str, train: Train, checkpointing: bool, steps: usize) {
    let rate = product_rate();
    let mut training = Training::new(&Bundle::open(file), train, checkpointing);
    let (mut times, mut losses) = (Vec::new(), Vec::new());
    let mut busy = 0.0;
    for step in 0..steps + WARM {
        if step == WARM {
            busy = processor_seconds();
        }
        let start = Instant::now();
        losses.push(training.step().unwrap());
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    let busy = (processor_seconds() - busy) / steps as f64;
    let mut times = times.split_off(WARM);
    times.sort_by(f64::total_cmp);
    println!(
        "{{\"ms\": {:.3}, \"least_ms\": {:.3}, \"cpu_ms\": {:.3}, \"batch\": {}, \"peak_mb\": {:.1}, \
         \"gflop_per_s\": {rate:.1}, \"losses\": {losses:?}}}",
        times[times.len() / 2],
        times[0],
        busy * 1e3,
        training.batch(),
        peak_megabytes(),
    );
}

/// GFLOP/s of the best of ten products of three matrices of 1024 by 1024.
fn product_rate() -> f64 {
    let n = 1024;
    let (a, b) = (vec![0.5; n * n], vec![0.25; n * n]);
    let time = |_| {
        let start = Instant::now();
        let out = linear::linear((n, n, n), &a, &b, None, Activation::None, false);
        let seconds = start.elapsed().as_secs_f64();
        assert!(out.0[n * n - 1] == 128.0);
        seconds
    };
    let best = (0..10).map(time).fold(f64::INFINITY, f64::min);
    2.0 * (n as f64).powi(3) / best * 1e-9
}

/// User and system time of the process, in seconds.
fn processor_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = text.rsplit(')').next().unwrap_or_default();
    let ticks = |i: usize| after.split_whitespace().nth(i).and_then(|x| x.parse::<f64>().ok());
    (ticks(11).unwrap_or(0.0) + ticks(12).unwrap_or(0.0)) / 100.0
}

/// The most memory that the process has had.
fn peak_megabytes() -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
    let kilobytes = line.split_whitespace().nth(1).and_then(|x| x.parse::<f64>().ok());
    kilobytes.unwrap_or(0.0) / 1024.0
}
