//! Softmax, rotary embedding, and what moves rows and blocks.

use super::{for_every_kind, near, put};
use crate::nn::kernels::cuda::{Kind, rotary, rows as cuda, softmax};
use crate::nn::kernels::{self as cpu, rows};
use crate::nn::ops::RotaryLayout;

#[test]
fn softmax_and_its_gradient_are_the_cpus() {
    for_every_kind(&["softmax", "softmax_backward"], |gpu, kind| {
        for (n, width) in [(1, 1), (4, 7), (3, 300), (0, 5)] {
            let ((x, hx), (g, hg)) = (put(gpu, kind, 1, n * width), put(gpu, kind, 2, n * width));
            let (y, hy) = (softmax::softmax(&x, width).unwrap(), cpu::softmax::softmax(&hx, width));
            near("softmax", &y, &hy);
            let dx = softmax::softmax_backward(&g, &y, width).unwrap();
            let y = y.download().unwrap();
            near("its gradient", &dx, &cpu::softmax::softmax_backward(&hg, &y, width));
        }
    });
}

#[test]
fn rotary_embedding_is_the_cpus_both_ways() {
    for_every_kind(&["rotary"], |gpu, kind| {
        for (batch, n, heads, d) in [(1, 1, 1, 2), (2, 5, 3, 14), (1, 3, 2, 64)] {
            let (x, hx) = put(gpu, kind, 1, batch * n * heads * d);
            let (cos, hcos) = put(gpu, Kind::F32, 2, n * d / 2);
            let (sin, hsin) = put(gpu, Kind::F32, 3, n * d / 2);
            for layout in [RotaryLayout::Half, RotaryLayout::Interleaved] {
                for sign in [1.0, -1.0] {
                    let size = (n, heads, d);
                    let y = rotary::rotary(&x, size, &cos, &sin, layout, sign).unwrap();
                    let expected = cpu::rotary::rotary(&hx, size, &hcos, &hsin, layout, sign);
                    near(&format!("{layout:?}"), &y, &expected);
                }
            }
        }
    });
}

#[test]
fn gathering_and_scattering_are_the_cpus() {
    for_every_kind(&["gather", "scatter_add"], |gpu, kind| {
        for width in [1, 5, 132] {
            let ((a, ha), (b, hb)) = (put(gpu, kind, 1, 6 * width), put(gpu, kind, 2, 3 * width));
            let of_a = [Some(5), None, Some(0), None, Some(5), Some(2), Some(5)];
            let of_b = [None, Some(2), Some(1), None, None, None, Some(0)];
            let found = cuda::gather(&a, width, &of_a).unwrap();
            near("gather", &found, &rows::gather(&ha, width, &of_a));
            let found = cuda::gather_two((&a, &of_a), Some((&b, &of_b)), width).unwrap();
            near("gather_two", &found, &rows::gather_two((&ha, &of_a), (&hb, &of_b), width));
            let (g, hg) = put(gpu, kind, 3, of_a.len() * width);
            let (mut table, mut htable) = put(gpu, Kind::F32, 4, 6 * width);
            cuda::scatter_add(&mut table, width, &of_a, &g).unwrap();
            rows::scatter_add(&mut htable, width, &of_a, &hg);
            near("scatter_add", &table, &htable);
            cuda::scatter_add(&mut table, width, &[], &gpu.zeros(kind, 0).unwrap()).unwrap();
            near("nothing to scatter", &table, &htable);
        }
    });
}

#[test]
fn blocks_are_joined_and_cut_as_on_the_cpu() {
    for_every_kind(&["copy_blocks"], |gpu, kind| {
        let (outer, sizes) = (3, [5, 1, 12]);
        let parts: Vec<_> = sizes.iter().map(|&n| put(gpu, kind, n, outer * n)).collect();
        let ours: Vec<_> = parts.iter().zip(sizes).map(|(part, n)| (&part.0, n)).collect();
        let theirs: Vec<_> = parts.iter().zip(sizes).map(|(part, n)| (&part.1[..], n)).collect();
        let (joined, all) = (cuda::concat(outer, &ours).unwrap(), rows::concat(outer, &theirs));
        near("concat", &joined, &all);
        for (start, len) in [(0, 18), (5, 1), (4, 9), (17, 0)] {
            let cut = cuda::narrow(&joined, outer, 18, start, len).unwrap();
            near("narrow", &cut, &rows::narrow(&all, outer, 18, start, len));
            let cut_values = cut.download().unwrap();
            let wide = cuda::widen(&cut, outer, 18, start, len).unwrap();
            near("widen", &wide, &rows::widen(&cut_values, outer, 18, start, len));
        }
    });
}

#[test]
fn means_shuffles_and_pools_are_the_cpus() {
    let kernels = ["mean_rows", "mean_rows_backward", "pixel_shuffle"];
    for_every_kind(&kernels, |gpu, kind| {
        let (x, hx) = put(gpu, kind, 1, 2 * 3 * 7);
        near("mean", &cuda::mean_rows(&x, 3, 7).unwrap(), &rows::mean_rows(&hx, 3, 7));
        let back = cuda::mean_rows_backward(&x, 4, 7).unwrap();
        near("its gradient", &back, &rows::mean_rows_backward(&hx, 4, 7));
        for (size, f) in [((4, 6, 3), 2), ((3, 3, 1), 3), ((2, 5, 4), 1)] {
            let (x, hx) = put(gpu, kind, 2, 2 * size.0 * size.1 * size.2);
            let y = cuda::pixel_unshuffle(&x, size, f).unwrap();
            near("unshuffle", &y, &rows::pixel_unshuffle(&hx, size, f));
            let y = cuda::pixel_shuffle(&x, size, f).unwrap();
            near("shuffle", &y, &rows::pixel_shuffle(&hx, size, f));
        }
    });
    for_every_kind(&["average_pool", "average_pool_backward"], |gpu, kind| {
        for (size, f) in [((4, 6, 3), 2), ((5, 7, 2), 3), ((2, 2, 1), 1)] {
            let (x, hx) = put(gpu, kind, 3, 2 * size.0 * size.1 * size.2);
            let y = cuda::average_pool(&x, size, f).unwrap();
            near("pool", &y, &rows::average_pool(&hx, size, f));
            let values = y.download().unwrap();
            let dx = cuda::average_pool_backward(&y, size, f).unwrap();
            near("its gradient", &dx, &rows::average_pool_backward(&values, size, f));
        }
    });
}
