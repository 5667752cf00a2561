//! Run-time dispatch (AVX-512, AVX2 with FMA, NEON, plain) for loops that the compiler vectorises,
//! and the transcendental functions they need.
//!
//! A kernel is written once as a plain loop inside [`simd!`], which compiles it once per
//! instruction set. Inside, `FMA` says whether a fused multiply-add is one instruction.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};

/// The lanes of an accumulator: one AVX-512 register, two AVX2 or four NEON registers.
pub const LANES: usize = 16;
/// Partial sums of a reduction, in a fixed order whatever the instruction set.
pub type Lanes = [f32; LANES];

/// Declares functions that are compiled for every instruction set and chosen at run time.
macro_rules! simd {
    ($($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block)*) => {$(
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            #[allow(clippy::too_many_arguments, clippy::extra_unused_type_parameters)]
            fn body<const FMA: bool>($($arg: $ty),*) $(-> $ret)? $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
                #[allow(clippy::too_many_arguments)]
                fn avx512($($arg: $ty),*) $(-> $ret)? { body::<true>($($arg),*) }
                #[target_feature(enable = "avx2,fma")]
                #[allow(clippy::too_many_arguments)]
                fn avx2($($arg: $ty),*) $(-> $ret)? { body::<true>($($arg),*) }
                match $crate::nn::kernels::simd::level() {
                    // SAFETY: a level is used only where `available` found every feature of it.
                    $crate::nn::kernels::simd::Level::Avx512 => unsafe { avx512($($arg),*) },
                    // SAFETY: as above.
                    $crate::nn::kernels::simd::Level::Avx2 => unsafe { avx2($($arg),*) },
                    $crate::nn::kernels::simd::Level::Plain => body::<false>($($arg),*),
                }
            }
            #[cfg(not(target_arch = "x86_64"))]
            body::<{ cfg!(target_arch = "aarch64") }>($($arg),*)
        }
    )*};
}
pub(crate) use simd;

/// An instruction set that kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Level {
    /// What every processor of the architecture has: on 64-bit ARM that is NEON.
    Plain = 1,
    /// AVX2 with FMA.
    Avx2 = 2,
    /// AVX-512 (F, BW, DQ, VL).
    Avx512 = 3,
}

impl Level {
    /// All of them, from the plainest on.
    pub const ALL: [Level; 3] = [Level::Plain, Level::Avx2, Level::Avx512];

    /// Whether this processor has it.
    pub fn available(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            let avx2 = has!("avx2") && has!("fma");
            let wide = || has!("avx512f") && has!("avx512bw") && has!("avx512dq");
            match self {
                Level::Plain => true,
                Level::Avx2 => avx2,
                Level::Avx512 => avx2 && wide() && has!("avx512vl"),
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            self == Level::Plain
        }
    }

    fn best() -> Level {
        Level::ALL.into_iter().rfind(|level| level.available()).unwrap_or(Level::Plain)
    }
}

/// The level in use; 0 before the first kernel.
static LEVEL: AtomicU8 = AtomicU8::new(0);
/// Whether it was forced, so that matrix products must follow.
static FORCED: AtomicBool = AtomicBool::new(false);

/// Uses `level` from now on, and says whether the processor has it: for tests. Results of different
/// levels differ in their last bits.
pub fn force(level: Level) -> bool {
    let available = level.available();
    if available {
        FORCED.store(true, Relaxed);
        LEVEL.store(level as u8, Relaxed);
    }
    available
}

/// The forced level, if there is one.
pub(super) fn forced() -> Option<Level> {
    FORCED.load(Relaxed).then(level)
}

/// The level in use: the best one of this processor, unless another was forced.
#[inline]
pub(crate) fn level() -> Level {
    match LEVEL.load(Relaxed) {
        1 => Level::Plain,
        2 => Level::Avx2,
        3 => Level::Avx512,
        _ => {
            let best = Level::best();
            // Another thread may have forced one meanwhile.
            let _ = LEVEL.compare_exchange(0, best as u8, Relaxed, Relaxed);
            level()
        }
    }
}

/// `a * b + c`, fused where that is one instruction.
#[inline(always)]
pub fn fma<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// The exponential, to 1e-7 relative; 0 below -87.3, saturating above 88.
#[inline(always)]
pub fn exp<const FMA: bool>(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0;
    let clamped = x.clamp(-87.3, 88.0);
    let shifted = fma::<FMA>(clamped, std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = fma::<FMA>(n, -0.693_359_4, clamped);
    let r = fma::<FMA>(n, 2.121_944_4e-4, r);
    let p = fma::<FMA>(1.987_569_1e-4, r, 1.398_2e-3);
    let p = fma::<FMA>(p, r, 8.333_452e-3);
    let p = fma::<FMA>(p, r, 4.166_579_6e-2);
    let p = fma::<FMA>(p, r, 1.666_666_5e-1);
    let p = fma::<FMA>(p, r, 0.5);
    let p = fma::<FMA>(p * r, r, r) + 1.0;
    let scale = f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000));
    if x < -87.3 { 0.0 } else { p * scale }
}

/// `1 / (1 + exp(-x))`.
#[inline(always)]
pub fn sigmoid<const FMA: bool>(x: f32) -> f32 {
    1.0 / (1.0 + exp::<FMA>(-x))
}

/// The error function, to 4e-7 absolute and exact from 4 on: the rational approximation of Eigen
/// and XLA.
#[inline(always)]
pub fn erf<const FMA: bool>(x: f32) -> f32 {
    let s = x * x;
    let p = fma::<FMA>(s, -2.726_142_3e-10, 2.770_681_4e-8);
    let p = fma::<FMA>(p, s, -2.101_024e-6);
    let p = fma::<FMA>(p, s, -5.692_506_4e-5);
    let p = fma::<FMA>(p, s, -7.349_906_3e-4);
    let p = fma::<FMA>(p, s, -2.954_6e-3);
    let p = fma::<FMA>(p, s, -1.609_603_3e-2);
    let q = fma::<FMA>(s, -1.456_607_2e-5, -2.133_740_6e-4);
    let q = fma::<FMA>(q, s, -1.682_827e-3);
    let q = fma::<FMA>(q, s, -7.373_329_2e-3);
    let q = fma::<FMA>(q, s, -1.426_473_9e-2);
    if s < 15.5 { x * p / q } else { 1.0_f32.copysign(x) }
}

/// The sum of `LANES` partial sums, pairwise, in a fixed order.
#[inline(always)]
pub fn total(mut lanes: Lanes) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// The sum of `f(i)` over `values`, in lanes, in a fixed order.
#[inline(always)]
pub fn sum_of(values: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane += f(value);
        }
    }
    for (lane, &value) in lanes.iter_mut().zip(rest) {
        *lane += f(value);
    }
    total(lanes)
}

/// The sum of `f(x, y)` over pairs, in lanes, in a fixed order.
#[inline(always)]
pub fn sum_of_pairs(x: &[f32], y: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0.0; LANES];
    let ((xs, x_rest), (ys, y_rest)) = (x.as_chunks::<LANES>(), y.as_chunks::<LANES>());
    for (x, y) in xs.iter().zip(ys) {
        for ((lane, &x), &y) in lanes.iter_mut().zip(x).zip(y) {
            *lane += f(x, y);
        }
    }
    for ((lane, &x), &y) in lanes.iter_mut().zip(x_rest).zip(y_rest) {
        *lane += f(x, y);
    }
    total(lanes)
}

/// The greatest value; negative infinity of nothing.
#[inline(always)]
pub fn max_of(values: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane = if value > *lane { value } else { *lane };
        }
    }
    rest.iter().chain(&lanes).fold(f32::NEG_INFINITY, |a, &b| if b > a { b } else { a })
}
