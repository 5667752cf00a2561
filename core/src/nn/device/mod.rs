//! The kernels that operations run on, with a card: by the names and arguments of [`super::kernels`],
//! on buffers in the card's memory. A kernel whose twins differ in nothing but the buffers' type is a
//! line of the table; the others are in `adapted` and `attention`.
//!
//! A kernel that fails unwinds with the card's error, as one of the CPU does that gets no memory
//! (`kernels::memory::OutOfMemory`): it ends one run, and the others go on.

mod adapted;
pub mod attention;

use crate::nn::kernels::cuda::{self, Buffer};
use crate::nn::kernels::{conv as cpu_conv, deformable as cpu_deformable};
use crate::nn::kernels::{grid_sample as cpu_grid_sample, relative as cpu_relative};
use crate::nn::kernels::{norm as cpu_norm, resize as cpu_resize, windows as cpu_windows};
use crate::nn::ops::{Activation, RotaryLayout};

pub use crate::nn::kernels::AdamW;
pub use adapted::{adamw, sums_of_squares};

/// The card that everything lies on.
///
/// # Errors
/// There is no driver, no card, or one too old for the kernels.
pub fn card() -> cuda::Result<cuda::Gpu> {
    cuda::Gpu::open(0)
}

/// What `result` holds; its error unwinds.
pub fn done<T>(result: cuda::Result<T>) -> T {
    // No panic: it is no bug, and nothing is to be told at its place.
    result.unwrap_or_else(|error| std::panic::resume_unwind(Box::new(error)))
}

/// Modules of kernels that give what their twins on the card give, and what else stands in them.
macro_rules! twins {
    ($($module:ident $(uses $($also:path),+;)? {
        $(fn $name:ident($($arg:ident: $type:ty),* $(,)?) -> $given:ty;)*
    })*) => {$(
        #[allow(missing_docs)]
        pub mod $module {
            #[allow(unused_imports)]
            use super::*;
            $($(pub use $also;)+)?
            $(pub fn $name($($arg: $type),*) -> $given {
                done(cuda::$module::$name($($arg),*))
            })*
        }
    )*};
}

type Map = (usize, usize, usize);
type Size = (usize, usize, usize);
type Pair = (Buffer, Buffer);
type Stored<'a> = (&'a Buffer, bool);
type Rows<'a> = &'a [Option<usize>];

twins! {
    elementwise uses super::adapted::add_assign, super::adapted::copy, super::adapted::scale_by; {
        fn add(a: &Buffer, b: &Buffer) -> Buffer;
        fn sub(a: &Buffer, b: &Buffer) -> Buffer;
        fn mul(a: &Buffer, b: &Buffer) -> Buffer;
        fn scale(x: &Buffer, factor: f32) -> Buffer;
        fn exp(x: &Buffer) -> Buffer;
        fn add_rows(x: &Buffer, rows: &Buffer) -> Buffer;
        fn mul_rows(x: &Buffer, rows: &Buffer) -> Buffer;
        fn scale_rows(x: &Buffer, factors: &Buffer, width: usize) -> Buffer;
        fn dot_rows(a: &Buffer, b: &Buffer, width: usize) -> Buffer;
        fn sum_rows(x: &Buffer, width: usize) -> Buffer;
        fn sum_product_rows(a: &Buffer, b: &Buffer, width: usize) -> Buffer;
    }
    activation uses super::adapted::activate_backward; {
        fn activate(x: &Buffer, activation: Activation) -> Buffer;
        fn swiglu(gate: &Buffer, up: &Buffer) -> Buffer;
        fn swiglu_backward(gradient: &Buffer, gate: &Buffer, up: &Buffer) -> Pair;
    }
    linear uses super::adapted::linear_backward_input; {
        fn linear(
            size: Size,
            x: &Buffer,
            w: &Buffer,
            bias: Option<&Buffer>,
            activation: Activation,
            keep: bool,
        ) -> (Buffer, Option<Buffer>);
        fn linear_backward_weight(size: Size, gradient: &Buffer, x: &Buffer) -> Buffer;
        fn linear_backward_bias(gradient: &Buffer, n: usize) -> Buffer;
        fn batched(batch: usize, size: Size, a: Stored<'_>, b: Stored<'_>) -> Buffer;
    }
    norm uses super::cpu_norm::Wanted; {
        fn layer_norm_backward(
            gradient: &Buffer,
            stats: &Buffer,
            x: &Buffer,
            w: &Buffer,
            wanted: Wanted,
        ) -> (Buffer, Buffer, Buffer);
        fn layer_norm(x: &Buffer, w: &Buffer, b: &Buffer, eps: f32) -> Pair;
        fn rms_norm(x: &Buffer, w: &Buffer, eps: f32) -> Pair;
        fn rms_norm_backward(
            gradient: &Buffer,
            stats: &Buffer,
            x: &Buffer,
            w: &Buffer,
            wanted: Wanted,
        ) -> Pair;
    }
    softmax {
        fn softmax(x: &Buffer, width: usize) -> Buffer;
        fn softmax_backward(gradient: &Buffer, out: &Buffer, width: usize) -> Buffer;
    }
    rotary {
        fn rotary(
            x: &Buffer,
            size: Size,
            cos: &Buffer,
            sin: &Buffer,
            layout: RotaryLayout,
            sign: f32,
        ) -> Buffer;
    }
    rows uses super::adapted::gather_two, super::adapted::scatter_add; {
        fn gather(table: &Buffer, width: usize, rows: Rows<'_>) -> Buffer;
        fn concat(outer: usize, parts: &[(&Buffer, usize)]) -> Buffer;
        fn narrow(x: &Buffer, outer: usize, size: usize, start: usize, len: usize) -> Buffer;
        fn widen(gradient: &Buffer, outer: usize, size: usize, start: usize, len: usize) -> Buffer;
        fn mean_rows(x: &Buffer, n: usize, width: usize) -> Buffer;
        fn mean_rows_backward(gradient: &Buffer, n: usize, width: usize) -> Buffer;
        fn pixel_unshuffle(x: &Buffer, map: Map, factor: usize) -> Buffer;
        fn pixel_shuffle(x: &Buffer, map: Map, factor: usize) -> Buffer;
        fn average_pool(x: &Buffer, map: Map, factor: usize) -> Buffer;
        fn average_pool_backward(gradient: &Buffer, map: Map, factor: usize) -> Buffer;
    }
    cross_entropy uses super::cuda::cross_entropy::Losses; {
        fn cross_entropy(
            of: (&Buffer, &Buffer),
            size: (usize, usize),
            targets: &[(usize, u32)],
            wanted: (bool, bool),
        ) -> Losses;
        fn softmax_cross_entropy(
            logits: &Buffer,
            classes: usize,
            targets: &[u32],
            weights: Option<&[f32]>,
        ) -> Losses;
        fn soft_cross_entropy(logits: &Buffer, classes: usize, targets: &[f32]) -> Pair;
    }
    windows uses super::cpu_windows::Shape; {
        fn cut(s: Shape, x: &Buffer) -> Buffer;
        fn join(s: Shape, x: &Buffer) -> Buffer;
    }
    resize uses
        super::cpu_resize::bicubic, super::cpu_resize::bicubic_antialias, super::cpu_resize::bicubic_by, super::cpu_resize::bilinear, super::cpu_resize::bilinear_antialias,
        super::cpu_resize::Taps;
    {
        fn resize(x: &Buffer, map: Map, down: &Taps, across: &Taps) -> Buffer;
    }
    conv uses super::cpu_conv::Shape; {
        fn patches(image: &Buffer, map: Map, p: usize) -> Buffer;
        fn patches_backward(rows: &Buffer, map: Map, p: usize) -> Buffer;
        fn swap_last(x: &Buffer, b: usize, k: usize) -> Buffer;
        fn conv2d(s: Shape, x: &Buffer, w: &Buffer, bias: Option<&Buffer>) -> Buffer;
        fn conv2d_backward_input(s: Shape, gradient: &Buffer, w: &Buffer) -> Buffer;
        fn conv2d_backward_weight(s: Shape, gradient: &Buffer, x: &Buffer) -> Buffer;
        fn depthwise(s: Shape, x: &Buffer, w: &Buffer, bias: Option<&Buffer>) -> Buffer;
        fn depthwise_backward_input(s: Shape, gradient: &Buffer, w: &Buffer) -> Buffer;
        fn depthwise_backward_weight(s: Shape, gradient: &Buffer, x: &Buffer) -> Buffer;
    }
    relative uses super::cpu_relative::Shape; {
        fn relative(s: Shape, q: &Buffer, table: &Buffer) -> Buffer;
        fn relative_backward(s: Shape, gradient: &Buffer, q: &Buffer, table: &Buffer) -> Pair;
    }
    grid_sample uses super::cpu_grid_sample::Shape; {
        fn grid_sample(s: Shape, x: &Buffer, grid: &Buffer) -> Buffer;
        fn grid_sample_backward(s: Shape, gradient: &Buffer, x: &Buffer, grid: &Buffer) -> Pair;
    }
    deformable uses super::cpu_deformable::Shape; {
        fn deformable(s: Shape<'_>, value: &Buffer, at: &Buffer, weights: &Buffer) -> Buffer;
        fn deformable_backward(
            s: Shape<'_>,
            gradient: &Buffer,
            saved: [&Buffer; 3],
        ) -> [Buffer; 3];
    }
    detection {
        fn sigmoid_focal(
            logits: &Buffer,
            classes: usize,
            labels: &[u32],
            shape: (f64, f64),
        ) -> Pair;
        fn giou(logs: &Buffer, right: &[f32], weights: &[f32]) -> Pair;
    }
}
