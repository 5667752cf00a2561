//! A vision encoder's forward pass at its real size, with random weights:
//! `cargo bench -p eagle-plugins --bench encoder -- "ClipVit()" [--threads N] [--runs N] [--batch N]`.
//!
//! Prints the median milliseconds of a pass as JSON. `scripts/bench_encoder.py` runs it beside transformers.
#![allow(missing_docs, clippy::expect_used, clippy::panic)]

use std::time::Instant;

use eagle_core::nn::Store;
use eagle_core::nn::kernels::allocator::Recycling;
use eagle_core::registry::{NoTap, Plugin};
use eagle_core::seed::Rng;
use eagle_core::tensor::{Dev, Tensor};

#[global_allocator]
static ALLOCATOR: Recycling = Recycling;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str, default: usize| {
        let at = arguments.iter().position(|argument| argument == name);
        at.and_then(|at| arguments.get(at + 1)?.parse().ok()).unwrap_or(default)
    };
    let Some(text) = arguments.iter().find(|argument| argument.contains('(')) else {
        println!("name an encoder, such as \"ClipVit()\"");
        return;
    };
    let threads = option("--threads", 2);
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().expect("threads");
    let registry = eagle_plugins::registry().expect("plugins");
    let name = text.split('(').next().unwrap_or_default();
    let entry = registry.get(name).unwrap_or_else(|| panic!("no plugin {name}"));
    let Plugin::Encoder(config) = (entry.parse)(text).expect("a configuration").plugin else {
        panic!("{name} is no encoder");
    };
    let module = config.build(&mut Store::new(&Dev::default(), 0).root()).expect("a module");
    let (batch, side) = (option("--batch", 1), config.image().size);
    let mut rng = Rng::new(1);
    let pixels = (0..batch * 3 * side * side).map(|_| rng.normal()).collect();
    let image = Tensor::new(&Dev::default(), pixels, &[batch, 3, side, side]).expect("an image");
    let mut times: Vec<f64> = (0..option("--runs", 5) + 1)
        .map(|_| {
            let start = Instant::now();
            module.forward(&image, &mut NoTap).expect("a forward pass");
            start.elapsed().as_secs_f64() * 1e3
        })
        .skip(1)
        .collect();
    times.sort_by(f64::total_cmp);
    println!("{{\"ms\": {:.2}}}", times[times.len() / 2]);
}
