//! Every operation's gradients against central finite differences of its own value, at odd sizes;
//! the same bits for any number of threads; and no gradient for what is frozen.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod attention;
mod finite;

use eagle_core::nn::ops::{self, Activation, RotaryLayout, Row};
use eagle_core::tensor::Tensor;
use finite::{holds, numbers};

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
fn linear_has_the_gradients_of_its_value() {
    for (m, n, k) in [(1, 1, 1), (7, 5, 3), (13, 17, 33), (130, 37, 19)] {
        for activation in ALL {
            // Relu's kink makes its finite differences useless at some inputs.
            if activation == Activation::Relu {
                continue;
            }
            let name = format!("linear {activation:?}");
            let shapes: [&[usize]; 3] = [&[m, k], &[n, k], &[n]];
            holds(&name, &shapes, 4e-3, &|x| ops::linear(&x[0], &x[1], Some(&x[2]), activation));
        }
        holds("linear without bias", &[&[1, m, k], &[n, k]], 4e-3, &|x| {
            ops::linear(&x[0], &x[1], None, Activation::None)
        });
    }
}

#[test]
fn matmul_has_the_gradients_of_its_value() {
    holds("matmul", &[&[5, 7], &[7, 3]], 2e-3, &|x| ops::matmul(&x[0], &x[1]));
    holds("matmul", &[&[3, 2, 5, 7], &[3, 2, 7, 4]], 2e-3, &|x| ops::matmul(&x[0], &x[1]));
    holds("matmul", &[&[9, 1, 17], &[9, 17, 1]], 2e-3, &|x| ops::matmul(&x[0], &x[1]));
    holds("matmul", &[&[2, 150, 3], &[2, 3, 5]], 2e-3, &|x| ops::matmul(&x[0], &x[1]));
}

#[test]
fn element_wise_operations_have_the_gradients_of_their_values() {
    for len in [1, 3, 16, 17, 61] {
        for activation in ALL {
            if activation != Activation::Relu {
                holds("activate", &[&[len]], 2e-3, &|x| ops::activate(&x[0], activation));
            }
        }
        let two: [&[usize]; 2] = [&[2, len], &[2, len]];
        holds("swiglu", &two, 2e-3, &|x| ops::swiglu(&x[0], &x[1]));
        holds("add", &two, 1e-3, &|x| ops::add(&x[0], &x[1]));
        holds("sub", &two, 1e-3, &|x| ops::sub(&x[0], &x[1]));
        holds("mul", &two, 1e-3, &|x| ops::mul(&x[0], &x[1]));
        holds("scale", &two[..1], 1e-3, &|x| ops::scale(&x[0], -1.5));
        holds("add_rows", &[&[3, 2, len], &[2, len]], 1e-3, &|x| ops::add_rows(&x[0], &x[1]));
        holds("add_rows", &[&[3, 2, len], &[len]], 1e-3, &|x| ops::add_rows(&x[0], &x[1]));
        holds("scale_rows", &[&[3, 2, len], &[3]], 1e-3, &|x| ops::scale_rows(&x[0], &x[1]));
        holds("scale_rows", &[&[3, 2, len], &[3, 2]], 1e-3, &|x| ops::scale_rows(&x[0], &x[1]));
        holds("softmax", &[&[3, 2, len]], 2e-3, &|x| ops::softmax(&x[0]));
        let channels: [&[usize]; 2] = [&[3, 5, len], &[len]];
        holds("mul_channels", &channels, 1e-3, &|x| ops::mul_channels(&x[0], &x[1]));
    }
}

#[test]
fn large_inputs_are_cut_into_chunks_that_meet() {
    let shapes: [&[usize]; 2] = [&[41, 1009], &[41, 1009]];
    holds("add", &shapes, 1e-2, &|x| ops::add(&x[0], &x[1]));
    holds("swiglu", &shapes, 1e-2, &|x| ops::swiglu(&x[0], &x[1]));
    holds("gelu", &shapes[..1], 1e-2, &|x| ops::activate(&x[0], Activation::Gelu));
    holds("add_rows", &[&[41, 1009], &[1009]], 1e-2, &|x| ops::add_rows(&x[0], &x[1]));
    holds("softmax", &shapes[..1], 1e-2, &|x| ops::softmax(&x[0]));
    holds("scale_rows", &[&[41, 1009], &[41]], 1e-2, &|x| ops::scale_rows(&x[0], &x[1]));
    holds("layer_norm", &[&[41, 1009], &[1009], &[1009]], 1e-2, &|x| {
        ops::layer_norm(&x[0], &x[1], &x[2], 1e-5)
    });
    holds("linear", &[&[600, 33], &[65, 33], &[65]], 1e-2, &|x| {
        ops::linear(&x[0], &x[1], Some(&x[2]), Activation::Gelu)
    });
}

#[test]
fn norms_have_the_gradients_of_their_values() {
    for (rows, width) in [(1, 1), (3, 5), (7, 16), (5, 33), (301, 61)] {
        // A row of one value has no deviation, and the slope of its norm explodes.
        let eps = if width == 1 { 1.0 } else { 1e-3 };
        holds("layer_norm", &[&[rows, width], &[width], &[width]], 4e-3, &|x| {
            ops::layer_norm(&x[0], &x[1], &x[2], eps)
        });
        holds("rms_norm", &[&[1, rows, width], &[width]], 4e-3, &|x| {
            ops::rms_norm(&x[0], &x[1], eps)
        });
    }
}

#[test]
fn rotary_has_the_gradients_of_its_value() {
    for layout in [RotaryLayout::Half, RotaryLayout::Interleaved] {
        let angles = numbers(7, 5 * 3);
        let (cos, sin): (Vec<_>, Vec<_>) = angles.iter().map(|a| (a.cos(), a.sin())).unzip();
        holds("rotary", &[&[2, 5, 3, 6]], 1e-3, &|x| {
            let angles = ops::Angles::new(cos.clone(), sin.clone(), 3)?;
            ops::rotary_with(&x[0], &angles, layout)
        });
    }
}

#[test]
fn lookups_have_the_gradients_of_their_values() {
    holds("embedding", &[&[5, 7]], 1e-3, &|x| ops::embedding(&x[0], &[4, 0, 4, 2]));
    holds("gather_rows", &[&[2, 3, 7]], 1e-3, &|x| ops::gather_rows(&x[0], &[5, 1, 1]));
    let rows =
        [Row::Visual(2), Row::Token(1), Row::Pad, Row::Token(4), Row::Visual(0), Row::Token(1)];
    holds("splice", &[&[1, 3, 7], &[5, 7]], 1e-3, &|x| ops::splice(Some(&x[0]), &x[1], &rows, 2));
}

#[test]
fn cross_entropies_have_the_gradients_of_their_values() {
    for (rows, width, vocabulary) in [(1, 1, 1), (5, 7, 11), (130, 3, 37)] {
        let targets: Vec<_> =
            (0..rows).step_by(2).map(|row| (row, (row * 7 % vocabulary) as u32)).collect();
        holds("cross_entropy", &[&[1, rows, width], &[vocabulary, width]], 4e-3, &|x| {
            ops::scale(&ops::cross_entropy(&x[0], &x[1], &targets)?, 0.5)
        });
        let labels: Vec<_> = (0..rows).map(|row| (row * 5 % vocabulary) as u32).collect();
        let weights = numbers(5, rows);
        for weights in [None, Some(&weights[..])] {
            holds("softmax_cross_entropy", &[&[rows, vocabulary]], 4e-3, &|x| {
                ops::softmax_cross_entropy(&x[0], &labels, weights)
            });
        }
    }
}

#[test]
fn convolutions_have_the_gradients_of_their_values() {
    holds("patch_embed", &[&[2, 3, 6, 5], &[7, 3, 2, 2], &[7]], 2e-3, &|x| {
        ops::patch_embed(&x[0], &x[1], Some(&x[2]))
    });
    for (kernel, stride, padding) in [(1, 1, 0), (3, 1, 1), (3, 2, 1), (2, 2, 0), (3, 1, 2)] {
        let shapes: [&[usize]; 3] = [&[2, 6, 5, 3], &[4, 3, kernel, kernel], &[4]];
        holds("conv2d", &shapes, 2e-3, &|x| {
            ops::conv2d(&x[0], &x[1], Some(&x[2]), stride, padding)
        });
    }
    for (kernel, padding, c) in [(7, 3, 5), (7, 3, 17), (3, 1, 40), (3, 0, 1), (2, 1, 16)] {
        let shapes: [&[usize]; 3] = [&[2, 9, 8, c], &[c, 1, kernel, kernel], &[c]];
        holds("depthwise_conv2d", &shapes, 2e-3, &|x| {
            ops::depthwise_conv2d(&x[0], &x[1], Some(&x[2]), padding)
        });
    }
}

#[test]
fn resizes_have_the_gradients_of_their_values() {
    let shapes: [&[usize]; 1] = [&[2, 5, 4, 3]];
    for (h, w) in [(1, 1), (3, 7), (10, 8), (2, 4), (5, 4)] {
        for align in [false, true] {
            holds("bilinear", &shapes, 1e-3, &|x| ops::resize_bilinear(&x[0], h, w, align));
        }
        for antialias in [false, true] {
            holds("bicubic", &shapes, 1e-3, &|x| ops::resize_bicubic(&x[0], h, w, antialias));
        }
    }
}

#[test]
fn layouts_have_the_gradients_of_their_values() {
    for axis in 0..3 {
        let mut other = [2, 3, 5];
        other[axis] = 4;
        holds("concat", &[&[2, 3, 5], &other], 1e-3, &|x| ops::concat(&[&x[0], &x[1]], axis));
        holds("narrow", &[&[3, 4, 5]], 1e-3, &|x| ops::narrow(&x[0], axis, 1, 2));
    }
    holds("mean_rows", &[&[2, 3, 5]], 1e-3, &|x| ops::mean_rows(&x[0]));
    holds("pixel_unshuffle", &[&[2, 4, 6, 3]], 1e-3, &|x| ops::pixel_unshuffle(&x[0], 2));
    holds("pixel_shuffle", &[&[2, 3, 2, 18]], 1e-3, &|x| ops::pixel_shuffle(&x[0], 3));
    holds("average_pool", &[&[2, 5, 7, 3]], 1e-3, &|x| ops::average_pool(&x[0], 2));
}

#[test]
fn grid_sampling_has_the_gradients_of_its_value() {
    let (h, w) = (4, 5);
    for align in [false, true] {
        // Points between pixels, one outside: at a pixel the slope jumps.
        let at = |pixel: f32, size: usize| {
            let size = size as f32;
            if align { 2.0 * pixel / (size - 1.0) - 1.0 } else { (2.0 * pixel + 1.0) / size - 1.0 }
        };
        let points: Vec<_> = (0..12)
            .flat_map(|i| [at((i % 6) as f32 - 0.5, w), at((i / 3) as f32 + 0.5, h)])
            .collect();
        holds("grid_sample", &[&[2, h, w, 3], &[2, 3, 2, 2]], 4e-3, &|x| {
            let points = Tensor::new(x[0].dev(), points.clone(), x[1].shape())?;
            ops::grid_sample(&x[0], &ops::add(&points, &ops::scale(&x[1], 0.1)?)?, align)
        });
    }
}

#[test]
fn deformable_attention_has_the_gradients_of_its_value() {
    for (heads, d, levels, points) in
        [(1, 1, vec![(3, 3)], 1), (2, 5, vec![(4, 5), (2, 3)], 3), (3, 16, vec![(2, 2); 3], 2)]
    {
        let n = levels.iter().map(|(h, w)| h * w).sum();
        let (queries, l) = (4, levels.len());
        // Points between pixels, some outside: at a pixel the slope jumps.
        let place = |i: usize, size: usize| ((i % (size + 1)) as f32) / size as f32;
        let middles: Vec<_> = (0..2 * queries * heads)
            .flat_map(|i| levels.iter().map(move |level| (i, *level)))
            .flat_map(|(i, level)| (0..points).map(move |p| (i * 3 + p, level)))
            .flat_map(|(i, (h, w))| [place(i, w), place(i / 2, h)])
            .collect();
        let at: &[usize] = &[2, queries, heads, l, points, 2];
        let shapes: [&[usize]; 3] = [&[2, n, heads, d], at, &[2, queries, heads, l, points]];
        holds("deformable_attention", &shapes, 4e-3, &|x| {
            let middles = Tensor::new(x[0].dev(), middles.clone(), at)?;
            let points = ops::add(&middles, &ops::scale(&x[1], 0.05)?)?;
            ops::deformable_attention(&x[0], &levels, &points, &x[2])
        });
    }
}
