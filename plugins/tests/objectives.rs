//! The objectives' losses, gradients and averages against PyTorch's, from the fixture that
//! `tests/fixtures/objectives.py` writes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::sync::Arc;

use eagle_core::data::preprocess::ImageSpec;
use eagle_core::nn::{Builder, Store};
use eagle_core::registry::{
    Backbone, Cost, Encoder, EncoderConfig, Features, MapShape, Misfit, Objective, Plugin, Seen,
    Tap, Target,
};
use eagle_core::tensor::{Dev, Param, Result, Tape, Tensor};
use eagle_core::weights::Bundle;

/// The mean colour of each of four patches; it has no parameters.
#[derive(Debug)]
struct Patches;

impl EncoderConfig for Patches {
    fn image(&self) -> ImageSpec {
        ImageSpec { size: 4, ..ImageSpec::default() }
    }

    fn output(&self) -> std::result::Result<MapShape, Misfit> {
        Ok(MapShape::on_grid((2, 2), 3))
    }

    fn cost(&self) -> Cost {
        Cost::default()
    }

    fn build(&self, _: &mut Builder<'_>) -> Result<Box<dyn Encoder>> {
        Ok(Box::new(Colours))
    }
}

struct Colours;

impl Encoder for Colours {
    fn forward(&self, image: &Tensor, _: &mut dyn Tap) -> Result<Features> {
        let [batch, channels, height, width] = image.dims("patches")?;
        let values = image.host();
        let mut map = vec![0.0; batch * 4 * channels];
        for (at, value) in values.iter().enumerate() {
            let (x, y) = (at % width, at / width % height);
            let (channel, picture) =
                (at / (width * height) % channels, at / (width * height * channels));
            let patch = 2 * y / height * 2 + 2 * x / width;
            map[(picture * 4 + patch) * channels + channel] +=
                4.0 * value / (width * height) as f32;
        }
        let map = Tensor::new(image.dev(), map, &[batch, 4, channels])?;
        Ok(Features { map, grid: Some((2, 2)), pyramid: Vec::new() })
    }
}

struct Case {
    name: &'static str,
    bundle: Bundle,
}

impl Case {
    fn open(name: &'static str) -> Case {
        let path = Path::new("../tests/fixtures/objectives.safetensors");
        Case { name, bundle: Bundle::read(path).unwrap() }
    }

    fn find(&self, name: &str) -> Option<&(Vec<usize>, Vec<f32>)> {
        self.bundle.tensors.get(&format!("{}/{name}", self.name))
    }

    fn tensor(&self, name: &str) -> Tensor {
        let (shape, values) = self.find(name).unwrap_or_else(|| panic!("no {name}"));
        Tensor::new(&Dev::default(), values.clone(), shape).unwrap()
    }

    /// One target a row of `labels`, or `count` empty ones.
    fn targets(&self, count: usize) -> Vec<Target> {
        let row = |name: &str, at: usize| match self.find(name) {
            Some((shape, values)) => values[at * shape[1]..(at + 1) * shape[1]].to_vec(),
            None => Vec::new(),
        };
        let count = self.find("labels").map_or(count, |(shape, _)| shape[0]);
        let target = |at| Target {
            labels: row("labels", at).iter().map(|label| *label as u32).collect(),
            weights: row("weights", at),
            values: row("values", at),
            ..Target::default()
        };
        (0..count).map(target).collect()
    }

    fn close(&self, what: &str, found: &[f32], expected: &[f32]) {
        assert_eq!(found.len(), expected.len(), "{}: {what}", self.name);
        let size = expected.iter().fold(1e-3_f32, |most, value| most.max(value.abs()));
        for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
            let near = (found - expected).abs() <= 2e-5 * size;
            assert!(near, "{}: {what} at {at}: {found}, PyTorch has {expected}", self.name);
        }
    }
}

/// An objective on maps of this shape, its parameters the fixture's.
fn built(case: &Case, text: &str, shape: &MapShape) -> (Box<dyn Objective>, Vec<Param>) {
    let registry = eagle_plugins::registry().unwrap();
    let entry = registry.get(text.split('(').next().unwrap()).unwrap();
    let Plugin::Objective(config) = (entry.parse)(text).unwrap().plugin else { panic!("{text}") };
    let mut store = Store::new(&Dev::default(), 1);
    let backbone = Backbone { encoder: &Patches, shape };
    config.meets(backbone).unwrap();
    let module = config.build(backbone, &mut store.root()).unwrap();
    let params = store.into_params();
    for param in &params {
        let value = case.tensor(&format!("param/{}", param.name()));
        assert_eq!(param.shape(), value.shape(), "{}", param.name());
        param.update(|values| values.copy_from_slice(&value.host()));
    }
    (module, params)
}

/// Holds loss and gradients against the fixture's.
fn hold(case: &Case, text: &str, width: usize) -> (Box<dyn Objective>, Vec<Param>) {
    let shape = MapShape::on_grid((2, 2), width);
    let (module, params) = built(case, text, &shape);
    let tape = Tape::recording();
    params.iter().for_each(|param| param.set_tape(&tape));
    let map = case.tensor("features").leaf(&tape);
    let slot = map.slot().unwrap();
    let image = case.find("image").map(|_| case.tensor("image"));
    let targets = case.targets(2);
    let features = Features { map, grid: shape.grid, pyramid: Vec::new() };
    let seen =
        Seen { features: &features, image: image.as_ref(), targets: &targets, progress: 0.2 };
    let loss = module.loss(seen).unwrap().expect("a loss");
    case.close("loss", &loss.host(), &case.tensor("loss").host());
    let mut grads = loss.backward().unwrap();
    let found = grads.take_host(slot).expect("a gradient of the features");
    case.close("features", &found, &case.tensor("grad/features").host());
    for param in params.iter().filter(|param| !param.is_buffer()) {
        let found = grads.take_host(param.slot()).unwrap_or_else(|| panic!("{}", param.name()));
        case.close(param.name(), &found, &case.tensor(&format!("grad/{}", param.name())).host());
    }
    (module, params)
}

#[test]
fn contrastive_is_clips() {
    let text = "Contrastive(embed: 6, width: 4, layers: 0, heads: 1, context: 2, vocabulary: 9)";
    let case = Case::open("contrastive");
    let (module, params) = hold(&case, text, 5);
    let scale = params.iter().find(|param| param.name() == "logit_scale").unwrap();
    scale.update(|values| values[0] = 5.0);
    module.after_step(&[], 0.5).unwrap();
    assert_eq!(scale.tensor().host()[0], 100f32.ln(), "the factor is clipped");
}

#[test]
fn segmentation_is_weighted_cross_entropy() {
    hold(&Case::open("segmentation"), "Segmentation(classes: 3, background: 0.3)", 5);
}

#[test]
fn detection_is_focal_loss_and_giou() {
    hold(&Case::open("detection"), "Detection(classes: 3, box_weight: 2)", 5);
}

#[test]
fn self_distillation_is_dinos_with_its_centre_and_average() {
    let text = "SelfDistillation(hidden: 6, bottleneck: 4, prototypes: 5, local_views: 1, \
                momentum: 0.9, centre_momentum: 0.8)";
    let case = Case::open("self-distillation");
    let (module, params) = hold(&case, text, 3);
    module.after_step(&[], 0.2).unwrap();
    let buffers: Vec<&Param> = params.iter().filter(|param| param.is_buffer()).collect();
    assert_eq!(buffers.len(), 6, "the teacher's head and the centre");
    for buffer in buffers {
        let after = case.tensor(&format!("after/{}", buffer.name()));
        case.close(buffer.name(), &buffer.tensor().host(), &after.host());
    }
}

#[test]
fn a_teacher_begins_as_its_student() {
    let registry = eagle_plugins::registry().unwrap();
    let parse = |text: &str| (registry.get(text.split('(').next().unwrap()).unwrap().parse)(text);
    let encoder = "ClipVit(image_size: 16, patch_size: 4, width: 8, layers: 1, heads: 2)";
    let Plugin::Encoder(encoder) = parse(encoder).unwrap().plugin else { panic!("an encoder") };
    let text = "SelfDistillation(hidden: 6, bottleneck: 4, prototypes: 5)";
    let Plugin::Objective(config) = parse(text).unwrap().plugin else { panic!("an objective") };
    let shape = encoder.output().unwrap();
    let backbone = Backbone { encoder: Arc::as_ref(&encoder), shape: &shape };
    let (mut of_encoder, mut store) =
        (Store::new(&Dev::default(), 1), Store::new(&Dev::default(), 2));
    encoder.build(&mut of_encoder.root()).unwrap();
    let module = config.build(backbone, &mut store.root()).unwrap();
    let (student, params) = (of_encoder.into_params(), store.into_params());
    let value = |name: &str, params: &[Param]| {
        let param = params.iter().find(|param| param.name() == name).expect(name);
        param.tensor().host().into_owned()
    };
    let name = student[1].name().to_owned();
    let teacher = format!("teacher.encoder.{name}");
    assert_ne!(value(&teacher, &params), value(&name, &student), "drawn apart");
    module.begin(&student).unwrap();
    assert_eq!(value(&teacher, &params), value(&name, &student));
    assert_eq!(value("teacher.head.mlp.0.weight", &params), value("head.mlp.0.weight", &params));
    let before = value(&teacher, &params);
    student[1].update(|values| values.iter_mut().for_each(|value| *value += 1.0));
    module.after_step(&student, 1.0).unwrap();
    assert_eq!(value(&teacher, &params), before, "nothing moves at the end");
    module.after_step(&student, 0.0).unwrap();
    let after = value(&teacher, &params);
    let moved =
        before.iter().zip(&after).all(|(before, after)| (after - before - 0.01).abs() < 1e-5);
    assert!(moved, "a hundredth of the way: {before:?} to {after:?}");
}
