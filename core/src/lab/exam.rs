//! Benchmarks of a run: their questions, and their predictions, made or found.

use std::path::Path;
use std::sync::Arc;

use super::work::Work;
use super::{LabError, Observer};
use crate::data::Dataset;
use crate::evaluate::{self, Exam};
use crate::graph::Graph;
use crate::record::{self, Score};
use crate::text::TooLong;
use crate::train::loader::TextSpec;

/// The predictions and the scores of one benchmark; found again if they were made before a kill.
pub(super) fn examine(
    exam: &Exam<'_>,
    folder: &Path,
    watch: &mut dyn Observer,
) -> Result<Option<Vec<Score>>, LabError> {
    let name = exam.benchmark.name();
    let file = match exam.blind {
        true => format!("{name}.blind.jsonl"),
        false => format!("{name}.jsonl"),
    };
    let path = folder.join("predictions").join(file);
    let predictions = if path.exists() {
        tracing::info!(path = %path.display(), "predictions are there");
        record::read_predictions(&path)?
    } else {
        let answers = evaluate::answer(exam, &mut |done, of| {
            watch.answered(&name, exam.blind, done, of);
            !watch.stop()
        })
        .map_err(|error| LabError::Evaluate { benchmark: name.clone(), error })?;
        let Some(answers) = answers else { return Ok(None) };
        record::write_predictions(&path, &answers)?;
        answers
    };
    let scores = evaluate::score(exam.benchmark, &predictions, exam.blind);
    scores.iter().filter(|score| score.main).for_each(|score| watch.scored(score));
    Ok(Some(scores))
}

pub(super) fn questions(graph: &Graph, base: &Path) -> Result<Vec<Arc<dyn Dataset>>, LabError> {
    let open = |benchmark: &crate::graph::Benchmark| {
        benchmark.plugin.open(base).map_err(|error| LabError::Data {
            what: format!("benchmark `{}`", benchmark.name),
            problems: vec![error],
        })
    };
    graph.benchmarks.iter().map(open).collect()
}

/// How questions become sequences.
pub(super) fn exam_text(work: &Work<'_>) -> TextSpec {
    TextSpec {
        tokenizer: work.tokenizer.clone(),
        template: work.graph.template,
        max_length: work.graph.exam_length(),
        too_long: TooLong::Error,
        visual_tokens: work.graph.visual_tokens(),
        asks: work.graph.reads_questions(),
    }
}
