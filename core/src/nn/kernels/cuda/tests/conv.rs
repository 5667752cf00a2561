//! Windows, convolutions, resizing and relative positions.

use super::{for_every_kind, near, near_by, put};
use crate::nn::kernels::cuda::{Kind, conv as cuda, relative, resize, windows};
use crate::nn::kernels::{self as cpu, conv::Shape};

#[test]
fn windows_are_cut_and_joined_as_on_the_cpu() {
    for_every_kind(&["cut", "join"], |gpu, kind| {
        for (map, window) in [((4, 6, 3), (2, 3)), ((5, 7, 2), (3, 4)), ((1, 1, 1), (2, 2))] {
            let s = cpu::windows::Shape { map, window };
            let (x, hx) = put(gpu, kind, 1, 2 * map.0 * map.1 * map.2);
            let (y, hy) = (windows::cut(s, &x).unwrap(), cpu::windows::cut(s, &hx));
            near("cut", &y, &hy);
            near("join", &windows::join(s, &y).unwrap(), &cpu::windows::join(s, &hy));
        }
    });
}

#[test]
fn patches_are_the_cpus_both_ways() {
    for_every_kind(&["patches", "patches_backward", "swap_last"], |gpu, kind| {
        for (size, p) in [((3, 4, 6), 2), ((1, 5, 7), 3), ((2, 2, 2), 1)] {
            let (x, hx) = put(gpu, kind, 1, 2 * size.0 * size.1 * size.2);
            let (rows, hrows) =
                (cuda::patches(&x, size, p).unwrap(), cpu::conv::patches(&hx, size, p));
            near("patches", &rows, &hrows);
            let back = cuda::patches_backward(&rows, size, p).unwrap();
            near("their gradient", &back, &cpu::conv::patches_backward(&hrows, size, p));
        }
        let (x, hx) = put(gpu, kind, 2, 2 * 3 * 5);
        near("swap", &cuda::swap_last(&x, 3, 5).unwrap(), &cpu::conv::swap_last(&hx, 3, 5));
    });
}

/// Sums of many products of rounded values, themselves rounded once.
fn tolerance(kind: Kind) -> f32 {
    if kind == Kind::F32 { 2e-5 } else { 0.03 }
}

#[test]
fn convolutions_and_their_gradients_are_the_cpus() {
    for_every_kind(&["unfold", "fold"], |gpu, kind| {
        for (input, kernel, stride, padding) in
            [((5, 6), 3, 1, 1), ((7, 5), 2, 2, 0), ((4, 4), 3, 2, 1), ((3, 3), 1, 1, 2)]
        {
            let (batch, channels) = (2, (3, 4));
            let out = |size: usize| (size + 2 * padding - kernel) / stride + 1;
            let output = (out(input.0), out(input.1));
            let s = Shape { batch, input, output, channels, kernel, stride, padding };
            let put = |seed, len| put(gpu, kind, seed, len);
            let (x, hx) = put(1, batch * input.0 * input.1 * 3);
            let ((w, hw), (b, hb)) = (put(2, 4 * kernel * kernel * 3), put(3, 4));
            let (g, hg) = put(4, batch * output.0 * output.1 * 4);
            let y = cuda::conv2d(s, &x, &w, Some(&b)).unwrap();
            near("conv", &y, &cpu::conv::conv2d(s, &hx, &hw, Some(&hb)));
            let dx = cuda::conv2d_backward_input(s, &g, &w).unwrap();
            // Rounded before they are added up.
            let theirs = cpu::conv::conv2d_backward_input(s, &hg, &hw);
            let dx = dx.cast(Kind::F32).unwrap();
            near_by("dx", &dx, &theirs, tolerance(kind));
            let dw = cuda::conv2d_backward_weight(s, &g, &x).unwrap();
            near_by("dw", &dw, &cpu::conv::conv2d_backward_weight(s, &hg, &hx), tolerance(kind));
        }
    });
}

#[test]
fn depthwise_convolutions_and_their_gradients_are_the_cpus() {
    for_every_kind(&["depthwise", "depthwise_backward_weight"], |gpu, kind| {
        for (input, c, kernel, padding) in
            [((5, 9), 3, 3, 1), ((8, 7), 33, 7, 3), ((3, 3), 1, 2, 0)]
        {
            let out = |size: usize| size + 2 * padding - kernel + 1;
            let (batch, output, channels) = (2, (out(input.0), out(input.1)), (c, c));
            let s = Shape { batch, input, output, channels, kernel, stride: 1, padding };
            let put = |seed, len| put(gpu, kind, seed, len);
            let (x, hx) = put(1, batch * input.0 * input.1 * c);
            let ((w, hw), (b, hb)) = (put(2, kernel * kernel * c), put(3, c));
            let (g, hg) = put(4, batch * output.0 * output.1 * c);
            let y = cuda::depthwise(s, &x, &w, Some(&b)).unwrap();
            near("depthwise", &y, &cpu::conv::depthwise(s, &hx, &hw, Some(&hb)));
            let dx = cuda::depthwise_backward_input(s, &g, &w).unwrap();
            near("dx", &dx, &cpu::conv::depthwise_backward_input(s, &hg, &hw));
            let dw = cuda::depthwise_backward_weight(s, &g, &x).unwrap();
            near("dw", &dw, &cpu::conv::depthwise_backward_weight(s, &hg, &hx));
        }
    });
}

#[test]
fn resizing_is_the_cpus_both_ways() {
    use cpu::resize::{bicubic, bicubic_antialias, bilinear, bilinear_antialias};
    for_every_kind(&["resample"], |gpu, kind| {
        let ((h, w, c), (height, width)) = ((5, 7, 3), (9, 4));
        let (x, hx) = put(gpu, kind, 1, 2 * h * w * c);
        for taps in [
            |n, out| bilinear(n, out, false),
            |n, out| bilinear(n, out, true),
            bicubic,
            bilinear_antialias,
            bicubic_antialias,
        ] {
            let (down, across) = (taps(h, height), taps(w, width));
            let y = resize::resize(&x, (h, w, c), &down, &across).unwrap();
            let hy = cpu::resize::resize(&hx, (h, w, c), &down, &across);
            near("resize", &y, &hy);
            let (down, across) = (down.transposed(h), across.transposed(w));
            let dx = resize::resize(&y, (height, width, c), &down, &across).unwrap();
            near_by(
                "back",
                &dx,
                &cpu::resize::resize(&hy, (height, width, c), &down, &across),
                2e-5,
            );
        }
    });
}

#[test]
fn relative_positions_and_their_gradients_are_the_cpus() {
    let kernels = ["relative", "relative_backward_queries", "relative_backward_table"];
    for_every_kind(&kernels, |gpu, kind| {
        for (grid, rows) in [((3, 4), true), ((3, 4), false), ((1, 1), true), ((2, 5), false)] {
            let (batch, heads, width) = (2, 3, 5);
            let s = cpu::relative::Shape { batch, grid, heads, width, rows };
            let (tokens, len) = (grid.0 * grid.1, if rows { grid.0 } else { grid.1 });
            let put = |seed, len| put(gpu, kind, seed, len);
            let (q, hq) = put(1, batch * tokens * heads * width);
            let (table, htable) = put(2, (2 * len - 1) * width);
            let (g, hg) = put(3, batch * heads * tokens * len);
            let y = relative::relative(s, &q, &table).unwrap();
            near("relative", &y, &cpu::relative::relative(s, &hq, &htable));
            let (dq, dtable) = relative::relative_backward(s, &g, &q, &table).unwrap();
            let (hdq, hdtable) = cpu::relative::relative_backward(s, &hg, &hq, &htable);
            near("dq", &dq, &hdq);
            near("dtable", &dtable, &hdtable);
        }
    });
}
