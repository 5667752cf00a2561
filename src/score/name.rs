//! From what was typed to a benchmark.

use std::sync::Arc;

use eagle_core::registry::{BenchmarkConfig, Kind, Plugin, Registry};
use eagle_core::spec::nearest;

/// The benchmark `Name` or `Name(field: value)`; case and hyphens of the name don't matter.
///
/// # Errors
/// There is no such benchmark, or its fields are wrong.
pub fn benchmark(text: &str, registry: &Registry) -> Result<Arc<dyn BenchmarkConfig>, String> {
    let (name, fields) = match text.find('(') {
        Some(at) => text.split_at(at),
        None => (text, "()"),
    };
    let plain = |name: &str| name.replace(['-', '_'], "").to_lowercase();
    let found = registry.get(name.trim()).or_else(|| {
        registry.iter().find(|e| e.kind == Kind::Benchmark && plain(e.name) == plain(name.trim()))
    });
    let Some(entry) = found else { return Err(unknown(name, registry)) };
    if entry.kind != Kind::Benchmark {
        let kind = entry.kind.noun();
        return Err(format!("`{}` is a plugin of the kind {kind}, not a benchmark", entry.name));
    }
    let configured = (entry.parse)(&format!("{}{fields}", entry.name)).map_err(|error| {
        format!("{text}: {error}; `eagle-lab plugins {}` shows its fields", entry.name)
    })?;
    match configured.plugin {
        Plugin::Benchmark(benchmark) => Ok(benchmark),
        _ => Err(unknown(name, registry)),
    }
}

fn unknown(name: &str, registry: &Registry) -> String {
    let benchmarks = || registry.iter().filter(|entry| entry.kind == Kind::Benchmark);
    let hint = match nearest(name, benchmarks().map(|entry| entry.name)) {
        Some(nearest) => format!("; did you mean `{nearest}`?"),
        None => String::new(),
    };
    let all: Vec<&str> = benchmarks().map(|entry| entry.name).collect();
    format!("no benchmark is called `{name}`{hint}\nthere are {}", all.join(", "))
}
