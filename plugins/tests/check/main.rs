//! What `check` says about files: every file of `tests/fixtures/bad` against its snapshot.

// A test says what went wrong by stopping.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod edit;
mod without;

use std::fs;
use std::path::{Path, PathBuf};

use eagle_core::graph::{self, Context, Graph, LinkedStudy};
use eagle_core::registry::Registry;
use eagle_core::spec::{self, File, Problem, Study, Trial};

/// A relative path, so that messages that name it are the same on every machine.
fn fixtures(folder: &str) -> PathBuf {
    Path::new("../tests/fixtures").join(folder)
}

/// The `.ron` files of a folder, by name.
fn files(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(fixtures(folder)).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "ron"));
    files.sort();
    files
}

fn registry() -> Registry {
    eagle_plugins::registry().unwrap()
}

fn check(path: &Path) -> (String, Result<Graph, Vec<Problem>>) {
    let source = fs::read_to_string(path).unwrap();
    let context = Context { base: path.parent().unwrap(), file: Some(path) };
    let graph = graph::check(&source, &registry(), &context);
    (source, graph)
}

fn trials(path: &Path, study: &Study, form: Vec<Problem>) -> Result<LinkedStudy, Vec<Problem>> {
    let context = Context { base: path.parent().unwrap(), file: Some(path) };
    graph::link_study(study, form, &registry(), &context, Ok)
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap().to_string_lossy().into_owned()
}

fn snapshot(folder: &str, name: &str, description: &str, text: &str) {
    let path = format!("snapshots/{folder}");
    insta::with_settings!({
        snapshot_path => path,
        prepend_module_to_snapshot => false,
        omit_expression => true,
        description => description,
    }, { insta::assert_snapshot!(name, text) });
}

#[test]
fn every_bad_file_is_refused_as_its_snapshot_says() {
    let files = files("bad");
    assert!(files.len() >= 40, "only {} bad files", files.len());
    for path in files {
        let name = stem(&path);
        let (source, graph) = check(&path);
        let problems = match spec::read(&source) {
            (Some(File::Study(study)), form) => trials(&path, &study, form).expect_err(&name),
            _ => graph.err().unwrap_or_default(),
        };
        assert!(!problems.is_empty(), "{name} passes");
        for (at, problem) in problems.iter().enumerate() {
            assert!(!problems[..at].contains(problem), "{name} says twice: {problem}");
        }
        let first = source.lines().next().unwrap_or_default();
        let text = spec::render(&problems, &source, &format!("{name}.ron"), false);
        snapshot("bad", &name, first.trim_start_matches("// "), &text);
    }
}

#[test]
fn every_good_file_links() {
    for path in files("good") {
        let name = stem(&path);
        let (source, graph) = check(&path);
        match spec::parse(&source) {
            Ok(File::Study(study)) => match trials(&path, &study, Vec::new()) {
                Ok(study) => {
                    let line = |(trial, graph): &(Trial, Graph)| {
                        assert_eq!(graph.seed, trial.seed);
                        format!("{trial} {:?}", trial.values)
                    };
                    let lines: Vec<String> = study.trials.iter().map(line).collect();
                    snapshot("good", &name, "its trials", &lines.join("\n"));
                }
                Err(problems) => panic!("{}", spec::render(&problems, &source, &name, false)),
            },
            _ => match graph {
                Ok(graph) => snapshot("good", &name, "its graph", &graph.to_string()),
                Err(problems) => panic!("{}", spec::render(&problems, &source, &name, false)),
            },
        }
    }
}

#[test]
fn any_beginning_of_a_good_file_has_a_problem() {
    for path in files("good") {
        let source = fs::read_to_string(&path).unwrap();
        let end = source.trim_end().len();
        for cut in (0..end).filter(|&cut| source.is_char_boundary(cut)) {
            let start = &source[..cut];
            let problems = spec::parse(start).expect_err("a beginning passes");
            assert!(!problems.is_empty());
            for problem in &problems {
                assert!(problem.primary.span.end <= start.len(), "{problem:?} at {cut}");
            }
            assert!(!spec::render(&problems, start, "cut.ron", false).is_empty());
        }
    }
}

/// Checks a text of which nothing is known but that it may be anything.
fn survives(text: &str, base: &Path) {
    let context = Context { base, file: None };
    if let Err(problems) = graph::check(text, &registry(), &context) {
        assert!(!problems.is_empty(), "refused without a word:\n{text}");
        assert!(!spec::render(&problems, text, "changed.ron", true).is_empty());
    }
}

#[test]
fn no_change_of_a_good_file_panics() {
    for path in files("good") {
        let (source, base) = (fs::read_to_string(&path).unwrap(), path.parent().unwrap());
        let lines: Vec<&str> = source.lines().collect();
        for out in 0..lines.len() {
            let mut kept = lines.clone();
            kept.remove(out);
            survives(&kept.join("\n"), base);
            kept.insert(out, lines[out]);
            kept.insert(out, lines[out]);
            survives(&kept.join("\n"), base);
        }
        // The one file that says everything there is to say.
        let every = if stem(&path) == "two-encoders" { 1 } else { 16 };
        for (at, c) in source.char_indices().step_by(every) {
            let (before, after) = (&source[..at], &source[at + c.len_utf8()..]);
            survives(&format!("{before}{after}"), base);
            survives(&format!("{before}\u{e9}{after}"), base);
        }
    }
}

#[test]
fn brackets_without_end_are_a_problem_and_not_a_crash() {
    for bracket in ["(", "[", "{", "Experiment(", "a(b:", "[("] {
        survives(&bracket.repeat(10_000), Path::new(""));
    }
}

#[test]
fn a_problem_of_form_does_not_hide_one_of_content() {
    let (source, graph) = check(&fixtures("bad").join("many.ron"));
    let problems = graph.unwrap_err();
    let places: Vec<&str> =
        problems.iter().map(|problem| &source[problem.primary.span.clone()]).collect();
    assert_eq!(places, ["nmae", "image_sice", "\"projct\"", "MiniWold", "0"]);
}

#[test]
fn nodes_come_after_their_inputs_in_the_order_of_the_file() {
    let (_, graph) = check(&fixtures("good").join("unordered.ron"));
    let graph = graph.unwrap();
    let ids: Vec<&str> = graph.order.iter().map(|&node| graph.dag[node].id.as_str()).collect();
    assert_eq!(ids, ["convnext", "clip", "fuse", "project", "llm"]);
    let llm = &graph.dag[graph.llm.unwrap()];
    assert_eq!(llm.id, "llm");
    assert_eq!(graph.reads(llm), ["text", "project"]);
}

#[test]
fn files_that_are_not_there_keep_an_experiment_from_running_and_not_from_being_known() {
    let path = fixtures("bad").join("weights-no-file.ron");
    let source = fs::read_to_string(&path).unwrap();
    let source = source.replace(
        "weights: From(\"zoo/none.ron\")",
        "weights: From(\"../good/zoo/clip.ron\", node: \"project\")",
    );
    let source = source.replace("From(\"../good", "From(experiment: \"../good");
    // The projector there is as wide as the small LLM that it was made for.
    let source = source.replace("Llama(", "Llama(width: 192, ");
    let context = Context { base: path.parent().unwrap(), file: Some(&path) };
    let graph = graph::check(&source, &registry(), &context).unwrap();
    let said: Vec<String> = graph.absent.iter().map(|problem| problem.to_string()).collect();
    assert_eq!(
        said,
        [
            "there is no file zoo/clip.safetensors",
            "../good/zoo/clip.ron needs a file that is not there",
            "there is no file tokenizer.json",
        ]
    );
    assert!(graph.absent[1].notes[0].contains("llm.safetensors"), "{:?}", graph.absent[1]);
    let drawn = spec::render_warnings(&graph.absent, &source, "x1.ron", false);
    assert!(drawn.starts_with("warning: there is no file"), "{drawn}");
}

#[test]
fn an_identity_holds_the_version_and_only_what_differs_from_the_defaults() {
    let (_, graph) = check(&fixtures("good").join("two-encoders.ron"));
    let graph = graph.unwrap();
    let clip = graph.dag.node_weights().find(|node| node.id == "clip").unwrap();
    let fields = serde_json::json!({
        "image_size": 64, "pretrained_size": 64, "patch_size": 16, "layers": 2
    });
    let expected = serde_json::json!({ "plugin": "ClipVit", "fields": fields, "version": 1 });
    assert_eq!(clip.identity, expected);
}

#[test]
fn line_ends_of_windows_and_a_byte_order_mark_change_nothing() {
    let path = fixtures("good").join("one-encoder.ron");
    let source = fs::read_to_string(&path).unwrap();
    let windows = format!("\u{feff}{}", source.replace('\n', "\r\n"));
    let context = Context { base: path.parent().unwrap(), file: None };
    let graph = graph::check(&windows, &registry(), &context).unwrap();
    assert_eq!(graph.to_string(), check(&path).1.unwrap().to_string());
    let windows = windows.replace("batch: 32", "batch: 0");
    let problems = graph::check(&windows, &registry(), &context).unwrap_err();
    assert_eq!(&windows[problems[0].primary.span.clone()], "0");
}

#[test]
fn what_a_plugin_does_not_name_is_told_by_the_nearest_name() {
    let near = |name| spec::problem::nearest(name, ["ClipVit", "ConvNext", "Linear", "Llama"]);
    assert_eq!(near("clip_vit"), Some("ClipVit"));
    assert_eq!(near("Clip"), Some("ClipVit"));
    assert_eq!(near("ConvNeXt"), Some("ConvNext"));
    assert_eq!(near("LLaMA"), Some("Llama"));
    assert_eq!(near("Lama"), Some("Llama"));
    assert_eq!(near("Sam"), None);
    assert_eq!(near(""), None);
}
