//! LLaVA's `group_by_modality_length`: each step's samples are of one modality and of like length.
//!
//! LLaVA's `get_modality_length_grouped_indices`, `get_length_grouped_indices` and
//! `split_to_even_chunks`, given the permutations that it draws. A group is one optimiser step: as many
//! micro-batches as LLaVA has processes (times accumulation), each with a like sum of lengths.

use crate::seed::Rng;

/// How an epoch is grouped.
#[derive(Debug, Clone, Copy)]
pub struct Grouping {
    /// Samples per micro-batch.
    pub batch: usize,
    /// Micro-batches per step.
    pub accumulate: usize,
}

impl Grouping {
    /// One epoch's order of samples of these words (negative without a picture), from a generator. `before` is the
    /// number of samples in all epochs before: where one ends within a step, that step is filled up
    /// first with what was left over, and the groups begin with the next.
    pub fn epoch(self, words: &[i32], rng: &mut Rng, before: usize) -> Vec<u32> {
        let mut order = self.order(words, |len| {
            let mut permutation: Vec<u32> = (0..len as u32).collect();
            rng.shuffle(&mut permutation);
            permutation
        });
        let step = self.batch * self.accumulate;
        let lead = (step - before % step) % step;
        let len = order.len();
        order.rotate_right(lead.min(len));
        order
    }

    /// The order, with `permutation(n)` for every permutation of `0..n`: of the pictured samples, of
    /// those of text alone, of the groups.
    pub fn order(self, words: &[i32], mut permutation: impl FnMut(usize) -> Vec<u32>) -> Vec<u32> {
        let of = |pictured: bool| -> Vec<u32> {
            (0..words.len() as u32).filter(|&i| (words[i as usize] > 0) == pictured).collect()
        };
        let (pictured, texts) = (of(true), of(false));
        if pictured.is_empty() || texts.is_empty() {
            let order = self.by_length(words, &permutation(words.len()));
            return order.concat();
        }
        let mut groups = Vec::new();
        let mut rest = Vec::new();
        for kind in [pictured, texts] {
            let drawn = permutation(kind.len());
            let drawn: Vec<u32> = drawn.into_iter().map(|at| kind[at as usize]).collect();
            let mut own = self.by_length(words, &drawn);
            // The last group of each kind may not be whole: together they end the epoch.
            rest.extend(own.pop().unwrap_or_default());
            groups.append(&mut own);
        }
        rest.sort_unstable();
        let drawn = permutation(groups.len());
        let mut order: Vec<u32> =
            drawn.into_iter().flat_map(|at| std::mem::take(&mut groups[at as usize])).collect();
        order.append(&mut rest);
        order
    }

    /// Groups of consecutive samples, the long ones first, dealt to micro-batches.
    fn by_length(self, words: &[i32], drawn: &[u32]) -> Vec<Vec<u32>> {
        let length = |index: &u32| words[*index as usize].unsigned_abs();
        let group = |some: &[u32]| {
            let mut some = some.to_vec();
            some.sort_by_key(|index| std::cmp::Reverse(length(index)));
            self.dealt(&some, length)
        };
        drawn.chunks(self.batch * self.accumulate).map(group).collect()
    }

    /// A group's samples by micro-batch: each goes to the one with the fewest words so far.
    fn dealt(self, group: &[u32], length: impl Fn(&u32) -> u32) -> Vec<u32> {
        let count = self.accumulate;
        if !group.len().is_multiple_of(count) {
            return (0..count).flat_map(|i| group.iter().skip(i).step_by(count).copied()).collect();
        }
        let full = group.len() / count;
        let mut batches = vec![Vec::with_capacity(full); count];
        let mut sums = vec![Some(0u64); count];
        for index in group {
            let open = sums.iter().enumerate().filter_map(|(at, sum)| Some(((*sum)?, at)));
            let Some((sum, at)) = open.min() else { break };
            batches[at].push(*index);
            let grown = sum + u64::from(length(index));
            sums[at] = (batches[at].len() < full).then_some(grown);
        }
        batches.concat()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn words(count: usize, seed: u64) -> Vec<i32> {
        let mut rng = Rng::new(seed);
        let signed = |words: i32, text: bool| if text { -words } else { words };
        (0..count).map(|_| signed(1 + rng.below(400) as i32, rng.below(4) == 0)).collect()
    }

    #[test]
    fn a_step_is_of_one_modality_and_of_like_lengths() {
        for (count, batch, accumulate) in [(1000, 4, 3), (997, 5, 1), (64, 8, 2), (7, 4, 4)] {
            let words = words(count, count as u64);
            let grouping = Grouping { batch, accumulate };
            let order = grouping.epoch(&words, &mut Rng::new(1), 0);
            let distinct: BTreeSet<u32> = order.iter().copied().collect();
            assert_eq!((order.len(), distinct.len()), (count, count), "each sample once");
            let texts = words.iter().filter(|words| **words < 0).count();
            let step = batch * accumulate;
            let left = texts.div_ceil(step).max(1) + (count - texts).div_ceil(step).max(1) - 2;
            for group in order.chunks(step).take(left) {
                let pictured = group.iter().filter(|i| words[**i as usize] > 0).count();
                assert!(pictured == 0 || pictured == step, "{pictured} of {step}");
                let sums = group.chunks(batch).map(|some| {
                    some.iter().map(|i| words[*i as usize].unsigned_abs()).sum::<u32>()
                });
                let (least, most) = (sums.clone().min(), sums.max());
                assert!(most.unwrap_or(0) - least.unwrap_or(0) <= 400, "{least:?} {most:?}");
            }
        }
    }

    #[test]
    fn an_epoch_that_begins_within_a_step_fills_it_with_the_rest() {
        let words = words(103, 3);
        let grouping = Grouping { batch: 4, accumulate: 2 };
        let (first, second) = (
            grouping.epoch(&words, &mut Rng::new(1), 0),
            grouping.epoch(&words, &mut Rng::new(1), 103),
        );
        // 103 = 12 steps of 8 and 7: one sample fills the thirteenth.
        assert_eq!(second[0], first[102]);
        assert_eq!(second[1..], first[..102]);
    }
}
