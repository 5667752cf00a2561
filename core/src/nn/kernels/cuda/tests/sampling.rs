//! Sampling at points, and the losses of detectors.

use super::{for_every_kind, near, near_by, numbers, put, stored};
use crate::nn::kernels as cpu;
use crate::nn::kernels::cuda::{Kind, deformable, detection, grid_sample};

#[test]
fn grid_sampling_and_its_gradients_are_the_cpus() {
    let kernels = ["grid_sample", "grid_sample_backward_points", "grid_sample_backward_map"];
    for_every_kind(&kernels, |gpu, kind| {
        for (map, points, align_corners) in
            [((4, 5, 3), 6, false), ((3, 2, 33), 300, true), ((1, 1, 1), 2, false)]
        {
            let s = cpu::grid_sample::Shape { map, points, align_corners };
            let (x, hx) = put(gpu, kind, 1, 2 * map.0 * map.1 * map.2);
            let (g, hg) = put(gpu, kind, 2, 2 * points * map.2);
            // Some of them outside, and one very far out.
            let mut at: Vec<f32> = numbers(3, 4 * points).iter().map(|x| 1.3 * x).collect();
            at[0] = 1e30;
            for stored_as in [Kind::F32, kind] {
                let at = stored(stored_as, &at);
                let grid = gpu.upload(stored_as, &at).unwrap();
                let y = grid_sample::grid_sample(s, &x, &grid).unwrap();
                near("sample", &y, &cpu::grid_sample::grid_sample(s, &hx, &at));
                let (dx, dgrid) = grid_sample::grid_sample_backward(s, &g, &x, &grid).unwrap();
                let theirs = cpu::grid_sample::grid_sample_backward(s, &hg, &hx, &at);
                near("dx", &dx, &theirs.0);
                near_by("dgrid", &dgrid, &theirs.1, 5e-5);
            }
        }
    });
}

#[test]
fn deformable_attention_and_its_gradients_are_the_cpus() {
    let kernels = ["deformable", "deformable_backward_points", "deformable_backward_value"];
    for_every_kind(&kernels, |gpu, kind| {
        for (levels, queries, heads, points) in
            [(&[(4, 3), (2, 2), (1, 1)][..], 7, (2, 5), 3), (&[(2, 3)][..], 300, (1, 3), 1)]
        {
            let s = cpu::deformable::Shape { queries, heads, levels, points };
            let reads = 2 * queries * heads.0 * levels.len() * points;
            let put = |seed, len| put(gpu, kind, seed, len);
            let (value, hvalue) = put(1, 2 * s.vectors() * heads.0 * heads.1);
            let (weights, hweights) = put(2, reads);
            let at: Vec<f32> = numbers(3, 2 * reads).iter().map(|x| 0.5 + 0.7 * x).collect();
            let at = stored(kind, &at);
            let points = gpu.upload(kind, &at).unwrap();
            let (g, hg) = put(4, 2 * queries * heads.0 * heads.1);
            let y = deformable::deformable(s, &value, &points, &weights).unwrap();
            near("deformable", &y, &cpu::deformable::deformable(s, &hvalue, &at, &hweights));
            let ours = deformable::deformable_backward(s, &g, [&value, &points, &weights]).unwrap();
            let saved = [&hvalue[..], &at, &hweights];
            let theirs = cpu::deformable::deformable_backward(s, &hg, saved);
            for (name, (ours, theirs)) in
                ["dvalue", "dat", "dweights"].iter().zip(ours.iter().zip(&theirs))
            {
                near_by(name, ours, theirs, 5e-5);
            }
        }
    });
}

#[test]
fn the_losses_of_detectors_are_the_cpus() {
    for_every_kind(&["sigmoid_focal", "giou", "sum_doubles"], |gpu, kind| {
        let (rows, classes) = (300, 7);
        let (logits, hlogits) = put(gpu, kind, 1, rows * classes);
        let labels: Vec<u32> = (0..rows as u32).map(|i| i % (classes as u32 + 1)).collect();
        let (loss, gradient) =
            detection::sigmoid_focal(&logits, classes, &labels, (0.25, 2.0)).unwrap();
        let theirs = cpu::detection::sigmoid_focal(&hlogits, classes, &labels, (0.25, 2.0));
        near("focal", &loss, &theirs.0);
        near("its gradient", &gradient, &theirs.1);
        let mut logs = numbers(2, 4 * rows);
        // Beyond the greatest logarithm of a distance.
        logs[1] = 9.0;
        let logs = stored(kind, &logs);
        let right: Vec<f32> = numbers(3, 4 * rows).iter().map(|x| x.abs() + 0.1).collect();
        let weights: Vec<f32> = (0..rows).map(|i| (i % 3) as f32).collect();
        let boxes = gpu.upload(kind, &logs).unwrap();
        let (loss, gradient) = detection::giou(&boxes, &right, &weights).unwrap();
        let theirs = cpu::detection::giou(&logs, &right, &weights);
        near("giou", &loss, &theirs.0);
        near("its gradient", &gradient, &theirs.1);
    });
}
