//! Cross-entropies, products, and the optimiser.

use super::{covering, for_every_kind, near, near_by, numbers, put};
use crate::nn::kernels::cuda::{Kind, adamw, cross_entropy as cuda, linear};
use crate::nn::kernels::{self as cpu, AdamW};
use crate::nn::ops::Activation;

#[test]
fn cross_entropy_over_a_vocabulary_is_the_cpus_in_any_panels() {
    for_every_kind(&["label_cross_entropy"], |gpu, kind| {
        let (rows, c, vocabulary) = (7, 6, 301);
        let ((hidden, hh), (head, hw)) =
            (put(gpu, kind, 1, rows * c), put(gpu, kind, 2, vocabulary * c));
        let targets = [(0, 3), (6, 300), (2, 0), (2, 7), (5, 41)];
        let theirs =
            cpu::cross_entropy::cross_entropy((&hh, &hw), (c, vocabulary), &targets, (true, true));
        for panel in [2, 100] {
            let sizes = (c, vocabulary);
            let ours =
                cuda::panels((&hidden, &head), sizes, &targets, (true, true), panel).unwrap();
            near("loss", &ours.loss, &theirs.loss);
            near("dhidden", &ours.hidden.unwrap(), theirs.hidden.as_ref().unwrap());
            // Sums of products of rounded values.
            let tolerance = if kind == Kind::F32 { 1e-5 } else { 0.01 };
            near_by("dhead", &ours.head.unwrap(), theirs.head.as_ref().unwrap(), tolerance);
        }
        let alone =
            cuda::cross_entropy((&hidden, &head), (c, vocabulary), &targets, (false, false))
                .unwrap();
        near("loss alone", &alone.loss, &theirs.loss);
        assert!(alone.hidden.is_none() && alone.head.is_none());
        let none =
            cuda::cross_entropy((&hidden, &head), (c, vocabulary), &[], (true, true)).unwrap();
        near("no targets", &none.loss, &[0.0]);
    });
}

#[test]
fn cross_entropies_of_logits_are_the_cpus() {
    for_every_kind(&["label_cross_entropy", "soft_cross_entropy"], |gpu, kind| {
        let (rows, classes) = (5, 37);
        let (logits, hl) = put(gpu, kind, 1, rows * classes);
        let (labels, weights) = ([0, 36, 5, 5, 9], [1.0, 0.5, 0.0, 2.0, 1.0]);
        for weights in [None, Some(&weights[..])] {
            let ours = cuda::softmax_cross_entropy(&logits, classes, &labels, weights).unwrap();
            let theirs = cpu::cross_entropy::softmax_cross_entropy(&hl, classes, &labels, weights);
            near("loss", &ours.loss, &theirs.loss);
            near("gradient", &ours.hidden.unwrap(), theirs.hidden.as_ref().unwrap());
        }
        let soft: Vec<f32> = numbers(2, rows * classes).iter().map(|x| x.abs()).collect();
        let (loss, gradient) = cuda::soft_cross_entropy(&logits, classes, &soft).unwrap();
        let theirs = cpu::cross_entropy::soft_cross_entropy(&hl, classes, &soft);
        near("soft loss", &loss, &theirs.0);
        near("soft gradient", &gradient, &theirs.1);
    });
}

#[test]
fn linear_layers_are_the_cpus() {
    for_every_kind(&["bias_activate", "activate_backward"], |gpu, kind| {
        let (m, n, k) = (5, 6, 7);
        let put = |seed, len| put(gpu, kind, seed, len);
        let [(x, hx), (w, hw), (b, hb)] = [put(1, m * k), put(2, n * k), put(3, n)];
        let (g, hg) = put(4, m * n);
        for activation in [Activation::Gelu, Activation::None] {
            let (y, before) =
                linear::linear((m, n, k), &x, &w, Some(&b), activation, true).unwrap();
            let (hy, hbefore) =
                cpu::linear::linear((m, n, k), &hx, &hw, Some(&hb), activation, true);
            near("y", &y, &hy);
            assert_eq!(before.is_some(), hbefore.is_some());
            let (dx, of_product) =
                linear::linear_backward_input((m, n, k), &g, before.as_ref(), activation, &w)
                    .unwrap();
            let mut dy = hg.clone();
            let hdx = cpu::linear::linear_backward_input(
                (m, n, k),
                &mut dy,
                hbefore.as_deref(),
                activation,
                &hw,
            );
            near("dx", &dx, &hdx);
            let of_product = of_product.as_ref().unwrap_or(&g);
            near("dy", of_product, &dy);
            let mut dw = linear::linear_backward_weight((m, n, k), of_product, &x).unwrap();
            let hdw = cpu::linear::linear_backward_weight((m, n, k), &dy, &hx);
            near_by("dw", &dw, &hdw, 0.01);
            linear::linear_backward_weight_add((m, n, k), of_product, &x, &mut dw).unwrap();
            near_by("twice", &dw, &hdw.iter().map(|x| 2.0 * x).collect::<Vec<_>>(), 0.02);
            let db = linear::linear_backward_bias(of_product, n).unwrap();
            near_by("db", &db, &cpu::linear::linear_backward_bias(&dy, n), 0.01);
        }
        let [(a, ha), (b, hb)] = [put(5, 3 * m * k), put(6, 3 * k * n)];
        let found = linear::batched(3, (m, n, k), (&a, true), (&b, false)).unwrap();
        near("batched", &found, &cpu::linear::batched(3, (m, n, k), (&ha, true), (&hb, false)));
    });
}

#[test]
fn adamw_takes_the_cpus_step_and_keeps_a_copy_of_16_bits() {
    covering(&["adamw", "adamw_stored"], |gpu| {
        let n = 1003;
        for (grads, copies) in [
            (Kind::F32, None),
            (Kind::F32, Some(Kind::Bf16)),
            (Kind::Bf16, Some(Kind::Bf16)),
            (Kind::F16, None),
        ] {
            let put = |kind, seed| put(gpu, kind, seed, n);
            let ((mut p, mut hp), (g, hg)) = (put(Kind::F32, 1), put(grads, 2));
            let (mut m, mut hm) = put(Kind::F32, 3);
            let mut hv: Vec<f32> = numbers(4, n).iter().map(|x| x.abs()).collect();
            let mut v = gpu.upload(Kind::F32, &hv).unwrap();
            let (lr, weight_decay) = (1e-2, 0.1);
            let rule = AdamW { lr, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay, step: 3 };
            let mut copy = copies.map(|kind| gpu.zeros(kind, n).unwrap());
            adamw::adamw(&mut p, &g, (&mut m, &mut v), copy.as_mut(), &rule, 0.7).unwrap();
            cpu::adamw(&mut hp, &hg, &mut hm, &mut hv, &rule, 0.7);
            near_by("p", &p, &hp, 1e-6);
            near_by("m", &m, &hm, 1e-6);
            near_by("v", &v, &hv, 1e-6);
            if let Some(copy) = copy {
                near("copy", &copy, &hp);
            }
        }
    });
}

#[test]
fn sums_of_squares_are_the_cpus() {
    for_every_kind(&["squares"], |gpu, kind| {
        let of: Vec<_> = [1, 0, 5000, 70].into_iter().map(|n| put(gpu, kind, n, n)).collect();
        let buffers: Vec<_> = of.iter().map(|(x, _)| x).collect();
        let sums = adamw::sums_of_squares(&buffers).unwrap();
        for (sum, (_, x)) in sums.iter().zip(&of) {
            let expected = cpu::sum_of_squares(x);
            assert!((sum - expected).abs() <= 1e-12 * expected, "{sum}, not {expected}");
        }
        assert_eq!(adamw::sum_of_squares(buffers[2]).unwrap(), sums[2]);
    });
}
