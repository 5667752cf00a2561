//! Losses of dense detectors, with their gradients: focal loss, generalised intersection over union.

/// The summed sigmoid focal loss (RetinaNet, arXiv 1708.02002) of logits `[N, classes]` at labels of
/// 0 (none of the classes) or class and 1, a single value, and its gradient.
pub fn sigmoid_focal(
    logits: &[f32],
    classes: usize,
    labels: &[u32],
    (alpha, gamma): (f64, f64),
) -> (Vec<f32>, Vec<f32>) {
    let mut sum = 0.0;
    let mut gradient = Vec::with_capacity(logits.len());
    for (row, label) in logits.chunks_exact(classes.max(1)).zip(labels) {
        for (class, logit) in row.iter().enumerate() {
            let right = *label as usize == class + 1;
            // Of the right answer: its logit, the logarithm of its probability, its weight.
            let x = f64::from(if right { *logit } else { -*logit });
            let log = x.min(0.0) - (-x.abs()).exp().ln_1p();
            let (p, weight) = (log.exp(), if right { alpha } else { 1.0 - alpha });
            let easy = (1.0 - p).powf(gamma);
            sum -= weight * easy * log;
            let slope = weight * easy * (gamma * p * log - (1.0 - p));
            gradient.push(if right { slope } else { -slope } as f32);
        }
    }
    (vec![sum as f32], gradient)
}

/// The greatest logarithm of a distance.
pub(super) const FARTHEST: f32 = 8.0;

/// The distances from a location to the left, upper, right and lower edge of its box.
pub fn distances(logs: &[f32]) -> Vec<f32> {
    logs.iter().map(|log| log.min(FARTHEST).exp()).collect()
}

/// The summed loss `1 - GIoU` (arXiv 1902.09630) of boxes around common locations, given as the
/// logarithms of the four distances `[N, 4]`, against the distances `right`, each times a weight;
/// a single value, and its gradient. A weight of 0 leaves a location out.
pub fn giou(logs: &[f32], right: &[f32], weights: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let mut sum = 0.0;
    let mut gradient = vec![0.0; logs.len()];
    let found = distances(logs);
    let boxes = found.as_chunks::<4>().0.iter().zip(right.as_chunks::<4>().0);
    let rows = boxes.zip(weights).zip(gradient.as_chunks_mut::<4>().0).zip(logs.as_chunks::<4>().0);
    for ((((found, right), weight), gradient), logs) in rows {
        if *weight == 0.0 {
            continue;
        }
        let (loss, slopes) = giou_of(found.map(f64::from), right.map(f64::from));
        sum += f64::from(*weight) * loss;
        for ((gradient, slope), (distance, log)) in
            gradient.iter_mut().zip(slopes).zip(found.iter().zip(logs))
        {
            let moves = if *log < FARTHEST { f64::from(*distance) } else { 0.0 };
            *gradient = (f64::from(*weight) * slope * moves) as f32;
        }
    }
    (vec![sum as f32], gradient)
}

/// `1 - GIoU` of two boxes around one point, by their distances to its left, top, right and bottom,
/// and its derivative by those of the first.
fn giou_of(a: [f64; 4], b: [f64; 4]) -> (f64, [f64; 4]) {
    let [width, height] = [a[0] + a[2], a[1] + a[3]];
    let area = width * height;
    let least: [f64; 4] = std::array::from_fn(|i| a[i].min(b[i]));
    let most: [f64; 4] = std::array::from_fn(|i| a[i].max(b[i]));
    let inner = [least[0] + least[2], least[1] + least[3]];
    let outer = [most[0] + most[2], most[1] + most[3]];
    let both = inner[0] * inner[1];
    let union = area + (b[0] + b[2]) * (b[1] + b[3]) - both;
    let hull = outer[0] * outer[1];
    let slope = |i: usize| {
        // Across for left and right, down for top and bottom.
        let other = 1 - i % 2;
        let d_area = [width, height][other];
        let d_both = if a[i] < b[i] { inner[other] } else { 0.0 };
        let d_hull = if a[i] > b[i] { outer[other] } else { 0.0 };
        let d_union = d_area - d_both;
        -(d_both * union - both * d_union) / union.powi(2)
            - (d_union * hull - union * d_hull) / hull.powi(2)
    };
    (2.0 - both / union - union / hull, std::array::from_fn(slope))
}
