//! The two passes of Pillow's resampling, over 8-bit pixels and fixed-point weights, in integers: the
//! same bits with every instruction set.

use super::simd::simd;

/// Fractional bits of a weight, as in Pillow.
pub(crate) const BITS: u32 = 22;

/// Rows of the horizontal pass that are worked on at once, one in each lane.
pub(crate) const ROWS: usize = 16;
/// Values of a pixel in all lanes.
const PIXEL: usize = 3 * ROWS;
/// Values of a row of the vertical pass that are summed in registers.
const BLOCK: usize = 64;

/// What each output along an axis is made of.
#[derive(Debug, Default)]
pub(crate) struct Windows {
    /// The first input of each.
    pub starts: Vec<usize>,
    /// Where its weights begin; and where the last one's end.
    pub ends: Vec<usize>,
    /// In fixed point, 1 in all for each output.
    pub weights: Vec<i32>,
}

impl Windows {
    /// The number of outputs.
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// The first input of an output, and its weights.
    #[inline(always)]
    fn of(&self, out: usize) -> (usize, &[i32]) {
        (self.starts[out], &self.weights[self.ends[out]..self.ends[out + 1]])
    }
}

#[inline(always)]
fn rounded(sum: i32) -> u8 {
    (sum >> BITS).clamp(0, 255) as u8
}

simd! {
    /// Rows of RGB pixels, `ROWS` or fewer, resized to the windows' number of pixels each. `lanes` is
    /// room to work in.
    pub(crate) fn across(from: &[u8], to: &mut [u8], windows: &Windows, rows: usize, lanes: &mut Vec<u8>) {
        let (width, out) = (from.len() / rows, 3 * windows.len());
        // [x][channel][row]
        lanes.clear();
        lanes.resize(width * ROWS, 0);
        for (row, values) in from.chunks_exact(width).enumerate() {
            for (value, lane) in values.iter().zip(lanes.chunks_exact_mut(ROWS)) {
                lane[row] = *value;
            }
        }
        for x in 0..windows.len() {
            let (start, weights) = windows.of(x);
            let mut sums = [1 << (BITS - 1); PIXEL];
            let pixels = lanes[start * PIXEL..].chunks_exact(PIXEL);
            for (weight, pixel) in weights.iter().zip(pixels) {
                for (sum, value) in sums.iter_mut().zip(pixel) {
                    *sum += weight * i32::from(*value);
                }
            }
            let mut pixel = [0; PIXEL];
            for (to, sum) in pixel.iter_mut().zip(&sums) {
                *to = rounded(*sum);
            }
            for (row, to) in to.chunks_exact_mut(out).enumerate() {
                let to = &mut to[3 * x..3 * x + 3];
                to[0] = pixel[row];
                to[1] = pixel[ROWS + row];
                to[2] = pixel[2 * ROWS + row];
            }
        }
    }

    /// One row of the output: of rows of `to.len()` values each, from the window's first on.
    pub(crate) fn down(from: &[u8], to: &mut [u8], windows: &Windows, out: usize) {
        let row = to.len();
        let (start, weights) = windows.of(out);
        let from = &from[start * row..];
        let whole = row / BLOCK * BLOCK;
        for at in (0..whole).step_by(BLOCK) {
            let mut sums = [1 << (BITS - 1); BLOCK];
            for (k, weight) in weights.iter().enumerate() {
                let values = &from[k * row + at..k * row + at + BLOCK];
                for (sum, value) in sums.iter_mut().zip(values) {
                    *sum += weight * i32::from(*value);
                }
            }
            for (to, sum) in to[at..at + BLOCK].iter_mut().zip(&sums) {
                *to = rounded(*sum);
            }
        }
        for at in whole..row {
            let products = weights.iter().enumerate();
            let sum: i32 = products.map(|(k, w)| w * i32::from(from[k * row + at])).sum();
            to[at] = rounded(sum + (1 << (BITS - 1)));
        }
    }
}
