//! Between f32 and 16 bits.

use super::call::{Call, Source, source};
use super::{Buffer, GpuError, Kind, Result};

const SOURCE: Source = source!("cast.cu");

impl Buffer {
    /// A copy, stored as `kind`.
    ///
    /// # Errors
    /// The card has no room.
    pub fn cast(&self, kind: Kind) -> Result<Buffer> {
        if kind == self.kind() {
            return self.copy();
        }
        let mut out = self.gpu().uninit(kind, self.len())?;
        self.cast_into(&mut out)?;
        Ok(out)
    }

    /// The values, rounded to `out`'s kind.
    ///
    /// # Errors
    /// The sizes differ.
    pub fn cast_into(&self, out: &mut Buffer) -> Result<()> {
        if self.len() != out.len() {
            let detail = format!("{} values into {}", self.len(), out.len());
            return Err(GpuError::Unsupported { op: "cast", detail });
        }
        let (n, gpu) = (self.len(), self.gpu());
        match (self.kind(), out.kind()) {
            (from, to) if from == to => out.copy_from(self),
            (Kind::F32, to) => Call::new(gpu, SOURCE, "narrow", to)
                .write(out)
                .read(self)
                .long(n)
                .each(n.div_ceil(4)),
            (from, Kind::F32) => Call::new(gpu, SOURCE, "widen", from)
                .write(out)
                .read(self)
                .long(n)
                .each(n.div_ceil(4)),
            // Between the two of 16 bits, which no graph needs often.
            _ => self.cast(Kind::F32)?.cast_into(out),
        }
    }
}
