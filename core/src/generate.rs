//! What a language model says: one token after the other, with a key/value cache.
//!
//! Sampling is `transformers`' (temperature, then `top_k`, then `top_p`), with chance of our own:
//! every answer has a generator of its own, so that it doesn't depend on what else is asked.

use crate::nn::ops::{self, Activation, Row};
use crate::registry::{KvCache, Llm, NoTap};
use crate::seed::Rng;
use crate::spec::Generation;
use crate::tensor::{Result, Tensor};

/// What is to be continued: sequences of one length.
pub struct Prompts {
    /// The visual tokens that their rows name.
    pub visual: Option<Tensor>,
    /// Row by row, one sequence after the other.
    pub rows: Vec<Row>,
    /// The number of sequences.
    pub batch: usize,
}

/// Continues every prompt until it says `stop` (which is not part of the answer) or `most` tokens;
/// `choosers` choose for the sequences, one each.
///
/// # Errors
/// An operation fails, or the sequence grows beyond the model's context.
pub fn generate(
    llm: &dyn Llm,
    prompts: Prompts,
    choosers: &mut [Chooser],
    stop: u32,
    most: usize,
) -> Result<Vec<Vec<u32>>> {
    generate_heard(llm, prompts, choosers, stop, most, &mut |_| {})
}

/// Like [`generate`]; `hear` is shown all that was said after every token.
///
/// # Errors
/// An operation fails, or the sequence grows beyond the model's context.
pub fn generate_heard(
    llm: &dyn Llm,
    prompts: Prompts,
    choosers: &mut [Chooser],
    stop: u32,
    most: usize,
    hear: &mut dyn FnMut(&[Vec<u32>]),
) -> Result<Vec<Vec<u32>>> {
    let Prompts { mut visual, mut rows, batch } = prompts;
    let mut said: Vec<Vec<u32>> = vec![Vec::new(); batch];
    let mut done = vec![false; batch];
    let mut cache = KvCache::default();
    for _ in 0..most {
        let logits = next_logits(llm, visual.take().as_ref(), &rows, batch, &mut cache)?;
        let (_, vocabulary) = logits.rows();
        let values = logits.host();
        rows.clear();
        let each = said.iter_mut().zip(&mut done).zip(choosers.iter_mut());
        for (((said, done), chooser), logits) in each.zip(values.chunks(vocabulary.max(1))) {
            let token = chooser.next(logits);
            *done |= token == stop;
            if !*done {
                said.push(token);
            }
            rows.push(Row::Token(token));
        }
        hear(&said);
        if done.iter().all(|done| *done) {
            break;
        }
    }
    Ok(said)
}

/// The logits `[batch, V]` of what follows each sequence.
fn next_logits(
    llm: &dyn Llm,
    visual: Option<&Tensor>,
    rows: &[Row],
    batch: usize,
    cache: &mut KvCache,
) -> Result<Tensor> {
    let x = ops::splice(visual, &llm.embeddings().tensor(), rows, batch)?;
    let hidden = llm.forward(&x, Some(cache), &mut NoTap)?;
    let length = rows.len() / batch.max(1);
    let last: Vec<usize> = (1..=batch).map(|n| n * length - 1).collect();
    let hidden = ops::gather_rows(&hidden, &last)?;
    ops::linear(&hidden, &llm.head().tensor(), None, Activation::None)
}

/// Chooses the tokens of one answer.
#[derive(Debug, Clone)]
pub struct Chooser {
    generation: Generation,
    rng: Rng,
}

impl Chooser {
    /// A chooser for the answer that `purpose` names: its chance depends on that and on the
    /// generation's seed.
    pub fn of(generation: Generation, purpose: &str) -> Chooser {
        let seed = match generation {
            Generation::Sample { seed, .. } => seed,
            Generation::Greedy => 0,
        };
        Chooser { generation, rng: Rng::of(seed, purpose) }
    }

    /// The next token, given its logits.
    pub fn next(&mut self, logits: &[f32]) -> u32 {
        let Generation::Sample { temperature, top_p, top_k, .. } = self.generation else {
            return best(logits);
        };
        let kept = likely(logits, temperature, top_p, top_k);
        // 53 bits: a probability of 1e-9 must not be rounded away.
        let share = (self.rng.bits() >> 11) as f64 / (1u64 << 53) as f64;
        let whole: f64 = kept.iter().map(|(_, weight)| weight).sum();
        let mut sum = 0.0;
        let chosen = kept.iter().find(|(_, weight)| {
            sum += weight;
            sum > share * whole
        });
        chosen.or(kept.last()).map_or(0, |(token, _)| *token)
    }
}

/// The position of the largest value; the first of equals.
pub(crate) fn best(values: &[f32]) -> u32 {
    let mut best = 0;
    for (i, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = i;
        }
    }
    best as u32
}

/// The tokens that may be chosen, likeliest first, with weights in proportion to their
/// probabilities. At least one is kept.
fn likely(logits: &[f32], temperature: f64, top_p: f64, top_k: usize) -> Vec<(u32, f64)> {
    let mut order: Vec<u32> = (0..logits.len() as u32).collect();
    let logit = |token: &u32| f64::from(logits[*token as usize]);
    order.sort_by(|a, b| logit(b).total_cmp(&logit(a)).then(a.cmp(b)));
    let Some(most) = order.first().map(logit) else { return Vec::new() };
    if let Some(least) = top_k.checked_sub(1).and_then(|last| order.get(last)).map(logit) {
        // Those as likely as the last one stay, as in the reference.
        order.retain(|token| logit(token) >= least);
    }
    let weight = |token: &u32| ((logit(token) - most) / temperature).exp();
    let mut kept: Vec<(u32, f64)> = order.iter().map(|token| (*token, weight(token))).collect();
    let whole: f64 = kept.iter().map(|(_, weight)| weight).sum();
    let mut before = 0.0;
    let enough = kept.iter().position(|(_, weight)| {
        let reached = before >= top_p * whole;
        before += weight;
        reached
    });
    if top_p < 1.0 {
        kept.truncate(enough.unwrap_or(kept.len()).max(1));
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(top_p: f64, top_k: usize) -> Vec<u32> {
        // Probabilities 0.1, 0.5, 0.1, 0.3.
        let logits = [0.1f32, 0.5, 0.1, 0.3].map(f32::ln);
        likely(&logits, 1.0, top_p, top_k).into_iter().map(|(token, _)| token).collect()
    }

    #[test]
    fn the_likeliest_are_kept_as_the_reference_keeps_them() {
        assert_eq!(kept(1.0, 0), [1, 3, 0, 2]);
        assert_eq!(kept(1.0, 2), [1, 3]);
        assert_eq!(kept(1.0, 3), [1, 3, 0, 2], "two are third");
        assert_eq!(kept(1.0, 9), [1, 3, 0, 2]);
        assert_eq!(kept(0.5, 0), [1]);
        assert_eq!(kept(0.6, 0), [1, 3]);
        assert_eq!(kept(1e-9, 0), [1], "one is always left");
    }

    #[test]
    fn chance_follows_the_probabilities_and_the_seed() {
        let logits = [0.1f32, 0.5, 0.1, 0.3].map(f32::ln);
        let sample =
            |temperature, seed| Generation::Sample { temperature, top_p: 1.0, top_k: 0, seed };
        let counts = |generation| {
            let mut chooser = Chooser::of(generation, "answer 0");
            let mut counts = [0usize; 4];
            (0..4000).for_each(|_| counts[chooser.next(&logits) as usize] += 1);
            counts
        };
        let found = counts(sample(1.0, 7));
        for (count, expected) in found.into_iter().zip([400, 2000, 400, 1200]) {
            assert!(count.abs_diff(expected) < 120, "{found:?}");
        }
        // p^2: 1, 25, 1 and 9 of 36.
        let sharp = counts(sample(0.5, 7));
        assert!(sharp[1].abs_diff(2778) < 120, "{sharp:?}");
        assert_eq!(found, counts(sample(1.0, 7)));
        assert_ne!(found, counts(sample(1.0, 8)));
        assert_eq!(counts(Generation::Greedy), [0, 4000, 0, 0]);
    }
}
