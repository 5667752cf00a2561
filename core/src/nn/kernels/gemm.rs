//! Matrix products of strided slices, over the `gemm` family of crates.
//!
//! A product runs on one thread; callers cut the work into fixed chunks. `gemm-f32` alone is a
//! dependency, since the facade crate would compile the other number types, too.

use gemm_common::Parallelism;

/// A matrix in a slice: element (i, j) is at `i * row + j * col`.
#[derive(Debug, Clone, Copy)]
pub struct Mat<'a> {
    /// The values; the matrix starts at the first.
    pub data: &'a [f32],
    /// The distance between rows.
    pub row: usize,
    /// The distance between columns.
    pub col: usize,
}

impl<'a> Mat<'a> {
    /// A row-major matrix whose rows are `row` apart.
    pub fn rows(data: &'a [f32], row: usize) -> Self {
        Mat { data, row, col: 1 }
    }

    /// Its transpose.
    pub fn t(self) -> Self {
        Mat { data: self.data, row: self.col, col: self.row }
    }
}

fn reaches(rows: usize, cols: usize, row: usize, col: usize) -> usize {
    if rows == 0 || cols == 0 { 0 } else { (rows - 1) * row + (cols - 1) * col + 1 }
}

/// `out = factor * a b`, or `out += factor * a b`; `a` is m x k, `b` is k x n, and `out` is
/// row-major with rows `row` apart.
#[allow(clippy::too_many_arguments)]
pub fn gemm(
    (m, n, k): (usize, usize, usize),
    out: &mut [f32],
    row: usize,
    accumulate: bool,
    a: Mat<'_>,
    b: Mat<'_>,
    factor: f32,
) {
    assert!(
        out.len() >= reaches(m, n, row, 1)
            && (m <= 1 || row >= n)
            && a.data.len() >= reaches(m, k, a.row, a.col)
            && b.data.len() >= reaches(k, n, b.row, b.col),
        "a matrix product would leave its slices"
    );
    if m == 0 || n == 0 {
        return;
    }
    // SAFETY: the assertion above holds every element of the three matrices inside their slices,
    // rows of `out` don't overlap, and `out` is borrowed mutably, so it aliases neither operand.
    // The kernel wants column-major output, so the transposed product is computed: out^T = b^T a^T.
    unsafe {
        gemm_f32::gemm::f32::get_gemm_fn()(
            n,
            m,
            k,
            out.as_mut_ptr(),
            row as isize,
            1,
            accumulate,
            b.data.as_ptr(),
            b.row as isize,
            b.col as isize,
            a.data.as_ptr(),
            a.row as isize,
            a.col as isize,
            1.0,
            factor,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}
