//! What 16 bits change on a card: operations within 2e-2 of f32's, weights that are trained in f32, a
//! loss curve. With `--features cuda` on a card, with `--features card` emulated.
#![cfg(feature = "card")]
#![allow(clippy::unwrap_used)]

use eagle_core::nn::device;
use eagle_core::nn::kernels::AdamW;
use eagle_core::nn::ops::{self, Activation, AttentionSpec};
use eagle_core::tensor::{Dev, Grads, Param, Precision, Result, Tape, Tensor, buffer};

const HALVES: [Precision; 2] = [Precision::Bf16, Precision::F16];

fn numbers(seed: usize, len: usize) -> Vec<f32> {
    (0..len).map(|i| (((i + 3) * (seed + 7) * 7919) % 2003) as f32 / 1001.5 - 1.0).collect()
}

type Op = fn(&[Tensor]) -> Result<Tensor>;

/// An operation's value and its gradients, in a precision.
fn computed(precision: Precision, shapes: &[&[usize]], op: Op) -> Vec<Vec<f32>> {
    let (dev, tape) = (Dev::default().at(precision), Tape::recording());
    let leaf = |(i, shape): (usize, &&[usize])| {
        let values = numbers(i, shape.iter().product());
        Tensor::new(&dev, values, shape).unwrap().leaf(&tape)
    };
    let leaves: Vec<Tensor> = shapes.iter().enumerate().map(leaf).collect();
    let out = op(&leaves).unwrap();
    let mut grads = out.backward_from(numbers(99, out.len())).unwrap();
    let mut all = vec![out.host().into_owned()];
    all.extend(leaves.iter().map(|leaf| grads.take_host(leaf.slot().unwrap()).unwrap()));
    all
}

/// The root of the mean square of `a`, and of its distance to `b`.
fn distance(a: &[f32], b: &[f32]) -> (f64, f64) {
    let root = |squares: f64| (squares / a.len().max(1) as f64).sqrt();
    let size = a.iter().map(|x| f64::from(*x).powi(2)).sum();
    let off = a.iter().zip(b).map(|(x, y)| f64::from(x - y).powi(2)).sum();
    (root(size), root(off))
}

#[test]
fn operations_in_16_bits_are_near_those_in_32() {
    let cases: &[(&str, &[&[usize]], Op)] = &[
        ("linear", &[&[6, 24], &[16, 24], &[16]], |x| {
            ops::linear(&x[0], &x[1], Some(&x[2]), Activation::Gelu)
        }),
        ("layer norm", &[&[6, 24], &[24], &[24]], |x| ops::layer_norm(&x[0], &x[1], &x[2], 1e-5)),
        ("rms norm", &[&[6, 24], &[24]], |x| ops::rms_norm(&x[0], &x[1], 1e-5)),
        ("swiglu", &[&[6, 24], &[6, 24]], |x| ops::swiglu(&x[0], &x[1])),
        ("softmax", &[&[6, 24]], |x| ops::softmax(&x[0])),
        ("attention", &[&[2, 5, 4, 16], &[2, 7, 2, 16], &[2, 7, 2, 16]], |x| {
            let spec = AttentionSpec { causal: false, scale: 0.25, ..AttentionSpec::default() };
            ops::attention(&x[0], &x[1], &x[2], None, &spec)
        }),
        ("embedding", &[&[9, 16]], |x| ops::embedding(&x[0], &[1, 3, 3, 8])),
        ("concat and narrow", &[&[2, 4, 6], &[2, 3, 6]], |x| {
            ops::narrow(&ops::concat(&[&x[0], &x[1]], 1)?, 1, 2, 3)
        }),
        ("convolution", &[&[1, 5, 5, 4], &[6, 4, 3, 3], &[6]], |x| {
            ops::conv2d(&x[0], &x[1], Some(&x[2]), 1, 1)
        }),
        ("resize", &[&[1, 4, 4, 3]], |x| ops::resize_bilinear(&x[0], 7, 5, false)),
    ];
    for (name, shapes, op) in cases {
        let full = computed(Precision::F32, shapes, *op);
        for precision in HALVES {
            let half = computed(precision, shapes, *op);
            for (part, (a, b)) in full.iter().zip(&half).enumerate() {
                assert_eq!(a.len(), b.len(), "{name}, part {part}");
                let (size, off) = distance(a, b);
                assert!(
                    off <= 2e-2 * (size + 1e-3),
                    "{name} in {precision:?}, part {part}: {off} of {size}"
                );
                assert!(
                    off > 0.0 || size == 0.0 || *name == "embedding",
                    "{name}: nothing was rounded"
                );
            }
        }
    }
}

#[test]
fn a_weight_is_kept_in_f32_until_it_is_settled() {
    for precision in HALVES {
        let values = numbers(5, 12);
        let param =
            Param::new(&Dev::default().at(precision), "w", values.clone(), &[3, 4]).unwrap();
        assert_eq!(param.host(), values, "the master weight was rounded");
        let read = param.tensor().host().into_owned();
        assert_ne!(read, values, "operations read what is not rounded");
        param.update(|values| values[0] = 0.5);
        assert_eq!(param.tensor().host()[0], 0.5, "operations read an old copy");
        param.update(|kept| kept.copy_from_slice(&values));
        param.settle();
        assert_eq!(param.host(), read, "a settled weight is what operations read");
    }
}

/// The losses of twenty steps of a small network that learns to tell what `numbers` gave its rows.
fn curve(precision: Precision, scale: f32) -> Vec<f32> {
    let (dev, tape) = (Dev::default().at(precision), Tape::recording());
    let param = |name: &str, seed, shape: &[usize]| {
        let values = numbers(seed, shape.iter().product()).iter().map(|x| 0.3 * x).collect();
        let param = Param::new(&dev, name, values, shape).unwrap();
        param.set_tape(&tape);
        param
    };
    let params =
        [param("up", 1, &[32, 16]), param("down", 2, &[16, 32]), param("head", 3, &[10, 16])];
    let mut moments: Vec<_> =
        params.iter().map(|p| [buffer::zeros(p.len()), buffer::zeros(p.len())]).collect();
    let targets: Vec<(usize, u32)> = (0..12).map(|row| (row, (row * 7 % 10) as u32)).collect();
    let x = Tensor::new(&dev, numbers(9, 12 * 16), &[12, 16]).unwrap();
    (1..=20)
        .map(|step| {
            let [up, down, head] = params.each_ref().map(Param::tensor);
            let hidden = ops::linear(&x, &up, None, Activation::Gelu).unwrap();
            let hidden = ops::linear(&hidden, &down, None, Activation::None).unwrap();
            let hidden = ops::add(&x, &hidden).unwrap();
            let loss = ops::cross_entropy(&hidden, &head, &targets).unwrap();
            let value = loss.host()[0] / 12.0;
            drop((up, down, head, hidden));
            let mut grads = Grads::default();
            loss.backward_into(scale / 12.0, &mut grads).unwrap();
            let rule =
                AdamW { lr: 1e-2, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0, step };
            for (param, [m, v]) in params.iter().zip(&mut moments) {
                let gradient = grads.take(param.slot()).unwrap();
                param.change(|values| device::adamw(values, &gradient, m, v, &rule, 1.0 / scale));
            }
            value
        })
        .collect()
}

#[test]
fn twenty_steps_in_16_bits_follow_those_in_32() {
    let full = curve(Precision::F32, 1.0);
    assert!(full[19] < 0.5 * full[0], "nothing was learnt: {full:?}");
    for (precision, scale) in [(Precision::Bf16, 1.0), (Precision::F16, 65_536.0)] {
        let half = curve(precision, scale);
        for (step, (a, b)) in full.iter().zip(&half).enumerate() {
            assert!(
                (a - b).abs() <= 2e-2 * (1.0 + a),
                "{precision:?}, step {step}: {b}, in f32 {a}"
            );
        }
        assert_eq!(half, curve(precision, scale), "{precision:?}: two runs differ");
    }
}
