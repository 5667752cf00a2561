//! The paper's findings and what the runs say of each, the decided ones first.

use std::fmt::Write;
use std::path::Path;

use eagle_results::{Evidence, Finding, Outcome, findings_notes};

use crate::Failure;
use crate::page::{escape, markdown};

/// The groups, as [`Finding::verdict`] calls them: heading, and the class of its marks.
const GROUPS: [(&str, &str, &str); 4] = [
    ("holds", "Holds here", "good"),
    ("does not hold", "Does not hold here", "bad"),
    ("undecided", "Undecided", "quiet"),
    ("no runs", "Not run", "quiet"),
];

/// Differences beyond this are drawn at the edge, in shares.
const MOST: f64 = 0.15;

/// The section of the page.
///
/// # Errors
/// The results can't be read.
pub fn section(out: &Path) -> Result<String, Failure> {
    let found = eagle_results::findings(out).map_err(Failure::running)?;
    let of = |verdict: &str| -> Vec<&Finding> {
        found.iter().filter(|finding| finding.verdict() == verdict).collect()
    };
    let counts: Vec<String> = GROUPS
        .iter()
        .filter(|(verdict, ..)| !of(verdict).is_empty())
        .map(|(verdict, heading, _)| format!("{}: {}", heading.to_lowercase(), of(verdict).len()))
        .collect();
    let mut html = format!(
        "<section aria-labelledby=\"findings\">\n<h2 id=\"findings\">Findings</h2>\n\
         <p>What the paper found, and whether it is so here. {}.</p>\n",
        capitalised(&counts.join(", "))
    );
    let reach = reach(&found);
    for (verdict, heading, class) in GROUPS {
        let group = of(verdict);
        if group.is_empty() {
            continue;
        }
        let items: String = group.iter().map(|finding| item(finding, class, reach)).collect();
        let _ = write!(html, "<h3>{heading}</h3>\n<ul class=\"findings\">\n{items}</ul>\n");
    }
    let legend = format!(
        "- The bar is the 95 % interval of the difference, the dot the difference, the line zero; to the right is what the \
         paper says. Its ends are {:.0} points of percent from the line.\n",
        reach * 100.0
    );
    html += &markdown::html(&(legend + &findings_notes(&found)));
    Ok(html + "</section>\n")
}

/// One finding: what it says, the evidence, and where the paper has it.
fn item(finding: &Finding, class: &str, reach: f64) -> String {
    let (drawn, said) = match &finding.outcome {
        Outcome::NoRuns { command } => {
            (String::new(), format!("To decide it: <code>{}</code>", escape(command)))
        }
        Outcome::Missing { what } => (String::new(), format!("Missing: {}.", escape(what))),
        Outcome::Tested(evidence) => (interval(evidence, class, reach), evidenced(evidence)),
    };
    let study = finding.study.as_deref().map(|name| format!("{name}. ")).unwrap_or_default();
    format!(
        "<li>\n<p><strong>{}</strong></p>\n{drawn}<p class=\"small\">{}{said}</p>\n\
         <p class=\"small quiet\">The paper: {}</p>\n</li>\n",
        escape(&finding.statement()),
        escape(&study),
        escape(&finding.in_the_paper())
    )
}

fn evidenced(evidence: &Evidence) -> String {
    let p = evidence.significance.as_ref().map(|test| {
        if test.p < 0.001 { ", p &lt; 0.001".to_owned() } else { format!(", p = {:.3}", test.p) }
    });
    let seeds =
        if evidence.seeds == 1 { "1 seed".to_owned() } else { format!("{} seeds", evidence.seeds) };
    format!(
        "{} points{}, {seeds} of {} questions: {}",
        escape(&evidence.told()),
        p.unwrap_or_default(),
        evidence.samples,
        escape(&evidence.rows())
    )
}

/// How far from zero the drawings reach: to the farthest end of an interval, within limits.
fn reach(found: &[Finding]) -> f64 {
    let ends = found.iter().filter_map(|finding| match &finding.outcome {
        Outcome::Tested(evidence) => Some(evidence),
        _ => None,
    });
    let far = ends.map(|evidence| {
        let (low, high) = bounds(evidence);
        low.abs().max(high.abs())
    });
    far.fold(0.05, f64::max).min(MOST)
}

fn bounds(evidence: &Evidence) -> (f64, f64) {
    let interval = evidence.significance.as_ref().and_then(|test| test.interval);
    interval.unwrap_or((evidence.difference, evidence.difference))
}

/// Half the width of a drawing, and of what is drawn in it.
const HALF: (f64, f64) = (110.0, 104.0);

/// A dot and a bar about zero.
fn interval(evidence: &Evidence, class: &str, reach: f64) -> String {
    let at = |value: f64| HALF.0 + (value / reach).clamp(-1.0, 1.0) * HALF.1;
    let (low, high) = bounds(evidence);
    format!(
        "<svg class=\"interval {class}\" viewBox=\"0 0 {} 20\" aria-hidden=\"true\">\
         <path class=\"axis\" d=\"M{} 1V19\"/><path class=\"bar\" d=\"M{:.1} 10H{:.1}\"/>\
         <circle cx=\"{:.1}\" cy=\"10\" r=\"4.5\"/></svg>\n",
        2.0 * HALF.0,
        HALF.0,
        at(low),
        at(high),
        at(evidence.difference)
    )
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}
