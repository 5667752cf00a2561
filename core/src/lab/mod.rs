//! An experiment from a linked graph to scores on disk, with nothing done twice.
//!
//! Stages are addressed by what they are (see `identity`): a stage that any experiment has trained
//! is loaded, one that was killed goes on from its checkpoint. Experiments whose weights this one
//! starts from are trained first. The folder of a stage or a run is locked while it is worked on, so
//! that a second process on the same results waits for the first and then finds it done.

mod audit;
pub mod cache;
mod doing;
mod exam;
pub mod forecast;
mod observe;
pub mod plan;
pub mod search;
mod stages;
mod trained;
mod trouble;
pub mod why;
mod work;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use serde_json::{Value, json};

use crate::data::DataError;
use crate::evaluate::{EvaluateError, Exam};
use crate::features::ShelfError;
use crate::graph::Graph;
use crate::identity;
use crate::measure::{Measurement, Sink, TOKEN_ACCURACY};
use crate::model::{Model, ModelError};
use crate::record::{self, Manifest, RecordError, Status};
use crate::schedule;
use crate::spec::Generation;
use crate::tensor::{Dev, DevError, Precision};
use crate::train::TrainError;
use crate::weights::WeightsError;
pub use audit::{Audited, audit};
pub use doing::Doing;
use doing::Noting;
pub use exam::asked;
use exam::{Exams, exam_text, examine, measured};
pub use observe::{Labels, Observer};
use plan::RunPlan;
pub use trained::{Trained, TrainedError};
pub use trouble::Part;
use trouble::{advised, caught, claim, computes, fits, forget, note};
use work::Work;

/// Why an experiment stopped.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// Problems of the data, all that could be found before training.
    #[error("the data of {what} can't be used:{}", listed(.problems))]
    Data {
        /// The stage or benchmark.
        what: String,
        /// Every problem.
        problems: Vec<DataError>,
    },
    /// The model can't be built.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A stage stopped.
    #[error("stage `{stage}`: {error}")]
    Train {
        /// The stage.
        stage: String,
        /// Why.
        error: TrainError,
    },
    /// An evaluation stopped.
    #[error("benchmark `{benchmark}`: {error}")]
    Evaluate {
        /// The benchmark.
        benchmark: String,
        /// Why.
        error: EvaluateError,
    },
    /// Results can't be read or written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Weights can't be read or written.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// Kept features can't be read or written.
    #[error("the feature cache: {0}")]
    Features(#[from] ShelfError),
    /// Another process, or another worker of this one, is at a part of it, and it is not to wait:
    /// [`Lab::run`] makes this [`Ending::Busy`].
    #[error("another process is at the {what}")]
    Busy {
        /// The part.
        what: Part,
    },
    /// A model that this machine can't hold.
    #[error("out of memory: {what} needs {} MiB{}", needs >> 20, has.map_or(String::new(), |has| {
        format!(", and this machine has {} MiB", has >> 20)
    }))]
    Memory {
        /// What there is no room for.
        what: &'static str,
        /// Its bytes.
        needs: u64,
        /// The machine's bytes, if they are too few in any case.
        has: Option<u64>,
    },
    /// A precision that this build's device doesn't compute in.
    #[error("`precision: {precision:?}` can't run here: {why}")]
    Precision {
        /// The precision.
        precision: Precision,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The card failed, or has no room.
    #[error("the device failed: {error}{advice}")]
    Device {
        /// What it says.
        error: DevError,
        /// What would fit, if that is the matter.
        advice: String,
    },
    /// A bug of a plugin, or ours.
    #[error(
        "a plugin, or eagle-lab itself, panicked: {said}. This is a bug there; standard error has its place"
    )]
    Panic {
        /// What it said.
        said: String,
    },
}

fn listed(problems: &[DataError]) -> String {
    const SHOWN: usize = 20;
    let mut text: String = problems.iter().take(SHOWN).map(|p| format!("\n  {p}")).collect();
    if problems.len() > SHOWN {
        text += &format!("\n  … and {} more", problems.len() - SHOWN);
    }
    text
}

/// Where and how experiments run.
pub struct Lab<'a> {
    /// The results folder.
    out: &'a Path,
    /// The device.
    dev: Dev,
    /// Whether to forget what is done and do it again.
    force: bool,
    /// Bytes of disk that frozen features may take.
    feature_limit: u64,
    /// What was forgotten already: it is done again once.
    forgotten: Mutex<BTreeSet<String>>,
}

/// How a run ended.
#[derive(Debug)]
pub enum Ending {
    /// Trained and evaluated; the run's folder and manifest.
    Done(PathBuf, Box<Manifest>),
    /// Stopped by its user; it can go on.
    Stopped,
    /// Another process or worker is at it, or at a stage that it needs; nothing of it was done.
    Busy(Part),
}

/// The bytes of disk that frozen features may take, unless said otherwise: 20 GiB.
pub const FEATURE_LIMIT: u64 = 20 << 30;

const MANIFEST_SCHEMA: u32 = 1;

impl<'a> Lab<'a> {
    /// A lab whose results go to `out`. With `force`, an experiment's own stages and its evaluation
    /// are done again, each once in the life of the lab; what it takes weights from is not.
    pub fn new(out: &'a Path, dev: Dev, force: bool) -> Lab<'a> {
        Lab { out, dev, force, feature_limit: FEATURE_LIMIT, forgotten: Mutex::default() }
    }

    /// The same lab, with `bytes` of disk for frozen features in place of [`FEATURE_LIMIT`].
    #[must_use]
    pub fn with_feature_limit(self, bytes: u64) -> Lab<'a> {
        Lab { feature_limit: bytes, ..self }
    }

    /// Runs an experiment: what it starts from, its stages, its benchmarks. Its relative paths
    /// start at `base`.
    ///
    /// # Errors
    /// See [`LabError`]; the run's manifest says it, too.
    pub fn run(
        &self,
        graph: &Graph,
        base: &Path,
        labels: &Labels,
        watch: &mut dyn Observer,
    ) -> Result<Ending, LabError> {
        let started = record::now();
        let open = || Ok((work::open(graph, base, self.out)?, Exams::open(graph, base)?));
        let unopened = self.unopened(graph, labels);
        let (work, exams) = match caught(open) {
            Ok(opened) => opened,
            Err(error) => {
                return Err(note(&unopened, manifest(graph, labels, started), labels, error));
            }
        };
        forget(&unopened)?;
        let identity = run_identity(&work, labels, &exams);
        let id = identity::hash(&identity);
        let folder = run_folder(self.out, graph, &id);
        let _claim = match claim(&folder, Part::Run, watch) {
            Err(LabError::Busy { what }) => return Ok(Ending::Busy(what)),
            claim => claim?,
        };
        if self.forgets(&id) {
            record::remove_contents(&folder)?;
        } else if let Some(done) = Manifest::read(&folder)?
            && done.status == Status::Done
        {
            tracing::info!(run = id, "the run is done");
            return Ok(Ending::Done(folder, Box::new(done)));
        }
        let mut manifest = Manifest { run: id, ..manifest(graph, labels, started) };
        record::write_text(&folder.join("experiment.ron"), &labels.source)?;
        RunPlan::of(&work, identity).write(&folder)?;
        manifest.write(&folder)?;
        let mut noting = Noting::new(watch, &folder);
        let result = caught(|| self.work(&work, &exams, &folder, &mut manifest, &mut noting));
        let result = result.map_err(|error| advised(error, graph));
        drop(noting);
        if let Err(LabError::Busy { what }) = result {
            return Ok(Ending::Busy(what));
        }
        manifest.finished = Some(record::now());
        manifest.peak_bytes = record::peak_bytes();
        manifest.status = match &result {
            Ok(true) => Status::Done,
            Ok(false) => Status::Interrupted,
            Err(error) => {
                manifest.error = Some(error.to_string());
                Status::Failed
            }
        };
        manifest.write(&folder)?;
        Ok(match result? {
            true => Ending::Done(folder, Box::new(manifest)),
            false => Ending::Stopped,
        })
    }

    /// Whether what is done under this identity is to be done again now.
    fn forgets(&self, id: &str) -> bool {
        let forgotten = || self.forgotten.lock().unwrap_or_else(PoisonError::into_inner);
        self.force && forgotten().insert(id.to_owned())
    }

    fn work(
        &self,
        work: &Work<'_>,
        exams: &Exams,
        folder: &Path,
        manifest: &mut Manifest,
        watch: &mut dyn Observer,
    ) -> Result<bool, LabError> {
        computes(work.graph)?;
        fits(work.graph)?;
        stages::check_data(work, self.force)?;
        exams.check(work.graph)?;
        let Some(model) = self.trained(work, work.stages.len(), true, watch)? else {
            return Ok(false);
        };
        let mut metrics = String::new();
        for (stage, opened) in work.graph.stages.iter().zip(&work.stages) {
            let name = &stage.spec.name.value;
            metrics += &record::metrics_of(&opened.folder, name)?;
            manifest.stages.push(stages::totals(opened)?.record(name, &opened.id));
        }
        record::write_text(&folder.join("metrics.jsonl"), &metrics)?;
        stages::of_sources(work, &mut manifest.sources)?;
        manifest.seconds = manifest.stages.iter().map(|stage| stage.seconds).sum();
        let samples: usize = manifest.stages.iter().map(|stage| stage.samples).sum();
        manifest.samples_per_second = samples as f64 / manifest.seconds.max(1e-9);
        let sitting = Instant::now();
        let done = self.examine(work, &model, exams, folder, manifest, watch)?
            && self.measure(work, &model, exams, folder, manifest, watch)?;
        manifest.seconds += sitting.elapsed().as_secs_f64();
        Ok(done)
    }

    /// Asks the benchmarks; `false` if the user stopped it.
    fn examine(
        &self,
        work: &Work<'_>,
        model: &Model,
        exams: &Exams,
        folder: &Path,
        manifest: &mut Manifest,
        watch: &mut dyn Observer,
    ) -> Result<bool, LabError> {
        let Some(tokenizer) = work.tokenizer.clone() else { return Ok(true) };
        let text = exam_text(work.graph, tokenizer);
        for (benchmark, questions) in work.graph.benchmarks.iter().zip(&exams.questions) {
            let frozen = self.frozen_in_exam(work.graph, questions.as_ref(), model)?;
            for blind in [false, true] {
                let exam = Exam {
                    model,
                    text: &text,
                    benchmark: benchmark.plugin.as_ref(),
                    questions: questions.as_ref(),
                    frozen: &frozen,
                    generation: work.graph.generation,
                    blind,
                    batch: 64,
                };
                match examine(&exam, folder, watch)? {
                    Some(scores) => manifest.scores.extend(scores),
                    None => return Ok(false),
                }
                manifest.write(folder)?;
            }
        }
        Ok(true)
    }

    /// Measures what the stages train for; `false` if the user stopped it.
    fn measure(
        &self,
        work: &Work<'_>,
        model: &Model,
        exams: &Exams,
        folder: &Path,
        manifest: &mut Manifest,
        watch: &mut dyn Observer,
    ) -> Result<bool, LabError> {
        let tokenizer = work.tokenizer.clone();
        let text = tokenizer.map(|tokenizer| exam_text(work.graph, tokenizer));
        let taught = stages::taught(work, None, model);
        let mut sinks: Vec<(&str, &str, Sink<'_>)> = Vec::new();
        for (taught, teaches) in taught.iter().zip(model.objectives()) {
            let metric = work.graph.metric_of(&taught.node).unwrap_or("");
            sinks.push((&taught.node, metric, Sink::Objective(taught, teaches)));
        }
        if let (Some(text), Some(llm)) = (&text, work.graph.llm) {
            sinks.push((&work.graph.dag[llm].id, TOKEN_ACCURACY, Sink::Llm(text)));
        }
        for (at, dataset) in exams.held_out.iter().enumerate() {
            let dataset = dataset.as_ref();
            let frozen = self.frozen_in_exam(work.graph, dataset, model)?;
            for &(node, metric, sink) in &sinks {
                // The second data set and those behind it are numbered.
                let name = if at == 0 { node.to_owned() } else { format!("{node}-{}", at + 1) };
                for blind in [false, true] {
                    let frozen = &frozen;
                    let what = Measurement { model, sink, dataset, frozen, blind, batch: 64 };
                    match measured(&what, (&name, metric), folder, watch)? {
                        Some(score) => manifest.scores.push(score),
                        None => return Ok(false),
                    }
                }
            }
        }
        Ok(true)
    }
}

impl Labels {
    fn trial_name(&self, graph: &Graph) -> String {
        self.trial.clone().unwrap_or_else(|| graph.name.clone())
    }
}

/// What a run is: what its model is, how that is asked, and the row that it makes.
fn run_identity(work: &Work<'_>, labels: &Labels, open: &Exams) -> Value {
    let graph = work.graph;
    let exams: Vec<Value> = graph
        .benchmarks
        .iter()
        .zip(&open.questions)
        .map(|(benchmark, questions)| json!([benchmark.identity, questions.fingerprint()]))
        .collect();
    let stages: Vec<&str> = work.stages.iter().map(|stage| stage.id.as_str()).collect();
    let mut identity = json!({
        "experiment": graph.name,
        "study": labels.study,
        "trial": labels.trial_name(graph),
        "start": work.start,
        "stages": stages,
        "template": graph.template.name(),
        "max_length": graph.exam_length(),
        "benchmarks": exams,
    });
    // A field that came later leaves the identities of those who don't use it alone.
    if graph.generation != Generation::Greedy {
        identity["generation"] = json!(graph.generation);
    }
    if !graph.held_out.is_empty() {
        let held_out = graph.held_out.iter().zip(&open.held_out);
        let held_out = held_out.map(|(data, open)| json!([data.identity, open.fingerprint()]));
        identity["held-out"] = held_out.collect();
    }
    identity
}

/// Where the run of this identity is kept.
fn run_folder(out: &Path, graph: &Graph, id: &str) -> PathBuf {
    out.join("runs").join(format!("{}-{}", slug(&graph.name), &id[..12]))
}

/// What is known of a run before it begins, apart from its identity.
fn manifest(graph: &Graph, labels: &Labels, started: String) -> Manifest {
    let size = |trained: bool| {
        let updated =
            |(index, i): (_, usize)| graph.stages.iter().any(|stage| stage.trains_param(index, i));
        let params = graph.order.iter().flat_map(|&index| {
            let params = graph.dag[index].params.iter().enumerate();
            params.map(move |(i, param)| ((index, i), param))
        });
        let sizes = params
            .filter(|(at, param)| (updated(*at) && !param.buffer) == trained)
            .map(|(_, param)| param.len() as u64);
        sizes.fold(0, u64::saturating_add)
    };
    let (version, commit, command) = labels.program.clone();
    Manifest {
        schema: MANIFEST_SCHEMA,
        run: String::new(),
        experiment: graph.name.clone(),
        study: labels.study.clone(),
        trial: labels.trial_name(graph),
        position: labels.position,
        seed: graph.seed,
        axes: labels.axes.clone(),
        status: Status::Running,
        error: None,
        started,
        finished: None,
        seconds: 0.0,
        peak_bytes: 0,
        parameters_trained: size(true),
        parameters_frozen: size(false),
        visual_tokens: graph.visual_tokens() as u64,
        forward_flops: schedule::plan(graph, graph.stages.len().saturating_sub(1)).forward_flops(),
        samples_per_second: 0.0,
        commit,
        version,
        command,
        machine: record::machine(labels.threads),
        stages: Vec::new(),
        sources: Vec::new(),
        scores: Vec::new(),
    }
}

/// A name as a folder can bear it.
fn slug(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' })
        .collect()
}
