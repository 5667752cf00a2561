//! Line charts: curves over steps. A curve has a colour and a dash, and a number in the legend.

use std::fmt::Write;

use super::escape;

/// A curve.
pub struct Series {
    /// What the legend calls it.
    pub name: String,
    /// In order of x.
    pub points: Vec<(f64, f64)>,
    /// Which of the colours and dashes it has; curves of one kind have one.
    pub look: usize,
}

/// What a chart says of itself.
pub struct Chart<'a> {
    /// Unique in the page.
    pub id: &'a str,
    /// Its title, shown above it.
    pub title: &'a str,
    /// What it shows, for those who don't see it.
    pub description: &'a str,
    /// Under the horizontal axis.
    pub x: &'a str,
    /// Beside the vertical axis.
    pub y: &'a str,
}

/// The picture's size, and the plot within it.
const SIZE: (f64, f64) = (440.0, 270.0);
const LEFT: f64 = 52.0;
const RIGHT: f64 = 430.0;
const TOP: f64 = 22.0;
const BOTTOM: f64 = 230.0;

/// Points of a curve that are drawn: means of as many stretches.
const DRAWN: usize = 120;

const DASHES: [&str; 4] = ["", "6 3", "2 3", "8 3 2 3"];

/// A figure with curves and their legend.
pub fn lines(chart: &Chart<'_>, series: &[Series]) -> String {
    let drawn: Vec<Vec<(f64, f64)>> = series.iter().map(|one| thinned(&one.points)).collect();
    let all = || drawn.iter().flatten();
    let y = Scale::of(all().map(|point| point.1), (BOTTOM, TOP), true);
    let x = Scale::of(all().map(|point| point.0).chain([0.0]), (LEFT, RIGHT), false);
    let mut body = axes(&x, &y, chart.x, chart.y);
    for (one, points) in series.iter().zip(&drawn) {
        let path: Vec<String> =
            points.iter().map(|p| format!("{:.1},{:.1}", x.at(p.0), y.at(p.1))).collect();
        let _ = writeln!(
            body,
            "<polyline class=\"curve s{}\"{} points=\"{}\"><title>{}</title></polyline>",
            one.look % 8,
            dash(one.look),
            path.join(" "),
            escape(&one.name)
        );
    }
    figure(chart, &body, &legend(series))
}

/// A figure around what was drawn.
pub fn figure(chart: &Chart<'_>, body: &str, legend: &str) -> String {
    let Chart { id, title, description, .. } = chart;
    let (title, description) = (escape(title), escape(description));
    format!(
        "<figure>\n<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\">\n\
         <title id=\"{id}-t\">{title}</title>\n<desc id=\"{id}-d\">{description}</desc>\n\
         {body}</svg>\n<figcaption><strong>{title}</strong>{legend}</figcaption>\n</figure>\n",
        SIZE.0, SIZE.1
    )
}

/// The axes' lines, ticks and labels.
pub fn axes(x: &Scale, y: &Scale, x_label: &str, y_label: &str) -> String {
    let mut body = String::new();
    for (value, at) in y.ticks() {
        let _ = writeln!(
            body,
            "<path class=\"axis\" d=\"M{LEFT} {at:.1}H{RIGHT}\"/><text class=\"tick\" x=\"{}\" \
             y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 6.0,
            at + 4.0,
            short(value)
        );
    }
    for (value, at) in x.ticks() {
        let _ = writeln!(
            body,
            "<path class=\"axis\" d=\"M{at:.1} {BOTTOM}v5\"/><text class=\"tick\" x=\"{at:.1}\" \
             y=\"{}\" text-anchor=\"middle\">{}</text>",
            BOTTOM + 18.0,
            short(value)
        );
    }
    let log = |scale: &Scale| if scale.log { " (log scale)" } else { "" };
    let _ = writeln!(
        body,
        "<path class=\"axis\" d=\"M{LEFT} {TOP}V{BOTTOM}H{RIGHT}\"/>\
         <text class=\"label\" x=\"{RIGHT}\" y=\"{}\" text-anchor=\"end\">{}{}</text>\
         <text class=\"label\" x=\"2\" y=\"12\">{}{}</text>",
        SIZE.1 - 6.0,
        escape(x_label),
        log(x),
        escape(y_label),
        log(y)
    );
    body
}

/// Where values lie along an axis.
pub struct Scale {
    from: f64,
    to: f64,
    place: (f64, f64),
    log: bool,
}

impl Scale {
    /// A scale over values; logarithmic, if that is allowed, where they are of different sizes.
    pub fn of(values: impl Iterator<Item = f64>, place: (f64, f64), may_be_log: bool) -> Scale {
        let (mut from, mut to) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.filter(|value| value.is_finite()) {
            (from, to) = (from.min(value), to.max(value));
        }
        if from > to {
            (from, to) = (0.0, 1.0);
        }
        let log = may_be_log && from > 0.0 && to / from > 8.0;
        if !log {
            let room = if to > from { (to - from) * 0.05 } else { to.abs().max(1.0) * 0.5 };
            from = if from >= 0.0 { (from - room).max(0.0) } else { from - room };
            to += if may_be_log { room } else { 0.0 };
        } else {
            (from, to) = (from / 1.15, to * 1.15);
        }
        Scale { from, to, place, log }
    }

    /// The horizontal scale of a plot.
    pub fn across(values: impl Iterator<Item = f64>) -> Scale {
        Scale::of(values, (LEFT + 14.0, RIGHT - 14.0), true)
    }

    /// The vertical scale of a plot.
    pub fn up(values: impl Iterator<Item = f64>) -> Scale {
        let mut scale = Scale::of(values, (BOTTOM - 12.0, TOP + 12.0), false);
        scale.to += (scale.to - scale.from) * 0.05;
        scale
    }

    /// Where a value lies.
    pub fn at(&self, value: f64) -> f64 {
        let (from, to, value) = match self.log {
            true => (self.from.ln(), self.to.ln(), value.max(self.from).ln()),
            false => (self.from, self.to, value),
        };
        let share = (value - from) / (to - from).max(f64::MIN_POSITIVE);
        self.place.0 + share * (self.place.1 - self.place.0)
    }

    /// Round values with their places.
    fn ticks(&self) -> Vec<(f64, f64)> {
        let values: Vec<f64> = if self.log {
            let steps: &[f64] = if self.to / self.from > 300.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
            let decades = self.from.log10().floor() as i32..=self.to.log10().ceil() as i32;
            decades.flat_map(|d| steps.iter().map(move |step| step * 10f64.powi(d))).collect()
        } else {
            let step = round_step((self.to - self.from) / 5.0);
            let first = (self.from / step).ceil() as i64;
            (first..first + 12).map(|n| n as f64 * step).collect()
        };
        let slack = (self.to - self.from) * 1e-6;
        let inside = |value: &f64| (self.from - slack..=self.to + slack).contains(value);
        values.into_iter().filter(inside).map(|value| (value, self.at(value))).collect()
    }
}

/// 1, 2 or 5 times a power of ten, at least `least`.
fn round_step(least: f64) -> f64 {
    let power = 10f64.powf(least.max(f64::MIN_POSITIVE).log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|n| n * power).into_iter().find(|s| *s >= least).unwrap_or(power)
}

/// A number as an axis has it: 1500 is 1.5k.
pub fn short(value: f64) -> String {
    let (size, unit) = match value.abs() {
        v if v >= 1e12 => (1e12, "T"),
        v if v >= 1e9 => (1e9, "G"),
        v if v >= 1e6 => (1e6, "M"),
        v if v >= 1e3 => (1e3, "k"),
        _ => (1.0, ""),
    };
    let text = format!("{:.3}", value / size);
    format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
}

/// The means of as many stretches as are drawn.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let finite: Vec<(f64, f64)> =
        points.iter().copied().filter(|point| point.1.is_finite()).collect();
    let size = finite.len().div_ceil(DRAWN).max(1);
    let mean = |chunk: &[(f64, f64)]| {
        let count = chunk.len() as f64;
        let sum = chunk.iter().fold((0.0, 0.0), |sum, p| (sum.0 + p.0, sum.1 + p.1));
        (sum.0 / count, sum.1 / count)
    };
    finite.chunks(size).map(mean).collect()
}

/// Colours alone don't tell curves apart for everyone, or on paper.
fn dash(look: usize) -> String {
    match DASHES[(look + look / 8) % DASHES.len()] {
        "" => String::new(),
        dash => format!(" stroke-dasharray=\"{dash}\""),
    }
}

/// Each look once, with the first name that has it.
fn legend(series: &[Series]) -> String {
    let mut seen = Vec::new();
    let mut html = String::from("<ul class=\"legend\">");
    for one in series {
        if seen.contains(&one.look) {
            continue;
        }
        seen.push(one.look);
        let _ = write!(
            html,
            "<li><svg viewBox=\"0 0 32 10\" aria-hidden=\"true\"><path class=\"curve s{}\"{} \
             d=\"M1 5H31\"/></svg> {}</li>",
            one.look % 8,
            dash(one.look),
            escape(&one.name)
        );
    }
    html + "</ul>"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        let scale = Scale::of([0.0, 730.0].into_iter(), (0.0, 100.0), false);
        let ticks: Vec<f64> = scale.ticks().into_iter().map(|tick| tick.0).collect();
        assert_eq!(ticks, [0.0, 200.0, 400.0, 600.0]);
        let near = Scale::of([40_400.0, 40_420.0].into_iter(), (0.0, 100.0), false);
        assert!(near.ticks().iter().all(|tick| (0.0..=100.0).contains(&tick.1)));
        let scale = Scale::of([0.1, 5.0].into_iter(), (0.0, 100.0), true);
        let ticks: Vec<f64> = scale.ticks().into_iter().map(|tick| tick.0).collect();
        assert_eq!(ticks.len(), 6, "{ticks:?}");
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!([1500.0, 2e6, 0.25, 12.0].map(short), ["1.5k", "2M", "0.25", "12"]);
    }

    #[test]
    fn a_long_curve_is_drawn_by_its_means() {
        let points: Vec<(f64, f64)> = (0..600).map(|n| (f64::from(n), f64::from(n % 2))).collect();
        let drawn = thinned(&points);
        assert!(drawn.len() <= DRAWN && drawn.iter().all(|p| (0.2..=0.8).contains(&p.1)));
    }
}
