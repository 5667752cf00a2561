//! Training: what a model starts from, and its stages, each trained, resumed or loaded.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::why::Note;
use super::work::{Opened, Work, stages_until, usable};
use super::{Lab, LabError, Observer, Part, claim};
use crate::data::Dataset;
use crate::features::{FeatureCache, Frozen, ShelfError, Shelves};
use crate::graph::{Graph, Stage};
use crate::model::{self, Model, ModelError, ModelNode, Teaches};
use crate::record::{self, RecordError, StageRecord};
use crate::schedule::{self, Schedule};
use crate::spec::Weights;
use crate::train::checkpoint::Checkpoint;
use crate::train::loader::Lesson;
use crate::train::sequence::TextSpec;
use crate::train::taught::Taught;
use crate::train::{self, Job, Outcome, Step, Totals, Watch};
use crate::weights::{self, Bundle, WeightsError};

/// Written last: a stage that has it is done.
pub(super) const TOTALS: &str = "stage.json";
pub(super) const WEIGHTS: &str = "weights.safetensors";
const METRICS: &str = "metrics.jsonl";

/// What `stage.json` holds: the totals, and hashes of the files that the stage left.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Finished {
    #[serde(flatten)]
    totals: Totals,
    #[serde(default)]
    files: BTreeMap<String, String>,
}

impl Finished {
    fn of(totals: Totals, folder: &Path) -> Result<Finished, RecordError> {
        let hash = |name: &str| Ok((name.to_owned(), record::hash_file(&folder.join(name))?));
        let files = [WEIGHTS, METRICS].into_iter().map(hash).collect::<Result<_, RecordError>>()?;
        Ok(Finished { totals, files })
    }

    /// Fails if a file is not the one that was written: on a failing disk, or by another hand.
    pub fn hold(&self, folder: &Path) -> Result<(), RecordError> {
        for (name, hash) in &self.files {
            let path = folder.join(name);
            if record::hash_file(&path)? != *hash {
                let detail = "its bytes are not those that were written; `eagle-lab cache verify \
                              --remove` lists and removes what is damaged, to be made again";
                return Err(RecordError::new(&path, detail));
            }
        }
        Ok(())
    }
}

/// What a finished stage says of itself.
pub(super) fn totals(stage: &Opened) -> Result<Totals, RecordError> {
    Ok(record::read_json(&stage.folder.join(TOTALS))?.unwrap_or_default())
}

/// What the stages of the experiments that weights come from say of themselves, each once.
pub(super) fn of_sources(work: &Work<'_>, found: &mut Vec<StageRecord>) -> Result<(), RecordError> {
    for source in work.sources.values() {
        of_sources(source, found)?;
        for (stage, opened) in source.graph.stages.iter().zip(&source.stages) {
            if found.iter().all(|known| known.id != opened.id) {
                found.push(totals(opened)?.record(&stage.spec.name.value, &opened.id));
            }
        }
    }
    Ok(())
}

impl Lab<'_> {
    /// The model after its first `count` stages; `None` if the user stopped it. `own` stages are
    /// those of the experiment that is run, not of one that it takes weights from.
    pub(super) fn trained(
        &self,
        work: &Work<'_>,
        count: usize,
        own: bool,
        watch: &mut dyn Observer,
    ) -> Result<Option<Model>, LabError> {
        let model = model::build(work.graph, &self.dev)?;
        if !self.start(work, &model, watch)? {
            return Ok(None);
        }
        for index in 0..count {
            if !self.stage(work, index, own, &model, watch)? {
                return Ok(None);
            }
        }
        Ok(Some(model))
    }

    /// Loads the weights that the nodes start from, after training the experiments that make them.
    fn start(
        &self,
        work: &Work<'_>,
        model: &Model,
        watch: &mut dyn Observer,
    ) -> Result<bool, LabError> {
        // Nodes that start from the same model are loaded together: it is built once, and gone
        // before the next one is.
        let mut makers: Vec<(&Path, usize)> = Vec::new();
        for node in &model.nodes {
            match work.graph.weights_of(&node.id) {
                None | Some(Weights::Random) => {}
                Some(Weights::File { path, prefix }) => {
                    node.load(&work.base.join(path), prefix)?;
                }
                Some(Weights::From { experiment, stage, .. }) => {
                    let source = source(work, experiment)?;
                    let maker =
                        (experiment.as_path(), stages_until(source.graph, stage.as_deref()));
                    if !makers.contains(&maker) {
                        makers.push(maker);
                    }
                }
            }
        }
        for (path, count) in makers {
            let source = source(work, path)?;
            let Some(made) = self.trained(source, count, false, watch)? else { return Ok(false) };
            for node in &model.nodes {
                let Some(Weights::From { experiment, stage, node: from }) =
                    work.graph.weights_of(&node.id)
                else {
                    continue;
                };
                if experiment == path && stages_until(source.graph, stage.as_deref()) == count {
                    let from = from.as_ref().unwrap_or(&node.id);
                    let mut bundle = Bundle::default();
                    for other in made.nodes.iter().filter(|other| other.id == *from) {
                        bundle.add("", &other.params);
                    }
                    let fail = |error| ModelError::Weights { node: node.id.clone(), error };
                    weights::load(&node.params, &bundle, "", path).map_err(fail)?;
                }
            }
        }
        Ok(true)
    }

    /// The encoders that don't record in a stage, with their features on shelves.
    fn frozen(&self, work: &Work<'_>, index: usize, model: &Model) -> Result<Frozen, ShelfError> {
        let schedule = schedule::plan(work.graph, index);
        let passes = |id: &str| schedule.nodes.iter().any(|node| node.id == id && node.records);
        let stage = &work.stages[index];
        let data = (stage.dataset.len(), stage.dataset.fingerprint());
        let precision = work.graph.stages[index].spec.feature_cache;
        // Views differ from sample to sample, and from epoch to epoch.
        let viewed =
            !taught(work, Some(&work.graph.stages[index]), model).iter().all(|t| t.views == 1);
        let frozen = |node: &ModelNode| !passes(&node.id) && !viewed;
        Frozen::open(model, &frozen, &self.shelves(), precision, (data.0, &data.1))
    }

    /// The encoders that no stage trains, with their features of a benchmark's pictures on shelves.
    pub(super) fn frozen_in_exam(
        &self,
        graph: &Graph,
        questions: &dyn Dataset,
        model: &Model,
    ) -> Result<Frozen, ShelfError> {
        let precision = graph.stages.last().map_or(FeatureCache::Off, |s| s.spec.feature_cache);
        let trains =
            |stage: &Stage, id: &str| stage.trains.iter().any(|&node| graph.dag[node].id == id);
        let frozen = |node: &ModelNode| !graph.stages.iter().any(|stage| trains(stage, &node.id));
        let data = (questions.len(), questions.fingerprint());
        Frozen::open(model, &frozen, &self.shelves(), precision, (data.0, &data.1))
    }

    fn shelves(&self) -> Shelves {
        Shelves::new(&self.out.join("cache"), self.feature_limit)
    }

    /// Trains one stage, or loads it if it is done; `false` if the user stopped it.
    fn stage(
        &self,
        work: &Work<'_>,
        index: usize,
        own: bool,
        model: &Model,
        watch: &mut dyn Observer,
    ) -> Result<bool, LabError> {
        let (graph, stage, opened) = (work.graph, &work.graph.stages[index], &work.stages[index]);
        let name = &stage.spec.name.value;
        let _claim = claim(&opened.folder, Part::Stage, watch)?;
        if own && self.forgets(&opened.id) {
            tracing::info!(stage = name, id = opened.id, "forced: forgotten");
            record::remove_contents(&opened.folder)?;
        }
        let trains: Vec<&str> =
            stage.trains.iter().map(|&node| graph.dag[node].id.as_str()).collect();
        let weights = opened.folder.join(WEIGHTS);
        if opened.folder.join(TOTALS).exists() {
            let finished: Finished =
                record::read_json(&opened.folder.join(TOTALS))?.unwrap_or_default();
            finished.hold(&opened.folder)?;
            load_nodes(model, &trains, &Bundle::read(&weights)?, &weights)?;
            watch.reused(&graph.name, name, &opened.id);
            return Ok(true);
        }
        tracing::info!(stage = name, folder = %opened.folder.display(), "not done: no {TOTALS}");
        Note::of(work, index).write(&opened.folder)?;
        let job = Job {
            model,
            stage,
            dataset: opened.dataset.clone(),
            lesson: lesson(work, index, model),
            frozen: Arc::new(self.frozen(work, index, model)?),
            seed: crate::seed::derive(graph.seed, &format!("order of stage {index}")),
            folder: &opened.folder,
        };
        let schedule = schedule::plan(graph, index);
        let mut steps = Steps { watch, experiment: &graph.name, schedule: &schedule };
        let (outcome, totals) = train::run(&job, &mut steps)
            .map_err(|error| LabError::Train { stage: name.clone(), error })?;
        watch.trained(&totals);
        if let Outcome::Stopped(_) = outcome {
            return Ok(false);
        }
        let mut bundle = Bundle::default();
        for node in model.nodes.iter().filter(|node| trains.contains(&node.id.as_str())) {
            bundle.add(&format!("{}/", node.id), &node.params);
        }
        bundle.write(&weights)?;
        record::write_json(&opened.folder.join(TOTALS), &Finished::of(totals, &opened.folder)?)?;
        Checkpoint::at(&opened.folder).remove()?;
        Ok(true)
    }
}

/// Fails with everything that is wrong with the data of a stage that is to be trained, here or in
/// an experiment that weights come from.
pub(super) fn check_data(work: &Work<'_>, again: bool) -> Result<(), LabError> {
    for source in work.sources.values() {
        check_data(source, false)?;
    }
    for (stage, opened) in work.graph.stages.iter().zip(&work.stages) {
        if again || !opened.folder.join(TOTALS).exists() {
            usable(&format!("stage `{}`", stage.spec.name.value), opened.dataset.as_ref())?;
        }
    }
    Ok(())
}

fn source<'a, 'g>(work: &'a Work<'g>, path: &Path) -> Result<&'a Work<'g>, ModelError> {
    let missing = || ModelError::Missing { path: path.to_owned() };
    Ok(work.sources.get(path).ok_or_else(missing)?.as_ref())
}

/// What is learnt in a stage.
fn lesson(work: &Work<'_>, index: usize, model: &Model) -> Lesson {
    let stage = &work.graph.stages[index];
    match text(work, stage, work.graph.length(index)) {
        Some(text) => Lesson::Text(text),
        None => Lesson::Objectives(taught(work, Some(stage), model)),
    }
}

/// How a stage's conversations become sequences; `None` without an LLM.
pub(super) fn text(work: &Work<'_>, stage: &Stage, max_length: usize) -> Option<TextSpec> {
    Some(TextSpec {
        tokenizer: work.tokenizer.clone()?,
        template: stage.spec.template,
        max_length,
        too_long: stage.spec.too_long,
        visual: work.graph.visual(),
        asks: work.graph.reads_questions(),
    })
}

/// The objectives that a stage follows, all of them without one, in the order of the model's.
pub(super) fn taught(work: &Work<'_>, stage: Option<&Stage>, model: &Model) -> Vec<Taught> {
    let graph = work.graph;
    let followed = stage.map_or(graph.objectives.clone(), |stage| graph.followed(stage));
    let taught = |teaches: Teaches<'_>| {
        let id = &model.nodes[teaches.node].id;
        let at = graph.objectives.iter().position(|&node| graph.dag[node].id == *id)?;
        let node = *followed.iter().find(|&&node| node == graph.objectives[at])?;
        let objective = graph.objective(node)?;
        let (views, measured_views) = (objective.views(), objective.measured_views());
        let labeller = work.labellers.get(at)?.clone();
        Some(Taught { node: id.clone(), labeller, image: teaches.image, views, measured_views })
    };
    model.objectives().filter_map(taught).collect()
}

struct Steps<'a> {
    watch: &'a mut dyn Observer,
    experiment: &'a str,
    schedule: &'a Schedule,
}

impl Watch for Steps<'_> {
    fn begin(&mut self, done: usize, steps: usize) {
        self.watch.stage(self.experiment, self.schedule, done, steps);
    }

    fn step(&mut self, step: &Step) {
        self.watch.step(step);
    }

    fn stop(&self) -> bool {
        self.watch.stop()
    }
}

impl Totals {
    pub(super) fn record(&self, name: &str, id: &str) -> StageRecord {
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
