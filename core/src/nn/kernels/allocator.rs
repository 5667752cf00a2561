//! A global allocator that keeps large blocks for the next of their size.
//!
//! A training step asks for the same buffers every time. The system's allocator maps large ones
//! afresh, and the page faults cost more than some kernels do. A program opts in with
//! `#[global_allocator]`.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr::null_mut;
use std::sync::Mutex;

/// The smallest block that is kept.
const SMALLEST: usize = 1 << 15;
/// Kept blocks start at a cache line, which is also the widest vector.
const ALIGN: usize = 64;
/// Four sizes per power of two from `SMALLEST` on.
const CLASSES: usize = 4 * 40;

/// The allocator. All values share one store of blocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct Recycling;

/// The first of a list of free blocks, each of which starts with the address of the next.
struct Free(*mut u8);

// SAFETY: the blocks are owned by the list alone, whichever thread holds its lock.
unsafe impl Send for Free {}

static KEPT: [Mutex<Free>; CLASSES] = [const { Mutex::new(Free(null_mut())) }; CLASSES];

/// The class of a block that is kept, and the size that all blocks of the class have.
fn class(layout: Layout) -> Option<(usize, Layout)> {
    let size = layout.size();
    if size < SMALLEST || layout.align() > ALIGN || size > isize::MAX as usize / 2 {
        return None;
    }
    let power = size.ilog2();
    let step = 1_usize << (power - 2);
    let rounded = size.next_multiple_of(step);
    let power = rounded.ilog2();
    let index = (power - SMALLEST.ilog2()) as usize * 4 + (rounded >> (power - 2)) % 4;
    let layout = Layout::from_size_align(rounded, ALIGN).ok()?;
    (index < CLASSES).then_some((index, layout))
}

fn pop(index: usize) -> *mut u8 {
    let mut free = KEPT[index].lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let block = free.0;
    if !block.is_null() {
        // SAFETY: a block in the list starts with the address of the next.
        free.0 = unsafe { block.cast::<*mut u8>().read() };
    }
    block
}

/// Gives every kept block back to the system: between stages whose buffers differ.
pub fn release() {
    for index in 0..CLASSES {
        let power = SMALLEST.ilog2() as usize + index / 4;
        let size = (1_usize << power) / 4 * (4 + index % 4);
        let Ok(layout) = Layout::from_size_align(size, ALIGN) else { continue };
        loop {
            let block = pop(index);
            if block.is_null() {
                break;
            }
            // SAFETY: blocks of this class were allocated by the system with this layout.
            unsafe { System.dealloc(block, layout) };
        }
    }
}

// SAFETY: blocks come from the system's allocator with at least the size and alignment asked for,
// a kept block is in one list until it is handed out once, and `class` gives the same answer when a
// block is freed as when it was allocated.
unsafe impl GlobalAlloc for Recycling {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some((index, layout)) = class(layout) else {
            // SAFETY: the caller's contract is passed on.
            return unsafe { System.alloc(layout) };
        };
        let block = pop(index);
        // SAFETY: the class's size is not zero.
        if block.is_null() { unsafe { System.alloc(layout) } } else { block }
    }

    unsafe fn alloc_zeroed(&self, asked: Layout) -> *mut u8 {
        let Some((index, layout)) = class(asked) else {
            // SAFETY: the caller's contract is passed on.
            return unsafe { System.alloc_zeroed(asked) };
        };
        let block = pop(index);
        if block.is_null() {
            // SAFETY: the class's size is not zero.
            return unsafe { System.alloc_zeroed(layout) };
        }
        // SAFETY: the block has at least the size asked for.
        unsafe { block.write_bytes(0, asked.size()) };
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some((index, _)) = class(layout) else {
            // SAFETY: such a block came from the system with this layout.
            return unsafe { System.dealloc(block, layout) };
        };
        let mut free = KEPT[index].lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // SAFETY: the block is the caller's no more, and has room for an address.
        unsafe { block.cast::<*mut u8>().write(free.0) };
        free.0 = block;
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller promises that the new size is not zero and fits.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (class(layout), class(wanted)) {
            // SAFETY: the caller's contract is passed on.
            (None, None) => unsafe { System.realloc(block, layout, size) },
            (Some((from, _)), Some((to, _))) if from == to => block,
            _ => {
                // SAFETY: as above; both blocks hold the smaller of the sizes.
                unsafe {
                    let new = self.alloc(wanted);
                    if !new.is_null() {
                        block.copy_to_nonoverlapping(new, layout.size().min(size));
                        self.dealloc(block, layout);
                    }
                    new
                }
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_recycled_zeroed_and_grown() {
        let layout = Layout::from_size_align(100_003, 4).unwrap();
        // SAFETY: every block is freed once with the layout that it has then.
        unsafe {
            let first = Recycling.alloc(layout);
            assert_eq!(first as usize % ALIGN, 0);
            first.write_bytes(7, 100_003);
            Recycling.dealloc(first, layout);
            let second = Recycling.alloc_zeroed(layout);
            assert!((0..100_003).all(|i| *second.add(i) == 0), "a recycled block was not zeroed");
            second.write_bytes(9, 100_003);
            let third = Recycling.realloc(second, layout, 1_000_003);
            assert!((0..100_003).all(|i| *third.add(i) == 9), "growing lost values");
            let layout = Layout::from_size_align(1_000_003, 4).unwrap();
            let fourth = Recycling.realloc(third, layout, 10);
            assert!((0..10).all(|i| *fourth.add(i) == 9), "shrinking lost values");
            Recycling.dealloc(fourth, Layout::from_size_align(10, 4).unwrap());
        }
        release();
    }

    #[test]
    fn every_size_fits_its_class_and_comes_back_to_it() {
        for size in (SMALLEST..SMALLEST * 40).step_by(4_093) {
            let asked = Layout::from_size_align(size, 4).unwrap();
            let (index, given) = class(asked).unwrap();
            assert!(given.size() >= size && given.size() <= size + size / 3);
            assert_eq!(class(given).unwrap().0, index);
            let power = SMALLEST.ilog2() as usize + index / 4;
            assert_eq!((1_usize << power) / 4 * (4 + index % 4), given.size());
        }
    }
}
