//! The operations against their twins composed from dfdx's own, values and gradients. What has a
//! matrix product in it has none here: dfdx's needs a second gemm to be built; plain loops and
//! PyTorch's numbers stand for it (`tests/gradients.rs`, `tests/pytorch.rs`).
#![allow(clippy::unwrap_used)]

use super::Activation;
use crate::tensor::{Composed, Dev, Result, Tape, Tensor};
use dfdx::shapes::Axis;
use dfdx::tensor_ops::{BroadcastTo, TryAdd, TryMul};

type Op<'a> = &'a dyn Fn(&[Tensor]) -> Result<Tensor>;

fn numbers(seed: usize, len: usize) -> Vec<f32> {
    (0..len).map(|i| (((i + 3) * (seed + 7) * 7919) % 2003) as f32 / 1001.5 - 1.0).collect()
}

fn values_and_gradients(shapes: &[&[usize]], op: Op<'_>) -> Vec<Vec<f32>> {
    let tape = Tape::recording();
    let leaf = |(i, shape): (usize, &&[usize])| {
        let values = numbers(i, shape.iter().product());
        Tensor::new(&Dev::default(), values, shape).unwrap().leaf(&tape)
    };
    let leaves: Vec<_> = shapes.iter().enumerate().map(leaf).collect();
    let out = op(&leaves).unwrap();
    let mut grads = out.backward_from(numbers(99, out.len())).unwrap();
    let mut all = vec![out.host().to_vec()];
    all.extend(leaves.iter().map(|leaf| grads.take_host(leaf.slot().unwrap()).unwrap()));
    all
}

fn twins(shapes: &[&[usize]], ours: Op<'_>, composed: Op<'_>) {
    let (a, b) = (values_and_gradients(shapes, ours), values_and_gradients(shapes, composed));
    for (part, (a, b)) in a.iter().zip(&b).enumerate() {
        assert_eq!(a.len(), b.len());
        for (i, (a, b)) in a.iter().zip(b).enumerate() {
            let near = (a - b).abs() <= 2e-5 * (1.0 + b.abs());
            assert!(near, "{shapes:?}, part {part} at {i}: {a}, composed {b}");
        }
    }
}

#[test]
fn activations_are_their_composed_twins() {
    let flat = |x: &[Tensor]| x[0].composed((61_usize,));
    // Not GELU with the error function: the derivative of dfdx 0.13's `accurate_gelu` lacks a factor.
    twins(&[&[61]], &|x| super::activate(&x[0], Activation::GeluTanh), &|x| {
        Tensor::from_composed(flat(x)?.try_fast_gelu()?)
    });
    twins(&[&[61], &[61]], &|x| super::swiglu(&x[0], &x[1]), &|x| {
        let up = x[1].composed((61_usize,))?;
        Tensor::from_composed(flat(x)?.try_sigmoid()?.try_mul(flat(x)?)?.try_mul(up)?)
    });
}

#[test]
fn layer_norm_is_its_composed_twin() {
    let shapes: [&[usize]; 3] = [&[7, 13], &[13], &[13]];
    let ours: Op<'_> = &|x| super::layer_norm(&x[0], &x[1], &x[2], 1e-5);
    twins(&shapes, ours, &|x| {
        let size = (7_usize, 13_usize);
        let row = |x: &Tensor| -> Result<Composed<(usize, usize)>> {
            Ok(x.composed((13_usize,))?.try_broadcast_like::<_, Axis<0>>(&size)?)
        };
        let normal = x[0].composed(size)?.try_normalize::<Axis<1>>(1e-5)?;
        Tensor::from_composed(normal.try_mul(row(&x[1])?)?.try_add(row(&x[2])?)?)
    });
}
