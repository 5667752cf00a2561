//! `generate: …`: how answers are written.

use serde::{Deserialize, Serialize};

use super::form::{Form, Known};
use super::syntax::Shape;
use super::values::{Place, number, seed};
use super::{Problem, problem::did_you_mean};

/// How an answer's next token is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub enum Generation {
    /// The most likely one.
    #[default]
    Greedy,
    /// One by chance, as likely as the model finds it.
    Sample {
        /// What logits are divided by, above 0; below 1 the likely ones become likelier.
        temperature: f64,
        /// The likeliest tokens that together have this probability are kept, 0 to 1; 1 keeps all.
        top_p: f64,
        /// So many of the likeliest tokens are kept; 0 keeps all.
        top_k: usize,
        /// The root of chance, apart from the experiment's.
        seed: u64,
    },
}

const SAMPLE: &[Known] = &[
    Known { name: "temperature", example: "temperature: 0.2", means: "what logits are divided by" },
    Known { name: "top_p", example: "top_p: 0.9", means: "the probability that is kept" },
    Known { name: "top_k", example: "top_k: 50", means: "the number of tokens kept; 0 keeps all" },
    Known { name: "seed", example: "seed: 0", means: "a whole number" },
];

/// Reads `Greedy` or `Sample(temperature: 0.2, top_p: 0.9, top_k: 50, seed: 0)`.
pub(super) fn read(place: &Place<'_>) -> Result<Generation, Vec<Problem>> {
    let found = match &place.value.shape {
        Shape::Word if place.raw() == "Greedy" => return Ok(Generation::Greedy),
        Shape::Group { name: Some(name), .. } if name.value == "Sample" => return sample(place),
        Shape::Group { name: Some(name), .. } => name.value.as_str(),
        _ => place.raw(),
    };
    let problem = place.wrong("`Greedy` or `Sample(temperature: 0.2)`");
    Err(vec![problem.help(did_you_mean(found, "choices", &["Greedy", "Sample"]))])
}

fn sample(place: &Place<'_>) -> Result<Generation, Vec<Problem>> {
    let mut form = Form::open(place.value, place.source, "`Sample`", "", SAMPLE);
    let above = number("a number above 0; `Greedy` is what 0 would be", |x: &f64| {
        *x > 0.0 && x.is_finite()
    });
    let share = number("a number above 0, up to 1", |x: &f64| *x > 0.0 && *x <= 1.0);
    let generation = Generation::Sample {
        temperature: form.or("temperature", above, 1.0),
        top_p: form.or("top_p", share, 1.0),
        top_k: form.or("top_k", number("a whole number", |_: &usize| true), 0),
        seed: form.or("seed", seed, 0),
    };
    let (_, problems) = form.close();
    if problems.is_empty() { Ok(generation) } else { Err(problems) }
}
