//! Activations and gated activations, with their derivatives.

use super::memory::{CHUNK, chunked, part, split_rows, uninit};
use super::simd::{erf, exp, fma, sigmoid, simd};
use crate::nn::ops::Activation;

const SQRT_2_OVER_PI: f32 = 0.797_884_6;
const CUBIC: f32 = 0.044_715;

#[inline(always)]
fn gelu<const FMA: bool>(x: f32) -> f32 {
    0.5 * x * (1.0 + erf::<FMA>(x * std::f32::consts::FRAC_1_SQRT_2))
}

#[inline(always)]
fn gelu_slope<const FMA: bool>(x: f32) -> f32 {
    let density = 0.398_942_3 * exp::<FMA>(-0.5 * x * x);
    fma::<FMA>(x, density, 0.5 * (1.0 + erf::<FMA>(x * std::f32::consts::FRAC_1_SQRT_2)))
}

#[inline(always)]
fn gelu_tanh<const FMA: bool>(x: f32) -> f32 {
    // 0.5 (1 + tanh u) is the logistic function of 2 u.
    x * sigmoid::<FMA>(2.0 * SQRT_2_OVER_PI * x * fma::<FMA>(CUBIC * x, x, 1.0))
}

#[inline(always)]
fn gelu_tanh_slope<const FMA: bool>(x: f32) -> f32 {
    let s = sigmoid::<FMA>(2.0 * SQRT_2_OVER_PI * x * fma::<FMA>(CUBIC * x, x, 1.0));
    let inner = 2.0 * SQRT_2_OVER_PI * fma::<FMA>(3.0 * CUBIC * x, x, 1.0);
    s * fma::<FMA>(x * (1.0 - s), inner, 1.0)
}

#[inline(always)]
fn logistic<const FMA: bool>(x: f32, steepness: f32) -> f32 {
    x * sigmoid::<FMA>(steepness * x)
}

#[inline(always)]
fn logistic_slope<const FMA: bool>(x: f32, steepness: f32) -> f32 {
    let s = sigmoid::<FMA>(steepness * x);
    s * fma::<FMA>(steepness * x, 1.0 - s, 1.0)
}

/// To 1e-7 absolute: near 0 the difference cancels, so the absolute error is what is kept.
#[inline(always)]
fn tanh<const FMA: bool>(x: f32) -> f32 {
    2.0 * sigmoid::<FMA>(2.0 * x) - 1.0
}

#[inline(always)]
fn tanh_slope<const FMA: bool>(x: f32) -> f32 {
    let s = sigmoid::<FMA>(2.0 * x);
    4.0 * s * (1.0 - s)
}

#[inline(always)]
fn apply(y: &mut [f32], x: &[f32], f: impl Fn(f32) -> f32) {
    for (y, x) in y.iter_mut().zip(x) {
        *y = f(*x);
    }
}

#[inline(always)]
fn apply_slope(gradient: &mut [f32], x: &[f32], slope: impl Fn(f32) -> f32) {
    for (gradient, x) in gradient.iter_mut().zip(x) {
        *gradient *= slope(*x);
    }
}

#[inline(always)]
fn apply_in_place(x: &mut [f32], f: impl Fn(f32) -> f32) {
    for x in x {
        *x = f(*x);
    }
}

simd! {
    /// `y = activation(x)` on this thread.
    pub fn activate_to(y: &mut [f32], x: &[f32], activation: Activation) {
        match activation {
            Activation::None => y.copy_from_slice(x),
            Activation::Gelu => apply(y, x, gelu::<FMA>),
            Activation::GeluTanh => apply(y, x, gelu_tanh::<FMA>),
            Activation::QuickGelu => apply(y, x, |x| logistic::<FMA>(x, 1.702)),
            Activation::Silu => apply(y, x, |x| logistic::<FMA>(x, 1.0)),
            Activation::Relu => apply(y, x, |x| x.max(0.0)),
            Activation::Tanh => apply(y, x, tanh::<FMA>),
        }
    }
    /// `x = activation(x)` on this thread.
    pub fn activate_in_place(x: &mut [f32], activation: Activation) {
        match activation {
            Activation::None => {}
            Activation::Gelu => apply_in_place(x, gelu::<FMA>),
            Activation::GeluTanh => apply_in_place(x, gelu_tanh::<FMA>),
            Activation::QuickGelu => apply_in_place(x, |x| logistic::<FMA>(x, 1.702)),
            Activation::Silu => apply_in_place(x, |x| logistic::<FMA>(x, 1.0)),
            Activation::Relu => apply_in_place(x, |x| x.max(0.0)),
            Activation::Tanh => apply_in_place(x, tanh::<FMA>),
        }
    }
    /// `gradient *= activation'(x)` on this thread.
    pub fn slope_in_place(gradient: &mut [f32], x: &[f32], activation: Activation) {
        match activation {
            Activation::None => {}
            Activation::Gelu => apply_slope(gradient, x, gelu_slope::<FMA>),
            Activation::GeluTanh => apply_slope(gradient, x, gelu_tanh_slope::<FMA>),
            Activation::QuickGelu => apply_slope(gradient, x, |x| logistic_slope::<FMA>(x, 1.702)),
            Activation::Silu => apply_slope(gradient, x, |x| logistic_slope::<FMA>(x, 1.0)),
            Activation::Relu => apply_slope(gradient, x, |x| f32::from(u8::from(x > 0.0))),
            Activation::Tanh => apply_slope(gradient, x, tanh_slope::<FMA>),
        }
    }
    fn swiglu_to(y: &mut [f32], gate: &[f32], up: &[f32]) {
        for ((y, &gate), &up) in y.iter_mut().zip(gate).zip(up) {
            *y = logistic::<FMA>(gate, 1.0) * up;
        }
    }
    fn swiglu_slopes(dgate: &mut [f32], dup: &mut [f32], gradient: &[f32], gate: &[f32], up: &[f32]) {
        let outs = dgate.iter_mut().zip(dup);
        for (((dgate, dup), &gradient), (&gate, &up)) in
            outs.zip(gradient).zip(gate.iter().zip(up))
        {
            let s = sigmoid::<FMA>(gate);
            *dup = gradient * gate * s;
            *dgate = gradient * up * s * fma::<FMA>(gate, 1.0 - s, 1.0);
        }
    }
}

/// `activation(x)`.
pub fn activate(x: &[f32], activation: Activation) -> Vec<f32> {
    let mut out = uninit(x.len());
    chunked(&mut out, CHUNK, |i, out| activate_to(out, part(x, i, CHUNK), activation));
    out
}

/// Turns the gradient of `activation(x)` into that of `x`.
pub fn activate_backward(gradient: &mut [f32], x: &[f32], activation: Activation) {
    chunked(gradient, CHUNK, |i, gradient| {
        slope_in_place(gradient, part(x, i, CHUNK), activation);
    });
}

/// `silu(gate) * up`.
pub fn swiglu(gate: &[f32], up: &[f32]) -> Vec<f32> {
    let mut out = uninit(gate.len());
    chunked(&mut out, CHUNK, |i, out| swiglu_to(out, part(gate, i, CHUNK), part(up, i, CHUNK)));
    out
}

/// The gradients of `silu(gate) * up`.
pub fn swiglu_backward(gradient: &[f32], gate: &[f32], up: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let (mut dgate, mut dup) = (uninit(gate.len()), uninit(up.len()));
    split_rows((&mut dgate, CHUNK), (&mut dup, CHUNK), |i, dgate, dup| {
        let [gradient, gate, up] = [gradient, gate, up].map(|x| part(x, i, CHUNK));
        swiglu_slopes(dgate, dup, gradient, gate, up);
    });
    (dgate, dup)
}
