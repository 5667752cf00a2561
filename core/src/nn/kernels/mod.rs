//! The operations that cost time, on slices: multi-threaded, vectorised, forward and backward.
//!
//! Work is cut into chunks whose size depends on the data alone, and partial results are added in
//! the order of the chunks, so that the same bits come out for any number of threads.
//! The only folder with `unsafe`.
#![allow(unsafe_code)]

pub mod activation;
pub mod adamw;
pub mod allocator;
pub mod attention;
pub mod conv;
pub mod cross_entropy;
#[cfg(any(feature = "card", test))]
pub mod cuda;
pub mod deformable;
pub mod detection;
pub mod elementwise;
mod forced;
pub mod gemm;
pub mod grid_sample;
pub mod linear;
pub mod memory;
pub mod norm;
pub(crate) mod pixels;
pub mod relative;
pub mod resize;
pub mod rotary;
pub mod rows;
pub mod simd;
pub mod softmax;
pub mod windows;

pub use adamw::{AdamW, adamw, sum_of_squares, sums_of_squares};
pub use elementwise::add_assign;
pub use memory::{chunked, split_rows, uninit};
