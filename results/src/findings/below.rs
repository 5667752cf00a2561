//! Findings as the lines below a table.

use super::text::{RULE, interval, notes, paper, rows, statement};
use super::{Finding, Outcome};
use crate::table::{p_text, tex};

/// A list in Markdown; nothing without findings.
pub fn markdown(findings: &[Finding]) -> String {
    if findings.is_empty() {
        return String::new();
    }
    let shown = |finding: &Finding| format!("- **{}**: {}\n", finding.verdict(), line(finding));
    let lines: String = findings.iter().map(shown).collect();
    format!("\n**The paper's findings here**\n\n{lines}\n{}", notes(findings))
}

/// Paragraphs in LaTeX; nothing without findings.
pub fn latex(findings: &[Finding]) -> String {
    if findings.is_empty() {
        return String::new();
    }
    let shown = |finding: &Finding| {
        format!("\\textbf{{{}}}: {}\\par\n", tex(finding.verdict()), tex(&line(finding)))
    };
    let lines: String = findings.iter().map(shown).collect();
    let rule = tex(&RULE.replace('*', ""));
    format!("\\smallskip\\textbf{{The paper's findings here}}\\par\n{lines}{rule}\\par\n")
}

fn line(finding: &Finding) -> String {
    let evidence = match &finding.outcome {
        Outcome::NoRuns { command } => format!("`{command}` makes them"),
        Outcome::Missing { what } => what.clone(),
        Outcome::Tested(evidence) => {
            let p = evidence.significance.as_ref().map_or("no test".to_owned(), |t| p_text(t.p));
            let (seeds, samples) = (evidence.seeds, evidence.samples);
            let seeds = if seeds == 1 { "1 seed".to_owned() } else { format!("{seeds} seeds") };
            let interval = interval(evidence);
            format!("{interval}, {p}, {seeds}, n = {samples}: {}", rows(evidence))
        }
    };
    format!("{}: {evidence} (paper: {})", statement(finding), paper(finding))
}
