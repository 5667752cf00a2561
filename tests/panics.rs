//! A bug in a plugin ends one run with a row that says so, and no other.
#![allow(clippy::expect_used, clippy::panic, missing_docs)]

use std::path::Path;
use std::sync::Arc;

use eagle_core::data::{DataError, Dataset, Sample};
use eagle_core::graph::{self, Context};
use eagle_core::lab::{Ending, Lab, LabError, Labels, Observer, Part};
use eagle_core::record::{self, Manifest, Score, Status};
use eagle_core::registry::{DatasetConfig, Misfit};
use eagle_core::schedule::Schedule;
use eagle_core::tensor::Dev;
use eagle_core::train::{Step, Totals};

eagle_core::config! {
    /// A data set with a bug.
    pub struct Buggy {
        /// Where it panics: "open", "sample" or "problems".
        at: String = String::new(),
    }
}

eagle_core::register!(dataset Buggy);

impl DatasetConfig for Buggy {
    fn validate(&self) -> Result<(), Misfit> {
        Ok(())
    }

    fn open(&self, _: &Path) -> Result<Arc<dyn Dataset>, DataError> {
        assert!(self.at != "open", "a bug in open");
        Ok(Arc::new(self.clone()))
    }
}

impl Dataset for Buggy {
    fn len(&self) -> usize {
        8
    }

    fn sample(&self, index: usize) -> Result<Sample, DataError> {
        panic!("a bug in sample {index}")
    }

    fn fingerprint(&self) -> String {
        self.at.clone()
    }

    fn problems(&self) -> Vec<DataError> {
        assert!(self.at != "problems", "a bug in problems");
        Vec::new()
    }
}

/// Hears nothing and, if told so, doesn't wait.
struct Quiet {
    waits: bool,
}

impl Observer for Quiet {
    fn stage(&mut self, _: &str, _: &Schedule, _: usize, _: usize) {}
    fn reused(&mut self, _: &str, _: &str, _: &str) {}
    fn step(&mut self, _: &Step) {}
    fn trained(&mut self, _: &Totals) {}
    fn answered(&mut self, _: &str, _: bool, _: usize, _: usize) {}
    fn scored(&mut self, _: &Score) {}
    fn stop(&self) -> bool {
        false
    }
    fn waits(&self) -> bool {
        self.waits
    }
}

fn experiment(data: &str) -> graph::Graph {
    let text = format!(
        "Experiment(name: \"buggy\", nodes: [(id: \"llm\", plugin: Llama(width: 32, layers: 1,
            heads: 2, hidden: 64, vocabulary: 256, context: 96), from: [\"text\"])],
            stages: [(name: \"tuning\", train: [\"llm\"], data: {data}, batch: 8, lr: 1e-3,
                template: \"mini\")], evaluate: [MiniVqa(samples: 8)])"
    );
    let registry = eagle_plugins::registry().expect("no plugin twice");
    let context = Context { base: Path::new(""), file: None };
    graph::check(&text, &registry, &context).expect("it links")
}

fn run(lab: &Lab<'_>, data: &str, waits: bool) -> Result<Ending, LabError> {
    let labels = Labels { source: data.to_owned(), ..Labels::default() };
    lab.run(&experiment(data), Path::new(""), &labels, &mut Quiet { waits })
}

fn manifests(out: &Path) -> Vec<Manifest> {
    let runs = std::fs::read_dir(out.join("runs")).expect("runs").flatten();
    runs.filter_map(|run| Manifest::read(&run.path()).expect("a manifest")).collect()
}

#[test]
fn a_panic_anywhere_in_a_run_is_its_error_and_the_next_run_is_well() {
    let out = tempfile::tempdir().expect("a folder");
    let lab = Lab::new(out.path(), Dev::default(), false);
    for at in ["open", "sample", "problems"] {
        let error = run(&lab, &format!("Buggy(at: {at:?})"), true).expect_err(at).to_string();
        assert!(error.contains("bug"), "{at}: {error}");
        let found = manifests(out.path());
        let row = found.iter().find(|row| row.error.as_ref() == Some(&error)).expect("a row");
        assert_eq!(row.status, Status::Failed);
        assert!(row.finished.is_some() && !row.run.is_empty());
    }
    assert_eq!(manifests(out.path()).len(), 3);
    assert!(matches!(run(&lab, "MiniWorld(samples: 16)", true), Ok(Ending::Done(..))));
}

#[test]
fn what_another_is_at_is_busy_and_free_when_that_one_is_gone() {
    let out = tempfile::tempdir().expect("a folder");
    let lab = Lab::new(out.path(), Dev::default(), false);
    let data = "MiniWorld(samples: 16)";
    assert!(matches!(run(&lab, data, false), Ok(Ending::Done(..))));
    let folder = |name: &str| {
        let mut found = std::fs::read_dir(out.path().join(name)).expect("a folder").flatten();
        found.next().expect("one").path()
    };
    let (run_folder, stage) = (folder("runs"), folder("cache/stages"));
    let claim = record::try_claim(&run_folder).expect("a claim").expect("it is free");
    assert!(record::try_claim(&run_folder).expect("no error").is_none(), "claimed twice");
    assert!(matches!(run(&lab, data, false), Ok(Ending::Busy(Part::Run))));
    drop(claim);
    // Not done any more, and its stage in the hands of another.
    std::fs::remove_file(run_folder.join("manifest.json")).expect("a manifest");
    let claim = record::try_claim(&stage).expect("a claim").expect("it is free");
    assert!(matches!(run(&lab, data, false), Ok(Ending::Busy(Part::Stage))));
    drop(claim);
    assert!(matches!(run(&lab, data, false), Ok(Ending::Done(..))));
}
