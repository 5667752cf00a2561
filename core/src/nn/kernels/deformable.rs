//! Multi-scale deformable attention (Zhu et al., arXiv 2010.04159): every query reads each level of
//! a pyramid at a few points of its own, bilinearly, with weights of its own.

use rayon::prelude::*;

use super::memory::{chunked, part, rows_per_chunk};
use super::simd::{simd, sum_of_pairs};

/// The sizes of a sampling. Points lie in `[0, 1]`, (x, y), over the whole map: pixels' centres are
/// at halves (`align_corners` is false), and outside is zero.
#[derive(Debug, Clone, Copy)]
pub struct Shape<'a> {
    /// Queries per batch element.
    pub queries: usize,
    /// Heads, and channels of each.
    pub heads: (usize, usize),
    /// Rows and columns of each level.
    pub levels: &'a [(usize, usize)],
    /// Points per level.
    pub points: usize,
}

simd! {
    fn add_weighted(out: &mut [f32], x: &[f32], weight: f32) {
        for (out, x) in out.iter_mut().zip(x) {
            *out += x * weight;
        }
    }
    fn dot(a: &[f32], b: &[f32]) -> f32 {
        sum_of_pairs(a, b, |a, b| a * b)
    }
}

/// A pixel around a point: its place among all levels' vectors, its weight, and the weight's slopes
/// by the point's coordinates.
type Corner = (Option<usize>, f32, [f32; 2]);

fn corners(point: &[f32], (h, w): (usize, usize), start: usize) -> [Corner; 4] {
    let (width, height) = (w as f32, h as f32);
    // A point this far out reads nothing; it must not overflow the integer below.
    let x = (point[0] * width - 0.5).clamp(-1e6, 1e6);
    let y = (point[1] * height - 0.5).clamp(-1e6, 1e6);
    let (x0, y0) = (x.floor(), y.floor());
    let (tx, ty) = (x - x0, y - y0);
    let corner = |right: bool, below: bool| {
        let (wx, sx) = if right { (tx, width) } else { (1.0 - tx, -width) };
        let (wy, sy) = if below { (ty, height) } else { (1.0 - ty, -height) };
        let (column, row) = (x0 as i64 + i64::from(right), y0 as i64 + i64::from(below));
        let inside = (0..w as i64).contains(&column) && (0..h as i64).contains(&row);
        let pixel = inside.then(|| start + row as usize * w + column as usize);
        (pixel, wx * wy, [sx * wy, wx * sy])
    };
    [corner(false, false), corner(true, false), corner(false, true), corner(true, true)]
}

impl Shape<'_> {
    /// Vectors of all levels.
    pub fn vectors(&self) -> usize {
        self.levels.iter().map(|(h, w)| h * w).sum()
    }

    /// Points of a query's head.
    fn reads(&self) -> usize {
        self.levels.len() * self.points
    }

    /// Each level with the place of its first vector.
    fn starts(&self) -> impl Iterator<Item = ((usize, usize), usize)> {
        self.levels.iter().scan(0, |start, &(h, w)| {
            let at = *start;
            *start += h * w;
            Some(((h, w), at))
        })
    }
}

/// `value` `[B, N, H, D]`, `at` `[B, Q, H, L, P, 2]`, `weights` `[B, Q, H, L, P]` to `[B, Q, H, D]`.
pub fn deformable(s: Shape<'_>, value: &[f32], at: &[f32], weights: &[f32]) -> Vec<f32> {
    let ((heads, d), reads, n) = (s.heads, s.reads(), s.vectors());
    let mut out = vec![0.0; weights.len() / reads.max(1) * d];
    let rows = rows_per_chunk(d);
    chunked(&mut out, rows * d, |i, out| {
        for (j, out) in out.chunks_exact_mut(d).enumerate() {
            let row = i * rows + j; // (batch, query, head)
            let (batch, head) = (row / (s.queries * heads), row % heads);
            let value = part(value, batch, n * heads * d);
            let (at, weights) = (part(at, row, 2 * reads), part(weights, row, reads));
            for (((h, w), start), level) in s.starts().zip(0..) {
                for point in level * s.points..(level + 1) * s.points {
                    let at = &at[2 * point..2 * point + 2];
                    for (pixel, weight, _) in corners(at, (h, w), start) {
                        let Some(pixel) = pixel else { continue };
                        let from = (pixel * heads + head) * d;
                        add_weighted(out, &value[from..from + d], weight * weights[point]);
                    }
                }
            }
        }
    });
    out
}

/// What one head of one batch element gets: the gradients of its values `[N, D]`, of its points
/// `[Q, L, P, 2]` and of its weights `[Q, L, P]`.
struct Part {
    value: Vec<f32>,
    at: Vec<f32>,
    weights: Vec<f32>,
}

fn backward_of_head(
    s: Shape<'_>,
    (batch, head): (usize, usize),
    gradient: &[f32],
    [value, at, weights]: [&[f32]; 3],
) -> Part {
    let ((heads, d), reads, n) = (s.heads, s.reads(), s.vectors());
    let value = part(value, batch, n * heads * d);
    let mut out = Part {
        value: vec![0.0; n * d],
        at: vec![0.0; s.queries * reads * 2],
        weights: vec![0.0; s.queries * reads],
    };
    for query in 0..s.queries {
        let row = (batch * s.queries + query) * heads + head;
        let gradient = part(gradient, row, d);
        let (at, weights) = (part(at, row, 2 * reads), part(weights, row, reads));
        for (((h, w), start), level) in s.starts().zip(0..) {
            for point in level * s.points..(level + 1) * s.points {
                let to = query * reads + point;
                for (pixel, weight, slope) in corners(&at[2 * point..2 * point + 2], (h, w), start)
                {
                    let Some(pixel) = pixel else { continue };
                    let from = (pixel * heads + head) * d;
                    let along = dot(gradient, &value[from..from + d]);
                    out.weights[to] += along * weight;
                    out.at[2 * to] += along * weights[point] * slope[0];
                    out.at[2 * to + 1] += along * weights[point] * slope[1];
                    let dvalue = &mut out.value[pixel * d..(pixel + 1) * d];
                    add_weighted(dvalue, gradient, weight * weights[point]);
                }
            }
        }
    }
    out
}

/// The gradients of values, points and weights; one task per head and batch element, since its
/// points may share pixels.
pub fn deformable_backward(s: Shape<'_>, gradient: &[f32], saved: [&[f32]; 3]) -> [Vec<f32>; 3] {
    let ((heads, d), reads, n) = (s.heads, s.reads(), s.vectors());
    let batch = saved[0].len() / (n * heads * d).max(1);
    let parts: Vec<Part> = (0..batch * heads)
        .into_par_iter()
        .map(|i| backward_of_head(s, (i / heads, i % heads), gradient, saved))
        .collect();
    // Back to the layout in which the heads lie side by side.
    let joined = |rows: usize, width: usize, of: fn(&Part) -> &[f32]| {
        let mut out = super::memory::uninit(batch * rows * heads * width);
        chunked(&mut out, heads * width, |i, out| {
            for (head, out) in out.chunks_exact_mut(width).enumerate() {
                out.copy_from_slice(part(of(&parts[i / rows * heads + head]), i % rows, width));
            }
        });
        out
    };
    [
        joined(n, d, |part| &part.value),
        joined(s.queries, 2 * reads, |part| &part.at),
        joined(s.queries, reads, |part| &part.weights),
    ]
}
