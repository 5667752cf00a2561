//! Answers to a benchmark's questions.
//!
//! Prompts of one length are answered together, so that no padding can change a number. A *blind*
//! evaluation shows every picture as the mean colour of its preparation (zeros after
//! normalisation): what the model knows without seeing.

use std::collections::BTreeMap;

use crate::data::preprocess::ImageSpec;
use crate::data::tiles::Layout;
use crate::data::{DataError, Dataset, Sample};
use crate::features::Frozen;
use crate::generate::{Chooser, Prompts, generate};
use crate::model::{Model, SeeError, Seen};
use crate::nn::ops::{self, Row};
use crate::record::{Prediction, Score};
use crate::registry::BenchmarkConfig;
use crate::score::{Judged, Scale, Statistic};
use crate::spec::Generation;
use crate::tensor::{Tensor, TensorError};
use crate::train::loader::{Batch, Drawn};
use crate::train::sequence::{Sequence, TextSpec};

/// Why an evaluation stopped.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// A question that can't be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// An operation failed: out of memory, or a plugin broke its promise.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// An operation failed while a picture was seen, or kept features can't be written.
    #[error(transparent)]
    See(#[from] SeeError),
    /// The tokenizer and the template don't fit each other.
    #[error("{0}")]
    Text(String),
}

/// How a benchmark is asked.
pub struct Exam<'a> {
    /// The model.
    pub model: &'a Model,
    /// How questions become sequences.
    pub text: &'a TextSpec,
    /// The benchmark.
    pub benchmark: &'a dyn BenchmarkConfig,
    /// Its questions.
    pub questions: &'a dyn Dataset,
    /// The frozen encoders whose features of the questions' pictures are kept.
    pub frozen: &'a Frozen,
    /// How the answers are written.
    pub generation: Generation,
    /// Whether the pictures are withheld.
    pub blind: bool,
    /// Questions answered together.
    pub batch: usize,
}

/// A sample of the data set as it is asked.
struct Question {
    drawn: Drawn,
    prompt: Sequence,
}

/// Answers every question, in the order of the data set. `watch` hears how many are done, and stops
/// the evaluation by returning `false`; the result is `None` then.
///
/// # Errors
/// A question can't be used, or an operation fails.
pub fn answer(
    exam: &Exam<'_>,
    watch: &mut dyn FnMut(usize, usize) -> bool,
) -> Result<Option<Vec<Prediction>>, EvaluateError> {
    let mut by_length: BTreeMap<(usize, bool), Vec<Question>> = BTreeMap::new();
    for index in 0..exam.questions.len() {
        let sample = exam.questions.sample(index)?;
        let prompt = exam.text.prompt(&sample, exam.benchmark.max_new_tokens())?;
        let group = by_length.entry((prompt.rows.len(), prompt.pictured)).or_default();
        group.push(Question { drawn: Drawn { sample, index, flipped: false, chance: 0 }, prompt });
    }
    let mut answers: Vec<(usize, Prediction)> = Vec::new();
    for group in by_length.values() {
        for chunk in group.chunks(exam.batch.max(1)) {
            let texts = exam.generate(chunk)?;
            for (question, text) in chunk.iter().zip(texts) {
                answers.push((question.drawn.index, exam.judge(&question.drawn.sample, text)));
            }
            if !watch(answers.len(), exam.questions.len()) {
                return Ok(None);
            }
        }
    }
    answers.sort_by_key(|(index, _)| *index);
    Ok(Some(answers.into_iter().map(|(_, prediction)| prediction).collect()))
}

/// What predictions come to: the benchmark's main metric first.
pub fn score(
    benchmark: &dyn BenchmarkConfig,
    predictions: &[Prediction],
    blind: bool,
) -> Vec<Score> {
    let judged: Vec<Judged<'_>> = predictions.iter().map(Prediction::judged).collect();
    let undecided = predictions.iter().filter(|p| p.verdict.undecided).count();
    let found = benchmark.summarise(&judged).into_iter().enumerate();
    let score =
        |(at, found)| Score { undecided, ..scored(benchmark.name(), at == 0, found, blind) };
    found.map(score).collect()
}

/// The mean of what predictions scored; what a guess gives is not known.
pub fn mean(name: &str, metric: &str, predictions: &[Prediction], blind: bool) -> Score {
    let scores: Vec<f64> = predictions.iter().map(|p| p.verdict.score).collect();
    let scale = Scale { chance: None, ..Scale::default() };
    scored(name.into(), true, Statistic { scale, ..Statistic::mean(metric, &scores) }, blind)
}

fn scored(benchmark: String, main: bool, found: Statistic, blind: bool) -> Score {
    Score {
        benchmark,
        metric: found.name,
        value: found.value,
        n: found.n,
        standard_error: found.standard_error,
        blind,
        main,
        low: found.interval.map(|(low, _)| low),
        high: found.interval.map(|(_, high)| high),
        undecided: 0,
        chance: found.scale.chance,
        maximum: found.scale.maximum,
    }
}

impl Exam<'_> {
    fn judge(&self, sample: &Sample, prediction: String) -> Prediction {
        Prediction::judge(self.benchmark, sample, prediction)
    }

    /// The answers to prompts of one length.
    fn generate(&self, asked: &[Question]) -> Result<Vec<String>, EvaluateError> {
        let visual = self.look(asked)?;
        let mut rows: Vec<Row> = Vec::new();
        let mut first = 0;
        for question in asked {
            rows.extend(question.prompt.rows.iter().map(|row| match row {
                Row::Visual(i) => Row::Visual(first + i),
                other => *other,
            }));
            first += question.prompt.visual;
        }
        let stop = self.text.template.stop(&self.text.tokenizer);
        let stop = stop.map_err(|error| EvaluateError::Text(error.to_string()))?;
        let name = self.benchmark.name();
        let purpose = |question: &Question| format!("answer {} of {name}", question.drawn.index);
        let mut choosers: Vec<Chooser> =
            asked.iter().map(|q| Chooser::of(self.generation, &purpose(q))).collect();
        let prompts = Prompts { visual, rows, batch: asked.len() };
        let most = self.benchmark.max_new_tokens();
        let said = generate(self.model.llm()?, prompts, &mut choosers, stop, most)?;
        said.iter()
            .map(|ids| {
                let text = self.text.tokenizer.decode(ids);
                text.map(|text| text.trim().to_owned())
                    .map_err(|error| EvaluateError::Text(error.to_string()))
            })
            .collect()
    }

    /// The visual tokens of the prompts' pictures; `None` if they have none.
    fn look(&self, asked: &[Question]) -> Result<Option<Tensor>, EvaluateError> {
        if !asked.first().is_some_and(|question| question.prompt.pictured) {
            return Ok(None);
        }
        if self.blind {
            return Ok(Some(self.nothing(asked)?));
        }
        let drawn: Vec<&Drawn> = asked.iter().map(|question| &question.drawn).collect();
        let (questions, layouts) = (questions(asked), layouts(asked));
        let mut batch = Batch { questions, layouts, ..Batch::default() };
        batch.add_pictures(&drawn, &self.model.images, self.frozen)?;
        Ok(self.frozen.see(self.model, &mut batch)?)
    }

    /// The visual tokens of withheld pictures: one is seen and the others are the same, unless a
    /// fusion reads the questions or their number depends on the picture.
    fn nothing(&self, asked: &[Question]) -> Result<Tensor, TensorError> {
        let (questions, layouts) = (questions(asked), layouts(asked));
        let alike = questions.is_empty() && layouts.is_empty();
        let tiles = layouts.iter().map(Layout::count).sum();
        let seen = match (alike, layouts.is_empty()) {
            (true, _) => 1,
            (false, true) => asked.len(),
            (false, false) => tiles,
        };
        let empty = |spec: &ImageSpec| {
            let shape = [seen, spec.planes(), spec.size, spec.size];
            let values = vec![0.0; shape.iter().product()];
            Tensor::new(self.model.dev(), values, &shape).map(Some)
        };
        let images = self.model.images.iter().map(empty).collect::<Result<Vec<_>, _>>()?;
        let shown = Seen { images: &images, questions: &questions, layouts: &layouts };
        let seen = self.model.see_given(shown, BTreeMap::new())?;
        if !alike {
            return Ok(seen);
        }
        let count = asked.len();
        let [_, tokens, width] = seen.dims("visual tokens")?;
        let rows: Vec<usize> = (0..count).flat_map(|_| 0..tokens).collect();
        ops::gather_rows(&seen.reshape(&[tokens, width])?, &rows)?.reshape(&[count, tokens, width])
    }
}

/// What is asked, for fusions that read it.
fn questions(asked: &[Question]) -> Vec<Vec<u32>> {
    asked.iter().filter_map(|question| question.prompt.question.clone()).collect()
}

/// How the pictures are cut into tiles, where that depends on them.
fn layouts(asked: &[Question]) -> Vec<Layout> {
    asked.iter().filter_map(|question| question.prompt.layout).collect()
}
