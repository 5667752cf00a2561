//! Matrix products of strided slices, over the `gemm` family of crates.
//!
//! A product runs on one thread; callers cut the work into fixed chunks. `gemm-f32` alone is a
//! dependency, since the facade crate would compile the other number types, too.
//!
//! A row of the output has the same bits however many rows are computed with it, if `b`'s rows are
//! contiguous: a picture's features must not depend on its batch, or they couldn't be cached. The
//! crate breaks the sum over `k` at places that depend on the other sizes, and treats a single row
//! apart; so `k` is cut here, and a single row gets company.

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

/// Products are summed in pieces of this length; the crate doesn't cut shorter ones.
const DEPTH: usize = 512;

fn reaches(rows: usize, cols: usize, row: usize, col: usize) -> usize {
    if rows == 0 || cols == 0 { 0 } else { (rows - 1) * row + (cols - 1) * col + 1 }
}

/// `out = factor * a b`, or `out += factor * a b`; `a` is m x k, `b` is k x n, and `out` is
/// row-major with rows `row` apart.
#[allow(clippy::too_many_arguments)]
pub fn gemm(
    size: (usize, usize, usize),
    out: &mut [f32],
    row: usize,
    accumulate: bool,
    a: Mat<'_>,
    b: Mat<'_>,
    factor: f32,
) {
    assert!(out.len() >= reaches(size.0, size.1, row, 1), "a product would leave its output");
    // SAFETY: by the assertion `out` holds the result, and it is borrowed mutably.
    unsafe { gemm_at(size, out.as_mut_ptr(), row, accumulate, a, b, factor) }
}

/// [`gemm`] into rows that others may stand between.
///
/// # Safety
/// `out` points to m rows of n values, `row` apart, which nothing else uses meanwhile.
#[allow(clippy::too_many_arguments)]
pub(super) unsafe fn gemm_at(
    (m, n, k): (usize, usize, usize),
    out: *mut f32,
    row: usize,
    accumulate: bool,
    a: Mat<'_>,
    b: Mat<'_>,
    factor: f32,
) {
    assert!(
        (m <= 1 || row >= n)
            && a.data.len() >= reaches(m, k, a.row, a.col)
            && b.data.len() >= reaches(k, n, b.row, b.col),
        "a matrix product would leave its slices"
    );
    if m == 0 || n == 0 {
        return;
    }
    if m == 1 && b.col == 1 && k > 0 {
        // SAFETY: the only row, by the caller's contract.
        let out = unsafe { std::slice::from_raw_parts_mut(out, n) };
        return single_row((n, k), out, accumulate, a, b, factor);
    }
    let mut at = 0;
    loop {
        let size = (m, n, DEPTH.min(k - at));
        let a = Mat { data: &a.data[(a.col * at).min(a.data.len())..], ..a };
        let b = Mat { data: &b.data[(b.row * at).min(b.data.len())..], ..b };
        // SAFETY: `out` by the caller's contract; the assertion above holds every element of `a` and
        // `b` inside their slices, of which these are parts.
        unsafe { product(size, out, row, accumulate || at > 0, a, b, factor) };
        at += DEPTH;
        if at >= k {
            return;
        }
    }
}

/// One row, computed as the first of two.
fn single_row(
    (n, k): (usize, usize),
    out: &mut [f32],
    accumulate: bool,
    a: Mat<'_>,
    b: Mat<'_>,
    factor: f32,
) {
    let mut rows: Vec<f32> = (0..k).map(|i| a.data[i * a.col]).collect();
    rows.resize(2 * k, 0.0);
    let mut both = vec![0.0; 2 * n];
    if accumulate {
        both[..n].copy_from_slice(out);
    }
    gemm((2, n, k), &mut both, n, accumulate, Mat::rows(&rows, k), b, factor);
    out.copy_from_slice(&both[..n]);
}

/// A product whose sum is not cut.
///
/// # Safety
/// The three matrices lie inside their memory, and nothing else uses `out` meanwhile.
#[allow(clippy::too_many_arguments)]
unsafe fn product(
    (m, n, k): (usize, usize, usize),
    out: *mut f32,
    row: usize,
    accumulate: bool,
    a: Mat<'_>,
    b: Mat<'_>,
    factor: f32,
) {
    let kernel = match super::simd::forced() {
        Some(level) => super::forced::product(level),
        None => gemm_f32::gemm::f32::get_gemm_fn(),
    };
    // SAFETY: the caller's contract. The kernel wants column-major output, so the transposed product
    // is computed: out^T = b^T a^T.
    unsafe {
        kernel(
            n,
            m,
            k,
            out,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Rng;

    fn random(len: usize, seed: u64) -> Vec<f32> {
        let mut rng = Rng::new(seed);
        (0..len).map(|_| rng.normal()).collect()
    }

    #[test]
    fn a_row_does_not_depend_on_the_rows_beside_it() {
        for (n, k) in [(1, 3), (5, 2), (8, 40), (64, 600), (33, 1030), (100, 513), (300, 77)] {
            let (a, b) = (random(150 * k, 1), random(k * n, 2));
            let rows = |first: usize, count: usize| {
                let mut out = vec![0.0; count * n];
                let a = Mat::rows(&a[first * k..], k);
                gemm((count, n, k), &mut out, n, false, a, Mat::rows(&b, n), 1.0);
                out
            };
            let all = rows(0, 150);
            for (first, count) in [(0, 1), (149, 1), (3, 2), (17, 31), (1, 64), (20, 65)] {
                let some = rows(first, count);
                let same =
                    some.iter().zip(&all[first * n..]).all(|(a, b)| a.to_bits() == b.to_bits());
                assert!(same, "rows {first}.. ({count} of 150), n {n}, k {k}");
            }
        }
    }
}
