//! Benchmarks of a run: their questions, and their predictions, made or found.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::work::{tokenizer, usable};
use super::{LabError, Observer};
use crate::data::Dataset;
use crate::evaluate::{self, Exam};
use crate::graph::Graph;
use crate::measure::{Measurement, measure};
use crate::model::ModelError;
use crate::record::{self, Score};
use crate::text::{Tokenizer, TooLong};
use crate::train::sequence::TextSpec;

/// The predictions and the scores of one benchmark; found again if they were made before a kill.
pub(super) fn examine(
    exam: &Exam<'_>,
    folder: &Path,
    watch: &mut dyn Observer,
) -> Result<Option<Vec<Score>>, LabError> {
    let name = exam.benchmark.name();
    let path = predictions(folder, &name, exam.blind);
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

/// What a run is judged by, open.
pub(super) struct Exams {
    /// The questions of each benchmark.
    pub questions: Vec<Arc<dyn Dataset>>,
    /// The data sets on which is measured what the stages train for.
    pub held_out: Vec<Arc<dyn Dataset>>,
}

impl Exams {
    pub fn open(graph: &Graph, base: &Path) -> Result<Exams, LabError> {
        let open = |data: &crate::graph::Data| {
            data.plugin.open(base).map_err(|error| LabError::Data {
                what: format!("`{}` in `evaluate`", data.name),
                problems: vec![error],
            })
        };
        let held_out = graph.held_out.iter().map(open).collect::<Result<_, _>>()?;
        Ok(Exams { questions: questions(graph, base)?, held_out })
    }

    /// Fails with everything that is wrong with them.
    pub fn check(&self, graph: &Graph) -> Result<(), LabError> {
        for (benchmark, questions) in graph.benchmarks.iter().zip(&self.questions) {
            usable(&format!("benchmark `{}`", benchmark.name), questions.as_ref())?;
        }
        for (data, held_out) in graph.held_out.iter().zip(&self.held_out) {
            usable(&format!("`{}` in `evaluate`", data.name), held_out.as_ref())?;
        }
        Ok(())
    }
}

/// The predictions of what is measured, and their score; found again if they were made before a
/// kill.
pub(super) fn measured(
    what: &Measurement<'_>,
    (name, metric): (&str, &str),
    folder: &Path,
    watch: &mut dyn Observer,
) -> Result<Option<Score>, LabError> {
    let path = predictions(folder, name, what.blind);
    let predictions = if path.exists() {
        tracing::info!(path = %path.display(), "predictions are there");
        record::read_predictions(&path)?
    } else {
        let judged = measure(what, &mut |done, of| {
            watch.answered(name, what.blind, done, of);
            !watch.stop()
        })
        .map_err(|error| LabError::Evaluate { benchmark: name.to_owned(), error })?;
        let Some(judged) = judged else { return Ok(None) };
        record::write_predictions(&path, &judged)?;
        judged
    };
    let score = evaluate::mean(name, metric, &predictions, what.blind);
    watch.scored(&score);
    Ok(Some(score))
}

fn predictions(folder: &Path, name: &str, blind: bool) -> PathBuf {
    let file = if blind { format!("{name}.blind.jsonl") } else { format!("{name}.jsonl") };
    folder.join("predictions").join(file)
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

/// How the questions that are put to an experiment's model become sequences. Its relative paths
/// start at `base`.
///
/// # Errors
/// It has no LLM, or the LLM's tokenizer can't be loaded.
pub fn asked(graph: &Graph, base: &Path) -> Result<TextSpec, ModelError> {
    let none = || ModelError::NoLlm { experiment: graph.name.clone() };
    Ok(exam_text(graph, tokenizer(graph, base)?.ok_or_else(none)?))
}

/// How questions become sequences.
pub(super) fn exam_text(graph: &Graph, tokenizer: Arc<Tokenizer>) -> TextSpec {
    TextSpec {
        tokenizer,
        template: graph.template,
        max_length: graph.exam_length(),
        too_long: TooLong::Error,
        visual: graph.visual(),
        asks: graph.reads_questions(),
    }
}
