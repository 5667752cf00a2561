//! Bilinear sampling of `[B, H, W, C]` at points of `[-1, 1]`, zeros outside.

use super::memory::{chunked, part, uninit};
use super::simd::{simd, sum_of_pairs};
use rayon::prelude::*;

/// The sizes of a sampling.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Height, width and channels of the map.
    pub map: (usize, usize, usize),
    /// Points per batch element.
    pub points: usize,
    /// Whether -1 and 1 are the centres of the border pixels.
    pub align_corners: bool,
}

/// A corner around a point: its pixel, unless outside; its weight; the weight's slopes.
type Corner = (Option<usize>, f32, [f32; 2]);

impl Shape {
    fn pixels(&self, coordinate: f32, size: usize) -> (f32, f32) {
        let slope = if self.align_corners { (size as f32 - 1.0) / 2.0 } else { size as f32 / 2.0 };
        let at = if self.align_corners {
            (coordinate + 1.0) * slope
        } else {
            ((coordinate + 1.0) * size as f32 - 1.0) / 2.0
        };
        // A point this far out reads nothing; it must not overflow the integer below.
        (at.clamp(-1e6, 1e6), slope)
    }

    /// The four corners of a point, slopes taken by the point's own coordinates.
    fn corners(&self, point: &[f32]) -> [Corner; 4] {
        let (h, w, _) = self.map;
        let ((x, dx), (y, dy)) = (self.pixels(point[0], w), self.pixels(point[1], h));
        let (x0, y0) = (x.floor(), y.floor());
        let (tx, ty) = (x - x0, y - y0);
        let corner = |right: bool, below: bool| {
            let (wx, sx) = if right { (tx, dx) } else { (1.0 - tx, -dx) };
            let (wy, sy) = if below { (ty, dy) } else { (1.0 - ty, -dy) };
            let (column, row) = (x0 as i64 + i64::from(right), y0 as i64 + i64::from(below));
            let inside = (0..w as i64).contains(&column) && (0..h as i64).contains(&row);
            let pixel = inside.then(|| row as usize * w + column as usize);
            (pixel, wx * wy, [sx * wy, wx * sy])
        };
        [corner(false, false), corner(true, false), corner(false, true), corner(true, true)]
    }
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

/// Samples `x` at `grid`, (x, y) pairs.
pub fn grid_sample(s: Shape, x: &[f32], grid: &[f32]) -> Vec<f32> {
    let (h, w, c) = s.map;
    let mut out = vec![0.0; grid.len() / 2 * c];
    let rows = super::memory::rows_per_chunk(c);
    chunked(&mut out, rows * c, |i, out| {
        for (j, out) in out.chunks_exact_mut(c).enumerate() {
            let point = i * rows + j;
            let x = part(x, point / s.points, h * w * c);
            for (pixel, weight, _) in s.corners(&grid[2 * point..2 * point + 2]) {
                if let Some(pixel) = pixel {
                    add_weighted(out, &x[pixel * c..(pixel + 1) * c], weight);
                }
            }
        }
    });
    out
}

/// The gradients of the map and of the grid. Points may share pixels, so that a task owns a band of
/// a map's rows and takes from every point what falls into it.
pub fn grid_sample_backward(
    s: Shape,
    gradient: &[f32],
    x: &[f32],
    grid: &[f32],
) -> (Vec<f32>, Vec<f32>) {
    let (h, w, c) = s.map;
    let (mut dx, mut dgrid) = (vec![0.0; x.len()], uninit(grid.len()));
    let batch = x.len() / (h * w * c).max(1);
    let band = h.div_ceil(16_usize.div_ceil(batch.max(1))).max(1);
    let mut tasks: Vec<(usize, usize, &mut [f32])> = Vec::new();
    for (b, dx) in dx.chunks_mut((h * w * c).max(1)).enumerate() {
        let own = dx.chunks_mut((band * w * c).max(1)).enumerate();
        tasks.extend(own.map(|(i, dx)| (b, i * band * w, dx)));
    }
    tasks.into_par_iter().for_each(|(b, first, dx)| {
        let pixels = first..first + dx.len() / c;
        let points = part(grid, b, 2 * s.points).chunks_exact(2);
        for (point, gradient) in points.zip(part(gradient, b, s.points * c).chunks_exact(c)) {
            for (pixel, weight, _) in s.corners(point) {
                if let Some(pixel) = pixel.filter(|pixel| pixels.contains(pixel)) {
                    let at = (pixel - first) * c;
                    add_weighted(&mut dx[at..at + c], gradient, weight);
                }
            }
        }
    });
    let rows = super::memory::rows_per_chunk(c);
    chunked(&mut dgrid, 2 * rows, |i, dgrid| {
        for (j, dgrid) in dgrid.chunks_exact_mut(2).enumerate() {
            let at = i * rows + j;
            let (x, gradient) = (part(x, at / s.points, h * w * c), part(gradient, at, c));
            dgrid.fill(0.0);
            for (pixel, _, [slope_x, slope_y]) in s.corners(&grid[2 * at..2 * at + 2]) {
                let Some(pixel) = pixel else { continue };
                let along = dot(gradient, &x[pixel * c..(pixel + 1) * c]);
                dgrid[0] += along * slope_x;
                dgrid[1] += along * slope_y;
            }
        }
    });
    (dx, dgrid)
}
