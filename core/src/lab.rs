//! An experiment from a linked graph to scores on disk, with nothing done twice.
//!
//! Stages are addressed by what they are (see `identity`): a stage that any experiment has trained
//! is loaded, one that was killed goes on from its checkpoint. Experiments whose weights this one
//! starts from are trained first. A stage's folder is locked while it is trained, so that a second
//! process on the same results waits for the first and then finds it done.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};

use crate::data::{DataError, Dataset};
use crate::evaluate::{self, EvaluateError, Exam};
use crate::graph::Graph;
use crate::identity;
use crate::model::{self, Model, ModelError};
use crate::record::{self, Manifest, RecordError, Score, StageRecord, Status};
use crate::registry::Plugin;
use crate::schedule::{self, Schedule};
use crate::spec::Weights;
use crate::tensor::Dev;
use crate::text::{Template, Tokenizer, TooLong};
use crate::train::checkpoint::Checkpoint;
use crate::train::loader::TextSpec;
use crate::train::{self, Job, Outcome, Step, Totals, TrainError, Watch};
use crate::weights::{self, Bundle, WeightsError};

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
}

fn listed(problems: &[DataError]) -> String {
    const SHOWN: usize = 20;
    let mut text: String = problems.iter().take(SHOWN).map(|p| format!("\n  {p}")).collect();
    if problems.len() > SHOWN {
        text += &format!("\n  … and {} more", problems.len() - SHOWN);
    }
    text
}

/// Who hears what happens, and may stop it.
pub trait Observer {
    /// A stage begins, at `done` of `steps` steps.
    fn stage(&mut self, experiment: &str, schedule: &Schedule, done: usize, steps: usize);
    /// A stage was found trained.
    fn reused(&mut self, experiment: &str, stage: &str, id: &str);
    /// A step was made.
    fn step(&mut self, step: &Step);
    /// A stage is trained.
    fn trained(&mut self, totals: &Totals);
    /// `done` of `of` questions of a benchmark are answered.
    fn answered(&mut self, benchmark: &str, blind: bool, done: usize, of: usize);
    /// A benchmark is scored.
    fn scored(&mut self, score: &Score);
    /// Whether to save and stop at the next step.
    fn stop(&self) -> bool;
}

/// What the results say of a run apart from its numbers.
#[derive(Debug, Clone, Default)]
pub struct Labels {
    /// The study's name and the varied fields, if the experiment is a trial.
    pub study: Option<String>,
    /// What tells the trial from the others.
    pub trial: Option<String>,
    /// The varied fields and their values.
    pub axes: std::collections::BTreeMap<String, String>,
    /// The program's version, the commit of its source, the command line.
    pub program: (String, Option<String>, String),
    /// The resolved text of the experiment.
    pub source: String,
    /// Threads used.
    pub threads: usize,
}

/// Where and how experiments run.
pub struct Lab<'a> {
    /// The results folder.
    pub out: &'a Path,
    /// The folder at which the experiment's relative paths start.
    pub base: &'a Path,
    /// The device.
    pub dev: Dev,
    /// Whether to forget what is done and do it again.
    pub force: bool,
}

/// How a run ended.
#[derive(Debug)]
pub enum Ending {
    /// Trained and evaluated; the run's folder and manifest.
    Done(PathBuf, Box<Manifest>),
    /// Stopped by its user; it can go on.
    Stopped,
}

/// A stage with its identity.
struct Resolved {
    id: String,
    dataset: Arc<dyn Dataset>,
    folder: PathBuf,
}

const SEEN: &str = "stage.json";
const WEIGHTS: &str = "weights.safetensors";
const MANIFEST_SCHEMA: u32 = 1;

impl Lab<'_> {
    /// Runs an experiment: what it starts from, its stages, its benchmarks.
    ///
    /// # Errors
    /// See [`LabError`]. The run's manifest says what failed, too.
    pub fn run(
        &self,
        graph: &Graph,
        labels: &Labels,
        watch: &mut dyn Observer,
    ) -> Result<Ending, LabError> {
        let started = record::now();
        let stages = self.resolve(graph)?;
        let questions = self.questions(graph)?;
        let id = run_identity(graph, &stages, &questions);
        let folder = self.out.join("runs").join(format!("{}-{}", slug(&graph.name), &id[..12]));
        if self.force {
            record::remove_folder(&folder)?;
        } else if let Some(done) = Manifest::read(&folder)?
            && done.status == Status::Done
            && done.trial == labels.trial_name(graph)
            && done.study == labels.study
        {
            return Ok(Ending::Done(folder, Box::new(done)));
        }
        let mut manifest = manifest(graph, labels, &id, started);
        record::write_text(&folder.join("experiment.ron"), &labels.source)?;
        manifest.write(&folder)?;
        let result = self.work(graph, &stages, &questions, &folder, &mut manifest, watch);
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

    fn work(
        &self,
        graph: &Graph,
        stages: &[Resolved],
        questions: &[Arc<dyn Dataset>],
        folder: &Path,
        manifest: &mut Manifest,
        watch: &mut dyn Observer,
    ) -> Result<bool, LabError> {
        let Some(model) = self.trained(graph, stages, watch)? else { return Ok(false) };
        let mut metrics = String::new();
        for (stage, resolved) in graph.stages.iter().zip(stages) {
            let name = &stage.spec.name.value;
            metrics += &record::metrics_of(&resolved.folder, name)?;
            let totals: Totals =
                record::read_json(&resolved.folder.join(SEEN))?.unwrap_or_default();
            manifest.stages.push(totals.record(name, &resolved.id));
        }
        record::write_text(&folder.join("metrics.jsonl"), &metrics)?;
        manifest.seconds = manifest.stages.iter().map(|stage| stage.seconds).sum();
        let samples: usize = manifest.stages.iter().map(|stage| stage.samples).sum();
        manifest.samples_per_second = samples as f64 / manifest.seconds.max(1e-9);
        let sitting = Instant::now();
        let tokenizer = self.tokenizer(graph)?;
        for (benchmark, questions) in graph.benchmarks.iter().zip(questions) {
            for blind in [false, true] {
                let text = self.text(graph, graph.stages.len().wrapping_sub(1), &tokenizer);
                let exam = Exam {
                    model: &model,
                    text: &text,
                    benchmark: benchmark.plugin.as_ref(),
                    questions: questions.as_ref(),
                    blind,
                    batch: 64,
                };
                match self.examine(&exam, folder, watch)? {
                    Some(score) => manifest.scores.push(score),
                    None => return Ok(false),
                }
            }
        }
        manifest.seconds += sitting.elapsed().as_secs_f64();
        Ok(true)
    }

    /// The predictions and the score of one benchmark; found again if they were made before a kill.
    fn examine(
        &self,
        exam: &Exam<'_>,
        folder: &Path,
        watch: &mut dyn Observer,
    ) -> Result<Option<Score>, LabError> {
        let name = exam.benchmark.name();
        let file = match exam.blind {
            true => format!("{name}.blind.jsonl"),
            false => format!("{name}.jsonl"),
        };
        let path = folder.join("predictions").join(file);
        let predictions = if path.exists() {
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
        let score = evaluate::score(exam.benchmark, &predictions, exam.blind);
        watch.scored(&score);
        Ok(Some(score))
    }

    /// The model after its last stage; `None` if the user stopped it.
    fn trained(
        &self,
        graph: &Graph,
        stages: &[Resolved],
        watch: &mut dyn Observer,
    ) -> Result<Option<Model>, LabError> {
        let model = model::build(graph, &self.dev)?;
        if !self.start(graph, &model, watch)? {
            return Ok(None);
        }
        let tokenizer = self.tokenizer(graph)?;
        for (index, resolved) in stages.iter().enumerate() {
            if !self.stage(graph, index, resolved, &model, &tokenizer, watch)? {
                return Ok(None);
            }
        }
        Ok(Some(model))
    }

    /// Trains one stage, or loads it if it is done; `false` if the user stopped it.
    fn stage(
        &self,
        graph: &Graph,
        index: usize,
        resolved: &Resolved,
        model: &Model,
        tokenizer: &Arc<Tokenizer>,
        watch: &mut dyn Observer,
    ) -> Result<bool, LabError> {
        let stage = &graph.stages[index];
        let name = stage.spec.name.value.clone();
        let _claim = claim(&resolved.folder)?;
        if self.force {
            record::remove_contents(&resolved.folder)?;
        }
        let trains: Vec<&str> =
            stage.trains.iter().map(|&node| graph.dag[node].id.as_str()).collect();
        let weights = resolved.folder.join(WEIGHTS);
        if resolved.folder.join(SEEN).exists() {
            let bundle = Bundle::read(&weights)?;
            load_nodes(model, &trains, &bundle, &weights)?;
            watch.reused(&graph.name, &name, &resolved.id);
            return Ok(true);
        }
        let schedule = schedule::plan(graph, index);
        let done = 0;
        watch.stage(&graph.name, &schedule, done, train::steps(stage, resolved.dataset.len()));
        let job = Job {
            model,
            stage,
            trains: trains.clone(),
            dataset: resolved.dataset.clone(),
            text: self.text(graph, index, tokenizer),
            seed: crate::seed::derive(graph.seed, &format!("order of stage {index}")),
            folder: &resolved.folder,
        };
        let (outcome, totals) = train::run(&job, &mut Steps(watch))
            .map_err(|error| LabError::Train { stage: name, error })?;
        watch.trained(&totals);
        if let Outcome::Stopped(_) = outcome {
            return Ok(false);
        }
        let mut bundle = Bundle::default();
        for node in model.nodes.iter().filter(|node| trains.contains(&node.id.as_str())) {
            bundle.add(&format!("{}/", node.id), &node.params);
        }
        bundle.write(&weights)?;
        record::write_json(&resolved.folder.join(SEEN), &totals)?;
        Checkpoint::at(&resolved.folder).remove()?;
        Ok(true)
    }

    /// Loads the weights that the nodes start from, after training the experiments that make them.
    fn start(
        &self,
        graph: &Graph,
        model: &Model,
        watch: &mut dyn Observer,
    ) -> Result<bool, LabError> {
        for node in &model.nodes {
            let Some(weights) = graph.weights_of(&node.id) else { continue };
            let fail = |error| ModelError::Weights { node: node.id.clone(), error };
            match weights {
                Weights::Random => {}
                Weights::File { path, prefix } => {
                    let path = self.base.join(path);
                    let bundle = Bundle::read(&path).map_err(fail)?;
                    weights::load(&node.params, &bundle, prefix, &path).map_err(fail)?;
                }
                Weights::From { experiment, stage, node: from } => {
                    let (source, lab, stages) = self.source(graph, experiment, stage.as_deref())?;
                    let Some(trained) = lab.trained(&source, &stages, watch)? else {
                        return Ok(false);
                    };
                    let from = from.as_ref().unwrap_or(&node.id);
                    let mut bundle = Bundle::default();
                    for other in trained.nodes.iter().filter(|other| other.id == *from) {
                        bundle.add("", &other.params);
                    }
                    weights::load(&node.params, &bundle, "", experiment).map_err(fail)?;
                }
            }
        }
        Ok(true)
    }

    /// The experiment at `path`, cut off after `stage`, as this experiment uses it.
    fn source(
        &self,
        graph: &Graph,
        path: &Path,
        stage: Option<&str>,
    ) -> Result<(Graph, PathLab<'_>, Vec<Resolved>), LabError> {
        let missing = || ModelError::Missing { path: path.to_owned() };
        let mut source = graph.sources.get(path).ok_or_else(missing)?.as_ref().clone();
        if let Some(stage) = stage {
            let last = source.stages.iter().position(|known| known.spec.name.value == stage);
            source.stages.truncate(last.map_or(source.stages.len(), |last| last + 1));
        }
        let base = self.base.join(path).parent().map(Path::to_owned).unwrap_or_default();
        let lab = PathLab { out: self.out, base, dev: self.dev.clone() };
        let stages = lab.lab().resolve(&source)?;
        Ok((source, lab, stages))
    }

    /// Opens every stage's data and computes the stages' identities, from first to last.
    fn resolve(&self, graph: &Graph) -> Result<Vec<Resolved>, LabError> {
        let start = self.starts(graph)?;
        let mut stages: Vec<Resolved> = Vec::new();
        for (index, stage) in graph.stages.iter().enumerate() {
            let what = format!("stage `{}`", stage.spec.name.value);
            let dataset = open(&what, || stage.data.plugin.open(self.base))?;
            let before = stages.last().map(|stage| stage.id.as_str());
            let identity = identity::stage(graph, index, &dataset.fingerprint(), before, &start);
            let id = identity::hash(&identity);
            let folder = self.out.join("cache").join("stages").join(&id);
            stages.push(Resolved { id, dataset, folder });
        }
        Ok(stages)
    }

    /// The identities of the weights that nodes start from, by node id.
    fn starts(&self, graph: &Graph) -> Result<Vec<(String, Value)>, LabError> {
        let mut starts = Vec::new();
        for &index in &graph.order {
            let node = &graph.dag[index];
            let identity = match &node.weights {
                Weights::Random => continue,
                weights @ Weights::File { path, .. } => {
                    let path = self.base.join(path);
                    identity::file(&path, weights)
                        .map_err(|error| WeightsError::Io { path, error })?
                }
                Weights::From { experiment, stage, node: from } => {
                    let (_, _, stages) = self.source(graph, experiment, stage.as_deref())?;
                    let last = stages.last().map(|stage| stage.id.clone());
                    json!({ "stage": last, "node": from.as_ref().unwrap_or(&node.id) })
                }
            };
            starts.push((node.id.clone(), identity));
        }
        starts.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(starts)
    }

    fn questions(&self, graph: &Graph) -> Result<Vec<Arc<dyn Dataset>>, LabError> {
        let open_one = |benchmark: &crate::graph::Benchmark| {
            let what = format!("benchmark `{}`", benchmark.name);
            open(&what, || benchmark.plugin.open(self.base))
        };
        graph.benchmarks.iter().map(open_one).collect()
    }

    fn tokenizer(&self, graph: &Graph) -> Result<Arc<Tokenizer>, LabError> {
        let node = &graph.dag[graph.llm];
        let fail = |detail: String| ModelError::Tokenizer { node: node.id.clone(), detail };
        let Plugin::Llm(llm) = &node.plugin else {
            return Err(fail("the node is not an LLM".into()).into());
        };
        let tokenizer = llm.tokenizer(self.base).map_err(|error| fail(error.to_string()))?;
        if tokenizer.vocabulary_size() > llm.vocabulary() {
            return Err(fail(format!(
                "it has {} tokens, the LLM only {} embeddings; set `vocabulary` to at least that",
                tokenizer.vocabulary_size(),
                llm.vocabulary()
            ))
            .into());
        }
        Ok(Arc::new(tokenizer))
    }

    fn text(&self, graph: &Graph, stage: usize, tokenizer: &Arc<Tokenizer>) -> TextSpec {
        let spec = graph.stages.get(stage).map(|stage| &stage.spec);
        TextSpec {
            tokenizer: tokenizer.clone(),
            template: spec
                .and_then(|spec| Template::named(&spec.template.value))
                .unwrap_or(Template::VicunaV1),
            max_length: graph.length(stage),
            too_long: spec.map_or(TooLong::Error, |spec| spec.too_long),
            visual_tokens: graph.visual_tokens(),
        }
    }
}

/// A lab that owns its base folder: another experiment's.
struct PathLab<'a> {
    out: &'a Path,
    base: PathBuf,
    dev: Dev,
}

impl PathLab<'_> {
    fn lab(&self) -> Lab<'_> {
        Lab { out: self.out, base: &self.base, dev: self.dev.clone(), force: false }
    }

    fn trained(
        &self,
        graph: &Graph,
        stages: &[Resolved],
        watch: &mut dyn Observer,
    ) -> Result<Option<Model>, LabError> {
        self.lab().trained(graph, stages, watch)
    }
}

struct Steps<'a>(&'a mut dyn Observer);

impl Watch for Steps<'_> {
    fn step(&mut self, step: &Step) {
        self.0.step(step);
    }

    fn stop(&self) -> bool {
        self.0.stop()
    }
}

impl Totals {
    fn record(&self, name: &str, id: &str) -> StageRecord {
        StageRecord {
            name: name.into(),
            id: id.into(),
            steps: self.steps,
            samples: self.samples,
            truncated: self.truncated,
            skipped: self.skipped,
            seconds: self.seconds,
        }
    }
}

impl Labels {
    fn trial_name(&self, graph: &Graph) -> String {
        self.trial.clone().unwrap_or_else(|| graph.name.clone())
    }
}

fn open(
    what: &str,
    open: impl FnOnce() -> Result<Arc<dyn Dataset>, DataError>,
) -> Result<Arc<dyn Dataset>, LabError> {
    let fail = |problems| LabError::Data { what: what.into(), problems };
    let dataset = open().map_err(|error| fail(vec![error]))?;
    let problems = dataset.problems();
    if problems.is_empty() { Ok(dataset) } else { Err(fail(problems)) }
}

/// Loads the trained nodes of a stage from its weights.
fn load_nodes(
    model: &Model,
    trains: &[&str],
    bundle: &Bundle,
    path: &Path,
) -> Result<(), WeightsError> {
    for node in model.nodes.iter().filter(|node| trains.contains(&node.id.as_str())) {
        weights::load(&node.params, bundle, &format!("{}/", node.id), path)?;
    }
    Ok(())
}

/// Locks a stage's folder for as long as the result lives; the system unlocks it if we die.
fn claim(folder: &Path) -> Result<File, RecordError> {
    let path = folder.join("lock");
    let fail =
        |error: std::io::Error| RecordError { path: path.clone(), detail: error.to_string() };
    std::fs::create_dir_all(folder).map_err(fail)?;
    let file = File::create(&path).map_err(fail)?;
    file.lock().map_err(fail)?;
    Ok(file)
}

fn run_identity(graph: &Graph, stages: &[Resolved], questions: &[Arc<dyn Dataset>]) -> String {
    let exams: Vec<Value> = graph
        .benchmarks
        .iter()
        .zip(questions)
        .map(|(benchmark, questions)| json!([benchmark.identity, questions.fingerprint()]))
        .collect();
    let stages: Vec<&str> = stages.iter().map(|stage| stage.id.as_str()).collect();
    identity::hash(&json!({
        "experiment": graph.name,
        "seed": graph.seed,
        "stages": stages,
        "nodes": identity::nodes(graph),
        "benchmarks": exams,
    }))
}

fn manifest(graph: &Graph, labels: &Labels, id: &str, started: String) -> Manifest {
    let size = |trained: bool| {
        let of = |index: &petgraph::graph::NodeIndex| {
            graph.stages.iter().any(|stage| stage.trains.contains(index)) == trained
        };
        let nodes = graph.order.iter().filter(|index| of(index));
        nodes.flat_map(|&index| &graph.dag[index].params).map(|p| p.len() as u64).sum()
    };
    let (version, commit, command) = labels.program.clone();
    Manifest {
        schema: MANIFEST_SCHEMA,
        run: id.into(),
        experiment: graph.name.clone(),
        study: labels.study.clone(),
        trial: labels.trial_name(graph),
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
        samples_per_second: 0.0,
        commit,
        version,
        command,
        machine: record::machine(labels.threads),
        stages: Vec::new(),
        scores: Vec::new(),
    }
}

/// A name as a folder can bear it.
fn slug(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' })
        .collect()
}
