//! One launch of a kernel: its source, its arguments, its grid.

use super::buffer::{Buffer, Doubles, Indices};
use super::{Gpu, Kind, Result};
use std::marker::PhantomData;

/// A file of kernels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source {
    pub(super) file: &'static str,
    pub(super) text: &'static str,
}

/// What every kernel is compiled with.
const PRELUDE: &str = include_str!("prelude.cuh");

/// What some kernels include; NVRTC has no files.
const INCLUDED: [(&str, &str); 2] = [
    ("attention.cuh", include_str!("attention.cuh")),
    ("sampling.cuh", include_str!("sampling.cuh")),
];

impl Source {
    /// The text to compile, for a storage of values and a width of heads.
    pub(super) fn text(&self, kind: Kind, head: usize) -> String {
        let (storage, text) = (kind.code(), self.text);
        let file = self.file;
        let text = INCLUDED.iter().fold(text.to_owned(), |text, (name, content)| {
            text.replace(&format!("#include \"{name}\""), content)
        });
        format!(
            "#define STORAGE {storage}\n#define HEAD {head}\n{PRELUDE}\n#line 1 \"{file}\"\n{text}"
        )
    }
}

/// The file of kernels beside a Rust file.
macro_rules! source {
    ($file:literal) => {
        $crate::nn::kernels::cuda::call::Source { file: $file, text: include_str!($file) }
    };
}
pub(super) use source;

/// What lies in a piece of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    F32,
    Half,
    Int,
    Double,
}

/// An argument of a kernel; what it says beside its bits, the emulation checks.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "cuda", expect(dead_code))]
pub(super) enum Arg {
    Memory {
        address: u64,
        bytes: usize,
        element: Element,
        write: bool,
    },
    /// A null pointer.
    None,
    Int(i32),
    /// The kernels' `wide`.
    Long(i64),
    Float(f32),
}

impl Arg {
    /// The eight bytes from which the kernel's parameter is read; a shorter one is read from the
    /// first of them.
    pub(super) fn bits(self) -> u64 {
        match self {
            Arg::Memory { address, .. } => address,
            Arg::None => 0,
            Arg::Int(x) => u64::from(x.cast_unsigned()),
            Arg::Long(x) => x.cast_unsigned(),
            Arg::Float(x) => u64::from(x.to_bits()),
        }
    }
}

/// Threads of a block, where nothing speaks for another number.
pub(super) const THREADS: usize = 256;

/// A launch in the making. Arguments are added in the order of the kernel's parameters.
pub(super) struct Call<'a> {
    pub(super) gpu: Gpu,
    pub(super) source: Source,
    pub(super) kernel: &'static str,
    pub(super) kind: Kind,
    pub(super) head: usize,
    pub(super) args: Vec<Arg>,
    buffers: PhantomData<&'a mut Buffer>,
}

impl<'a> Call<'a> {
    /// A launch of `kernel`, compiled for values stored as `kind`.
    pub(super) fn new(gpu: &Gpu, source: Source, kernel: &'static str, kind: Kind) -> Self {
        let (gpu, args, buffers) = (gpu.clone(), Vec::new(), PhantomData);
        Call { gpu, source, kernel, kind, head: 0, args, buffers }
    }

    /// Compiled with this width of heads.
    pub(super) fn head(mut self, head: usize) -> Self {
        self.head = head;
        self
    }

    fn with(mut self, arg: Arg) -> Self {
        self.args.push(arg);
        self
    }

    pub(super) fn read(self, buffer: &'a Buffer) -> Self {
        self.with(buffer.arg(false))
    }

    pub(super) fn write(self, buffer: &'a mut Buffer) -> Self {
        self.with(buffer.arg(true))
    }

    pub(super) fn maybe(self, buffer: Option<&'a Buffer>) -> Self {
        self.with(buffer.map_or(Arg::None, |buffer| buffer.arg(false)))
    }

    pub(super) fn maybe_write(self, buffer: Option<&'a mut Buffer>) -> Self {
        self.with(buffer.map_or(Arg::None, |buffer| buffer.arg(true)))
    }

    pub(super) fn indices(self, indices: &'a Indices) -> Self {
        self.with(indices.arg())
    }

    pub(super) fn maybe_indices(self, indices: Option<&'a Indices>) -> Self {
        self.with(indices.map_or(Arg::None, Indices::arg))
    }

    pub(super) fn doubles(self, doubles: &'a mut Doubles) -> Self {
        self.with(doubles.arg(true))
    }

    pub(super) fn int(self, value: usize) -> Self {
        debug_assert!(i32::try_from(value).is_ok(), "{}: {value} is no i32", self.kernel);
        self.with(Arg::Int(value as i32))
    }

    pub(super) fn long(self, value: usize) -> Self {
        self.with(Arg::Long(value as i64))
    }

    pub(super) fn float(self, value: f32) -> Self {
        self.with(Arg::Float(value))
    }

    /// Runs it with a thread for each of `count` pieces of work, or a few pieces a thread where that
    /// would be very many; the kernel strides over the grid.
    pub(super) fn each(self, count: usize) -> Result<()> {
        self.blocks(count.div_ceil(THREADS).min(1 << 20), THREADS)
    }

    /// Runs it on `blocks` blocks of `threads` threads.
    pub(super) fn blocks(self, blocks: usize, threads: usize) -> Result<()> {
        self.grid([blocks, 1, 1], threads, 0)
    }

    /// Runs it on a grid of blocks of `threads` threads, with `shared` bytes of dynamic shared memory.
    pub(super) fn grid(self, grid: [usize; 3], threads: usize, shared: usize) -> Result<()> {
        debug_assert!(grid[1] < 65_536 && grid[2] < 65_536, "{}: {grid:?}", self.kernel);
        if grid.contains(&0) {
            return Ok(());
        }
        self.gpu.clone().launch(&self, grid.map(|n| n as u32), threads as u32, shared as u32)
    }
}

/// `x[m, n] = a[m, k] b[k, n]`, `batch` times over; row-major, each operand perhaps stored transposed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Product<'a> {
    pub(super) batch: usize,
    pub(super) size: (usize, usize, usize),
    pub(super) a: (&'a Buffer, bool),
    pub(super) b: (&'a Buffer, bool),
    /// Values before the first of `a`, `b` and the result.
    pub(super) start: [usize; 3],
    /// Whether the product is added to what is there.
    pub(super) accumulate: bool,
}
