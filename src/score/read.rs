//! Predictions in the forms that tools write them, judged.

use std::collections::BTreeMap;
use std::path::Path;

use eagle_core::data::{AnswerKey, Dataset, Sample, Turn};
use eagle_core::record::Prediction;
use eagle_core::registry::BenchmarkConfig;
use serde_json::Value;

/// Where a prediction's text may stand, the first that is there.
const TEXTS: [&str; 4] = ["prediction", "filtered_resps", "resps", "text"];
/// And the id of its question.
const IDS: [&str; 4] = ["sample", "question_id", "id", "doc_id"];

/// One line of the file.
struct Given {
    line: usize,
    id: String,
    text: String,
    value: Value,
}

/// The predictions of a file, judged, in the order of the benchmark's questions, or of the file
/// where it says itself what is right.
///
/// # Errors
/// A line that is no prediction, a question that is answered twice or not at all, an answer to no
/// question.
pub fn judged(
    benchmark: &dyn BenchmarkConfig,
    path: &Path,
    partial: bool,
) -> Result<Vec<Prediction>, String> {
    let given = lines(path)?;
    unique(path, &given)?;
    if benchmark.validate().is_ok() && !given.iter().all(|one| own(&one.value).is_some()) {
        return joined(benchmark, path, given, partial);
    }
    let judge = |one: Given| {
        let sample = sample(benchmark, &one).map_err(|what| at(path, one.line, &what))?;
        Ok(Prediction::judge(benchmark, &sample, one.text))
    };
    given.into_iter().map(judge).collect()
}

fn at(path: &Path, line: usize, what: &str) -> String {
    format!("{}:{line}: {what}", path.display())
}

fn lines(path: &Path) -> Result<Vec<Given>, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut given = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let fail = |what: String| at(path, index + 1, &what);
        let value: Value = serde_json::from_str(line)
            .map_err(|error| fail(format!("expected one JSON object a line: {error}")))?;
        let fields = value.as_object().ok_or_else(|| fail("this is no JSON object".into()))?;
        let has = || fields.keys().map(String::as_str).collect::<Vec<_>>().join("`, `");
        let said = TEXTS.iter().find_map(|name| said(&value[*name]));
        let text = said.ok_or_else(|| {
            fail(format!("it has none of `{}`; it has `{}`", TEXTS.join("`, `"), has()))
        })?;
        let id = IDS.iter().find_map(|name| plain(&value[*name]));
        let id = id.ok_or_else(|| {
            fail(format!("it has none of `{}`; it has `{}`", IDS.join("`, `"), has()))
        })?;
        given.push(Given { line: index + 1, id, text, value });
    }
    match given.is_empty() {
        true => Err(format!("{}: it has no predictions", path.display())),
        false => Ok(given),
    }
}

/// A text, or the first of a list of them (lmms-eval's `[["…"]]`).
fn said(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(several) => said(several.first()?),
        _ => None,
    }
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn unique(path: &Path, given: &[Given]) -> Result<(), String> {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for one in given {
        if let Some(first) = seen.insert(&one.id, one.line) {
            let what = format!("`{}` is answered twice: here and in line {first}", one.id);
            return Err(at(path, one.line, &what));
        }
    }
    Ok(())
}

/// What a line of our own says of its question: the answer and what else a scorer has to know.
fn own(value: &Value) -> Option<(String, AnswerKey)> {
    let answer = value["answer"].as_str()?.to_owned();
    value["sample"].as_str()?;
    Some((answer, serde_json::from_value(value.clone()).ok()?))
}

/// The question of a line that says it: our own form, or a row of the benchmark beside it.
fn sample(benchmark: &dyn BenchmarkConfig, one: &Given) -> Result<Sample, String> {
    let id = one.id.clone();
    if let Some((answer, key)) = own(&one.value) {
        let question = one.value["question"].as_str().unwrap_or_default().to_owned();
        let turns = vec![Turn { question, answer }];
        return Ok(Sample { id, turns, key: Some(key.into()), ..Sample::default() });
    }
    if one.value["doc"].is_object() {
        let sample = benchmark.question(&one.value["doc"]).map_err(|error| error.to_string())?;
        return Ok(Sample { id, ..sample });
    }
    Err(format!(
        "it says neither what is right (`sample`, `answer`) nor which row it answers (`doc`): name \
         the benchmark's file, as in '{}(path: \"…\")'",
        benchmark_plugin(benchmark)
    ))
}

/// The name of the plugin, as its `Debug` begins.
fn benchmark_plugin(benchmark: &dyn BenchmarkConfig) -> String {
    let text = format!("{benchmark:?}");
    text.split([' ', '(']).next().unwrap_or_default().to_owned()
}

/// With the questions of the benchmark's own files, by id, or by `doc_id` as the row's number.
fn joined(
    benchmark: &dyn BenchmarkConfig,
    path: &Path,
    given: Vec<Given>,
    partial: bool,
) -> Result<Vec<Prediction>, String> {
    let questions = benchmark.open(Path::new("")).map_err(|error| error.to_string())?;
    let samples = all(questions.as_ref())?;
    let ids: BTreeMap<&str, usize> =
        samples.iter().enumerate().map(|(index, sample)| (sample.id.as_str(), index)).collect();
    let mut texts: BTreeMap<usize, String> = BTreeMap::new();
    let mut unknown = Vec::new();
    for one in given {
        let row = || one.value["doc_id"].as_u64().map(|row| row as usize);
        let row = ids.get(one.id.as_str()).copied().or_else(row).filter(|row| *row < samples.len());
        match row {
            Some(row) => drop(texts.insert(row, one.text)),
            None => unknown.push(format!("`{}` (line {})", one.id, one.line)),
        }
    }
    if !unknown.is_empty() {
        let path = path.display();
        return Err(format!("{path}: no such question: {}", some(&unknown)));
    }
    let missing: Vec<String> = (0..samples.len())
        .filter(|row| !texts.contains_key(row))
        .map(|row| format!("`{}`", samples[row].id))
        .collect();
    if !missing.is_empty() && !partial {
        let (path, count) = (path.display(), missing.len());
        return Err(format!(
            "{path}: {count} of {} questions have no prediction: {}; --partial scores the others",
            samples.len(),
            some(&missing)
        ));
    }
    Ok(texts
        .into_iter()
        .map(|(row, text)| Prediction::judge(benchmark, &samples[row], text))
        .collect())
}

fn all(questions: &dyn Dataset) -> Result<Vec<Sample>, String> {
    let sample = |index| questions.sample(index).map_err(|error| error.to_string());
    (0..questions.len()).map(sample).collect()
}

/// The first few of a list.
fn some(names: &[String]) -> String {
    let shown = names.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
    match names.len() {
        0..=5 => shown,
        more => format!("{shown} and {} more", more - 5),
    }
}
