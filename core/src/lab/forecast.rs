//! What a run would take: its stages and those of the experiments that it starts from, which of them
//! are done, and the arithmetic of the rest.

use std::path::Path;
use std::time::Instant;

use super::exam::Exams;
use super::work::{self, Opened, Work};
use super::{LabError, Labels, run_folder, run_identity, stages};
use crate::graph::Graph;
use crate::identity;
use crate::nn::kernels::gemm::{Mat, gemm};
use crate::record::{Manifest, Status};
use crate::schedule;
use crate::train;

/// A stage that a run needs.
#[derive(Debug, Clone)]
pub struct Piece {
    /// Its id: equal stages of several runs are one piece of work.
    pub id: String,
    /// Its optimiser steps.
    pub steps: usize,
    /// The arithmetic of all steps, in floating-point operations.
    pub flops: f64,
    /// The seconds that it took, if it is done.
    pub took: Option<f64>,
}

/// What a run takes.
#[derive(Debug, Clone)]
pub struct Forecast {
    /// Its own stages and those that it starts from, each once.
    pub pieces: Vec<Piece>,
    /// The arithmetic of its benchmarks, seeing and blind; 0 of a run that is done.
    pub exam_flops: f64,
    /// Whether it is done.
    pub done: bool,
}

/// What an experiment would take if it were run now with results in `out`. Nothing is trained and
/// nothing is written; data sets are opened.
///
/// # Errors
/// Data or weights that can't be opened.
pub fn forecast(
    graph: &Graph,
    base: &Path,
    labels: &Labels,
    out: &Path,
) -> Result<Forecast, LabError> {
    let work = work::open(graph, base, out)?;
    let exams = Exams::open(graph, base)?;
    let id = identity::hash(&run_identity(&work, labels, &exams));
    let manifest = Manifest::read(&run_folder(out, graph, &id))?;
    let done = manifest.is_some_and(|manifest| manifest.status == Status::Done);
    let mut pieces = Vec::new();
    gather(&work, &mut pieces)?;
    let open = exams.questions.iter().chain(&exams.held_out);
    let asked: usize = open.map(|samples| samples.len()).sum();
    let exam_flops = if done { 0.0 } else { asked as f64 * exam_flops(&work) };
    Ok(Forecast { pieces, exam_flops, done })
}

fn gather(work: &Work<'_>, pieces: &mut Vec<Piece>) -> Result<(), LabError> {
    for source in work.sources.values() {
        gather(source, pieces)?;
    }
    for (index, opened) in work.stages.iter().enumerate() {
        if pieces.iter().all(|known| known.id != opened.id) {
            pieces.push(piece(work, index, opened)?);
        }
    }
    Ok(())
}

fn piece(work: &Work<'_>, index: usize, opened: &Opened) -> Result<Piece, LabError> {
    let stage = &work.graph.stages[index];
    let steps = train::steps(stage, opened.dataset.len());
    let samples = steps * stage.spec.batch * stage.spec.accumulate;
    let mut plan = schedule::plan(work.graph, index);
    let filled = filled(work, index, opened, plan.length);
    if let Some(llm) = plan.nodes.last_mut() {
        llm.cost.flops = (llm.cost.flops as f64 * filled) as u64;
    }
    let flops = plan.flops_per_sample() as f64 * samples as f64;
    let totals = stages::totals(opened)?;
    let took = (totals.steps > 0).then_some(totals.seconds);
    Ok(Piece { id: opened.id.clone(), steps, flops, took })
}

/// How much of the longest sequence a padded batch takes, from a few samples. What can't be used is
/// reported when it is trained on.
fn filled(work: &Work<'_>, index: usize, opened: &Opened, length: usize) -> f64 {
    const BATCHES: usize = 4;
    let stage = &work.graph.stages[index];
    // Objectives read no sequences.
    let Some(text) = stages::text(work, stage, length) else { return 1.0 };
    let batch = stage.spec.batch.clamp(1, opened.dataset.len().max(1)).min(32);
    let stride = (opened.dataset.len() / (BATCHES * batch)).max(1);
    let rows = |at: usize| {
        let sample = opened.dataset.sample(at * stride).ok()?;
        Some(text.encode(&sample).ok()??.rows.len())
    };
    let longest = |first: usize| (first..first + batch).filter_map(rows).max();
    let found: Vec<usize> = (0..BATCHES).filter_map(|at| longest(at * batch)).collect();
    match found.len() {
        0 => 1.0,
        count => found.iter().sum::<usize>() as f64 / (count * length.max(1)) as f64,
    }
}

/// The forward passes of one question: all nodes with the picture, the LLM again without.
fn exam_flops(work: &Work<'_>) -> f64 {
    let graph = work.graph;
    let cost = |index: &petgraph::graph::NodeIndex| graph.dag[*index].cost.flops as f64;
    let all: f64 = graph.order.iter().map(cost).sum();
    let llm = graph.llm.as_ref().map_or(0.0, cost);
    let last = work.stages.last().map(|opened| (work.stages.len() - 1, opened));
    let filled = last.map_or(1.0, |(at, opened)| filled(work, at, opened, graph.length(at)));
    all - llm + 2.0 * llm * filled
}

/// The floating-point operations a second at which one thread of this machine multiplies matrices,
/// measured in about a tenth of a second.
#[must_use]
pub fn machine_flops() -> f64 {
    const SIDE: usize = 384;
    let (a, b) = (vec![0.5f32; SIDE * SIDE], vec![0.25f32; SIDE * SIDE]);
    let (a, b) = (Mat::rows(&a, SIDE), Mat::rows(&b, SIDE));
    let mut out = vec![0.0f32; SIDE * SIDE];
    let mut best = f64::INFINITY;
    let begin = Instant::now();
    while begin.elapsed().as_millis() < 100 {
        let start = Instant::now();
        gemm((SIDE, SIDE, SIDE), &mut out, SIDE, false, a, b, 1.0);
        best = best.min(start.elapsed().as_secs_f64());
    }
    2.0 * (SIDE as f64).powi(3) / best
}
