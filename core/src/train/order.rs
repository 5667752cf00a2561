//! Which sample comes when.

use super::grouped::Grouping;
use crate::seed::{self, Rng};

/// The order in which a stage meets its samples: a fresh permutation each epoch, one after the
/// other. It depends on the seed alone, so that a resumed run goes on where it was.
pub struct Order {
    seed: u64,
    len: usize,
    total: usize,
    epoch: Option<(usize, Vec<u32>)>,
    grouped: Option<(Grouping, Vec<i32>)>,
}

impl Order {
    /// `epochs` passes over `len` samples; the last one may be partial.
    pub fn new(seed: u64, len: usize, epochs: f64) -> Order {
        let total = (len as f64 * epochs).round().max(1.0) as usize;
        let total = if len == 0 { 0 } else { total };
        Order { seed, len, total, epoch: None, grouped: None }
    }

    /// The same, with a step's samples alike: `words` says how long each sample's conversation is,
    /// negative without a picture.
    #[must_use]
    pub fn grouped(self, grouping: Grouping, words: Vec<i32>) -> Order {
        Order { grouped: Some((grouping, words)), ..self }
    }

    /// Samples in all epochs together.
    pub fn total(&self) -> usize {
        self.total
    }

    /// The seed of the views of sample number `position` of the run.
    pub(super) fn chance(&self, position: usize) -> u64 {
        seed::derive(self.seed, &format!("views {position}"))
    }

    /// A coin of sample number `position` of the run.
    pub(super) fn coin(&self, position: usize) -> bool {
        Rng::of(self.seed, &format!("flip {position}")).bits() & 1 == 1
    }

    /// The data set's index of sample number `position` of the run.
    pub fn at(&mut self, position: usize) -> usize {
        let epoch = position / self.len;
        if self.epoch.as_ref().is_none_or(|(known, _)| *known != epoch) {
            let mut rng = Rng::of(self.seed, &format!("epoch {epoch}"));
            let order = match &self.grouped {
                Some((grouping, words)) => grouping.epoch(words, &mut rng, epoch * self.len),
                None => {
                    let mut order: Vec<u32> = (0..self.len as u32).collect();
                    rng.shuffle(&mut order);
                    order
                }
            };
            self.epoch = Some((epoch, order));
        }
        self.epoch.as_ref().map_or(0, |(_, order)| order[position % self.len] as usize)
    }
}
