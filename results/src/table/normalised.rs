//! The normalised average: each benchmark as a share of the way from a guess to the best, so that
//! MME's 2,000 points, F1 and accuracies of two or four choices weigh the same.

use super::cells::{cell as plain, of_column, over_seeds};
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
        maximum: Some(1.0),
        chance: Some(0.0),
        is_mean: false,
        is_normalised: true,
    }
}

/// The average of the seeds that have all benchmarks; none where the chance or the maximum of one
/// isn't known.
pub fn cell(trial: &Trial, columns: &[&TableColumn], blind: bool) -> Option<TableCell> {
    let part = |column: &&TableColumn| {
        let (chance, maximum) = column.chance.zip(column.maximum)?;
        (maximum > chance).then(|| (of_column(trial, column, blind), chance, maximum - chance))
    };
    let parts: Vec<(Vec<&Score>, f64, f64)> = columns.iter().map(part).collect::<Option<_>>()?;
    // Of a seed: each benchmark's way, its error, its samples.
    let of_seed = |seed: &i64| -> Option<Vec<(f64, Option<f64>, usize)>> {
        let way = |(scores, chance, span): &(Vec<&Score>, f64, f64)| {
            let score = scores.iter().find(|score| score.seed == *seed)?;
            let error = score.standard_error.map(|error| error / span);
            Some(((score.value - chance) / span, error, score.n))
        };
        parts.iter().map(way).collect()
    };
    let complete: Vec<Vec<(f64, Option<f64>, usize)>> =
        trial.runs.keys().filter_map(of_seed).collect();
    let average = |ways: &Vec<(f64, Option<f64>, usize)>| {
        mean(&ways.iter().map(|(way, ..)| *way).collect::<Vec<_>>())
    };
    let averages: Vec<f64> = complete.iter().filter_map(average).collect();
    let spread = if let [only] = complete.as_slice() {
        // Independent samples: variances add.
        let squares: Option<f64> = only.iter().map(|(_, error, _)| error.map(|e| e * e)).sum();
        squares.map(|sum| (sum.sqrt() / only.len() as f64, SpreadOver::Samples))
    } else {
        over_seeds(&averages)
    };
    let samples = complete.first().map_or(0, |ways| ways.iter().map(|(.., n)| n).sum());
    Some(plain(mean(&averages)?, spread, averages.len(), samples))
}
