//! Finite differences, bits for any number of threads, and frozen inputs.

use eagle_core::nn::ops;
use eagle_core::tensor::{Dev, Result, Tape, Tensor};

/// Numbers in [-1, 1), the same ones for the same seed.
pub fn numbers(seed: u64, len: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        })
        .collect()
}

pub type Op<'a> = &'a (dyn Fn(&[Tensor]) -> Result<Tensor> + Sync);

pub fn tensors(values: &[Vec<f32>], shapes: &[&[usize]]) -> Vec<Tensor> {
    let dev = Dev::default();
    values.iter().zip(shapes).map(|(v, s)| Tensor::new(&dev, v.clone(), s).unwrap()).collect()
}

/// The result weighted by fixed numbers and added up, in f64.
pub fn objective(op: Op<'_>, inputs: &[Tensor]) -> f64 {
    let out = op(inputs).unwrap();
    let weights = numbers(99, out.len());
    out.host().iter().zip(weights).map(|(x, w)| f64::from(*x) * f64::from(w)).sum()
}

/// The result, and the gradient of the objective for every input that isn't frozen.
pub fn gradients(
    op: Op<'_>,
    inputs: &[Tensor],
    frozen: &[usize],
) -> (Vec<f32>, Vec<Option<Vec<f32>>>) {
    let tape = Tape::recording();
    let leaves: Vec<_> = inputs
        .iter()
        .enumerate()
        .map(|(i, x)| if frozen.contains(&i) { x.clone() } else { x.leaf(&tape) })
        .collect();
    let out = op(&leaves).unwrap();
    let weights = Tensor::new(&Dev::default(), numbers(99, out.len()), &[out.len(), 1]).unwrap();
    let loss = ops::matmul(&out.reshape(&[1, out.len()]).unwrap(), &weights).unwrap();
    let mut grads = loss.backward().unwrap();
    let of = |leaf: &Tensor| leaf.slot().and_then(|slot| grads.take_host(slot));
    (out.host().to_vec(), leaves.iter().map(of).collect())
}

pub fn inputs_of(shapes: &[&[usize]]) -> Vec<Vec<f32>> {
    let len = |shape: &[usize]| shape.iter().product();
    shapes.iter().enumerate().map(|(i, s)| numbers(i as u64 + 1, len(s))).collect()
}

pub fn holds(name: &str, shapes: &[&[usize]], tolerance: f64, op: Op<'_>) {
    let values = inputs_of(shapes);
    let inputs = tensors(&values, shapes);
    let (out, all) = gradients(op, &inputs, &[]);
    assert!(out.iter().all(|x| x.is_finite()), "{name} {shapes:?}: a value was not written");
    let step = 5e-3_f32;
    for (i, gradient) in all.iter().enumerate() {
        let gradient = gradient.as_ref().expect("every input records");
        let count = gradient.len();
        for at in (0..count).step_by(count.div_ceil(25).max(1)) {
            let moved = |by: f32| {
                let mut values = values.clone();
                values[i][at] += by;
                let change = f64::from(values[i][at]);
                (objective(op, &tensors(&values, shapes)), change)
            };
            let ((up, x1), (down, x0)) = (moved(step), moved(-step));
            let (slope, found) = ((up - down) / (x1 - x0), f64::from(gradient[at]));
            assert!(
                (slope - found).abs() <= tolerance * (1.0 + slope.abs()),
                "{name} {shapes:?}: input {i} at {at} has slope {slope}, gradient {found}"
            );
        }
    }
    same_bits_for_any_threads(name, op, &values, shapes);
    frozen_inputs_get_nothing(name, op, &inputs, &all);
}

type Bits = (Vec<u32>, Vec<Vec<u32>>);

fn same_bits_for_any_threads(name: &str, op: Op<'_>, values: &[Vec<f32>], shapes: &[&[usize]]) {
    let bits = |x: &Vec<f32>| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    let run = |threads: usize| -> Bits {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let (out, gradients) = gradients(op, &tensors(values, shapes), &[]);
            (bits(&out), gradients.iter().flatten().map(bits).collect())
        })
    };
    let one = run(1);
    for threads in [2, 3] {
        assert!(run(threads) == one, "{name} {shapes:?}: {threads} threads give other bits");
    }
}

fn frozen_inputs_get_nothing(name: &str, op: Op<'_>, inputs: &[Tensor], all: &[Option<Vec<f32>>]) {
    for trained in 0..inputs.len() {
        let frozen: Vec<_> = (0..inputs.len()).filter(|&i| i != trained).collect();
        let (_, some) = gradients(op, inputs, &frozen);
        for (i, gradient) in some.iter().enumerate() {
            let expected = if i == trained { all[i].as_ref() } else { None };
            assert!(gradient.as_ref() == expected, "{name}: input {i} when {trained} is trained");
        }
    }
}
