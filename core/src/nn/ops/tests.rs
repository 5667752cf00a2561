//! The operations against their twins composed from dfdx's own, values and gradients.
#![allow(clippy::unwrap_used)]

use super::{Activation, AttentionSpec};
use crate::tensor::{Composed, Dev, Result, Tape, Tensor};
use dfdx::shapes::{Axes2, Axes3, Axis};
use dfdx::tensor_ops::{BroadcastTo, PermuteTo, TryAdd, TryMatMul, TryMul};

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
    all.extend(leaves.iter().map(|leaf| grads.take(leaf.slot().unwrap()).unwrap()));
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
fn a_linear_layer_is_its_composed_twin() {
    let shapes: [&[usize]; 3] = [&[7, 13], &[5, 13], &[5]];
    let ours: Op<'_> = &|x| super::linear(&x[0], &x[1], Some(&x[2]), Activation::None);
    twins(&shapes, ours, &|x| {
        let (a, w) = (x[0].composed((7_usize, 13_usize))?, x[1].composed((5_usize, 13_usize))?);
        let bias: Composed<(usize, usize)> =
            x[2].composed((5_usize,))?.try_broadcast_like::<_, Axis<0>>(&(7_usize, 5_usize))?;
        let product: Composed<(usize, usize)> =
            a.try_matmul(w.try_permute::<(usize, usize), Axes2<1, 0>>()?)?;
        Tensor::from_composed(product.try_add(bias)?)
    });
}

#[test]
fn attention_is_its_composed_twin() {
    let shape: [usize; 4] = [2, 5, 1, 4];
    let spec = AttentionSpec { scale: 0.5, ..Default::default() };
    let ours: Op<'_> = &|x| super::attention(&x[0], &x[1], &x[2], None, &spec);
    twins(&[&shape, &shape, &shape], ours, &|x| {
        type Three = (usize, usize, usize);
        let [q, k, v] = [0, 1, 2].map(|i| x[i].composed((2_usize, 5_usize, 4_usize)));
        let keys = k?.try_permute::<Three, Axes3<0, 2, 1>>()?;
        let scores: Composed<Three> = q?.try_matmul(keys)?;
        let weights = scores.try_mul(0.5)?.try_softmax::<Axis<2>>()?;
        let out: Composed<Three> = weights.try_matmul(v?)?;
        Tensor::from_composed(out)?.reshape(&shape)
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
