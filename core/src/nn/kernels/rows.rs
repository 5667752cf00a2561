//! Moving rows and blocks: embedding lookup, gathering, concatenation, pixel shuffles, pooling.

use super::memory::{CHUNK, chunked, part, rows_per_chunk, uninit};
use super::simd::simd;

simd! {
    fn add_row(sum: &mut [f32], x: &[f32], factor: f32) {
        for (sum, x) in sum.iter_mut().zip(x) {
            *sum += x * factor;
        }
    }
}

/// The rows of `table`, `width` wide, that `rows` names; `None` gives zeros.
pub fn gather(table: &[f32], width: usize, rows: &[Option<usize>]) -> Vec<f32> {
    gather_two((table, rows), (&[], &[]), width)
}

/// The rows of `first` that its list names; where that has none, those of `second` that its list
/// names; where neither has one, zeros.
pub fn gather_two(
    (first, rows): (&[f32], &[Option<usize>]),
    (second, others): (&[f32], &[Option<usize>]),
    width: usize,
) -> Vec<f32> {
    let mut out = uninit(rows.len() * width);
    if width == 0 {
        return out;
    }
    let size = rows_per_chunk(width);
    chunked(&mut out, size * width, |i, out| {
        for (j, out) in out.chunks_exact_mut(width).enumerate() {
            let at = i * size + j;
            match (rows[at], others.get(at).copied().flatten()) {
                (Some(row), _) => out.copy_from_slice(&first[row * width..(row + 1) * width]),
                (None, Some(row)) => out.copy_from_slice(&second[row * width..(row + 1) * width]),
                (None, None) => out.fill(0.0),
            }
        }
    });
    out
}

/// Adds each row of `gradient` to the row of `table` that `rows` names, in their order. A task owns
/// a band of the table and looks for its rows among all.
pub fn scatter_add(table: &mut [f32], width: usize, rows: &[Option<usize>], gradient: &[f32]) {
    let bands = if gradient.len() > 2 * CHUNK { 16 } else { 1 };
    let band = (table.len() / width.max(1)).div_ceil(bands);
    chunked(table, band * width, |i, table| {
        for (row, gradient) in rows.iter().zip(gradient.chunks_exact(width.max(1))) {
            let row = row.and_then(|row| row.checked_sub(i * band)).filter(|row| *row < band);
            if let Some(row) = row {
                add_row(&mut table[row * width..(row + 1) * width], gradient, 1.0);
            }
        }
    });
}

/// Joins parts along an axis: each is `outer` blocks, of the size given with it.
pub fn concat(outer: usize, parts: &[(&[f32], usize)]) -> Vec<f32> {
    let size = parts.iter().map(|part| part.1).sum::<usize>();
    let mut out = uninit(outer * size);
    if size == 0 {
        return out;
    }
    let blocks = rows_per_chunk(size);
    chunked(&mut out, blocks * size, |i, out| {
        for (j, mut out) in out.chunks_exact_mut(size).enumerate() {
            for (values, width) in parts {
                let (head, rest) = out.split_at_mut(*width);
                head.copy_from_slice(part(values, i * blocks + j, *width));
                out = rest;
            }
        }
    });
    out
}

/// Takes `len` values from `start` on out of each of `outer` blocks of `size` values.
pub fn narrow(x: &[f32], outer: usize, size: usize, start: usize, len: usize) -> Vec<f32> {
    let mut out = uninit(outer * len);
    if len == 0 {
        return out;
    }
    let blocks = rows_per_chunk(len);
    chunked(&mut out, blocks * len, |i, out| {
        for (j, out) in out.chunks_exact_mut(len).enumerate() {
            let at = (i * blocks + j) * size + start;
            out.copy_from_slice(&x[at..at + len]);
        }
    });
    out
}

/// The reverse of [`narrow`]: zeros around `gradient`.
pub fn widen(gradient: &[f32], outer: usize, size: usize, start: usize, len: usize) -> Vec<f32> {
    let mut out = uninit(outer * size);
    if size == 0 {
        return out;
    }
    let blocks = rows_per_chunk(size);
    chunked(&mut out, blocks * size, |i, out| {
        for (j, out) in out.chunks_exact_mut(size).enumerate() {
            let at = (i * blocks + j) * len;
            out[..start].fill(0.0);
            out[start..start + len].copy_from_slice(&gradient[at..at + len]);
            out[start + len..].fill(0.0);
        }
    });
    out
}

/// The mean of the `n` rows of each batch element: `[B, N, C]` to `[B, C]`.
pub fn mean_rows(x: &[f32], n: usize, width: usize) -> Vec<f32> {
    let batch = x.len() / (n * width).max(1);
    let mut out = vec![0.0; batch * width];
    chunked(&mut out, width, |b, out| {
        for row in part(x, b, n * width).chunks_exact(width) {
            add_row(out, row, 1.0);
        }
        out.iter_mut().for_each(|x| *x /= n as f32);
    });
    out
}

/// The backward pass of [`mean_rows`].
pub fn mean_rows_backward(gradient: &[f32], n: usize, width: usize) -> Vec<f32> {
    let mut out = uninit(gradient.len() * n);
    chunked(&mut out, n * width, |b, out| {
        for row in out.chunks_exact_mut(width.max(1)) {
            row.iter_mut().zip(part(gradient, b, width)).for_each(|(x, g)| *x = g / n as f32);
        }
    });
    out
}

/// `[B, H, W, C]` to `[B, H/f, W/f, C*f*f]`, channels in the order `c*f*f + dy*f + dx`.
pub fn pixel_unshuffle(x: &[f32], (h, w, c): (usize, usize, usize), f: usize) -> Vec<f32> {
    let mut out = uninit(x.len());
    let (rows, cols) = (h / f, w / f);
    chunked(&mut out, cols * c * f * f, |i, out| {
        let (b, y) = (i / rows, i % rows);
        for (x_out, out) in out.chunks_exact_mut((c * f * f).max(1)).enumerate() {
            for (dy, dx) in (0..f).flat_map(|dy| (0..f).map(move |dx| (dy, dx))) {
                let at = ((b * h + y * f + dy) * w + x_out * f + dx) * c;
                for (k, value) in x[at..at + c].iter().enumerate() {
                    out[(k * f + dy) * f + dx] = *value;
                }
            }
        }
    });
    out
}

/// The reverse of [`pixel_unshuffle`]; `h`, `w`, `c` are those of its result.
pub fn pixel_shuffle(x: &[f32], (h, w, c): (usize, usize, usize), f: usize) -> Vec<f32> {
    let mut out = uninit(x.len());
    let (rows, cols) = (h / f, w / f);
    chunked(&mut out, w * c, |i, out| {
        let (b, y) = (i / h, i % h);
        for (x_out, out) in out.chunks_exact_mut(c.max(1)).enumerate() {
            let at = ((b * rows + y / f) * cols + x_out / f) * c * f * f;
            let inner = (y % f) * f + x_out % f;
            for (k, out) in out.iter_mut().enumerate() {
                *out = x[at + k * f * f + inner];
            }
        }
    });
    out
}

/// The mean of each `f` x `f` square: `[B, H, W, C]` to `[B, H/f, W/f, C]`.
pub fn average_pool(x: &[f32], (h, w, c): (usize, usize, usize), f: usize) -> Vec<f32> {
    let (rows, cols) = (h / f, w / f);
    let mut out = vec![0.0; x.len() / (h * w * c).max(1) * rows * cols * c];
    let factor = 1.0 / (f * f) as f32;
    chunked(&mut out, cols * c, |i, out| {
        let (b, y) = (i / rows, i % rows);
        for (x_out, out) in out.chunks_exact_mut(c.max(1)).enumerate() {
            for (dy, dx) in (0..f).flat_map(|dy| (0..f).map(move |dx| (dy, dx))) {
                let at = ((b * h + y * f + dy) * w + x_out * f + dx) * c;
                add_row(out, &x[at..at + c], factor);
            }
        }
    });
    out
}

/// The backward pass of [`average_pool`].
pub fn average_pool_backward(g: &[f32], (h, w, c): (usize, usize, usize), f: usize) -> Vec<f32> {
    let (rows, cols) = (h / f, w / f);
    let batch = g.len() / (rows * cols * c).max(1);
    let mut out = vec![0.0; batch * h * w * c];
    let factor = 1.0 / (f * f) as f32;
    chunked(&mut out, w * c, |i, out| {
        let (b, y) = (i / h, i % h);
        if y / f < rows {
            for (x, out) in out.chunks_exact_mut(c.max(1)).take(cols * f).enumerate() {
                let at = ((b * rows + y / f) * cols + x / f) * c;
                add_row(out, &g[at..at + c], factor);
            }
        }
    });
    out
}
