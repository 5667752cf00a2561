//! The kernels against their twins on the CPU: on the card with the `cuda` feature, in the emulation
//! without it.

mod activation;
mod attention;
mod conv;
mod elementwise;
mod layout;
mod loss;
mod norm;
mod sampling;

use super::{Buffer, Gpu, Kind};

/// The card, or `None` with a printed reason.
fn card() -> Option<Gpu> {
    match Gpu::open(0) {
        Ok(gpu) => Some(gpu),
        Err(error) => {
            println!("skipped: {error}");
            None
        }
    }
}

/// Values in [-1, 1) that differ by seed.
fn numbers(seed: usize, len: usize) -> Vec<f32> {
    let mut state = (seed as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

/// Runs a test of the named kernels on the card for every storage; a kernel that is not launched
/// fails it.
fn for_every_kind(kernels: &[&'static str], test: impl Fn(&Gpu, Kind)) {
    covering(kernels, |gpu| {
        [Kind::F32, Kind::Bf16, Kind::F16].into_iter().for_each(|kind| test(gpu, kind))
    });
}

/// Runs a test of the named kernels on the card; a kernel that is not launched fails it.
fn covering(kernels: &[&'static str], test: impl Fn(&Gpu)) {
    let Some(gpu) = card() else { return };
    #[cfg(not(feature = "cuda"))]
    super::emulated::launched();
    test(&gpu);
    #[cfg(not(feature = "cuda"))]
    {
        let launched = super::emulated::launched();
        for kernel in kernels {
            assert!(launched.contains(kernel), "{kernel} was not launched, but {launched:?}");
        }
    }
    let _ = kernels;
}

/// What `kind` keeps of the values: what a kernel reads.
fn stored(kind: Kind, values: &[f32]) -> Vec<f32> {
    let round = |x: &f32| match kind {
        Kind::F32 => *x,
        Kind::Bf16 => half::bf16::from_f32(*x).to_f32(),
        Kind::F16 => half::f16::from_f32(*x).to_f32(),
    };
    values.iter().map(round).collect()
}

/// Values on the card, and what was kept of them.
fn put(gpu: &Gpu, kind: Kind, seed: usize, len: usize) -> (Buffer, Vec<f32>) {
    let values = stored(kind, &numbers(seed, len));
    (gpu.upload(kind, &values).unwrap(), values)
}

/// The values on the card are those expected, to 1e-5 of f32 and to the rounding of 16 bits.
#[track_caller]
fn near(what: &str, found: &Buffer, expected: &[f32]) {
    near_by(what, found, expected, 1e-5);
}

#[track_caller]
fn near_by(what: &str, found: &Buffer, expected: &[f32], tolerance: f32) {
    let tolerance = match found.kind() {
        Kind::F32 => tolerance,
        Kind::Bf16 => 0.01,
        Kind::F16 => 0.002,
    };
    let kind = found.kind();
    let found = found.download().unwrap();
    assert_eq!(found.len(), expected.len(), "{what} {kind:?}: number of values");
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        let close = (found - expected).abs() <= tolerance * (1.0 + expected.abs());
        assert!(close, "{what} {kind:?} at {i}: {found}, not {expected}");
    }
}

/// Every kernel of every `.cu` file is named by a launcher and by a test.
#[test]
fn every_kernel_is_tested() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/nn/kernels/cuda");
    let read = |folder: &std::path::Path, ending: &str| -> String {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let files = entries.filter(|path| path.to_string_lossy().ends_with(ending));
        files.map(|path| "\n".to_owned() + &std::fs::read_to_string(path).unwrap()).collect()
    };
    let (kernels, launchers) = (read(&folder, ".cu"), read(&folder, ".rs"));
    let tests = read(&folder.join("tests"), ".rs");
    let names: Vec<&str> = kernels
        .split("\nKERNEL ")
        .skip(1)
        .filter_map(|rest| rest.split('(').next()?.split_whitespace().last())
        .collect();
    assert!(names.len() > 5 && kernels.matches("__global__").count() == 0, "{names:?}");
    for name in names {
        let quoted = format!("\"{name}\"");
        assert!(launchers.contains(&quoted), "{name} has no launcher");
        assert!(tests.contains(&quoted), "{name} has no test");
    }
}
