//! Norms.

use super::{for_every_kind, near, put};
use crate::nn::kernels::cuda::norm as cuda;
use crate::nn::kernels::norm::{self as cpu, Wanted};

#[test]
fn norms_and_their_gradients_are_the_cpus() {
    let kernels = ["norm_rows", "norm_backward_input", "norm_backward_parameters"];
    for_every_kind(&kernels, |gpu, kind| {
        for (rows, c) in [(1, 1), (3, 7), (2, 130), (70, 33), (0, 8)] {
            let put = |seed, len| put(gpu, kind, seed, len);
            let [(x, hx), (g, hg)] = [put(1, rows * c), put(2, rows * c)];
            let [(w, hw), (b, hb)] = [put(3, c), put(4, c)];
            let wanted = Wanted { input: true, parameters: true };
            let (y, stats) = cuda::layer_norm(&x, &w, &b, 1e-5).unwrap();
            let (hy, hstats) = cpu::layer_norm(&hx, &hw, &hb, 1e-5);
            near("layer norm", &y, &hy);
            if c > 1 {
                near("its statistics", &stats, &hstats);
                let (dx, dw, db) = cuda::layer_norm_backward(&g, &stats, &x, &w, wanted).unwrap();
                let (hdx, hdw, hdb) = cpu::layer_norm_backward(&hg, &hstats, &hx, &hw, wanted);
                near("dx", &dx, &hdx);
                near("dw", &dw, &hdw);
                near("db", &db, &hdb);
            }
            let (y, stats) = cuda::rms_norm(&x, &w, 1e-5).unwrap();
            let (hy, hstats) = cpu::rms_norm(&hx, &hw, 1e-5);
            near("rms norm", &y, &hy);
            let (dx, dw) = cuda::rms_norm_backward(&g, &stats, &x, &w, wanted).unwrap();
            let (hdx, hdw) = cpu::rms_norm_backward(&hg, &hstats, &hx, &hw, wanted);
            near("rms dx", &dx, &hdx);
            near("rms dw", &dw, &hdw);
            let none = Wanted { input: false, parameters: false };
            let (dx, dw) = cuda::rms_norm_backward(&g, &stats, &x, &w, none).unwrap();
            assert!(dx.is_empty() && dw.is_empty(), "what is not wanted is not computed");
        }
    });
}
