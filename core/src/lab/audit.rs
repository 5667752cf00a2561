//! Reading everything that an experiment learns from and is judged by, once, before it is run.

use std::path::Path;
use std::sync::Arc;

use super::{LabError, work};
use crate::data::check::{Limit, Report, check};
use crate::data::{DataError, Dataset, Sample};
use crate::graph::Graph;
use crate::text::TooLong;

/// One data set of an experiment.
pub struct Audited {
    /// `stage pre-training`, `benchmark mini-colour`.
    pub name: String,
    /// What was found.
    pub report: Report,
}

/// Checks the data of every stage and every benchmark; `progress` hears of each how many samples are
/// done, of how many.
///
/// # Errors
/// Data or a tokenizer that can't be opened.
pub fn audit(
    graph: &Graph,
    base: &Path,
    progress: &mut dyn FnMut(&str, usize, usize),
) -> Result<Vec<Audited>, LabError> {
    let tokenizer = work::tokenizer(graph, base)?;
    let visual = graph.visual();
    let mut audited = Vec::new();
    for (index, stage) in graph.stages.iter().enumerate() {
        let name = format!("stage {}", stage.spec.name.value);
        let dataset = stage.data.plugin.open(base).map_err(|error| LabError::Data {
            what: format!("stage `{}`", stage.spec.name.value),
            problems: vec![error],
        })?;
        let template = stage.spec.template;
        let length = |sample: &Sample| {
            let Some(tokenizer) = &tokenizer else { return Ok(0) };
            let encoded = template.encode(tokenizer, sample);
            let encoded = encoded.map_err(|error| DataError::Sample {
                sample: sample.id.clone(),
                detail: error.kind.to_string(),
            })?;
            let layout = sample.picture.as_ref().map(|picture| visual.layout(picture));
            // A broken picture is told as such.
            let layout = layout.and_then(Result::ok).flatten();
            Ok(encoded.len(visual.of(layout.as_ref())))
        };
        let most = graph.length(index);
        let expected = stage.spec.too_long != TooLong::Error;
        let limit = Limit { length: &length, most, expected };
        let limit = tokenizer.as_ref().map(|_| &limit);
        let report = one(dataset.as_ref(), limit, &name, progress);
        audited.push(Audited { name, report });
    }
    let benchmarks: Vec<Arc<dyn Dataset>> = super::exam::questions(graph, base)?;
    for (benchmark, questions) in graph.benchmarks.iter().zip(benchmarks) {
        let name = format!("benchmark {}", benchmark.name);
        let report = one(questions.as_ref(), None, &name, progress);
        audited.push(Audited { name, report });
    }
    Ok(audited)
}

fn one(
    dataset: &dyn Dataset,
    limit: Option<&Limit<'_>>,
    name: &str,
    progress: &mut dyn FnMut(&str, usize, usize),
) -> Report {
    let all = dataset.len();
    check(dataset, limit, &mut |done| progress(name, done, all))
}
