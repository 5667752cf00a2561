//! Values and indices in the card's memory.

use super::call::{Arg, Element};
#[cfg(feature = "cuda")]
use super::device::Memory;
#[cfg(not(feature = "cuda"))]
use super::emulated::Memory;
use super::{Gpu, Kind, Result};
use half::{bf16, f16};

/// Values on the card; freed when dropped, after the work that was queued before.
#[derive(Debug)]
pub struct Buffer {
    memory: Memory,
    kind: Kind,
    len: usize,
}

impl Gpu {
    /// Values that a kernel writes before another reads them.
    ///
    /// # Errors
    /// The card has no room.
    pub fn uninit(&self, kind: Kind, len: usize) -> Result<Buffer> {
        Ok(Buffer { memory: Memory::new(self, len * kind.bytes())?, kind, len })
    }

    /// Zeros.
    ///
    /// # Errors
    /// The card has no room.
    pub fn zeros(&self, kind: Kind, len: usize) -> Result<Buffer> {
        let mut buffer = self.uninit(kind, len)?;
        buffer.memory.zero()?;
        Ok(buffer)
    }

    /// A copy of the values, rounded to `kind`.
    ///
    /// # Errors
    /// The card has no room.
    pub fn upload(&self, kind: Kind, values: &[f32]) -> Result<Buffer> {
        let mut buffer = self.uninit(kind, values.len())?;
        buffer.store(values)?;
        Ok(buffer)
    }
}

impl Buffer {
    /// The number of values.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How they are stored.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Where they are.
    pub fn gpu(&self) -> &Gpu {
        self.memory.gpu()
    }

    /// Another buffer on the same card, of the same kind, to be written.
    ///
    /// # Errors
    /// The card has no room.
    pub fn uninit_like(&self, len: usize) -> Result<Buffer> {
        self.gpu().uninit(self.kind, len)
    }

    /// The values, once all work that was queued is done.
    ///
    /// # Errors
    /// That work failed.
    pub fn download(&self) -> Result<Vec<f32>> {
        let bytes = self.memory.read()?;
        let halves = bytes.as_chunks::<2>().0.iter().map(|bits| u16::from_le_bytes(*bits));
        Ok(match self.kind {
            Kind::F32 => {
                bytes.as_chunks::<4>().0.iter().map(|bits| f32::from_le_bytes(*bits)).collect()
            }
            Kind::Bf16 => halves.map(|bits| bf16::from_bits(bits).to_f32()).collect(),
            Kind::F16 => halves.map(|bits| f16::from_bits(bits).to_f32()).collect(),
        })
    }

    /// Sets the values, rounded to the buffer's kind.
    ///
    /// # Errors
    /// The copy failed.
    ///
    /// # Panics
    /// There are more or fewer values than the buffer has.
    pub fn store(&mut self, values: &[f32]) -> Result<()> {
        assert_eq!(values.len(), self.len, "a buffer is set as a whole");
        let bytes: Vec<u8> = match self.kind {
            Kind::F32 => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Kind::Bf16 => values.iter().flat_map(|x| bf16::from_f32(*x).to_le_bytes()).collect(),
            Kind::F16 => values.iter().flat_map(|x| f16::from_f32(*x).to_le_bytes()).collect(),
        };
        self.memory.write(&bytes)
    }

    /// Zeros in place of the values.
    ///
    /// # Errors
    /// The driver failed.
    pub fn zero(&mut self) -> Result<()> {
        self.memory.zero()
    }

    /// A copy on the card.
    ///
    /// # Errors
    /// The card has no room.
    pub fn copy(&self) -> Result<Buffer> {
        let mut copy = self.uninit_like(self.len)?;
        copy.copy_from(self)?;
        Ok(copy)
    }

    /// The values of another buffer of the same kind and size.
    pub(super) fn copy_from(&mut self, other: &Buffer) -> Result<()> {
        self.memory.copy_from(&other.memory)
    }

    pub(super) fn arg(&self, write: bool) -> Arg {
        let element = match self.kind {
            Kind::F32 => Element::F32,
            Kind::Bf16 | Kind::F16 => Element::Half,
        };
        Arg::Memory { address: self.memory.address(), bytes: self.memory.bytes(), element, write }
    }

    #[cfg(feature = "cuda")]
    pub(super) fn address(&self) -> u64 {
        self.memory.address()
    }
}

/// Row numbers, lengths and the like on the card; -1 stands for none.
#[derive(Debug)]
pub struct Indices {
    memory: Memory,
    len: usize,
}

impl Indices {
    /// A copy of `values`.
    ///
    /// # Errors
    /// The card has no room.
    pub fn upload(gpu: &Gpu, values: &[i32]) -> Result<Indices> {
        let mut memory = Memory::new(gpu, values.len() * 4)?;
        let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        memory.write(&bytes)?;
        Ok(Indices { memory, len: values.len() })
    }

    /// The number of values.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn arg(&self) -> Arg {
        let (address, bytes) = (self.memory.address(), self.memory.bytes());
        Arg::Memory { address, bytes, element: Element::Int, write: false }
    }
}

/// f64 partial sums on the card.
#[derive(Debug)]
pub(super) struct Doubles(Memory);

impl Doubles {
    pub(super) fn uninit(gpu: &Gpu, len: usize) -> Result<Doubles> {
        Ok(Doubles(Memory::new(gpu, len * 8)?))
    }

    pub(super) fn download(&self) -> Result<Vec<f64>> {
        let bytes = self.0.read()?;
        Ok(bytes.as_chunks::<8>().0.iter().map(|bits| f64::from_le_bytes(*bits)).collect())
    }

    pub(super) fn arg(&self, write: bool) -> Arg {
        let (address, bytes) = (self.0.address(), self.0.bytes());
        Arg::Memory { address, bytes, element: Element::Double, write }
    }
}
