//! The scores of an experiment that is of no study: one row a benchmark and metric.

use eagle_core::record::Score;

use super::runs::Study;
use crate::page::table;

/// A table of the scores of each seed's run.
pub fn section(study: &Study) -> String {
    let heads = ["benchmark", "metric", "seed", "score", "image withheld", "n"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    let shown = |score: &Score| {
        let scale = if score.maximum <= 1.0 { 100.0 } else { 1.0 };
        let error = score.standard_error.map(|error| format!(" ± {:.1}", error * scale));
        format!("{:.1}{}", score.value * scale, error.unwrap_or_default())
    };
    for run in study.trials.iter().flat_map(|trial| study.runs(trial)) {
        let scores = &run.manifest.scores;
        for score in scores.iter().filter(|score| !score.blind) {
            let same = |one: &&Score| {
                one.blind && one.benchmark == score.benchmark && one.metric == score.metric
            };
            rows.push(vec![
                score.benchmark.clone(),
                score.metric.clone(),
                run.manifest.seed.to_string(),
                shown(score),
                scores.iter().find(same).map_or_else(|| "–".to_owned(), shown),
                score.n.to_string(),
            ]);
        }
    }
    table("Shares in percent; ± is the standard error over questions.", &rows)
}
