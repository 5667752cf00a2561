//! Every operation against PyTorch's values and gradients, from the fixture that
//! `tests/fixtures/ops.py` writes.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use eagle_core::nn::kernels;
use eagle_core::nn::ops::{self, Activation, AttentionSpec, Bias, GridAxis, RotaryLayout};
use eagle_core::tensor::{Dev, Result, Tape, Tensor};
use safetensors::SafeTensors;
use std::collections::BTreeSet;

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/ops.safetensors");

struct Fixture(Vec<u8>);

impl Fixture {
    fn open() -> Self {
        Fixture(std::fs::read(FIXTURE).unwrap())
    }

    fn get(&self, name: &str) -> Option<Tensor> {
        let file = SafeTensors::deserialize(&self.0).unwrap();
        let view = file.tensor(name).ok()?;
        let values = view.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()));
        Some(Tensor::new(&Dev::default(), values.collect(), view.shape()).unwrap())
    }

    fn cases(&self) -> BTreeSet<String> {
        let file = SafeTensors::deserialize(&self.0).unwrap();
        let names = file.names();
        names.iter().filter_map(|n| Some(n.split_once('/')?.0.to_owned())).collect()
    }
}

fn close(what: &str, found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len(), "{what}: other number of values");
    let size = expected.iter().fold(1.0_f32, |a, b| a.max(b.abs()));
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        let near = (a - b).abs() <= tolerance * size.min(1.0 + 4.0 * b.abs());
        assert!(near, "{what} at {i}: {a}, PyTorch has {b}");
    }
}

fn activation(name: &str) -> Activation {
    use Activation::{Gelu, GeluTanh, None, QuickGelu, Relu, Silu, Tanh};
    let all = [None, Gelu, GeluTanh, QuickGelu, Silu, Relu, Tanh];
    all.into_iter().find(|a| format!("{a:?}") == name).unwrap()
}

fn sides(name: &str) -> (usize, usize) {
    let (h, w) = name.split_once('x').unwrap();
    (h.parse().unwrap(), w.parse().unwrap())
}

fn run(fixture: &Fixture, case: &str, x: &[Tensor]) -> Result<Tensor> {
    let (kind, detail) = case.split_once('.').unwrap_or((case, ""));
    let spec = |causal, query_offset, lengths: Option<&[usize]>| AttentionSpec {
        causal,
        scale: 1.0 / (x[0].shape()[3] as f32).sqrt(),
        query_offset,
        key_lengths: lengths.map(Into::into),
    };
    match kind {
        "activate" => ops::activate(&x[0], activation(detail)),
        "linear" => ops::linear(&x[0], &x[1], Some(&x[2]), activation(detail)),
        "swiglu" => ops::swiglu(&x[0], &x[1]),
        "layer_norm" => ops::layer_norm(&x[0], &x[1], &x[2], 1e-5),
        "rms_norm" => ops::rms_norm(&x[0], &x[1], 1e-5),
        "attention" => {
            let spec = match detail {
                "causal" => spec(true, 6, None),
                "padded" => spec(false, 0, Some(&[7, 3])),
                _ => spec(false, 0, None),
            };
            if detail == "decomposed" {
                let bias = Bias::Decomposed(&x[3], &x[4]);
                return ops::attention_with(&x[0], &x[1], &x[2], bias, &spec);
            }
            ops::attention(&x[0], &x[1], &x[2], x.get(3), &spec)
        }
        "relative_bias" => {
            let axis = if detail == "rows" { GridAxis::Rows } else { GridAxis::Columns };
            ops::relative_bias(&x[0], &x[1], (3, 5), axis)
        }
        "deformable_attention" => ops::deformable_attention(&x[0], &[(4, 5), (2, 3)], &x[1], &x[2]),
        "softmax" => ops::softmax(&x[0]),
        "scale_rows" => ops::scale_rows(&x[0], &x[1]),
        "windows" => ops::windows(&x[0], (3, 3)),
        "rotary" => {
            let layout =
                if detail == "Half" { RotaryLayout::Half } else { RotaryLayout::Interleaved };
            let [cos, sin] = ["rotary.cos", "rotary.sin"].map(|name| fixture.get(name).unwrap());
            ops::rotary_with(&x[0], &ops::Angles { cos, sin }, layout)
        }
        "cross_entropy" => {
            let targets: Vec<_> = (0..6).map(|i| (2 * i, 3 * i as u32)).collect();
            ops::cross_entropy(&x[0], &x[1], &targets)
        }
        "softmax_cross_entropy" => {
            let weights: Vec<_> = (0..7).map(|i| i as f32).collect();
            ops::softmax_cross_entropy(&x[0], &[0, 1, 2, 3, 4, 5, 6], Some(&weights))
        }
        "patch_embed" => ops::patch_embed(&x[0], &x[1], Some(&x[2])),
        "conv2d" => {
            let (stride, padding) = match detail {
                "3x3" => (1, 1),
                "strided" => (2, 1),
                _ => (2, 0),
            };
            ops::conv2d(&x[0], &x[1], Some(&x[2]), stride, padding)
        }
        "depthwise_conv2d" => ops::depthwise_conv2d(&x[0], &x[1], Some(&x[2]), 3),
        "bilinear" | "bilinear_aligned" => {
            let (h, w) = sides(detail);
            ops::resize_bilinear(&x[0], h, w, kind == "bilinear_aligned")
        }
        "bicubic" | "bicubic_antialias" => {
            let (h, w) = sides(detail);
            ops::resize_bicubic(&x[0], h, w, kind == "bicubic_antialias")
        }
        "pixel_unshuffle" => ops::pixel_unshuffle(&x[0], 2),
        "pixel_shuffle" => ops::pixel_shuffle(&x[0], 2),
        "average_pool" => ops::average_pool(&x[0], 2),
        "grid_sample" => ops::grid_sample(&x[0], &x[1], detail == "true"),
        other => panic!("no operation for the case {other}"),
    }
}

#[test]
fn values_and_gradients_are_pytorchs() {
    let fixture = Fixture::open();
    let cases = fixture.cases();
    assert!(cases.len() > 40, "the fixture lost cases: {cases:?}");
    for case in cases.iter().filter(|case| *case != "adamw") {
        let tape = Tape::recording();
        let inputs: Vec<_> = (0..5)
            .map_while(|i| fixture.get(&format!("{case}/in.{i}")))
            .map(|x| x.leaf(&tape))
            .collect();
        let out = run(&fixture, case, &inputs).unwrap();
        let expected = fixture.get(&format!("{case}/out")).unwrap();
        assert_eq!(out.shape(), expected.shape(), "{case}");
        close(case, &out.host(), &expected.host(), 2e-6);
        let grad = fixture.get(&format!("{case}/grad")).unwrap();
        let grad = grad.reshape(&[grad.len(), 1]).unwrap();
        let row = out.reshape(&[1, out.len()]).unwrap();
        let mut grads = ops::matmul(&row, &grad).unwrap().backward().unwrap();
        for (i, input) in inputs.iter().enumerate() {
            let what = format!("{case}/d.{i}");
            let found = grads.take_host(input.slot().unwrap()).unwrap();
            close(&what, &found, &fixture.get(&what).unwrap().host(), 5e-6);
        }
    }
}

#[test]
fn three_adamw_steps_are_pytorchs() {
    let fixture = Fixture::open();
    let mut param = fixture.get("adamw/param").unwrap().host().to_vec();
    let (mut m, mut v) = (vec![0.0; 50], vec![0.0; 50]);
    for step in 0..3 {
        let grad = fixture.get(&format!("adamw/grad.{step}")).unwrap();
        let (beta1, beta2) = (0.9, 0.95);
        let settings =
            kernels::AdamW { lr: 3e-3, beta1, beta2, eps: 1e-8, weight_decay: 0.1, step: step + 1 };
        let half: Vec<_> = grad.host().iter().map(|g| 0.5 * g).collect();
        kernels::adamw(&mut param, &half, &mut m, &mut v, &settings, 2.0);
        let expected = fixture.get(&format!("adamw/out.{step}")).unwrap();
        close("adamw", &param, &expected.host(), 2e-7);
    }
}

#[test]
fn the_sum_of_squares_is_exact_to_f64_rounding() {
    let values: Vec<_> = (0..100_003).map(|i| ((i * 37 % 1001) as f32) * 1e-3).collect();
    let expected: f64 = values.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    assert!((kernels::sum_of_squares(&values) / expected - 1.0).abs() < 1e-12);
}
