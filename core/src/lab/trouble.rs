//! What may come between a run and its end: others that are at it, data that can't be opened,
//! panics. None of it may reach another run.

use std::fs::File;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Lab, LabError, Labels, Observer, slug};
use crate::graph::Graph;
use crate::identity;
use crate::nn::kernels::memory::OutOfMemory;
use crate::record::{self, Manifest, RecordError, Status};
use crate::schedule;
use crate::tensor::{Dev, DevError, is_memory};

/// What one process at a time works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The run itself.
    Run,
    /// A stage that it needs.
    Stage,
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Part::Run => "run",
            Part::Stage => "stage",
        })
    }
}

/// What `work` gives; a panic in it is an error, so that it ends one run and not the others.
pub(super) fn caught<T>(work: impl FnOnce() -> Result<T, LabError>) -> Result<T, LabError> {
    // What a panic leaves half done is dropped, or on disk and made for that.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        if let Some(OutOfMemory { bytes }) = panic.downcast_ref() {
            return Err(LabError::Memory { what: "a tensor", needs: *bytes as u64, has: None });
        }
        let panic = match panic.downcast::<DevError>() {
            Ok(error) => return Err(LabError::Device { error: *error, advice: String::new() }),
            Err(panic) => panic,
        };
        let said = panic.downcast_ref::<&str>().map(|said| (*said).to_owned());
        let said = said.or_else(|| panic.downcast_ref::<String>().cloned());
        Err(LabError::Panic { said: said.unwrap_or_else(|| "it doesn't say why".to_owned()) })
    })
}

/// Fails where this build's device doesn't compute as the experiment says.
pub(super) fn computes(graph: &Graph) -> Result<(), LabError> {
    let precision = graph.precision;
    precision.fault().map_or(Ok(()), |why| Err(LabError::Precision { precision, why }))
}

/// The error with what would fit, where the device is the card and has no room.
pub(super) fn advised(error: LabError, graph: &Graph) -> LabError {
    let (error, total) = match (error, Dev::memory()) {
        (LabError::Device { error, .. }, Some((_, total))) if is_memory(&error) => (error, total),
        (error, _) => return error,
    };
    let stages = (0..graph.stages.len()).map(|stage| {
        let plan = schedule::plan(graph, stage);
        let needs = schedule::bytes(plan.card_memory().total());
        format!("\n  stage `{}`: estimated at {needs}; {}", plan.stage, plan.fitting(total))
    });
    LabError::Device { error, advice: stages.collect() }
}

/// Fails where a stage's weights, gradients and moments are more than the card has.
fn fits_card(graph: &Graph, total: u64) -> Result<(), LabError> {
    for stage in 0..graph.stages.len() {
        let plan = schedule::plan(graph, stage);
        let needs = plan.state_bytes();
        if needs > total {
            let what = "a stage's weights, gradients and moments";
            return Err(LabError::Memory { what, needs, has: Some(total) });
        }
        if plan.card_memory().total() > total {
            let advice = plan.fitting(total);
            tracing::warn!(stage = plan.stage, "may not fit on the card: {advice}");
        }
    }
    Ok(())
}

/// Fails where the parameters alone are more than the machine has: what the system promises and
/// doesn't have ends the process, and not the run.
pub(super) fn fits(graph: &Graph) -> Result<(), LabError> {
    if let Some((_, total)) = Dev::memory() {
        return fits_card(graph, total);
    }
    let parameters = graph
        .dag
        .node_weights()
        .fold(0u64, |sum, node| sum.saturating_add(node.parameters() as u64));
    let (needs, has) = (parameters.saturating_mul(4), record::memory_bytes());
    if has == 0 || needs <= has {
        return Ok(());
    }
    Err(LabError::Memory { what: "the model, without gradients,", needs, has: Some(has) })
}

/// Writes the row of a run that failed before its identity was known.
pub(super) fn note(
    (id, folder): &(String, PathBuf),
    manifest: Manifest,
    labels: &Labels,
    error: LabError,
) -> LabError {
    let failed = Manifest {
        run: id.clone(),
        status: Status::Failed,
        error: Some(error.to_string()),
        finished: Some(record::now()),
        ..manifest
    };
    let write = || {
        let _claim = record::claim(folder)?;
        record::write_text(&folder.join("experiment.ron"), &labels.source)?;
        failed.write(folder)
    };
    if let Err(unwritten) = write() {
        tracing::warn!(%unwritten, "no row of a failed run");
    }
    error
}

/// Removes that row.
pub(super) fn forget((_, folder): &(String, PathBuf)) -> Result<(), RecordError> {
    if folder.join("manifest.json").exists() {
        let _claim = record::claim(folder)?;
        record::remove_contents(folder)?;
    }
    Ok(())
}

/// Claims a folder of results; waits for it if the observer does.
pub(super) fn claim(folder: &Path, what: Part, watch: &dyn Observer) -> Result<File, LabError> {
    match watch.waits() {
        true => Ok(record::claim(folder)?),
        false => record::try_claim(folder)?.ok_or(LabError::Busy { what }),
    }
}

impl Lab<'_> {
    /// Where a run is noted whose identity can't be known, because its data can't be opened.
    pub(super) fn unopened(&self, graph: &Graph, labels: &Labels) -> (String, PathBuf) {
        let trial = labels.trial_name(graph);
        let id = identity::hash(&json!({
            "unopened": [graph.name, labels.study, trial, labels.source],
        }));
        let folder = self.out.join("runs").join(format!("{}-{}", slug(&graph.name), &id[..12]));
        (id, folder)
    }
}
