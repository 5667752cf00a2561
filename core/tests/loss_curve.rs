//! Twenty steps of AdamW on a miniature MLLM lose what PyTorch's lose, from the same weights and
//! data; `tests/fixtures/loss_curve.py` writes the fixture.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../benches/mllm/mod.rs"]
mod mllm;

use mllm::{Bundle, Train, Training};

const FIXTURE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/loss_curve.safetensors");

#[test]
fn twenty_steps_lose_what_pytorchs_do() {
    let bundle = Bundle::open(FIXTURE);
    for name in ["all", "projector", "encoders"] {
        let expected = bundle.get(&format!("losses.{name}")).1;
        assert_eq!(expected.len(), 20);
        assert!(expected[19] < expected[0] - 0.05, "{name}: nothing was learnt");
        for checkpointing in [false, true] {
            let train = Train::named(name).unwrap();
            let mut training = Training::new(&bundle, train, checkpointing);
            assert_eq!(training.batch(), 4);
            for (step, expected) in expected.iter().enumerate() {
                let loss = training.step().unwrap();
                let near = (loss - expected).abs() <= 1e-4 * expected;
                assert!(near, "{name}, step {step}: {loss}, PyTorch has {expected}");
            }
        }
    }
}
