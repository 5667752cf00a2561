//! Where a report's numbers come from: every run with what made it.

use std::collections::BTreeMap;
use std::fmt::Write;

use eagle_core::record::Manifest;
use serde_json::Value;

use super::runs::{Run, Study};
use crate::page::{escape, table};

/// Every run, the commands, and the hashes of the data that was asked about.
pub fn section(studies: &[Study]) -> String {
    let mut html = String::from(
        "<section aria-labelledby=\"provenance\">\n<h2 id=\"provenance\">Provenance</h2>\n",
    );
    let heads = [
        "run", "study", "trial", "seed", "status", "seconds", "steps", "commit", "version",
        "machine",
    ];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    for study in studies {
        rows.extend(study.all.iter().map(|run| row(&study.name, run)));
    }
    html += &table("Every run", &rows);
    let runs = || studies.iter().flat_map(|study| &study.all);
    let failed = runs().filter_map(|run| Some((run, run.manifest.error.as_ref()?)));
    let failed: Vec<String> = failed
        .map(|(run, error)| format!("<li><code>{}</code>: {}</li>\n", short(run), escape(error)))
        .collect();
    if !failed.is_empty() {
        let _ = write!(html, "<h3>Failures</h3>\n<ul class=\"small\">\n{}</ul>\n", failed.concat());
    }
    let mut commands: BTreeMap<&str, usize> = BTreeMap::new();
    runs().for_each(|run| *commands.entry(&run.manifest.command).or_default() += 1);
    html += "<h3>Commands</h3>\n<ul class=\"small\">\n";
    for (command, count) in commands {
        let _ = writeln!(html, "<li><code>{}</code> ({count} runs)</li>", escape(command));
    }
    html += "</ul>\n<h3>Data</h3>\n<ul class=\"small\">\n";
    for (name, hash) in data(runs()) {
        let _ = writeln!(html, "<li>{}: <code>{}</code></li>", escape(&name), escape(&hash));
    }
    let stages: std::collections::BTreeSet<&str> = runs()
        .flat_map(|run| run.manifest.stages.iter().chain(&run.manifest.sources))
        .map(|stage| stage.id.as_str())
        .collect();
    let _ = write!(
        html,
        "</ul>\n<p class=\"small quiet\">{} different stages were trained. A run’s id, a stage’s and \
         data’s hash are BLAKE3 of everything that they depend on; <code>eagle-lab why RUN</code> and \
         <code>eagle-lab diff RUN RUN</code> say what that is.</p>\n</section>\n</main>\n",
        stages.len()
    );
    html
}

fn short(run: &Run) -> &str {
    &run.manifest.run[..12.min(run.manifest.run.len())]
}

fn row(study: &str, run: &Run) -> Vec<String> {
    let Manifest { trial, seed, status, seconds, stages, commit, version, machine, .. } =
        &run.manifest;
    let commit = commit.as_deref().map_or("none".to_owned(), |commit| {
        let dirty = if commit.ends_with("-dirty") { "-dirty" } else { "" };
        format!("{}{dirty}", &commit[..commit.len().min(10)])
    });
    let steps: usize = stages.iter().map(|stage| stage.steps).sum();
    vec![
        short(run).to_owned(),
        study.to_owned(),
        trial.clone(),
        seed.to_string(),
        format!("{status:?}").to_lowercase(),
        format!("{seconds:.0}"),
        steps.to_string(),
        commit,
        version.clone(),
        format!("{} {}, {} threads", machine.os, machine.arch, machine.threads),
    ]
}

/// The hashes of the benchmarks' questions and the stages' data, by what they are.
fn data<'a>(runs: impl Iterator<Item = &'a Run>) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for plan in runs.filter_map(|run| run.plan.as_ref()) {
        let benchmarks = plan.identity["benchmarks"].as_array().map_or(&[][..], Vec::as_slice);
        for (name, pair) in plan.benchmarks.iter().zip(benchmarks) {
            found.insert(described(name, &pair[0]), hash(&pair[1]));
        }
        for stage in &plan.stages {
            let data = &stage.identity["data"];
            let name = format!("stage {} of {}", stage.name, stage.experiment);
            found.insert(described(&name, &data["plugin"]), hash(&data["fingerprint"]));
        }
    }
    found
}

fn described(name: &str, plugin: &Value) -> String {
    let fields = plugin["fields"].as_object().into_iter().flatten();
    let fields: Vec<String> = fields.map(|(name, value)| format!("{name}: {value}")).collect();
    let plugin = plugin["plugin"].as_str().unwrap_or_default();
    format!("{name}, {plugin}({})", fields.join(", "))
}

fn hash(value: &Value) -> String {
    let text = value.as_str().unwrap_or_default();
    text[..text.len().min(16)].to_owned()
}
