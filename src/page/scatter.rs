//! Scatter charts: what something scores against what it costs. A point bears the number that it has
//! in the page's list.

use std::fmt::Write;

use super::chart::{Chart, Scale, axes, figure};
use super::escape;

/// A point.
pub struct Point {
    /// The number that it bears.
    pub number: usize,
    /// What it is called.
    pub name: String,
    /// Its cost.
    pub x: f64,
    /// Its score.
    pub y: f64,
}

/// A figure with points.
pub fn points(chart: &Chart<'_>, points: &[Point]) -> String {
    let x = Scale::across(points.iter().map(|point| point.x));
    let y = Scale::up(points.iter().map(|point| point.y));
    let mut body = axes(&x, &y, chart.x, chart.y);
    for Point { number, name, x: cost, y: score } in points {
        let (at, up) = (x.at(*cost), y.at(*score));
        let _ = writeln!(
            body,
            "<g class=\"mark\"><title>{}: {score:.1} at {cost}</title><circle class=\"f{}\" \
             cx=\"{at:.1}\" cy=\"{up:.1}\" r=\"9\" opacity=\"0.9\"/><text x=\"{at:.1}\" \
             y=\"{:.1}\" text-anchor=\"middle\">{number}</text></g>",
            escape(name),
            (number + 7) % 8,
            up + 4.0
        );
    }
    figure(chart, &body, "")
}
