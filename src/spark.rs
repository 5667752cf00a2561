//! Curves in one line of text.

const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The means of as many stretches of a curve, at most `count`.
pub fn stretches(values: &[f64], count: usize) -> Vec<f64> {
    let count = count.min(values.len());
    let mean = |chunk: &[f64]| chunk.iter().sum::<f64>() / chunk.len().max(1) as f64;
    (0..count)
        .map(|at| mean(&values[at * values.len() / count..(at + 1) * values.len() / count]))
        .collect()
}

/// A block for each value, its height the value's place in a range.
pub fn line(values: &[f64], (low, high): (f64, f64)) -> String {
    let block = |value: &f64| {
        let share = (value - low) / (high - low).max(f64::MIN_POSITIVE);
        BLOCKS[((share * 7.0).round().max(0.0) as usize).min(7)]
    };
    values.iter().map(block).collect()
}

/// The line of a curve over its own range.
pub fn of(values: &[f64], count: usize) -> String {
    let values = stretches(values, count);
    let low = values.iter().copied().fold(f64::MAX, f64::min);
    let high = values.iter().copied().fold(f64::MIN, f64::max);
    line(&values, (low, high))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_is_drawn_by_its_stretches() {
        assert_eq!(line(&[0.0, 1.0, 0.5], (0.0, 1.0)), "▁█▅");
        assert_eq!(of(&[4.0, 4.0, 2.0, 2.0, 0.0, 0.0], 3), "█▅▁");
        assert_eq!(stretches(&[1.0, 2.0], 8).len(), 2);
        assert_eq!(of(&[], 8), "");
    }
}
