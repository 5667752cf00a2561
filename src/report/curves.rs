//! Loss curves of a study's trials, and their scores against what they cost.

use std::collections::BTreeMap;

use super::runs::{Run, Study};
use crate::Failure;
use crate::page::chart::{self, Chart, Series};
use crate::page::scatter::{self, Point};

/// Curves that one chart holds.
const MOST: usize = 16;

/// Of each step, the sum of losses and their number.
type Sums = BTreeMap<i64, (f64, usize)>;

/// A chart of the losses for each stage, a curve a trial: the mean over its seeds.
pub fn losses(study: &Study, id: &str) -> Result<String, Failure> {
    let mut stages: Vec<(String, Vec<Series>)> = Vec::new();
    for (look, trial) in study.trials.iter().enumerate().take(MOST) {
        let mut sums: Vec<(String, Sums)> = Vec::new();
        for run in study.runs(trial) {
            let curves = eagle_results::loss_curves(&run.folder).map_err(Failure::running)?;
            for (stage, loss) in curves {
                let at = sums.iter().position(|(name, _)| *name == stage).unwrap_or_else(|| {
                    sums.push((stage, BTreeMap::new()));
                    sums.len() - 1
                });
                for (step, value) in loss.curve {
                    let sum = sums[at].1.entry(step).or_default();
                    *sum = (sum.0 + value, sum.1 + 1);
                }
            }
        }
        for (stage, sums) in sums {
            let mean = |(step, (sum, n)): (i64, (f64, usize))| (step as f64, sum / n as f64);
            let points = sums.into_iter().map(mean).collect();
            let series = Series { name: trial.name.clone(), points, look };
            match stages.iter_mut().find(|(name, _)| *name == stage) {
                Some((_, all)) => all.push(series),
                None => stages.push((stage, vec![series])),
            }
        }
    }
    let mut html = String::new();
    for (at, (stage, series)) in stages.iter().enumerate() {
        let title = format!("Stage {stage}");
        let ends: Vec<String> = series.iter().map(end).collect();
        let description = format!("Training loss by step, mean over seeds. {}", ends.join("; "));
        let id = format!("loss-{id}-{at}");
        let (x, y) = ("optimiser step", "loss, nats per token");
        let chart = Chart { id: &id, title: &title, description: &description, x, y };
        html += &chart::lines(&chart, series);
    }
    let more = study.trials.len().saturating_sub(MOST);
    let more = match more {
        0 => String::new(),
        more => format!("<p class=\"small quiet\">{more} more trials are not drawn.</p>\n"),
    };
    Ok(match html.is_empty() {
        true => String::new(),
        false => format!("<h3>Losses</h3>\n<div class=\"figures\">\n{html}</div>\n{more}"),
    })
}

fn end(series: &Series) -> String {
    let last = series.points.last().map_or(f64::NAN, |point| point.1);
    format!("{} ends at {last:.4}", series.name)
}

/// A kind of cost.
struct Cost {
    name: &'static str,
    unit: &'static str,
    of: fn(&Run) -> f64,
}

const COSTS: [Cost; 4] = [
    Cost {
        name: "parameters",
        unit: "parameters",
        of: |run| (run.manifest.parameters_trained + run.manifest.parameters_frozen) as f64,
    },
    Cost {
        name: "FLOPs of a forward pass",
        unit: "FLOPs per sample",
        of: |run| run.manifest.forward_flops as f64,
    },
    Cost {
        name: "training speed",
        unit: "training samples a second",
        of: |run| run.manifest.samples_per_second,
    },
    Cost {
        name: "visual tokens",
        unit: "visual tokens per picture",
        of: |run| run.manifest.visual_tokens as f64,
    },
];

/// Charts of the mean score against each cost in which trials differ, with the list of their
/// numbers.
pub fn costs(study: &Study, id: &str) -> String {
    let mean = |values: Vec<f64>| match values.len() {
        0 => None,
        count => Some(values.iter().sum::<f64>() / count as f64),
    };
    let mut html = String::new();
    for (at, cost) in COSTS.iter().enumerate() {
        let points: Vec<Point> = study
            .trials
            .iter()
            .enumerate()
            .filter_map(|(number, trial)| {
                let x = mean(study.runs(trial).map(cost.of).collect())?;
                let y = mean(study.runs(trial).filter_map(Run::score).collect())?;
                Some(Point { number: number + 1, name: trial.name.clone(), x, y })
            })
            .filter(|point| point.x > 0.0)
            .collect();
        let differs = points.iter().any(|point| point.x != points[0].x);
        if !differs {
            continue;
        }
        let title = format!("Score against {}", cost.name);
        let told: Vec<String> = points
            .iter()
            .map(|p| format!("{}: {} at {:.1}", p.name, chart::short(p.x), p.y))
            .collect();
        let id = format!("cost-{id}-{at}");
        let (description, y) = (told.join("; "), "mean score, percent");
        let chart = Chart { id: &id, title: &title, description: &description, x: cost.unit, y };
        html += &scatter::points(&chart, &points);
    }
    if html.is_empty() {
        return html;
    }
    let names =
        study.trials.iter().map(|trial| format!("<li>{}</li>", crate::page::escape(&trial.name)));
    let names: String = names.collect();
    format!(
        "<h3>Scores and costs</h3>\n<ol class=\"small\">{names}</ol>\n<div class=\"figures\">\n\
         {html}</div>\n<p class=\"small quiet\">The score is the mean over the benchmarks’ main \
         metrics and over seeds. Training speed depends on the machine and on what it did \
         besides.</p>\n"
    )
}
