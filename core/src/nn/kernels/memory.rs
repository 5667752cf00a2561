//! Buffers, and cutting them into chunks for the threads.

use super::gemm::{Mat, gemm_at};
use rayon::prelude::*;

/// Values per chunk of an element-wise kernel: 64 kB, which a core's L2 cache holds three of.
pub const CHUNK: usize = 1 << 14;

/// What a thread unwinds with when the system gives no more memory: a run that needs more ends with
/// this as its error, and the others go on.
#[derive(Debug, Clone, Copy)]
pub struct OutOfMemory {
    /// What was asked for.
    pub bytes: usize,
}

/// An empty buffer with room for `len` values.
pub fn room(len: usize) -> Vec<f32> {
    let mut values = Vec::new();
    if values.try_reserve_exact(len).is_err() {
        let bytes = len.saturating_mul(size_of::<f32>());
        // No panic: it is no bug, and nothing is to be told at its place.
        std::panic::resume_unwind(Box::new(OutOfMemory { bytes }));
    }
    values
}

/// A buffer of `len` values that the caller writes before it reads any.
///
/// Zeroing a large buffer costs as much as the kernel that fills it. Debug builds fill it with NaN,
/// so that a value which a kernel forgot shows in its test.
pub fn uninit(len: usize) -> Vec<f32> {
    let mut values = room(len);
    if cfg!(debug_assertions) {
        values.resize(len, f32::NAN);
    } else {
        // SAFETY: the capacity is `len`, every bit pattern is an f32, and by this function's
        // contract (held by the NaN fill in debug builds) each value is written before it is read.
        #[allow(clippy::uninit_vec)]
        unsafe {
            values.set_len(len);
        }
    }
    values
}

/// Rows of `width` values per chunk, so that a chunk has about `CHUNK` values.
pub fn rows_per_chunk(width: usize) -> usize {
    (CHUNK / width.max(1)).clamp(1, CHUNK)
}

/// Calls `f(index, chunk)` on every `size` values of `out`, on all threads.
pub fn chunked(out: &mut [f32], size: usize, f: impl Fn(usize, &mut [f32]) + Sync) {
    let size = size.max(1);
    if out.len() <= size {
        if !out.is_empty() {
            f(0, out);
        }
        return;
    }
    out.par_chunks_mut(size).enumerate().for_each(|(index, chunk)| f(index, chunk));
}

/// Values `index * size ..` of `values`, at most `size` of them: the twin of a chunk of the output.
pub fn part(values: &[f32], index: usize, size: usize) -> &[f32] {
    let start = (index * size).min(values.len());
    &values[start..(start + size).min(values.len())]
}

/// Calls `f(index, chunk of a, chunk of b)` on equal numbers of rows of two outputs.
pub fn split_rows(
    (a, a_size): (&mut [f32], usize),
    (b, b_size): (&mut [f32], usize),
    f: impl Fn(usize, &mut [f32], &mut [f32]) + Sync,
) {
    let (a_size, b_size) = (a_size.max(1), b_size.max(1));
    if a.len() <= a_size {
        if !a.is_empty() || !b.is_empty() {
            f(0, a, b);
        }
        return;
    }
    a.par_chunks_mut(a_size)
        .zip(b.par_chunks_mut(b_size))
        .enumerate()
        .for_each(|(index, (a, b))| f(index, a, b));
}

/// Adds up per-chunk partial sums, `parts` rows of `width`, in the order of the chunks.
pub fn sum_parts(parts: &[f32], width: usize) -> Vec<f32> {
    let mut out = vec![0.0; width];
    // Columns of a chunk: one alone unless there is much to add.
    let columns = if parts.len() > 8 * CHUNK { 256 } else { width };
    chunked(&mut out, columns, |i, out| {
        for row in parts.chunks_exact(width.max(1)) {
            for (out, part) in out.iter_mut().zip(&row[i * columns..]) {
                *out += part;
            }
        }
    });
    out
}

/// An output that tasks write to at strided places no two of them share.
#[derive(Clone, Copy)]
pub(super) struct Shared(*mut f32, usize);

// SAFETY: tasks touch disjoint elements; see `Shared::put`.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    pub(super) fn new(values: &mut [f32]) -> Self {
        Shared(values.as_mut_ptr(), values.len())
    }

    /// Writes a product, or adds it, to rows `stride` apart from `at` on.
    ///
    /// # Safety
    /// No other task may touch these rows meanwhile, and the slice behind must be alive.
    pub(super) unsafe fn product(
        self,
        (at, stride, accumulate): (usize, usize, bool),
        (m, n, k): (usize, usize, usize),
        a: Mat<'_>,
        b: Mat<'_>,
        factor: f32,
    ) {
        if m == 0 || n == 0 {
            return;
        }
        assert!(at + (m - 1) * stride + n <= self.1, "a kernel would leave its output");
        // SAFETY: in bounds by the assertion, unshared by the contract.
        unsafe { gemm_at((m, n, k), self.0.add(at), stride, accumulate, a, b, factor) }
    }

    /// Writes `rows` of `width` values, `stride` apart, from `at` on.
    ///
    /// # Safety
    /// No other task may touch these elements meanwhile, and the slice behind must be alive.
    pub(super) unsafe fn put(self, at: usize, stride: usize, width: usize, rows: &[f32]) {
        for (i, row) in rows.chunks_exact(width.max(1)).enumerate() {
            assert!(at + i * stride + width <= self.1, "a kernel would leave its output");
            // SAFETY: in bounds by the assertion, unshared by the contract.
            unsafe {
                std::ptr::copy_nonoverlapping(row.as_ptr(), self.0.add(at + i * stride), width);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_has_no_room_for_unwinds_and_says_how_much_it_was() {
        let unwound = std::panic::catch_unwind(|| room(usize::MAX / 16)).map(|room| room.len());
        let what = unwound.err().and_then(|what| what.downcast::<OutOfMemory>().ok());
        assert_eq!(what.map(|what| what.bytes), Some(usize::MAX / 16 * 4));
        assert_eq!((room(3).len(), uninit(3).len()), (0, 3));
    }
}
