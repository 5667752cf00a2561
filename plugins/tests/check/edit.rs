//! `--set`: what an edit of a file's text must and must not do.

use std::fs;

use eagle_core::spec::syntax::{self, Item, Shape, Value};
use eagle_core::spec::{self, File, Problem, set};

const FILE: &str = r#"// A comment that stays.
Experiment(
    name: "x1", // the name
    nodes: [
        (id: "clip", plugin: ClipVit(image_size: 64), from: ["image"]),
        (id: "llm", plugin: Llama(), from: ["clip", "text"], weights: Random),
    ],
    stages: [
        (name: "pre", train: ["clip"], data: LlavaJson(path: "a.json"), batch: 8, lr: 1e-3),
        (name: "fine-tuning", train: ["llm"], data: MiniWorld(), batch: 8, lr: 1e-3,
         lr_of: [("clip", 1e-4)], schedule: Cosine,),
    ],
    evaluate: [MiniVqa(), LlavaJson(path: "b.json")],
)
"#;

/// The file after an edit that must be one replacement.
fn edited(path: &str, value: &str, old: &str, new: &str) {
    let text = set(FILE, path, value).unwrap_or_else(|problem| panic!("{path}: {problem}"));
    assert_eq!(FILE.matches(old).count(), 1, "{old} stands more than once");
    assert_eq!(text, FILE.replace(old, new), "{path}={value}");
    assert!(spec::parse(&text).is_ok(), "{path}={value}: {:?}", spec::parse(&text));
}

#[test]
fn a_value_is_replaced_and_all_else_stays() {
    edited("nodes.clip.plugin.image_size", "96", "image_size: 64", "image_size: 96");
    edited("nodes.0.plugin.image_size", "96", "image_size: 64", "image_size: 96");
    edited("stages.fine-tuning.lr_of.clip", "1e-5", "1e-4", "1e-5");
    edited("stages.fine-tuning.schedule", "Linear", "Cosine", "Linear");
    edited(
        "nodes.clip.plugin",
        "ConvNext(image_size: 32)",
        "ClipVit(image_size: 64)",
        "ConvNext(image_size: 32)",
    );
    edited("nodes.llm.weights", "From(\"zoo/llm.ron\")", "Random", "From(\"zoo/llm.ron\")");
}

#[test]
fn a_bare_word_is_quoted_where_a_text_is_needed() {
    edited("name", "x2", "\"x1\"", "\"x2\"");
    edited("name", "\"x2\"", "\"x1\"", "\"x2\"");
    edited("name", "64", "\"x1\"", "\"64\"");
    edited("stages.pre.data.path", "/data/my train.json", "\"a.json\"", "\"/data/my train.json\"");
    edited("stages.pre.data.path", r"C:\data", "\"a.json\"", r#""C:\\data""#);
    edited("evaluate.1.path", "c.json", "\"b.json\"", "\"c.json\"");
    edited("evaluate.LlavaJson.path", "c.json", "\"b.json\"", "\"c.json\"");
    edited("stages.pre.train", "[clip, llm]", "[\"clip\"]", "[\"clip\", \"llm\"]");
    edited(
        "stages.pre.template",
        "plain",
        "data: LlavaJson(path: \"a.json\"), batch: 8, lr: 1e-3",
        "data: LlavaJson(path: \"a.json\"), batch: 8, lr: 1e-3, template: \"plain\"",
    );
}

#[test]
fn an_absent_field_is_added() {
    let end = "evaluate: [MiniVqa(), LlavaJson(path: \"b.json\")]";
    edited("seed", "1", end, &format!("{end}, seed: 1"));
    edited("nodes.llm.plugin.layers", "2", "Llama()", "Llama(layers: 2)");
    edited("nodes.clip.plugin.layers", "2", "image_size: 64", "image_size: 64, layers: 2");
    edited("stages.fine-tuning.clip", "None", "schedule: Cosine,", "schedule: Cosine, clip: None,");
    edited(
        "nodes.llm.plugin.tokenizer",
        "File(\"t.json\")",
        "Llama()",
        "Llama(tokenizer: File(\"t.json\"))",
    );
}

#[test]
fn a_wrong_path_says_what_is_there() {
    let all = [
        "sed",
        "nodes.clpi.plugin.width",
        "nodes.7",
        "nodes.clip.plugin.image_size.x",
        "nodes.clip.plugin.bad-name",
        "stages.tuning.lr",
        "stages.pre.learning_rate",
        "evaluate.2.path",
        "stages.pre.bach",
        "",
        "nodes..id",
    ];
    let said: Vec<String> = all
        .iter()
        .map(|path| {
            let problem = set(FILE, path, "1").expect_err(path);
            format!("{path:?}: {} ({})", problem.message, problem.help.unwrap_or_default())
        })
        .collect();
    super::snapshot("edit", "wrong-paths", "wrong paths of --set", &said.join("\n"));
}

#[test]
fn a_value_can_not_reach_beyond_its_place() {
    for value in ["1, batch: 2", "1)", "(", "\"", "1 2", ",", "]", "\\", "// x", "", "a: 1"] {
        for path in ["seed", "name", "nodes.0.plugin.image_size", "stages.0.train", "stages.0.clip"]
        {
            let Ok(text) = set(FILE, path, value) else { continue };
            // Whatever came of it is one value at its place: the fields are as they were.
            let before = paths(FILE);
            let after = paths(&text);
            let added: Vec<&String> = after.iter().filter(|path| !before.contains(path)).collect();
            let inside = |added: &&&String| !added.starts_with(path);
            assert!(added.iter().find(inside).is_none(), "{path}={value:?} adds {added:?}");
            let lost: Vec<&String> = before.iter().filter(|path| !after.contains(path)).collect();
            assert!(lost.iter().find(inside).is_none(), "{path}={value:?} removes {lost:?}");
        }
    }
}

/// The paths of all values of a text.
fn paths(source: &str) -> Vec<String> {
    fn walk(value: &Value, path: &str, all: &mut Vec<String>) {
        let join =
            |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        if !path.is_empty() {
            all.push(path.to_owned());
        }
        match &value.shape {
            Shape::Group { items, .. } => {
                for (index, Item { name, value }) in items.iter().enumerate() {
                    let name = name.as_ref().map_or(index.to_string(), |name| name.value.clone());
                    walk(value, &join(&name), all);
                }
            }
            Shape::List(items) => {
                for (index, value) in items.iter().enumerate() {
                    walk(value, &join(&index.to_string()), all);
                }
            }
            _ => {}
        }
    }
    let mut all = Vec::new();
    walk(&syntax::read(source).root.unwrap(), "", &mut all);
    all
}

fn raw(source: &str, path: &str) -> String {
    let mut value = syntax::read(source).root.unwrap();
    for word in path.split('.') {
        value = match value.shape {
            Shape::Group { items, .. } => {
                let at = items
                    .iter()
                    .position(|item| item.name.as_ref().is_some_and(|n| n.value == word));
                let at = at.unwrap_or_else(|| word.parse().unwrap());
                items.into_iter().nth(at).unwrap().value
            }
            Shape::List(items) => items.into_iter().nth(word.parse().unwrap()).unwrap(),
            _ => unreachable!(),
        };
    }
    source[value.span].to_owned()
}

#[test]
fn setting_a_value_to_itself_changes_nothing() {
    for path in super::files("good") {
        let source = fs::read_to_string(&path).unwrap();
        for place in paths(&source) {
            let value = raw(&source, &place);
            let text =
                set(&source, &place, &value).unwrap_or_else(|problem| panic!("{place}: {problem}"));
            assert_eq!(text, source, "{place}={value}");
        }
    }
}

#[test]
fn what_was_set_is_read_back() {
    let text = set(FILE, "stages.1.warmup", "0.25").unwrap();
    let text = set(&text, "seed", "9").unwrap();
    let text = set(&text, "stages.fine-tuning.max_length", "64").unwrap();
    let Ok(File::Experiment(experiment)) = spec::parse(&text) else { panic!("{text}") };
    assert_eq!(experiment.seed, 9);
    assert_eq!((experiment.stages[1].warmup, experiment.stages[1].max_length), (0.25, Some(64)));
}

#[test]
fn a_problem_of_an_edit_has_its_place_in_the_file() {
    for (path, value) in [("seed", "("), ("nope", "1"), ("nodes.clip.plugin.image_size", "[1")] {
        if let Err(Problem { primary, .. }) = set(FILE, path, value) {
            assert!(primary.span.end <= FILE.len() && primary.span.start <= primary.span.end);
        }
    }
}
