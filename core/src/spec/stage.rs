//! A stage of training: what is trained, on what, and how.

use super::form::{Form, Known};
use super::problem::did_you_mean;
use super::syntax::{Item, Shape, Value};
use super::values::{Place, choice, each, name, number, option, text, texts};
use super::{PluginSpec, Problem, Span, Spanned};
use crate::features::FeatureCache;
use crate::text::Template;
pub use crate::text::TooLong;

/// How the learning rate goes down after the warm-up.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize,
)]
pub enum Schedule {
    /// Half a cosine to zero.
    #[default]
    Cosine,
    /// A line to zero.
    Linear,
    /// Not at all.
    Constant,
}

/// A stage as it was typed.
#[derive(Debug, Clone)]
pub struct StageSpec {
    /// Its name in results.
    pub name: Spanned<String>,
    /// The nodes that get updates.
    pub train: Vec<Spanned<String>>,
    /// What it trains on.
    pub data: PluginSpec,
    /// Passes over the data, above 0 (default 1).
    pub epochs: f64,
    /// Samples per micro-batch, at least 1.
    pub batch: usize,
    /// Micro-batches per update, at least 1 (default 1).
    pub accumulate: usize,
    /// The highest learning rate, above 0.
    pub lr: f64,
    /// Another one for some nodes.
    pub lr_of: Vec<(Spanned<String>, f64)>,
    /// The share of the steps in which the rate goes up from 0, in 0..=1 (default 0).
    pub warmup: f64,
    /// How the rate goes down after it.
    pub schedule: Schedule,
    /// AdamW's decoupled weight decay, at least 0 (default 0).
    pub weight_decay: f64,
    /// AdamW's moments, each in 0..1 (default 0.9 and 0.999).
    pub betas: (f64, f64),
    /// AdamW's epsilon, above 0 (default 1e-8).
    pub eps: f64,
    /// The gradient's highest norm (default 1); `None` for no limit.
    pub clip: Option<f64>,
    /// The conversation template (default `vicuna_v1`).
    pub template: Template,
    /// The longest sequence in tokens, visual ones included; the LLM's context if absent.
    pub max_length: Option<usize>,
    /// What becomes of longer samples.
    pub too_long: TooLong,
    /// How the features of frozen encoders are kept (default `F32`); only `F16` changes results.
    pub feature_cache: FeatureCache,
    /// Whether every picture is mirrored left to right half of the time (default no).
    pub flip: bool,
    /// Whether a step's samples are of one modality and of like length, as LLaVA's
    /// `group_by_modality_length` draws them (default no: any samples).
    pub group_by_modality_length: bool,
    /// Whether blocks keep their inputs alone and are computed again in the backward pass (default
    /// no): less memory, the same bits. Not part of the stage's identity.
    pub gradient_checkpointing: bool,
    /// Steps between checkpoints, at least 1 (default 100). Not part of the stage's identity.
    pub checkpoint_every: usize,
    /// The whole stage.
    pub span: Span,
    /// The place of each field's value that was typed.
    pub places: Vec<(&'static str, Span)>,
    /// Fields whose error `read` has reported; empty in what `parse` returns.
    pub broken: Vec<&'static str>,
}

impl StageSpec {
    /// The place of a field's value, if it was typed; else the stage's name.
    pub fn place(&self, field: &str) -> Span {
        let typed = self.places.iter().find(|(name, _)| *name == field);
        typed.map_or(&self.name.span, |(_, span)| span).clone()
    }
}

const fn known(name: &'static str, example: &'static str, means: &'static str) -> Known {
    Known { name, example, means }
}

const STAGE: &[Known] = &[
    known("name", "name: \"pre-training\"", "its name in results"),
    known("train", "train: [\"project\"]", "the nodes that get updates"),
    known("data", "data: Name(…)", "the data set"),
    known("epochs", "epochs: 1", "passes over the data"),
    known("batch", "batch: 32", "samples per micro-batch"),
    known("accumulate", "accumulate: 1", "micro-batches per update"),
    known("lr", "lr: 1e-3", "the highest learning rate"),
    known("lr_of", "lr_of: [(\"clip\", 1e-4)]", "another rate for some nodes"),
    known("warmup", "warmup: 0.03", "the share of the steps"),
    known("schedule", "schedule: Cosine", "how the rate goes down"),
    known("weight_decay", "weight_decay: 0", "AdamW's"),
    known("betas", "betas: (0.9, 0.999)", "AdamW's"),
    known("eps", "eps: 1e-8", "AdamW's"),
    known("clip", "clip: 1", "the gradient's highest norm"),
    known("template", "template: \"vicuna_v1\"", "the conversation template"),
    known("max_length", "max_length: 2048", "tokens"),
    known("too_long", "too_long: Error", "what becomes of longer samples"),
    known("flip", "flip: true", "mirrors pictures half of the time"),
    known("group_by_modality_length", "group_by_modality_length: true", "like samples in a step"),
    known("gradient_checkpointing", "gradient_checkpointing: true", "less memory, more time"),
    known("feature_cache", "feature_cache: F16", "how frozen features are kept"),
    known("checkpoint_every", "checkpoint_every: 100", "steps"),
];

const SCHEDULES: &[(&str, Schedule)] =
    &[("Cosine", Schedule::Cosine), ("Linear", Schedule::Linear), ("Constant", Schedule::Constant)];

const CACHES: &[(&str, FeatureCache)] =
    &[("Off", FeatureCache::Off), ("F32", FeatureCache::F32), ("F16", FeatureCache::F16)];
const TOO_LONG: &[(&str, TooLong)] =
    &[("Error", TooLong::Error), ("Truncate", TooLong::Truncate), ("Skip", TooLong::Skip)];
const SWITCH: &[(&str, bool)] = &[("true", true), ("false", false)];

/// Reads a stage: one line a field, with its default where it has one.
pub(super) fn read(value: &Value, source: &str, problems: &mut Vec<Problem>) -> StageSpec {
    let mut form = Form::open(value, source, "the stage", "name", STAGE);
    let head = Spanned::new(String::new(), form.head());
    let mut more = Vec::new();
    let data = form.required("data", |place: &Place<'_>| {
        Ok(super::plugin::read(place.value, source, "data set", &mut more))
    });
    let stage = StageSpec {
        name: form.required("name", name).unwrap_or(head),
        train: form.required("train", texts).unwrap_or_default(),
        data: data.unwrap_or_else(|| PluginSpec::missing(value.span.start..value.span.start)),
        epochs: form.or("epochs", positive, 1.0),
        batch: form.required("batch", count).unwrap_or(1),
        accumulate: form.or("accumulate", count, 1),
        lr: form.required("lr", rate).unwrap_or(1e-3),
        lr_of: form.or("lr_of", rates, Vec::new()),
        warmup: form.or("warmup", share, 0.0),
        schedule: form.or("schedule", choice(SCHEDULES), Schedule::default()),
        weight_decay: form.or("weight_decay", decay, 0.0),
        betas: form.or("betas", betas, (0.9, 0.999)),
        eps: form.or("eps", epsilon, 1e-8),
        clip: form.or("clip", option(limit), Some(1.0)),
        template: form.or("template", template, Template::VicunaV1),
        max_length: form.or("max_length", option(count), None),
        too_long: form.or("too_long", choice(TOO_LONG), TooLong::default()),
        flip: form.or("flip", choice(SWITCH), false),
        group_by_modality_length: form.or("group_by_modality_length", choice(SWITCH), false),
        gradient_checkpointing: form.or("gradient_checkpointing", choice(SWITCH), false),
        feature_cache: form.or("feature_cache", choice(CACHES), FeatureCache::default()),
        checkpoint_every: form.or("checkpoint_every", count, 100),
        span: value.span.clone(),
        places: form.places(),
        broken: Vec::new(),
    };
    let (broken, mut rest) = form.close();
    problems.append(&mut more);
    problems.append(&mut rest);
    StageSpec { broken, ..stage }
}

type Read<T> = Result<T, Vec<Problem>>;

fn above_zero(x: &f64) -> bool {
    *x > 0.0 && x.is_finite()
}

fn positive(place: &Place<'_>) -> Read<f64> {
    number("a number above 0", above_zero)(place)
}

fn rate(place: &Place<'_>) -> Read<f64> {
    number("a number above 0, such as 1e-3", above_zero)(place)
}

fn epsilon(place: &Place<'_>) -> Read<f64> {
    number("a number above 0, such as 1e-8", above_zero)(place)
}

fn limit(place: &Place<'_>) -> Read<f64> {
    number("a number above 0, or `None` for no limit", above_zero)(place)
}

fn decay(place: &Place<'_>) -> Read<f64> {
    number("a number, 0 or more", |x: &f64| *x >= 0.0 && x.is_finite())(place)
}

fn share(place: &Place<'_>) -> Read<f64> {
    number("a share of the steps, 0 to 1", |x| (0.0..=1.0).contains(x))(place)
}

fn count(place: &Place<'_>) -> Read<usize> {
    number("a whole number, 1 or more", |n| *n >= 1)(place)
}

/// `[("clip", 1e-4), …]`
fn rates(place: &Place<'_>) -> Read<Vec<(Spanned<String>, f64)>> {
    let items = place.list("a list of nodes with their rates", "[(\"clip\", 1e-4)]")?;
    each(items.iter().map(|item| place.part(item)), rate_of)
}

fn rate_of(pair: &Place<'_>) -> Read<(Spanned<String>, f64)> {
    let parts = match &pair.value.shape {
        Shape::Group { name: None, items } => &items[..],
        _ => &[],
    };
    let [Item { name: None, value: node }, Item { name: None, value: lr }] = parts else {
        return Err(vec![pair.wrong("a pair such as `(\"clip\", 1e-4)`")]);
    };
    let said = "a learning rate is a number above 0, such as 1e-4";
    let said = |problem| Problem { message: said.to_owned(), ..problem };
    let lr = rate(&pair.part(lr)).map_err(|all| all.into_iter().map(said).collect::<Vec<_>>());
    match (text(&pair.part(node)), lr) {
        (Ok(node), Ok(lr)) => Ok((node, lr)),
        (node, lr) => Err([node.err(), lr.err()].into_iter().flatten().flatten().collect()),
    }
}

fn betas(place: &Place<'_>) -> Read<(f64, f64)> {
    let expected = "two numbers such as `(0.9, 0.999)`";
    let each_is = "a number from 0 up to, but not, 1";
    let Shape::Group { name: None, items } = &place.value.shape else {
        return Err(vec![place.wrong(expected)]);
    };
    let [Item { name: None, value: first }, Item { name: None, value: second }] = &items[..] else {
        return Err(vec![place.wrong(expected)]);
    };
    let beta = |place: &Place<'_>| number(each_is, |x: &f64| (0.0..1.0).contains(x))(place);
    let values = each([place.part(first), place.part(second)], beta)?;
    Ok((values[0], values[1]))
}

/// A conversation template, by its name.
pub(super) fn template(place: &Place<'_>) -> Read<Template> {
    let template = text(place)?;
    if let Some(known) = Template::named(&template.value) {
        return Ok(known);
    }
    let known = Template::ALL.map(Template::name);
    let message = format!("there is no conversation template {:?}", template.value);
    let help = did_you_mean(&template.value, "templates", &known);
    Err(vec![Problem::new(message, template.span, "unknown template").help(help)])
}

/// The names of a stage's fields.
pub(super) fn fields() -> Vec<&'static str> {
    STAGE.iter().map(|known| known.name).collect()
}
