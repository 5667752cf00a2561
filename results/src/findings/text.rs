//! Findings as Markdown: a table of their own, and what its parts say.

use super::data::{csv, json};
use super::{Evidence, Finding, Outcome};
use crate::table::p_text;

/// How findings are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FindingsFormat {
    /// A table in GitHub's Markdown, the rule below.
    Md,
    /// An array with one object a finding, exact values.
    Json,
    /// One line a finding, exact values.
    Csv,
}

/// Findings as text.
#[must_use]
pub fn render_findings(findings: &[Finding], format: FindingsFormat) -> String {
    match format {
        FindingsFormat::Md => markdown(findings),
        FindingsFormat::Json => json(findings),
        FindingsFormat::Csv => csv(findings),
    }
}

/// The mark of a finding that one review alone reports.
const SINGLE: &str = "‡";

pub(super) const RULE: &str = "A finding *holds* where the whole 95 % interval of the difference lies on the \
    paper's side of zero (of minus the margin, for what does no harm) and p < 0.05; it *does not \
    hold* where the interval lies on the other side and p < 0.05; else it is *undecided*. With \
    several seeds interval and p are those of Student's paired t-test over seeds; with one seed they \
    are over questions, and speak of these trained models alone.";

fn markdown(findings: &[Finding]) -> String {
    let escape = |text: &str| text.replace('|', "\\|").replace('\n', " ");
    let mut out = "| finding of the paper | study | here | difference [95 % interval] | p | seeds, n | rows | paper |\n\
                   |---|---|---|--:|--:|--:|---|---|\n"
        .to_owned();
    for finding in findings {
        let [difference, p, n, rows] = match &finding.outcome {
            Outcome::NoRuns { command } => {
                [String::new(), String::new(), String::new(), format!("`{command}`")]
            }
            Outcome::Missing { what } => {
                [String::new(), String::new(), String::new(), what.clone()]
            }
            Outcome::Tested(evidence) => {
                let p = evidence.significance.as_ref().map(|test| p_text(test.p)[2..].to_owned());
                let p = p.map(|p| p.trim_start_matches("= ").trim().to_owned());
                let n = format!("{}, {}", evidence.seeds, evidence.samples);
                [interval(evidence), p.unwrap_or_default(), n, rows(evidence)]
            }
        };
        let cells = [
            statement(finding),
            finding.study.clone().unwrap_or_default(),
            format!("**{}**", finding.verdict()),
            difference,
            p,
            n,
            rows,
            paper(finding),
        ];
        let cells: Vec<String> = cells.iter().map(|cell| escape(cell)).collect();
        out += &format!("| {} |\n", cells.join(" | "));
    }
    format!("{out}\n{}", notes(findings))
}

/// The rule, and what a reader of several findings must know, as a list in Markdown.
#[must_use]
pub fn notes(findings: &[Finding]) -> String {
    let tested = |finding: &&Finding| matches!(&finding.outcome, Outcome::Tested(e) if e.significance.is_some());
    let tested = findings.iter().filter(tested).count();
    let mut out = format!("- {RULE}\n");
    if tested > 1 {
        out += &format!(
            "- Each finding is tested on its own: of {tested} tests at 5 %, {:.1} are expected to say \
             something where there is nothing.\n",
            tested as f64 * 0.05
        );
    }
    if findings.iter().any(|finding| paper(finding).contains(SINGLE)) {
        out += &format!(
            "- {SINGLE} Read in one review of the paper only: the direction, not the number.\n"
        );
    }
    if findings.iter().any(|f| f.claim.more.iter().chain(&f.claim.less).any(|rows| rows.best)) {
        out += "- The best of several rows was chosen by the same scores that it is compared by, which \
                flatters it.\n";
    }
    out
}

pub(super) fn statement(finding: &Finding) -> String {
    let claim = &finding.claim;
    match claim.margin {
        0.0 => claim.statement.clone(),
        margin => format!("{} (not lower by more than {:.1})", claim.statement, margin * 100.0),
    }
}

pub(super) fn paper(finding: &Finding) -> String {
    let claim = &finding.claim;
    // Where two reviews agree in the words, one alone has the numbers.
    let numbers = claim.published.as_ref().map(|text| format!("{text}{SINGLE}; "));
    let alone = numbers.is_none() && claim.confidence == "single-secondary";
    let mark = if alone { SINGLE } else { "" };
    format!("{}{}{mark}", numbers.unwrap_or_default(), claim.place)
}

/// In points of percent.
pub(super) fn interval(evidence: &Evidence) -> String {
    let value = format!("{:+.1}", evidence.difference * 100.0);
    match evidence.significance.as_ref().and_then(|test| test.interval) {
        Some((low, high)) => format!("{value} [{:+.1}, {:+.1}]", low * 100.0, high * 100.0),
        None => value,
    }
}

pub(super) fn rows(evidence: &Evidence) -> String {
    format!("{} against {}", evidence.more.join(" and "), evidence.less.join(" and "))
}
