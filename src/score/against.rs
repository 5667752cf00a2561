//! Two sets of predictions for the same questions, compared question by question.

use std::collections::BTreeMap;
use std::fmt;

use eagle_core::evaluate;
use eagle_core::record::{Prediction, Score};
use eagle_core::registry::BenchmarkConfig;
use eagle_results::{Test, mean, over_questions, standard_error};
use serde_json::{Value, json};

/// How they differ.
pub struct Comparison {
    /// The main metric of each, on the questions that both answer.
    ours: Score,
    theirs: Score,
    /// Questions, or groups that count together, that both answer.
    n: usize,
    /// Questions that one of them lacks.
    left_out: usize,
    /// The mean difference of their scores, and its standard error.
    difference: f64,
    error: Option<f64>,
    p: f64,
    test: Test,
}

/// Compares them on the questions that both answer. What is tested are the scores of the questions
/// (of groups: of all their questions), whatever the main metric makes of them.
///
/// # Errors
/// They share no question.
pub fn compare(
    benchmark: &dyn BenchmarkConfig,
    ours: &[Prediction],
    theirs: &[Prediction],
) -> Result<Comparison, String> {
    let theirs: BTreeMap<&str, &Prediction> =
        theirs.iter().map(|one| (one.sample.as_str(), one)).collect();
    let pairs: Vec<(&Prediction, &Prediction)> =
        ours.iter().filter_map(|one| Some((one, *theirs.get(one.sample.as_str())?))).collect();
    if pairs.is_empty() {
        return Err("the two files share no question".into());
    }
    let main = |side: Vec<Prediction>| evaluate::score(benchmark, &side, false).into_iter().next();
    let sides = (
        main(pairs.iter().map(|(one, _)| (*one).clone()).collect()),
        main(pairs.iter().map(|(_, other)| (*other).clone()).collect()),
    );
    let (Some(first), Some(second)) = sides else {
        return Err("the benchmark has no metric".into());
    };
    let differences = differences(&pairs);
    let (p, test) = over_questions(&differences);
    Ok(Comparison {
        ours: first,
        theirs: second,
        n: differences.len(),
        left_out: ours.len() + theirs.len() - 2 * pairs.len(),
        difference: mean(&differences).unwrap_or(0.0),
        error: standard_error(&differences),
        p,
        test,
    })
}

/// One value a question, or a group: right only if all of it is.
fn differences(pairs: &[(&Prediction, &Prediction)]) -> Vec<f64> {
    let mut values = Vec::new();
    let mut groups: BTreeMap<(&Option<String>, &str), (bool, bool)> = BTreeMap::new();
    for (one, other) in pairs {
        match &one.key.group {
            None => values.push(one.verdict.score - other.verdict.score),
            Some(group) => {
                let both = groups.entry((&one.key.category, group)).or_insert((true, true));
                *both = (both.0 && one.correct, both.1 && other.correct);
            }
        }
    }
    let number = |right: bool| f64::from(u8::from(right));
    values.extend(groups.into_values().map(|(one, other)| number(one) - number(other)));
    values
}

impl Comparison {
    /// With all digits.
    pub fn json(&self) -> Value {
        json!({
            "n": self.n, "left_out": self.left_out, "ours": self.ours, "theirs": self.theirs,
            "difference": self.difference, "standard_error": self.error, "p": self.p,
            "test": self.test.name(),
        })
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scale = if self.ours.maximum == 1.0 { 100.0 } else { 1.0 };
        let (ours, theirs) = (self.ours.value * scale, self.theirs.value * scale);
        let metric = &self.ours.metric;
        writeln!(f, "{metric} {ours:.2} against {theirs:.2}: {:+.2}", ours - theirs)?;
        let error = self.error.map_or(String::new(), |e| format!(" ± {:.2}", e * 100.0));
        let (n, p, test) = (self.n, self.p, self.test.name());
        let by = self.difference * 100.0;
        write!(
            f,
            "Paired over {n} questions or groups: {by:+.2}{error} points, p = {p:.4} ({test})"
        )?;
        match self.left_out {
            0 => writeln!(f, "."),
            count => writeln!(f, "; {count} predictions have no counterpart and are left out."),
        }
    }
}
