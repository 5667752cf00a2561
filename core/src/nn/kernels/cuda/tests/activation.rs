//! Activations.

use super::{for_every_kind, near, put};
use crate::nn::kernels::activation as cpu;
use crate::nn::kernels::cuda::activation as cuda;
use crate::nn::ops::Activation;

const ALL: [Activation; 7] = [
    Activation::None,
    Activation::Gelu,
    Activation::GeluTanh,
    Activation::QuickGelu,
    Activation::Silu,
    Activation::Relu,
    Activation::Tanh,
];

#[test]
fn activations_and_their_slopes_are_the_cpus() {
    for_every_kind(&["activate", "activate_backward"], |gpu, kind| {
        for (activation, n) in ALL.into_iter().flat_map(|a| [(a, 1), (a, 1030)]) {
            let ((x, hx), (g, hg)) = (put(gpu, kind, 1, n), put(gpu, kind, 2, n));
            // Also where the slopes are flat.
            let wide = crate::nn::kernels::cuda::elementwise::scale(&x, 4.0).unwrap();
            let hwide: Vec<f32> = hx.iter().map(|x| x * 4.0).collect();
            let y = cuda::activate(&wide, activation).unwrap();
            near(&format!("{activation:?}"), &y, &cpu::activate(&hwide, activation));
            let mut slopes = hg.clone();
            cpu::activate_backward(&mut slopes, &hwide, activation);
            let dx = cuda::activate_backward(&g, &wide, activation).unwrap();
            near(&format!("{activation:?}'s slope"), &dx, &slopes);
        }
    });
}

#[test]
fn a_bias_is_added_before_the_activation() {
    for_every_kind(&["bias_activate"], |gpu, kind| {
        for (rows, width) in [(1, 1), (3, 5), (7, 12), (0, 4), (2, 3)] {
            let ((x, hx), (bias, hbias)) =
                (put(gpu, kind, 1, rows * width), put(gpu, kind, 2, width));
            for (activation, biased) in
                [(Activation::Gelu, true), (Activation::None, true), (Activation::Silu, false)]
            {
                let mut sum = hx.clone();
                if biased {
                    sum = crate::nn::kernels::elementwise::add_rows(&hx, &hbias);
                }
                let mut before = x.uninit_like(x.len()).unwrap();
                let mut y = x.copy().unwrap();
                let bias = biased.then_some(&bias);
                cuda::bias_activate(&mut y, Some(&mut before), bias, activation).unwrap();
                near("before", &before, &sum);
                near("after", &y, &cpu::activate(&sum, activation));
                let mut alone = x.copy().unwrap();
                cuda::bias_activate(&mut alone, None, bias, activation).unwrap();
                assert_eq!(alone.download().unwrap(), y.download().unwrap());
            }
        }
    });
}

#[test]
fn swiglu_and_its_gradients_are_the_cpus() {
    for_every_kind(&["swiglu", "swiglu_backward"], |gpu, kind| {
        for n in [0, 3, 1025] {
            let put = |seed| put(gpu, kind, seed, n);
            let [(gate, hgate), (up, hup), (g, hg)] = [put(1), put(2), put(3)];
            near("swiglu", &cuda::swiglu(&gate, &up).unwrap(), &cpu::swiglu(&hgate, &hup));
            let (dgate, dup) = cuda::swiglu_backward(&g, &gate, &up).unwrap();
            let (hdgate, hdup) = cpu::swiglu_backward(&hg, &hgate, &hup);
            near("dgate", &dgate, &hdgate);
            near("dup", &dup, &hdup);
        }
    });
}
