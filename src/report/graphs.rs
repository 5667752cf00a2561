//! The experiments' graphs, each different one once.

use serde_json::Value;

use super::runs::Study;
use crate::page::graph::graph;

/// Graphs that are drawn of a study.
const MOST: usize = 8;

/// The graphs of a study's trials as their last stage trains them; trials that share one are named
/// together.
pub fn section(study: &Study, id: &str) -> String {
    let mut drawn: Vec<(Value, Vec<&str>)> = Vec::new();
    for trial in &study.trials {
        let plan = study.runs(trial).next().and_then(|run| run.plan.as_ref());
        let last = plan.and_then(|plan| plan.stages.iter().rfind(|stage| stage.own));
        let Some(last) = last else { continue };
        let plan = &last.plan["plan"];
        match drawn.iter_mut().find(|(known, _)| known["nodes"] == plan["nodes"]) {
            Some((_, names)) => names.push(&trial.name),
            None => drawn.push((plan.clone(), vec![&trial.name])),
        }
    }
    if drawn.is_empty() {
        return String::new();
    }
    let mut html = String::from("<h3>Graphs</h3>\n<div class=\"figures\">\n");
    for (at, (plan, names)) in drawn.iter().take(MOST).enumerate() {
        let stage = plan["stage"].as_str().unwrap_or_default();
        let title = format!("{}, in stage {stage}", names.join("; "));
        html += &graph(plan, &format!("graph-{id}-{at}"), &title);
    }
    html += "</div>\n<p class=\"small quiet\">Orange boxes are trained in that stage, blue ones have \
             weights that it leaves alone; a dashed line is injected between blocks.";
    if let Some(more) = drawn.len().checked_sub(MOST).filter(|more| *more > 0) {
        html += &format!(" {more} more graphs are not drawn.");
    }
    html + "</p>\n"
}
