//! Attention.

use super::{covering, near_by, put};
use crate::nn::kernels::attention as cpu;
use crate::nn::kernels::cuda::attention as cuda;
use crate::nn::kernels::cuda::{Gpu, Indices, Kind};

/// A case: batch, (queries, keys), (heads, key heads), width, causal, offset, lengths.
type Case = (usize, (usize, usize), (usize, usize), usize, bool, usize, Option<&'static [usize]>);

#[derive(Clone, Copy)]
enum Added {
    Nothing,
    Full([usize; 4]),
    Grid(usize, usize),
}

fn tolerance(kind: Kind) -> f32 {
    match kind {
        Kind::F32 => 2e-5,
        Kind::Bf16 => 0.03,
        Kind::F16 => 0.004,
    }
}

/// Attention and all its gradients are those of the CPU.
fn parity(gpu: &Gpu, kind: Kind, case: Case, added: Added) {
    let (batch, (nq, nk), (heads, key_heads), width, causal, offset, lengths) = case;
    let put = |seed, len| put(gpu, kind, seed, len);
    let queries = batch * nq * heads * width;
    let [(q, hq), (g, hg)] = [put(1, queries), put(2, queries)];
    let keys = batch * nk * key_heads * width;
    let [(k, hk), (v, hv)] = [put(3, keys), put(4, keys)];
    let (first, second) = match added {
        Added::Nothing => (0, 0),
        Added::Full(axes) => (axes.iter().product(), 0),
        Added::Grid(h, w) => (batch * heads * nq * h, batch * heads * nq * w),
    };
    let [(first, hfirst), (second, hsecond)] = [put(5, first), put(6, second)];
    let (bias, hbias) = match added {
        Added::Nothing => (cuda::Bias::None, cpu::Bias::None),
        Added::Full(axes) => {
            (cuda::Bias::Full { values: &first, axes }, cpu::Bias::Full { values: &hfirst, axes })
        }
        Added::Grid(h, w) => (
            cuda::Bias::Decomposed { rows: &first, columns: &second, grid: (h, w) },
            cpu::Bias::Decomposed { rows: &hfirst, columns: &hsecond, grid: (h, w) },
        ),
    };
    let on_card = lengths.map(|lengths| {
        let lengths: Vec<i32> = lengths.iter().map(|&length| length as i32).collect();
        Indices::upload(gpu, &lengths).unwrap()
    });
    let (tokens, heads, scale) = ((nq, nk), (heads, key_heads), 0.7);
    let (lengths, hlengths) = (on_card.as_ref(), lengths);
    let s = cuda::Shape { batch, tokens, heads, width, scale, causal, offset, lengths, bias };
    let (lengths, bias) = (hlengths, hbias);
    let hs = cpu::Shape { batch, tokens, heads, width, scale, causal, offset, lengths, bias };
    let what = format!("{case:?}");
    let near = |name: &str, found, expected: &[f32]| {
        near_by(&format!("{name}, {what}"), found, expected, tolerance(kind));
    };
    let (out, sums) = cuda::attention(&s, &q, &k, &v).unwrap();
    let (hout, hsums) = cpu::attention(hs, &hq, &hk, &hv);
    near("out", &out, &hout);
    let finite = |x: &[f32]| x.iter().map(|x| x.min(1e30)).collect::<Vec<_>>();
    let found = gpu.upload(Kind::F32, &finite(&sums.download().unwrap())).unwrap();
    near("log-sum-exp", &found, &finite(&hsums));
    let saved = cuda::Saved { q: &q, k: &k, v: &v, out: &out, sums: &sums };
    let all = cuda::attention_backward(&s, saved, &g, true).unwrap();
    let saved = cpu::Saved { q: &hq, k: &hk, v: &hv, out: &hout, sums: &hsums };
    let theirs = cpu::attention_backward(hs, saved, &hg, true);
    near("dq", &all.q, &theirs.q);
    near("dk", &all.k, &theirs.k);
    near("dv", &all.v, &theirs.v);
    // Sums over many scores of rounded values.
    near("dbias", &all.bias, &theirs.bias);
    near("dcolumns", &all.columns, &theirs.columns);
}

/// Odd sizes, grouped heads, masks; more than one tile of queries and of keys.
const CASES: [Case; 6] = [
    (2, (5, 5), (2, 1), 8, true, 0, None),
    (1, (70, 70), (2, 2), 16, true, 0, None),
    (2, (3, 37), (4, 2), 20, true, 34, None),
    (3, (9, 33), (1, 1), 16, false, 0, Some(&[33, 0, 17])),
    (1, (1, 1), (1, 1), 7, false, 0, None),
    (1, (2, 66), (3, 3), 40, false, 0, None),
];

const KERNELS: [&str; 4] =
    ["attention", "attention_delta", "attention_backward_queries", "attention_backward_keys"];

#[test]
fn attention_and_its_gradients_are_the_cpus() {
    covering(&KERNELS, |gpu| {
        CASES.into_iter().for_each(|case| parity(gpu, Kind::F32, case, Added::Nothing));
    });
}

#[test]
fn attention_on_tensor_cores_is_the_cpus() {
    covering(&["attention_tensor", "attention_tensor_queries", "attention_tensor_keys"], |gpu| {
        CASES.into_iter().for_each(|case| parity(gpu, Kind::Bf16, case, Added::Nothing));
        parity(gpu, Kind::F16, CASES[1], Added::Nothing);
        parity(gpu, Kind::Bf16, (1, (35, 35), (1, 1), 64, true, 0, None), Added::Nothing);
    });
}

#[test]
fn wide_heads_of_any_storage_are_the_cpus() {
    covering(&KERNELS, |gpu| {
        let case = (1, (20, 18), (2, 1), 136, true, 0, None);
        parity(gpu, Kind::F32, case, Added::Nothing);
        parity(gpu, Kind::Bf16, case, Added::Nothing);
        parity(gpu, Kind::F32, (1, (33, 7), (1, 1), 128, false, 0, None), Added::Nothing);
    });
    let Some(gpu) = super::card() else { return };
    let x = gpu.zeros(Kind::F32, 300).unwrap();
    let (bias, lengths) = (cuda::Bias::None, None);
    let (tokens, heads, width, scale) = ((1, 1), (1, 1), 300, 1.0);
    let (batch, causal, offset) = (1, false, 0);
    let s = cuda::Shape { batch, tokens, heads, width, scale, causal, offset, lengths, bias };
    assert!(cuda::attention(&s, &x, &x, &x).unwrap_err().to_string().contains("300 channels"));
}

#[test]
fn a_bias_and_its_gradient_are_the_cpus() {
    covering(&["attention_backward_bias"], |gpu| {
        for kind in [Kind::F32, Kind::Bf16] {
            let case = (3, (6, 34), (2, 2), 8, false, 0, None);
            for axes in [[3, 2, 6, 34], [1, 2, 6, 34], [3, 1, 6, 34], [1, 1, 6, 34]] {
                parity(gpu, kind, case, Added::Full(axes));
            }
        }
        let case = (3, (6, 34), (2, 1), 8, false, 0, Some(&[34, 20, 3][..]));
        for axes in [[3, 1, 1, 34], [1, 2, 6, 1], [1, 1, 1, 1]] {
            parity(gpu, Kind::F32, case, Added::Full(axes));
        }
        parity(
            gpu,
            Kind::F32,
            (2, (40, 40), (1, 1), 16, true, 0, None),
            Added::Full([1, 1, 40, 40]),
        );
    });
}

#[test]
fn relative_positions_on_a_grid_and_their_gradients_are_the_cpus() {
    for kind in [Kind::F32, Kind::Bf16] {
        covering(&["attention_delta"], |gpu| {
            for (h, w) in [(5, 7), (1, 3), (3, 40), (40, 1)] {
                let tokens = h * w;
                let case = (2, (tokens, tokens), (2, 2), 16, false, 0, None);
                parity(gpu, kind, case, Added::Grid(h, w));
            }
        });
    }
}
