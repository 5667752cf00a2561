//! A fusion that injects between the blocks of an encoder: who runs when, who records, and that the
//! encoder is changed by it and by nothing else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::Path;

use eagle_core::graph::{self, Context, Graph};
use eagle_core::model::{self, Model};
use eagle_core::schedule;
use eagle_core::seed::Rng;
use eagle_core::spec;
use eagle_core::tensor::{Dev, Tape, Tensor};

fn linked(source: &str) -> Graph {
    let registry = eagle_plugins::registry().unwrap();
    let context = Context { base: Path::new(""), file: None };
    graph::check(source, &registry, &context)
        .unwrap_or_else(|problems| panic!("{}", spec::render(&problems, source, "test", false)))
}

fn source() -> String {
    std::fs::read_to_string("../tests/fixtures/good/injection.ron").unwrap()
}

fn images(model: &Model) -> Vec<Tensor> {
    let image = |spec: &eagle_core::data::preprocess::ImageSpec| {
        let mut rng = Rng::new(spec.size as u64);
        let values = (0..2 * 3 * spec.size * spec.size).map(|_| rng.normal()).collect();
        Tensor::new(&Dev::default(), values, &[2, 3, spec.size, spec.size]).unwrap()
    };
    model.images.iter().map(image).collect()
}

fn outputs(model: &Model) -> (Vec<String>, BTreeMap<String, Vec<f32>>) {
    let (mut order, mut values) = (Vec::new(), BTreeMap::new());
    let images = images(model);
    let look = &mut |id: &str, value: &Tensor| {
        order.push(id.to_owned());
        values.insert(id.to_owned(), value.host().to_vec());
    };
    model.see_tapped(&images, &[], false, look).unwrap();
    order.retain(|id| !id.contains(".pyramid."));
    (order, values)
}

#[test]
fn a_frozen_encoder_records_while_what_is_injected_trains_and_is_a_prefix_after() {
    let graph = linked(&source());
    let flags = |stage| {
        let plan = schedule::plan(&graph, stage);
        plan.nodes
            .iter()
            .map(|n| (n.id.clone(), (n.trained, n.records)))
            .collect::<BTreeMap<_, _>>()
    };
    let adapter = flags(0);
    assert_eq!(adapter["clip"], (false, true));
    assert_eq!(adapter["convnext"], (false, false));
    assert_eq!(adapter["fuse"], (true, true));
    let projector = flags(1);
    assert_eq!(projector["clip"], (false, false));
    assert_eq!(schedule::plan(&graph, 1).frozen_prefix(), ["convnext", "clip", "fuse"]);
    // The gradient passes backward through the encoder once more.
    let (with, without) = (schedule::plan(&graph, 0), schedule::plan(&graph, 1));
    let clip = with.nodes.iter().find(|n| n.id == "clip").unwrap().cost.flops;
    assert!(with.flops_per_sample() > without.flops_per_sample() + clip);
    let text = with.to_string();
    assert!(text.contains("image + fuse") && text.contains("16 visual tokens"), "{text}");
}

#[test]
fn a_zero_initialised_injection_leaves_the_encoder_as_it_is() {
    let plain = source().replace("LlavaHr()", "ChannelConcat(grid: 4)");
    let dev = Dev::default();
    let (order, with) = outputs(&model::build(&linked(&source()), &dev).unwrap());
    let (_, without) = outputs(&model::build(&linked(&plain), &dev).unwrap());
    assert_eq!(order, ["convnext", "clip", "fuse", "project"]);
    for id in ["clip", "convnext"] {
        assert!(with[id] == without[id], "{id} changes");
    }
}

#[test]
fn the_other_expert_changes_the_encoder_and_a_gradient_reaches_all_three() {
    let source = source().replace("LlavaHr()", "LlavaHr(zero_init: false)");
    let model = model::build(&linked(&source), &Dev::default()).unwrap();
    let before = outputs(&model).1;
    let convnext = model.nodes.iter().find(|node| node.id == "convnext").unwrap();
    let stem = convnext.params.iter().find(|param| param.name() == "stem.0.weight").unwrap();
    stem.update(|values| values.iter_mut().for_each(|v| *v *= 1.5));
    assert!(before["clip"] != outputs(&model).1["clip"], "nothing reaches the encoder");

    // Only the adapter trains: its first layers stand before the frozen encoder's later blocks.
    for (trained, frozen) in [("fuse", "clip"), ("convnext", "clip"), ("clip", "convnext")] {
        let tape = Tape::recording();
        for node in &model.nodes {
            let tape = if node.id == trained { tape.clone() } else { Tape::default() };
            node.params.iter().for_each(|param| param.set_tape(&tape));
        }
        let seen = model.see(&images(&model)).unwrap();
        let mut rng = Rng::new(9);
        let weights = (0..seen.len()).map(|_| rng.normal()).collect();
        let mut grads = seen.backward_from(weights).unwrap();
        for node in &model.nodes {
            for param in &node.params {
                let gradient = param.tensor().slot().and_then(|slot| grads.take_host(slot));
                let name = format!("{} of {} while {trained} trains", param.name(), node.id);
                match &node.id {
                    id if id == trained => {
                        let gradient = gradient.unwrap_or_else(|| panic!("none: {name}"));
                        assert!(gradient.iter().any(|g| *g != 0.0), "zero: {name}");
                    }
                    id if id == frozen => assert!(gradient.is_none(), "a gradient: {name}"),
                    _ => {}
                }
            }
        }
    }
}
