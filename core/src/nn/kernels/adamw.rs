//! AdamW, with PyTorch's arithmetic, and the sum of squares for the global norm.

use super::memory::{CHUNK, part};
use super::simd::simd;
use rayon::prelude::*;

/// The settings of one AdamW step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamW {
    /// Learning rate.
    pub lr: f32,
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the denominator.
    pub eps: f32,
    /// Decoupled weight decay.
    pub weight_decay: f32,
    /// The number of this step, from 1.
    pub step: u64,
}

/// The factors of a step, computed once in f64.
#[derive(Clone, Copy)]
pub(super) struct Factors {
    pub(super) keep: f32,
    pub(super) one_minus_beta1: f32,
    pub(super) beta2: f32,
    pub(super) one_minus_beta2: f32,
    pub(super) size: f32,
    pub(super) per_root: f32,
    pub(super) eps: f32,
    pub(super) grad: f32,
}

impl Factors {
    pub(super) fn new(settings: &AdamW, grad_scale: f32) -> Factors {
        let [lr, beta1, beta2] = [settings.lr, settings.beta1, settings.beta2].map(shortest);
        let steps = i32::try_from(settings.step).unwrap_or(i32::MAX);
        Factors {
            keep: (1.0 - lr * shortest(settings.weight_decay)) as f32,
            one_minus_beta1: (1.0 - beta1) as f32,
            beta2: settings.beta2,
            one_minus_beta2: (1.0 - beta2) as f32,
            size: (lr / (1.0 - beta1.powi(steps))) as f32,
            per_root: (1.0 / (1.0 - beta2.powi(steps)).sqrt()) as f32,
            eps: settings.eps,
            grad: grad_scale,
        }
    }
}

simd! {
    fn step(p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32], f: Factors) {
        for ((p, g), (m, v)) in p.iter_mut().zip(g).zip(m.iter_mut().zip(v)) {
            let g = g * f.grad;
            *m += (g - *m) * f.one_minus_beta1;
            *v = *v * f.beta2 + f.one_minus_beta2 * g * g;
            *p = *p * f.keep - f.size * (*m / (v.sqrt() * f.per_root + f.eps));
        }
    }
    fn squares(x: &[f32]) -> f64 {
        let mut lanes = [0.0_f64; 16];
        let (chunks, rest) = x.as_chunks::<16>();
        for chunk in chunks {
            for (lane, &x) in lanes.iter_mut().zip(chunk) {
                *lane += f64::from(x) * f64::from(x);
            }
        }
        for (lane, &x) in lanes.iter_mut().zip(rest) {
            *lane += f64::from(x) * f64::from(x);
        }
        lanes.iter().sum()
    }
}

/// One step: changes `param` and its moments `m`, `v`; the gradient counts `grad_scale` times
/// (clipping, accumulation).
pub fn adamw(
    param: &mut [f32],
    grad: &[f32],
    m: &mut [f32],
    v: &mut [f32],
    settings: &AdamW,
    grad_scale: f32,
) {
    let factors = Factors::new(settings, grad_scale);
    if param.len() <= CHUNK {
        return step(param, grad, m, v, factors);
    }
    param
        .par_chunks_mut(CHUNK)
        .zip(grad.par_chunks(CHUNK))
        .zip(m.par_chunks_mut(CHUNK).zip(v.par_chunks_mut(CHUNK)))
        .for_each(|((p, g), (m, v))| step(p, g, m, v, factors));
}

/// The f64 that prints like this f32: 0.999 and not 0.9990000128746033, as PyTorch's Python
/// numbers are.
fn shortest(x: f32) -> f64 {
    x.to_string().parse().unwrap_or(f64::from(x))
}

/// The sum of the squares of each of `all`.
pub fn sums_of_squares(all: &[&[f32]]) -> Vec<f64> {
    all.iter().map(|x| sum_of_squares(x)).collect()
}

/// The sum of the squares, in f64, in a fixed order.
pub fn sum_of_squares(x: &[f32]) -> f64 {
    if x.len() <= CHUNK {
        return squares(x);
    }
    let chunks = x.len().div_ceil(CHUNK);
    let parts: Vec<f64> = (0..chunks).into_par_iter().map(|i| squares(part(x, i, CHUNK))).collect();
    parts.iter().sum()
}
