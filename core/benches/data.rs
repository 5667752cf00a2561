//! Pictures per second, from files to normalised planes:
//! `cargo bench -p eagle-core --bench data -- FOLDER SIZE [--threads N] [--rounds N] [--steps]`.
//! `scripts/bench_data.py` makes the pictures, runs this and PyTorch in turn, and prints the ratios.
//!
//! Prints one line of JSON: pictures per second of the best round, and processor milliseconds per
//! picture. `--steps` prints processor milliseconds of decoding, resizing and all, in one thread.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::hint::black_box;
use std::path::PathBuf;
use std::time::Instant;

use eagle_core::data::Picture;
use eagle_core::data::preprocess::{Filter, ImageSpec, decode, prepare};
use eagle_core::data::resample::resize;
use rayon::prelude::*;

#[global_allocator]
static ALLOCATOR: eagle_core::nn::kernels::allocator::Recycling =
    eagle_core::nn::kernels::allocator::Recycling;

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let value = |name: &str| {
        let at = arguments.iter().position(|a| a == name)?;
        arguments.get(at + 1)?.parse::<usize>().ok()
    };
    let [folder, size, ..] = &arguments[..] else {
        println!("scripts/bench_data.py runs this with a folder of JPEGs");
        return;
    };
    let spec = ImageSpec { size: size.parse().unwrap(), ..ImageSpec::default() };
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "jpg"));
    files.sort();
    let pictures: Vec<Picture> = files.into_iter().map(Picture::File).collect();
    if arguments.iter().any(|a| a == "--steps") {
        return steps(&pictures, &spec);
    }
    let threads = value("--threads").unwrap_or(2);
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().unwrap();
    let round = || {
        let start = Instant::now();
        // As the loader: batch after batch, the pictures of one side by side.
        for batch in pictures.chunks(32) {
            let planes: Vec<Vec<f32>> =
                batch.par_iter().map(|picture| prepare(picture, &spec).unwrap()).collect();
            black_box(planes);
        }
        start.elapsed().as_secs_f64()
    };
    round();
    let rounds = value("--rounds").unwrap_or(3);
    let before = cpu_seconds();
    let best = (0..rounds).map(|_| round()).fold(f64::INFINITY, f64::min);
    let count = pictures.len() as f64;
    let cpu = (cpu_seconds() - before) / (count * rounds as f64);
    println!("{{\"per_second\": {:.1}, \"cpu_ms\": {:.3}}}", count / best, 1e3 * cpu);
}

fn steps(pictures: &[Picture], spec: &ImageSpec) {
    let size = spec.size as u32;
    let images: Vec<_> = pictures.iter().map(|picture| decode(picture).unwrap()).collect();
    let time = |name: &str, work: &dyn Fn(usize)| {
        let before = cpu_seconds();
        (0..pictures.len()).for_each(work);
        println!("{name}: {:.2} ms", 1e3 * (cpu_seconds() - before) / pictures.len() as f64);
    };
    time("decode", &|at| drop(black_box(decode(&pictures[at]).unwrap())));
    time("copy", &|at| drop(black_box(images[at].clone())));
    time("copy and resize", &|at| {
        drop(black_box(resize(images[at].clone(), size, size, Filter::Bicubic)));
    });
    time("all", &|at| drop(black_box(prepare(&pictures[at], spec).unwrap())));
}

/// Processor time of all threads so far; 0 where the system doesn't tell it in this way.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = text.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
    (ticks(11).unwrap_or(0.0) + ticks(12).unwrap_or(0.0)) / 100.0
}
