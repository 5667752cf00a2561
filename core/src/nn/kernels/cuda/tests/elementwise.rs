//! Value by value, and sums of rows.

use super::{covering, for_every_kind, near, numbers, put, stored};
use crate::nn::kernels::cuda::{Kind, elementwise as cuda};
use crate::nn::kernels::elementwise as cpu;

#[test]
fn sums_and_products_are_the_cpus() {
    let kernels = ["add", "sub", "mul", "scale", "scale_assign", "add_assign", "exponential"];
    for_every_kind(&kernels, |gpu, kind| {
        for n in [0, 1, 5, 1030] {
            let [(a, ha), (b, hb)] = [put(gpu, kind, 1, n), put(gpu, kind, 2, n)];
            near("add", &cuda::add(&a, &b).unwrap(), &cpu::add(&ha, &hb));
            near("sub", &cuda::sub(&a, &b).unwrap(), &cpu::sub(&ha, &hb));
            near("mul", &cuda::mul(&a, &b).unwrap(), &cpu::mul(&ha, &hb));
            near("scale", &cuda::scale(&a, 1.7).unwrap(), &cpu::scale(&ha, 1.7));
            let exponentials: Vec<_> = ha.iter().map(|x| x.exp()).collect();
            near("exp", &cuda::exp(&a).unwrap(), &exponentials);
            let by = gpu.upload(Kind::F32, &[0.3]).unwrap();
            near("scale_by", &cuda::scale_by(&a, &by).unwrap(), &cpu::scale(&ha, 0.3));
            let mut sum = a.copy().unwrap();
            cuda::add_assign(&mut sum, &b).unwrap();
            near("add_assign", &sum, &cpu::add(&ha, &hb));
            cuda::scale_assign(&mut sum, Some(&by), 2.0).unwrap();
            near("scale_assign", &sum, &cpu::scale(&cpu::add(&ha, &hb), 0.6));
            let (da, db) = cuda::mul_backward(&a, &a, &b).unwrap();
            let (hda, hdb) = cpu::mul_backward(&ha, &ha, &hb);
            near("da", &da, &hda);
            near("db", &db, &hdb);
        }
    });
}

#[test]
fn values_of_16_bits_are_added_to_f32() {
    covering(&["add_assign_float", "widen", "narrow"], |gpu| {
        for (kind, n) in [(Kind::Bf16, 1027), (Kind::F16, 6), (Kind::F32, 3)] {
            let ((x, hx), (mut y, hy)) = (put(gpu, kind, 1, n), put(gpu, Kind::F32, 2, n));
            cuda::add_assign(&mut y, &x).unwrap();
            near("add_assign", &y, &cpu::add(&hy, &hx));
            let back = x.cast(Kind::F32).unwrap().cast(kind).unwrap();
            assert_eq!(back.download().unwrap(), hx, "{kind:?} survives a way through f32");
            let fine = numbers(3, n);
            let rounded = gpu.upload(Kind::F32, &fine).unwrap().cast(kind).unwrap();
            assert_eq!(rounded.download().unwrap(), stored(kind, &fine), "rounding to {kind:?}");
        }
        // Halves between neighbours, the largest and the smallest, and beyond them.
        let odd =
            [1.0 + 1.0 / 2048.0, 65519.0, 65520.0, 6e-8, 2.9e-8, 1e-5, -0.0, f32::MIN, 3.4e38];
        for kind in [Kind::Bf16, Kind::F16] {
            let rounded = gpu.upload(Kind::F32, &odd).unwrap().cast(kind).unwrap();
            assert_eq!(rounded.download().unwrap(), stored(kind, &odd), "rounding to {kind:?}");
        }
    });
}

#[test]
fn broadcasts_and_sums_of_rows_are_the_cpus() {
    let kernels = ["add_rows", "mul_rows", "scale_rows", "dot_rows", "sum_rows", "sum_parts"];
    for_every_kind(&kernels, |gpu, kind| {
        for (rows, width) in [(1, 1), (5, 33), (130, 9), (2, 300), (0, 4)] {
            let put = |seed, len| put(gpu, kind, seed, len);
            let [(a, ha), (b, hb)] = [put(1, rows * width), put(2, rows * width)];
            let [(row, hrow), (factors, hfactors)] = [put(3, width), put(4, rows)];
            near("add_rows", &cuda::add_rows(&a, &row).unwrap(), &cpu::add_rows(&ha, &hrow));
            near("mul_rows", &cuda::mul_rows(&a, &row).unwrap(), &cpu::mul_rows(&ha, &hrow));
            let scaled = cuda::scale_rows(&a, &factors, width).unwrap();
            near("scale_rows", &scaled, &cpu::scale_rows(&ha, &hfactors, width));
            let dots = cuda::dot_rows(&a, &b, width).unwrap();
            near("dot_rows", &dots, &cpu::dot_rows(&ha, &hb, width));
            near("sum_rows", &cuda::sum_rows(&a, width).unwrap(), &cpu::sum_rows(&ha, width));
            let products = cuda::sum_product_rows(&a, &b, width).unwrap();
            near("sum_product_rows", &products, &cpu::sum_product_rows(&ha, &hb, width));
        }
    });
}

#[test]
fn a_sum_is_that_of_all_values() {
    covering(&["sum_all"], |gpu| {
        for n in [0, 1, 1000] {
            let (x, hx) = put(gpu, Kind::F32, 1, n);
            near("sum", &cuda::sum(&x).unwrap(), &[hx.iter().sum()]);
        }
    });
}
