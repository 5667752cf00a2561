//! Resizing channels-last maps. Bilinear and bicubic, antialiased or not, are all separable linear
//! maps with a few taps per output; the backward pass applies the transposed taps.

use super::memory::{chunked, uninit};
use super::simd::{fma, simd};

/// For each output along an axis, which inputs it reads and with what weights.
#[derive(Debug, Clone, Default)]
pub struct Taps {
    starts: Vec<usize>,
    taps: Vec<(usize, f32)>,
}

impl Taps {
    fn from_rows(rows: impl IntoIterator<Item = Vec<(usize, f32)>>) -> Self {
        let mut taps = Taps { starts: vec![0], taps: Vec::new() };
        for row in rows {
            taps.taps.extend(row);
            taps.starts.push(taps.taps.len());
        }
        taps
    }

    fn of(&self, out: usize) -> &[(usize, f32)] {
        &self.taps[self.starts[out]..self.starts[out + 1]]
    }

    /// Where each output's taps begin, and where the last one's end; the taps.
    #[cfg(any(feature = "card", test))]
    pub(super) fn parts(&self) -> (&[usize], &[(usize, f32)]) {
        (&self.starts, &self.taps)
    }

    /// The number of outputs.
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Whether there are no outputs.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The taps of the backward pass, to `size` inputs.
    pub fn transposed(&self, size: usize) -> Taps {
        let mut rows = vec![Vec::new(); size];
        for out in 0..self.len() {
            for &(i, weight) in self.of(out) {
                rows[i].push((out, weight));
            }
        }
        Taps::from_rows(rows)
    }
}

/// PyTorch's `bilinear` along an axis.
pub fn bilinear(size: usize, out: usize, align_corners: bool) -> Taps {
    Taps::from_rows((0..out).map(|i| {
        let at = if align_corners {
            let scale = if out > 1 { (size - 1) as f32 / (out - 1) as f32 } else { 0.0 };
            i as f32 * scale
        } else {
            ((i as f32 + 0.5) * (size as f32 / out as f32) - 0.5).max(0.0)
        };
        let first = (at as usize).min(size - 1);
        let weight = at - first as f32;
        vec![(first, 1.0 - weight), ((first + 1).min(size - 1), weight)]
    }))
}

fn cubic(x: f32, a: f32) -> f32 {
    let x = x.abs();
    if x <= 1.0 {
        ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a
    } else {
        0.0
    }
}

/// PyTorch's `bicubic` along an axis, with corners not aligned.
pub fn bicubic(size: usize, out: usize) -> Taps {
    bicubic_by(size, out, size as f32 / out as f32)
}

/// The same with `step` input pixels from one output pixel to the next, as where PyTorch is given
/// a scale in place of a size.
pub fn bicubic_by(size: usize, out: usize, step: f32) -> Taps {
    Taps::from_rows((0..out).map(|i| {
        let at = (i as f32 + 0.5) * step - 0.5;
        let t = at - at.floor();
        let tap = |j: i64| {
            let index = (at.floor() as i64 + j).clamp(0, size as i64 - 1) as usize;
            (index, cubic(t - j as f32, -0.75))
        };
        (-1..=2).map(tap).collect()
    }))
}

/// PyTorch's antialiased `bilinear` along an axis.
pub fn bilinear_antialias(size: usize, out: usize) -> Taps {
    antialias(size, out, 1.0, |x| (1.0 - x.abs()).max(0.0))
}

/// PyTorch's antialiased `bicubic` along an axis.
pub fn bicubic_antialias(size: usize, out: usize) -> Taps {
    antialias(size, out, 2.0, |x| cubic(x, -0.5))
}

/// A filter that reaches `support` pixels of the smaller of the two grids.
fn antialias(size: usize, out: usize, support: f32, filter: impl Fn(f32) -> f32) -> Taps {
    let scale = size as f32 / out as f32;
    let stretch = scale.max(1.0);
    let support = support * stretch;
    Taps::from_rows((0..out).map(|i| {
        let center = scale * (i as f32 + 0.5);
        let first = (center - support + 0.5).max(0.0) as usize;
        let last = ((center + support + 0.5) as usize).min(size);
        let weight = |j: usize| filter((j as f32 - center + 0.5) / stretch);
        let total: f32 = (first..last).map(weight).sum();
        (first..last).map(|j| (j, weight(j) / total)).collect()
    }))
}

simd! {
    fn weighted(out: &mut [f32], x: &[f32], stride: usize, taps: &[(usize, f32)]) {
        match taps {
            &[(i, wi), (j, wj)] => {
                let (a, b) = (&x[i * stride..][..out.len()], &x[j * stride..][..out.len()]);
                for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
                    *out = fma::<FMA>(*a, wi, b * wj);
                }
            }
            &[(i, wi), (j, wj), (k, wk), (l, wl)] => {
                let n = out.len();
                let (a, b) = (&x[i * stride..][..n], &x[j * stride..][..n]);
                let (c, d) = (&x[k * stride..][..n], &x[l * stride..][..n]);
                for ((out, (a, b)), (c, d)) in
                    out.iter_mut().zip(a.iter().zip(b)).zip(c.iter().zip(d))
                {
                    let sum = fma::<FMA>(*a, wi, b * wj);
                    *out = fma::<FMA>(*d, wl, fma::<FMA>(*c, wk, sum));
                }
            }
            taps => {
                out.fill(0.0);
                for &(i, weight) in taps {
                    for (out, x) in out.iter_mut().zip(&x[i * stride..]) {
                        *out = fma::<FMA>(*x, weight, *out);
                    }
                }
            }
        }
    }
}

/// Applies taps along the middle axis of `[outer, n, inner]`.
pub fn resample(x: &[f32], n: usize, inner: usize, taps: &Taps) -> Vec<f32> {
    let outer = x.len() / (n * inner).max(1);
    let count = taps.len();
    let mut out = uninit(outer * count * inner);
    if inner == 0 || count == 0 {
        return out;
    }
    // Rows of a chunk: a whole axis where the axis is the image's width, one row where its height.
    let rows = super::memory::rows_per_chunk(inner);
    chunked(&mut out, rows * inner, |chunk, out| {
        for (j, out) in out.chunks_exact_mut(inner).enumerate() {
            let row = chunk * rows + j;
            weighted(out, &x[row / count * n * inner..], inner, taps.of(row % count));
        }
    });
    out
}

/// Applies taps along the height and the width of `[B, H, W, C]`.
pub fn resize(x: &[f32], (h, w, c): (usize, usize, usize), down: &Taps, across: &Taps) -> Vec<f32> {
    // The smaller intermediate first.
    if down.len() * w <= h * across.len() {
        resample(&resample(x, h, w * c, down), w, c, across)
    } else {
        resample(&resample(x, w, c, across), h, across.len() * c, down)
    }
}
