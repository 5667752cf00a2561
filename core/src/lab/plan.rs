//! What a run is going to do, in `plan.json` of its folder: written when it begins, so that others
//! can tell how far it is, where its files were looked for and what it is made of, without its data
//! and without linking it again.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::work::Work;
use crate::record::{self, RecordError};
use crate::schedule::{self, Schedule};
use crate::train;

const PLAN: &str = "plan.json";

/// What a run is going to do.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunPlan {
    /// The folder at which the experiment's relative paths start.
    pub base: PathBuf,
    /// What the run's id is the hash of.
    pub identity: Value,
    /// All stages that it needs, those of the experiments that it takes weights from first.
    pub stages: Vec<PlannedStage>,
    /// The benchmarks, in order.
    pub benchmarks: Vec<String>,
}

/// A stage that a run needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedStage {
    /// The experiment whose stage it is.
    pub experiment: String,
    /// Its name there.
    pub name: String,
    /// Its identity.
    pub id: String,
    /// Whether it is the run's own, not of an experiment that it takes weights from.
    pub own: bool,
    /// Optimiser steps.
    pub steps: usize,
    /// What its id is the hash of.
    pub identity: Value,
    /// Its nodes, shapes and costs, as `eagle-lab plan --format json` has them.
    pub plan: Value,
}

impl RunPlan {
    pub(super) fn of(work: &Work<'_>, identity: Value) -> RunPlan {
        let mut stages = Vec::new();
        add(work, true, &mut stages);
        let benchmarks = work.graph.benchmarks.iter().map(|one| one.name.clone()).collect();
        let base = match work.base.as_os_str().is_empty() {
            true => Path::new("."),
            false => &work.base,
        };
        let base = base.canonicalize().unwrap_or_else(|_| base.to_owned());
        RunPlan { base, identity, stages, benchmarks }
    }

    pub(super) fn write(&self, folder: &Path) -> Result<(), RecordError> {
        record::write_json(&folder.join(PLAN), self)
    }

    /// Reads the plan of a run's folder; `None` if there is none: the run was begun by an eagle-lab
    /// that left none, or its data can't be opened.
    ///
    /// # Errors
    /// The file can't be read or is damaged.
    pub fn read(folder: &Path) -> Result<Option<RunPlan>, RecordError> {
        record::read_json(&folder.join(PLAN))
    }
}

fn add(work: &Work<'_>, own: bool, stages: &mut Vec<PlannedStage>) {
    for source in work.sources.values() {
        add(source, false, stages);
    }
    for (index, (stage, opened)) in work.graph.stages.iter().zip(&work.stages).enumerate() {
        if stages.iter().any(|known| known.id == opened.id) {
            continue;
        }
        stages.push(PlannedStage {
            experiment: work.graph.name.clone(),
            name: stage.spec.name.value.clone(),
            id: opened.id.clone(),
            own,
            steps: train::steps(stage, opened.dataset.len()),
            identity: opened.identity.clone(),
            plan: described(&schedule::plan(work.graph, index)),
        });
    }
}

/// A schedule with what is computed from it.
#[must_use]
pub fn described(schedule: &Schedule) -> Value {
    let (trained, frozen) = schedule.parameters();
    json!({
        "plan": schedule,
        "parameters_trained": trained,
        "parameters_frozen": frozen,
        "frozen_prefix": schedule.frozen_prefix(),
        "forward_flops": schedule.forward_flops(),
        "flops_per_sample": schedule.flops_per_sample(),
        "peak_bytes": schedule.peak_bytes(),
        "card_bytes": schedule.card_memory(),
    })
}
