//! Matrix products in a given instruction set: the crate itself takes the best one only.

use super::simd::Level;
use gemm_common::Parallelism;
use gemm_common::gemm::gemm_basic_generic;

/// The crate's signature: sizes, output, left and right side with their strides, factors, and
/// conjugations, which f32 has none of.
pub(super) type Product = unsafe fn(
    usize,
    usize,
    usize,
    *mut f32,
    isize,
    isize,
    bool,
    *const f32,
    isize,
    isize,
    *const f32,
    isize,
    isize,
    f32,
    f32,
    bool,
    bool,
    bool,
    Parallelism,
);

macro_rules! product {
    ($name:ident, $simd:ident, $lanes:expr) => {
        /// # Safety
        /// The matrices lie inside their memory, and the processor has the instructions.
        #[allow(clippy::too_many_arguments)]
        unsafe fn $name(
            m: usize,
            n: usize,
            k: usize,
            dst: *mut f32,
            dst_cs: isize,
            dst_rs: isize,
            read_dst: bool,
            lhs: *const f32,
            lhs_cs: isize,
            lhs_rs: isize,
            rhs: *const f32,
            rhs_cs: isize,
            rhs_rs: isize,
            alpha: f32,
            beta: f32,
            conj_dst: bool,
            conj_lhs: bool,
            conj_rhs: bool,
            parallelism: Parallelism,
        ) {
            use gemm_common::simd::{MixedSimd, $simd};
            use gemm_f32::microkernel::$name::f32::{H_M, H_N, H_UKR, MR_DIV_N, NR, UKR};
            let Some(simd) = <$simd as MixedSimd<f32, f32, f32, f32>>::try_new() else { return };
            // SAFETY: the caller's contract is passed on.
            unsafe {
                gemm_basic_generic::<
                    _,
                    f32,
                    { $lanes },
                    { MR_DIV_N * $lanes },
                    NR,
                    MR_DIV_N,
                    H_M,
                    H_N,
                >(
                    simd,
                    m,
                    n,
                    k,
                    dst,
                    dst_cs,
                    dst_rs,
                    read_dst,
                    lhs,
                    lhs_cs,
                    lhs_rs,
                    rhs,
                    rhs_cs,
                    rhs_rs,
                    alpha,
                    beta,
                    conj_dst,
                    conj_lhs,
                    conj_rhs,
                    |a, b, c| a * b + c,
                    &UKR,
                    &H_UKR,
                    false,
                    parallelism,
                );
            }
        }
    };
}

product!(scalar, Scalar, 1);
#[cfg(target_arch = "x86_64")]
product!(fma, V3, 8);
#[cfg(target_arch = "x86_64")]
product!(avx512f, V4, 16);

/// The product in `level`'s instructions.
pub(super) fn product(level: Level) -> Product {
    match level {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => avx512f,
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => fma,
        _ => scalar,
    }
}
