//! The values of a tensor on the CPU, in place. dfdx has no safe way to all of them without a copy.

use std::borrow::Cow;

use dfdx::tensor::Tensor;

use crate::tensor::Dev;

/// The values of a flat tensor of `len` values.
pub fn host_of(data: &Tensor<(usize,), f32, Dev>, len: usize) -> Cow<'_, [f32]> {
    if len == 0 {
        return Cow::Borrowed(&[]);
    }
    // SAFETY: a flat CPU tensor made by `try_tensor_from_vec` is one contiguous Vec of `len`
    // values, and dfdx's index borrows it for as long as `data` is borrowed.
    Cow::Borrowed(unsafe { std::slice::from_raw_parts(std::ptr::from_ref(&data[[0]]), len) })
}

/// Lets `f` change the values of a flat tensor of `len` values.
pub fn update_in_place(
    value: &mut Tensor<(usize,), f32, Dev>,
    len: usize,
    f: impl FnOnce(&mut [f32]),
) {
    if len == 0 {
        return;
    }
    // SAFETY: as in `host_of`; dfdx's mutable index makes the buffer unique first.
    f(unsafe { std::slice::from_raw_parts_mut(std::ptr::from_mut(&mut value[[0]]), len) });
}
