//! Every operation in every instruction set that this processor has, at odd sizes: values and
//! gradients agree with the plainest one's. And empty batches.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use eagle_core::nn::kernels::simd::{Level, force};
use eagle_core::nn::kernels::{self, AdamW};
use eagle_core::nn::ops::{self, Activation, AttentionSpec, Bias, GridAxis, RotaryLayout, Row};
use eagle_core::seed::Rng;
use eagle_core::tensor::{Dev, Result, Tape, Tensor};

/// Sizes around the widths of vectors and of the kernels' blocks.
const ODD: [usize; 14] = [1, 2, 3, 5, 7, 13, 15, 16, 17, 31, 33, 61, 67, 130];

type Op = Box<dyn Fn(&[Tensor]) -> Result<Tensor>>;

/// An operation with the shapes of its inputs; the batch is their first axis where there is one.
struct Case {
    name: String,
    shapes: Vec<Vec<usize>>,
    op: Op,
}

fn case(
    name: &str,
    shapes: &[&[usize]],
    op: impl Fn(&[Tensor]) -> Result<Tensor> + 'static,
) -> Case {
    let shapes = shapes.iter().map(|shape| shape.to_vec()).collect();
    Case { name: format!("{name} {shapes:?}"), shapes, op: Box::new(op) }
}

/// Draws odd sizes, none above a limit.
struct Sizes(Rng);

impl Sizes {
    fn upto(&mut self, most: usize) -> usize {
        let fit: Vec<usize> = ODD.into_iter().filter(|size| *size <= most).collect();
        fit[(self.0.uniform() * fit.len() as f32) as usize % fit.len()]
    }
}

/// The operations over a batch of `b`, with sizes drawn from `s`.
fn cases(b: usize, s: &mut Sizes) -> Vec<Case> {
    let mut all = row_wise(b, s);
    all.extend(attentions(b, s));
    all.extend(maps(b, s));
    all
}

fn row_wise(b: usize, s: &mut Sizes) -> Vec<Case> {
    use Activation::{Gelu, GeluTanh, None, QuickGelu, Relu, Silu};
    let (n, c, v) = (s.upto(130), s.upto(130), s.upto(67));
    let mut all = vec![
        case("matmul", &[&[b, n, v], &[b, v, c]], |x| ops::matmul(&x[0], &x[1])),
        case("layer_norm", &[&[b, n, c], &[c], &[c]], |x| {
            ops::layer_norm(&x[0], &x[1], &x[2], 0.1)
        }),
        case("rms_norm", &[&[b, n, c], &[c]], |x| ops::rms_norm(&x[0], &x[1], 0.1)),
        case("swiglu", &[&[b, n, c], &[b, n, c]], |x| ops::swiglu(&x[0], &x[1])),
        case("add", &[&[b, n, c], &[b, n, c]], |x| ops::add(&x[0], &x[1])),
        case("mul", &[&[b, n, c], &[b, n, c]], |x| ops::mul(&x[0], &x[1])),
        case("add_rows", &[&[b, n, c], &[n, c]], |x| ops::add_rows(&x[0], &x[1])),
        case("mul_channels", &[&[b, n, c], &[c]], |x| ops::mul_channels(&x[0], &x[1])),
        case("mean_rows", &[&[b, n, c]], |x| ops::mean_rows(&x[0])),
        case("concat", &[&[b, n, c], &[b, n, c]], |x| ops::concat(&[&x[0], &x[1]], 2)),
        case("splice", &[&[b, n, c], &[v, c]], move |x| {
            let row = |i: usize| if i < n { Row::Visual(i) } else { Row::Token((i % v) as u32) };
            let rows: Vec<_> = (0..b * (n + 2)).map(|i| row(i % (n + 2))).collect();
            ops::splice(Some(&x[0]), &x[1], &rows, b.max(1))
        }),
        case("cross_entropy", &[&[b, n, c], &[v, c]], move |x| {
            let targets: Vec<_> = (0..b * n).step_by(2).map(|i| (i, (i * 7 % v) as u32)).collect();
            ops::cross_entropy(&x[0], &x[1], &targets)
        }),
        case("softmax_cross_entropy", &[&[b * n, v]], move |x| {
            let labels: Vec<_> = (0..b * n).map(|i| (i % v) as u32).collect();
            ops::softmax_cross_entropy(&x[0], &labels, Option::None)
        }),
    ];
    for activation in [None, Gelu, GeluTanh, QuickGelu, Silu, Relu] {
        all.push(case(&format!("linear {activation:?}"), &[&[b, n, c], &[v, c], &[v]], move |x| {
            ops::linear(&x[0], &x[1], Some(&x[2]), activation)
        }));
    }
    all
}

fn attentions(b: usize, s: &mut Sizes) -> Vec<Case> {
    let (n, d, (h, w)) = (s.upto(130), s.upto(67), (s.upto(7), s.upto(7)));
    let even = 2 * s.upto(33);
    let spec = |causal| AttentionSpec { causal, scale: 0.3, ..AttentionSpec::default() };
    let qkv: [&[usize]; 3] = [&[b, n, 2, d], &[b, n, 1, d], &[b, n, 1, d]];
    let grid = [b, h * w, 2, d];
    let mut all: Vec<Case> = [false, true]
        .map(|causal| {
            case(&format!("attention causal {causal}"), &qkv, move |x| {
                ops::attention(&x[0], &x[1], &x[2], None, &spec(causal))
            })
        })
        .into();
    all.push(case("biased", &[&grid, &grid, &grid, &[2, h * w, h * w]], move |x| {
        ops::attention(&x[0], &x[1], &x[2], Some(&x[3]), &spec(false))
    }));
    let (rows, columns) = ([b, 2, h * w, h], [b, 2, h * w, w]);
    all.push(case("decomposed", &[&grid, &grid, &grid, &rows, &columns], move |x| {
        let bias = Bias::Decomposed(&x[3], &x[4]);
        ops::attention_with(&x[0], &x[1], &x[2], bias, &spec(false))
    }));
    for (axis, len) in [(GridAxis::Rows, h), (GridAxis::Columns, w)] {
        all.push(case("relative_bias", &[&grid, &[2 * len - 1, d]], move |x| {
            ops::relative_bias(&x[0], &x[1], (h, w), axis)
        }));
    }
    for layout in [RotaryLayout::Half, RotaryLayout::Interleaved] {
        all.push(case(&format!("rotary {layout:?}"), &[&[b, n, 3, even]], move |x| {
            let angles: Vec<f32> = (0..n * even / 2).map(|i| i as f32 * 0.1).collect();
            let (cos, sin): (Vec<_>, Vec<_>) = angles.iter().map(|a| (a.cos(), a.sin())).unzip();
            ops::rotary_with(&x[0], &ops::Angles::new(cos, sin, even / 2)?, layout)
        }));
    }
    all
}

fn maps(b: usize, s: &mut Sizes) -> Vec<Case> {
    let (h, w, c, k) = (s.upto(17), s.upto(17), s.upto(67), 3);
    let (cin, p) = (s.upto(17), s.upto(5));
    let mut all = vec![
        case("patch_embed", &[&[b, 3, p * 2, p * 3 + 1], &[c, 3, p, p], &[c]], |x| {
            ops::patch_embed(&x[0], &x[1], Some(&x[2]))
        }),
        case("depthwise_conv2d", &[&[b, h, w, c], &[c, 1, 7, 7], &[c]], |x| {
            ops::depthwise_conv2d(&x[0], &x[1], Some(&x[2]), 3)
        }),
        case("bilinear", &[&[b, h, w, c]], |x| ops::resize_bilinear(&x[0], 5, 11, false)),
        case("bicubic", &[&[b, h, w, c]], |x| ops::resize_bicubic(&x[0], 3, 13, true)),
        case("pixel_unshuffle", &[&[b, 2 * h, 2 * w, c]], |x| ops::pixel_unshuffle(&x[0], 2)),
        case("pixel_shuffle", &[&[b, h, w, 4 * c]], |x| ops::pixel_shuffle(&x[0], 2)),
        case("average_pool", &[&[b, h, w, c]], |x| ops::average_pool(&x[0], 2)),
        case("windows", &[&[b, h, w, c]], |x| ops::windows(&x[0], (3, 5))),
        case("grid_sample", &[&[b, h, w, c], &[b, 5, 3, 2]], |x| {
            ops::grid_sample(&x[0], &x[1], false)
        }),
    ];
    for (stride, padding) in [(1, 1), (2, 1), (3, 0), (1, 2)] {
        let shapes: [&[usize]; 3] = [&[b, h + 2, w + 2, cin], &[c, cin, k, k], &[c]];
        all.push(case(&format!("conv2d {stride} {padding}"), &shapes, move |x| {
            ops::conv2d(&x[0], &x[1], Some(&x[2]), stride, padding)
        }));
    }
    all
}

fn random(shape: &[usize], seed: u64) -> Tensor {
    let mut rng = Rng::new(seed);
    let values = (0..shape.iter().product()).map(|_| rng.normal()).collect();
    Tensor::new(&Dev::default(), values, shape).unwrap()
}

/// The output and the gradients of all inputs.
fn run(case: &Case) -> Vec<Vec<f32>> {
    let tape = Tape::recording();
    let inputs: Vec<_> =
        case.shapes.iter().zip(1..).map(|(shape, i)| random(shape, i).leaf(&tape)).collect();
    let out = (case.op)(&inputs).unwrap_or_else(|error| panic!("{}: {error}", case.name));
    let mut grads = out.backward_from(random(out.shape(), 99).host().to_vec()).unwrap();
    let mut all = vec![out.host().to_vec()];
    all.extend(inputs.iter().map(|x| grads.take_host(x.slot().unwrap()).unwrap_or_default()));
    all
}

fn adamw_step(len: usize) -> Vec<Vec<f32>> {
    let of = |seed| random(&[len], seed).host().to_vec();
    let (mut p, g, mut m) = (of(1), of(2), of(3));
    let mut v: Vec<f32> = of(4).iter().map(|v| v * v).collect();
    let (lr, beta1, beta2, eps) = (1e-2, 0.9, 0.99, 1e-8);
    let rule = AdamW { lr, beta1, beta2, eps, weight_decay: 0.1, step: 3 };
    kernels::adamw(&mut p, &g, &mut m, &mut v, &rule, 0.5);
    vec![p, m, v]
}

fn near(name: &str, level: Level, found: &[Vec<f32>], plain: &[Vec<f32>]) {
    for (part, (found, plain)) in found.iter().zip(plain).enumerate() {
        assert_eq!(found.len(), plain.len(), "{name}");
        let size = plain.iter().fold(1.0_f32, |a, b| a.max(b.abs()));
        for (i, (found, plain)) in found.iter().zip(plain).enumerate() {
            let close = (found - plain).abs() <= 2e-5 * size;
            assert!(close, "{name}, part {part} at {i}: {found} in {level:?}, {plain} without");
        }
    }
}

#[test]
fn every_instruction_set_gives_the_same_numbers_at_odd_sizes() {
    let others: Vec<Level> = Level::ALL.into_iter().filter(|level| level.available()).collect();
    assert_eq!(others[0], Level::Plain);
    for round in 0..12 {
        let mut sizes = Sizes(Rng::new(round));
        for case in cases(sizes.upto(3), &mut sizes) {
            let of = |level: Level| {
                assert!(force(level));
                run(&case)
            };
            let plain = of(Level::Plain);
            assert!(plain.iter().flatten().all(|x| x.is_finite()), "{}", case.name);
            others.iter().for_each(|&level| near(&case.name, level, &of(level), &plain));
        }
    }
    for len in ODD.into_iter().chain([50_003]) {
        let of = |level: Level| {
            assert!(force(level));
            adamw_step(len)
        };
        let plain = of(Level::Plain);
        others.iter().for_each(|&level| near("adamw", level, &of(level), &plain));
    }
}

#[test]
fn an_empty_batch_gives_nothing_and_no_gradient_but_zeros() {
    let mut sizes = Sizes(Rng::new(7));
    for case in cases(0, &mut sizes) {
        let all = run(&case);
        let scalar = case.name.contains("cross_entropy");
        assert!(all[0].is_empty() || (scalar && all[0] == [0.0]), "{}: {:?}", case.name, all[0]);
        for (gradient, shape) in all[1..].iter().zip(&case.shapes) {
            let len: usize = shape.iter().product();
            let zeros = gradient.len() == len && gradient.iter().all(|x| *x == 0.0);
            assert!(zeros, "{}: a gradient of {} for {shape:?}", case.name, gradient.len());
        }
    }
}
