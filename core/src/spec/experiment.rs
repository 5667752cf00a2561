//! `Experiment(…)`: nodes, stages and what the result is judged by.

use super::form::{Form, Known};
use super::syntax::Value;
use super::values::{Place, choice, name, option, seed, text, texts};
use super::{Generation, PluginSpec, Problem, Span, Spanned, StageSpec, Weights};
use crate::data::tiles::Tiles;
use crate::tensor::Precision;
use crate::text::Template;

/// An experiment as it was typed.
#[derive(Debug, Clone)]
pub struct Experiment {
    /// Its name in results.
    pub name: Spanned<String>,
    /// The root of every use of chance.
    pub seed: u64,
    /// The model's parts.
    pub nodes: Vec<NodeSpec>,
    /// What is trained, in order.
    pub stages: Vec<StageSpec>,
    /// The benchmarks.
    pub evaluate: Vec<PluginSpec>,
    /// The conversation template in which the benchmarks are asked, if it isn't the last stage's.
    pub template: Option<Template>,
    /// How the answers to the benchmarks are written.
    pub generate: Generation,
    /// In which numbers the model computes.
    pub precision: Precision,
    /// The whole `Experiment(…)`.
    pub span: Span,
    /// Fields whose error `read` has reported; empty in what `parse` returns.
    pub broken: Vec<&'static str>,
}

/// A part of a model as it was typed.
#[derive(Debug, Clone)]
pub struct NodeSpec {
    /// By what other nodes and the stages call it.
    pub id: Spanned<String>,
    /// What it is.
    pub plugin: PluginSpec,
    /// What it reads: `image`, `text` or other nodes' ids.
    pub from: Vec<Spanned<String>>,
    /// How its pictures are cut into tiles, if they are.
    pub tiles: Option<Spanned<Tiles>>,
    /// Its first values; an empty span if the file doesn't say.
    pub weights: Spanned<Weights>,
    /// The whole node.
    pub span: Span,
    /// Fields whose error `read` has reported; empty in what `parse` returns.
    pub broken: Vec<&'static str>,
}

impl Experiment {
    /// Whether `read` has reported something about it.
    pub fn is_broken(&self) -> bool {
        let plugins = self.nodes.iter().map(|node| &node.plugin);
        let plugins = plugins.chain(self.stages.iter().map(|stage| &stage.data));
        !self.broken.is_empty()
            || self.nodes.iter().any(|node| !node.broken.is_empty())
            || self.stages.iter().any(|stage| !stage.broken.is_empty())
            || plugins.chain(&self.evaluate).any(|plugin| plugin.broken)
    }

    /// Every plugin that is typed in it.
    pub(super) fn plugins(&mut self) -> impl Iterator<Item = &mut PluginSpec> {
        let nodes = self.nodes.iter_mut().map(|node| &mut node.plugin);
        let data = self.stages.iter_mut().map(|stage| &mut stage.data);
        nodes.chain(data).chain(&mut self.evaluate)
    }
}

const EXPERIMENT: &[Known] = &[
    Known { name: "name", example: "name: \"x2\"", means: "its name in results" },
    Known { name: "seed", example: "seed: 0", means: "a whole number" },
    Known {
        name: "nodes",
        example: "nodes: [(id: \"clip\", plugin: …, from: [\"image\"]), …]",
        means: "the model's parts",
    },
    Known { name: "stages", example: "stages: []", means: "what is trained, in order" },
    Known { name: "evaluate", example: "evaluate: []", means: "the benchmarks" },
    Known {
        name: "template",
        example: "template: \"vicuna_v1\"",
        means: "how the benchmarks are asked",
    },
    Known {
        name: "generate",
        example: "generate: Sample(temperature: 0.2)",
        means: "how they are answered",
    },
    Known {
        name: "precision",
        example: "precision: Bf16",
        means: "in which numbers the model computes",
    },
];

const PRECISIONS: &[(&str, Precision)] = &[
    ("F32", Precision::F32),
    ("Tf32", Precision::Tf32),
    ("Bf16", Precision::Bf16),
    ("F16", Precision::F16),
];

const NODE: &[Known] = &[
    Known { name: "id", example: "id: \"clip\"", means: "by what the rest of the file calls it" },
    Known { name: "plugin", example: "plugin: ClipVit(image_size: 64)", means: "what it is" },
    Known { name: "from", example: "from: [\"image\"]", means: "what it reads" },
    Known {
        name: "tiles",
        example: "tiles: Fixed(rows: 2, columns: 2)",
        means: "how an encoder's pictures are cut",
    },
    Known { name: "weights", example: "weights: Random", means: "its first values" },
];

/// Reads the fields of `Experiment(…)`.
pub(super) fn read(root: &Value, source: &str, problems: &mut Vec<Problem>) -> Experiment {
    let mut form = Form::open(root, source, "the experiment", "name", EXPERIMENT);
    let name = form.required("name", file_name);
    let seed = form.optional("seed", seed);
    let template = form.optional("template", super::stage::template);
    let generate = form.or("generate", super::generation::read, Generation::Greedy);
    let precision = form.or("precision", choice(PRECISIONS), Precision::default());
    let nodes = form.required("nodes", |place: &Place<'_>| {
        place.list("a list of nodes", "[(id: \"clip\", …), …]").map(<[Value]>::to_vec)
    });
    let stages = form.optional("stages", |place: &Place<'_>| {
        place.list("a list of stages", "[(name: \"pre-training\", …), …]").map(<[Value]>::to_vec)
    });
    let evaluate = form.optional("evaluate", |place: &Place<'_>| {
        place.list("a list of benchmarks", "[Name(…), …]").map(<[Value]>::to_vec)
    });
    let evaluate = evaluate.unwrap_or_default();
    let evaluate =
        evaluate.iter().map(|value| super::plugin::read(value, source, "benchmark", problems));
    let evaluate = evaluate.collect();
    let nodes = nodes.unwrap_or_default();
    let nodes = nodes.iter().map(|value| node(value, source, problems)).collect();
    let stages = stages.unwrap_or_default();
    let stages = stages.iter().map(|value| super::stage::read(value, source, problems)).collect();
    let name = name.unwrap_or_else(|| Spanned::new(String::new(), form.head()));
    let (broken, more) = form.close();
    problems.extend(more);
    let span = root.span.clone();
    let seed = seed.unwrap_or(0);
    Experiment { name, seed, nodes, stages, evaluate, template, generate, precision, span, broken }
}

fn node(value: &Value, source: &str, problems: &mut Vec<Problem>) -> NodeSpec {
    let mut form = Form::open(value, source, "the node", "id", NODE);
    let mut wrong = Vec::new();
    let id = form.required("id", |place: &Place<'_>| {
        wrong.extend(id(place).err().into_iter().flatten());
        // A bad name is a name all the same, so that those who read it find it.
        text(place).map_err(|_| Vec::new())
    });
    if !wrong.is_empty() && !form.broken.contains(&"id") {
        form.broken.push("id");
    }
    form.problems.append(&mut wrong);
    let from = form.required("from", texts);
    let tiles = form.optional("tiles", |place: &Place<'_>| {
        let tiles = option(super::tiles::read)(place)?;
        Ok(tiles.map(|tiles| Spanned::new(tiles, place.value.span.clone())))
    });
    let weights = form.optional("weights", super::weights::read);
    let mut more = Vec::new();
    let plugin = form.required("plugin", |place: &Place<'_>| {
        Ok(super::plugin::read(place.value, source, "plugin", &mut more))
    });
    problems.append(&mut more);
    let none = value.span.start..value.span.start;
    let id = id.unwrap_or_else(|| Spanned::new(String::new(), form.head()));
    let plugin = plugin.unwrap_or_else(|| PluginSpec::missing(none.clone()));
    let weights = weights.unwrap_or_else(|| Spanned::new(Weights::Random, none));
    let (broken, more) = form.close();
    problems.extend(more);
    let (from, span) = (from.unwrap_or_default(), value.span.clone());
    NodeSpec { id, plugin, from, tiles: tiles.flatten(), weights, span, broken }
}

fn id(place: &Place<'_>) -> Result<Spanned<String>, Vec<Problem>> {
    let id = name(place)?;
    let what = match id.value.as_str() {
        "image" => "the picture",
        "text" => "the conversation",
        _ => return Ok(id),
    };
    let message = format!("a node can't be called {:?}", id.value);
    let text = format!("this means {what} in every `from`");
    Err(vec![Problem::new(message, id.span, text).help("choose another id")])
}

/// A name that may be a folder's.
pub(super) fn file_name(place: &Place<'_>) -> Result<Spanned<String>, Vec<Problem>> {
    let text = text(place)?;
    let mut chars = text.value.chars();
    let simple = chars.next().is_some_and(|c| c.is_ascii_alphanumeric())
        && chars.all(|c| c.is_ascii_alphanumeric() || "-_.+".contains(c));
    if simple {
        return Ok(text);
    }
    let message = format!("{:?} can't be a name", text.value);
    let help = "results lie in a folder of this name: use letters, digits, `-`, `_`, `.` and `+`";
    Err(vec![Problem::new(message, text.span, "this `name`").help(help)])
}

/// The names of an experiment's fields.
pub(super) fn fields() -> Vec<&'static str> {
    EXPERIMENT.iter().map(|known| known.name).collect()
}

/// The names of a node's fields.
pub(super) fn node_fields() -> Vec<&'static str> {
    NODE.iter().map(|known| known.name).collect()
}
