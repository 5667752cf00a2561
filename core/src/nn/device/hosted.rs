//! Kernels that no card has yet: the CPU's, on values that are copied from the card and back. Slow, and
//! right; a test lists them.

use super::done;
use crate::nn::kernels::cuda::Buffer;

/// An argument that is brought to the host.
pub(super) trait Down {
    /// What it is there.
    type Host;
    /// Brings it.
    fn down(self) -> Self::Host;
}

/// What was brought, as the CPU's kernels take it.
pub(super) trait Lend {
    /// As they take it.
    type Lent<'a>
    where
        Self: 'a;
    /// Lends it.
    fn lend(&self) -> Self::Lent<'_>;
}

/// A result that is brought to the card, stored as a value that was there.
pub(super) trait Up {
    /// What it is there.
    type Card;
    /// Brings it.
    fn up(self, like: &Buffer) -> Self::Card;
}

impl Down for &Buffer {
    type Host = Vec<f32>;
    fn down(self) -> Vec<f32> {
        done(self.download())
    }
}

impl Lend for Vec<f32> {
    type Lent<'a> = &'a [f32];
    fn lend(&self) -> &[f32] {
        self
    }
}

impl Down for Option<&Buffer> {
    type Host = Option<Vec<f32>>;
    fn down(self) -> Option<Vec<f32>> {
        self.map(Down::down)
    }
}

impl Lend for Option<Vec<f32>> {
    type Lent<'a> = Option<&'a [f32]>;
    fn lend(&self) -> Option<&[f32]> {
        self.as_deref()
    }
}

impl Down for [&Buffer; 3] {
    type Host = [Vec<f32>; 3];
    fn down(self) -> [Vec<f32>; 3] {
        self.map(Down::down)
    }
}

impl Lend for [Vec<f32>; 3] {
    type Lent<'a> = [&'a [f32]; 3];
    fn lend(&self) -> [&[f32]; 3] {
        self.each_ref().map(Vec::as_slice)
    }
}

/// What lies on the host anyway.
pub(super) struct Plain<T>(T);

impl<T: Copy> Lend for Plain<T> {
    type Lent<'a>
        = T
    where
        Self: 'a;
    fn lend(&self) -> T {
        self.0
    }
}

macro_rules! plain {
    ($($type:ty),* $(,)?) => {$(
        impl Down for $type {
            type Host = Plain<Self>;
            fn down(self) -> Plain<Self> {
                Plain(self)
            }
        }
    )*};
}

plain!(
    usize,
    (usize, usize, usize),
    (f64, f64),
    &[u32],
    &[f32],
    &super::cpu_resize::Taps,
    super::cpu_windows::Shape,
    super::cpu_conv::Shape,
    super::cpu_relative::Shape,
    super::cpu_grid_sample::Shape,
    super::cpu_deformable::Shape<'_>,
);

impl Up for Vec<f32> {
    type Card = Buffer;
    fn up(self, like: &Buffer) -> Buffer {
        done(like.gpu().upload(like.kind(), &self))
    }
}

impl Up for (Vec<f32>, Vec<f32>) {
    type Card = (Buffer, Buffer);
    fn up(self, like: &Buffer) -> (Buffer, Buffer) {
        (self.0.up(like), self.1.up(like))
    }
}

impl Up for [Vec<f32>; 3] {
    type Card = [Buffer; 3];
    fn up(self, like: &Buffer) -> [Buffer; 3] {
        self.map(|values| values.up(like))
    }
}

/// Modules of the CPU's kernels, through the host. The first argument that is named in brackets says
/// how results are stored.
macro_rules! hosted {
    ($($module:ident $(uses $($also:path),+;)? {
        $(fn $name:ident[$like:ident]($($arg:ident: $type:ty),* $(,)?) -> $given:ty;)*
    })*) => {
        /// The kernels that go through the host.
        pub const HOSTED: &[&str] = &[$($(concat!(stringify!($module), "::", stringify!($name))),*),*];
        $(
            #[allow(missing_docs)]
            pub mod $module {
                #[allow(unused_imports)]
                use super::*;
                use super::hosted::{Down as _, Lend as _, Up as _};
                $($(pub use $also;)+)?
                $(pub fn $name($($arg: $type),*) -> $given {
                    let like = $like;
                    $(let $arg = $arg.down();)*
                    crate::nn::kernels::$module::$name($($arg.lend()),*).up(like)
                })*
            }
        )*
    };
}
pub(super) use hosted;
