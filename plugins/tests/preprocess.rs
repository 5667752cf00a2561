//! What every encoder is shown, against its reference's own processor, on the pictures of
//! `tests/fixtures/preprocess/processors` (see `processors.py`), and on those of the folder that the
//! variable `EAGLE_LAB_PROCESSED` names.
#![allow(clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};

use eagle_core::data::Picture;
use eagle_core::data::preprocess::{ImageSpec, prepare};
use eagle_core::registry::Plugin;
use eagle_core::weights::Bundle;

const FIXTURES: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/preprocess/processors");

/// Largest difference, in steps of an 8-bit channel: the pixels are the same, what differs is the
/// rounding of normalisation and of EAGLE's second resizing.
const TOLERANCE: f32 = 0.01;

fn fixtures(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "safetensors"));
    paths.sort();
    paths
}

fn image_of(text: &str) -> ImageSpec {
    let name = text.split('(').next().unwrap_or_default();
    let registry = eagle_plugins::registry().expect("no duplicates");
    let entry = registry.get(name).unwrap_or_else(|| panic!("no plugin {name}"));
    match (entry.parse)(text).unwrap_or_else(|error| panic!("{text}: {error}")).plugin {
        Plugin::Encoder(config) => config.image(),
        _ => panic!("{text} sees no picture"),
    }
}

/// The largest difference from the reference, in steps of an 8-bit channel.
fn difference(path: &Path) -> f32 {
    let bundle = Bundle::read(path).unwrap_or_else(|error| panic!("{error}"));
    let note = |name: &str| bundle.notes.get(name).unwrap_or_else(|| panic!("no note {name}"));
    let spec = image_of(note("plugin"));
    let picture = path.parent().unwrap_or(Path::new("")).join(note("picture"));
    let ours = prepare(&Picture::File(picture), &spec).unwrap_or_else(|error| panic!("{error}"));
    let (shape, theirs) = &bundle.tensors["pixels"];
    assert_eq!(*shape, [3, spec.size, spec.size], "{}", path.display());
    assert_eq!(ours.len(), theirs.len());
    let area = spec.size * spec.size;
    let steps = |(i, (a, b)): (usize, (&f32, &f32))| (a - b).abs() * spec.std[i / area] * 255.0;
    ours.iter().zip(theirs).enumerate().map(steps).fold(0.0, f32::max)
}

#[test]
fn every_encoder_sees_what_its_references_processor_shows() {
    let own = fixtures(Path::new(FIXTURES));
    assert!(own.len() >= 27, "{} fixtures: some are lost", own.len());
    let others = std::env::var_os("EAGLE_LAB_PROCESSED").map(|folder| fixtures(Path::new(&folder)));
    let mut report = String::new();
    for path in own.iter().chain(others.iter().flatten()) {
        let off = difference(path);
        if off.is_nan() || off > TOLERANCE {
            report += &format!("\n{}: {off}/255 apart", path.display());
        }
    }
    assert!(report.is_empty(), "{report}");
}

#[test]
fn a_shared_tensor_is_not_the_encoders_own() {
    let picture = || Picture::File(Path::new(FIXTURES).join("landscape.png"));
    let [own, shared] = ["DinoV2Vit(image_size: 28)", "DinoV2Vit(image_size: 28, shared_size: 52)"]
        .map(|text| prepare(&picture(), &image_of(text)).expect("a picture"));
    assert_eq!(own.len(), shared.len());
    assert_ne!(own, shared);
}
