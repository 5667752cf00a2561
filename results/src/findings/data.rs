//! Findings as JSON and CSV, for programs: exact values, in the scale of the scores.

use serde_json::json;

use super::{Evidence, Finding, Outcome};
use crate::cell::{Cell, csv_field};

/// One line a finding.
pub fn csv(findings: &[Finding]) -> String {
    let mut out =
        "id,table,study,verdict,statement,difference,low,high,p,test,margin,seeds,samples,\
                   benchmarks,more,less,missing,published,place,source,confidence\n"
            .to_owned();
    for finding in findings {
        let claim = &finding.claim;
        let (evidence, missing) = parts(finding);
        let test = evidence.and_then(|evidence| evidence.significance.as_ref());
        let interval = test.and_then(|test| test.interval);
        let number = |value: Option<f64>| value.map_or(Cell::Null, Cell::Float).csv();
        let count = |value: Option<usize>| value.map(|n| n.to_string()).unwrap_or_default();
        let text = |text: &str| if text.is_empty() { String::new() } else { csv_field(text) };
        let list = |of: fn(&Evidence) -> &Vec<String>| {
            text(&evidence.map(|evidence| of(evidence).join(" ")).unwrap_or_default())
        };
        let fields = [
            text(&claim.id),
            text(&claim.table),
            text(finding.study.as_deref().unwrap_or_default()),
            text(finding.verdict()),
            text(&claim.statement),
            number(evidence.map(|evidence| evidence.difference)),
            number(interval.map(|(low, _)| low)),
            number(interval.map(|(_, high)| high)),
            number(test.map(|test| test.p)),
            text(test.map(|test| test.test.name()).unwrap_or_default()),
            number(Some(claim.margin)),
            count(evidence.map(|evidence| evidence.seeds)),
            count(evidence.map(|evidence| evidence.samples)),
            list(|evidence| &evidence.benchmarks),
            list(|evidence| &evidence.more),
            list(|evidence| &evidence.less),
            text(&missing.unwrap_or_default()),
            text(claim.published.as_deref().unwrap_or_default()),
            text(&claim.place),
            text(&claim.source),
            text(&claim.confidence),
        ];
        out += &(fields.join(",") + "\n");
    }
    out
}

/// An array with one object a finding.
pub fn json(findings: &[Finding]) -> String {
    let object = |finding: &Finding| {
        let claim = &finding.claim;
        let (evidence, missing) = parts(finding);
        let evidence = evidence.map(|evidence| {
            let test = evidence.significance.as_ref();
            let interval = test.and_then(|test| test.interval);
            json!({
                "difference": evidence.difference,
                "interval": interval.map(|(low, high)| [low, high]),
                "p": test.map(|test| test.p),
                "test": test.map(|test| test.test.name()),
                "seeds": evidence.seeds,
                "samples": evidence.samples,
                "benchmarks": evidence.benchmarks,
                "more": evidence.more,
                "less": evidence.less,
            })
        });
        json!({
            "id": claim.id,
            "table": claim.table,
            "study": finding.study,
            "statement": claim.statement,
            "verdict": finding.verdict(),
            "evidence": evidence,
            "missing": missing,
            "margin": claim.margin,
            "paper": {
                "published": claim.published,
                "place": claim.place,
                "source": claim.source,
                "confidence": claim.confidence,
            },
        })
    };
    let objects: Vec<String> = findings.iter().map(|f| object(f).to_string()).collect();
    format!("[\n{}\n]\n", objects.join(",\n"))
}

/// The evidence, or what is missing for it.
fn parts(finding: &Finding) -> (Option<&Evidence>, Option<String>) {
    match &finding.outcome {
        Outcome::Tested(evidence) => (Some(evidence), None),
        Outcome::Missing { what } => (None, Some(what.clone())),
        Outcome::NoRuns { command } => (None, Some(command.clone())),
    }
}
