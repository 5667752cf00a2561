//! The normalised average: each benchmark as a share of the way from a guess to the best, so that
//! MME's 2,000 points, F1 and accuracies of two or four choices weigh the same.

use super::cells::{cell as plain, complete, over_seeds};
use super::runs::{Score, Trial};
use super::{SpreadOver, TableCell, TableColumn};
use crate::stats::mean;

/// What a reader of the column must know.
pub const NOTE: &str = "Normalised: the mean over the benchmarks of (score - chance) / (maximum - \
                        chance), in percent; a model that guesses has 0, one without errors 100. The \
                        paper's own normalisation is unknown: its averages are on another scale.";

/// The column, behind all others.
pub fn column() -> TableColumn {
    TableColumn {
        benchmark: "normalised".to_owned(),
        metric: "normalised".to_owned(),
        percent: true,
        is_mean: false,
        is_normalised: true,
    }
}

/// The average of the seeds that have all benchmarks; none where the scale of one isn't known.
pub fn cell(trial: &Trial, parts: &[Vec<&Score>]) -> Option<TableCell> {
    let complete = complete(trial, parts);
    let of_seed = |scores: &Vec<&Score>| -> Option<f64> {
        mean(&scores.iter().map(|score| way(score)).collect::<Option<Vec<f64>>>()?)
    };
    let averages = complete.iter().map(of_seed).collect::<Option<Vec<f64>>>()?;
    let spread = if let [only] = complete.as_slice() {
        // Independent samples: variances add.
        let squares: Option<f64> = only.iter().map(|score| error(score).map(|e| e * e)).sum();
        squares.map(|sum| (sum.sqrt() / only.len() as f64, SpreadOver::Samples))
    } else {
        over_seeds(&averages)
    };
    let samples = complete.first().map_or(0, |scores| scores.iter().map(|s| s.n).sum());
    Some(plain(mean(&averages)?, spread, averages.len(), samples))
}

/// How much of the way from a guess to the best a score is.
fn way(score: &Score) -> Option<f64> {
    let (chance, maximum) = score.scale?;
    (maximum > chance).then(|| (score.value - chance) / (maximum - chance))
}

fn error(score: &Score) -> Option<f64> {
    let (chance, maximum) = score.scale?;
    score.standard_error.map(|error| error / (maximum - chance))
}
