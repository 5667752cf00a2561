//! Real sizes against the reference libraries' own: parameters exactly, FLOPs to a hundredth. The
//! numbers are those of `tests/fixtures/parity/sizes.py`; nothing is allocated.
#![allow(clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;

use eagle_core::nn::Store;
use eagle_core::nn::builder::ParamShape;
use eagle_core::registry::Plugin;

const SIZES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/parity/sizes.json");

#[derive(serde::Deserialize)]
struct Size {
    parameters: usize,
    flops: u64,
}

#[test]
fn parameters_and_flops_at_real_size_are_the_references() {
    let text = std::fs::read_to_string(SIZES).expect(SIZES);
    let sizes: BTreeMap<String, Size> = serde_json::from_str(&text).expect(SIZES);
    assert!(sizes.len() >= 15, "sizes were lost");
    let registry = eagle_plugins::registry().expect("no duplicates");
    for (text, reference) in &sizes {
        let name = text.split('(').next().unwrap_or_default();
        let entry = registry.get(name).unwrap_or_else(|| panic!("no plugin {name}"));
        let plugin = (entry.parse)(text).unwrap_or_else(|error| panic!("{text}: {error}")).plugin;
        let Plugin::Encoder(config) = plugin else { panic!("{text} is no encoder") };
        config.output().unwrap_or_else(|misfit| panic!("{text}: {misfit}"));
        let mut store = Store::counting();
        drop(config.build(&mut store.root()).expect(text));
        let parameters: usize = store.shapes().iter().map(ParamShape::len).sum();
        assert_eq!(parameters, reference.parameters, "{text}: parameters");
        // Ours also count norms, activations and residuals, which are small.
        let share = config.cost().flops as f64 / reference.flops as f64;
        assert!((1.0..1.01).contains(&share), "{text}: {share} of the reference's FLOPs");
    }
}
