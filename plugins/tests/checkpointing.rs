//! Gradient checkpointing changes no bit of any encoder's and LLM's output and gradients, and the
//! tape keeps fewer operations for it.
#![allow(clippy::expect_used, clippy::panic)]

use std::path::Path;

use eagle_core::graph::{self, Context};
use eagle_core::nn::Store;
use eagle_core::registry::{Cost, NoTap, Plugin, Registry};
use eagle_core::schedule::{self, Schedule};
use eagle_core::seed::Rng;
use eagle_core::tensor::{Dev, Param, Result, Tape, Tensor};

fn registry() -> Registry {
    eagle_plugins::registry().expect("no duplicates")
}

fn random(shape: &[usize], seed: u64) -> Tensor {
    let mut rng = Rng::new(seed);
    let values = (0..shape.iter().product()).map(|_| rng.normal()).collect();
    Tensor::new(&Dev::default(), values, shape).expect("a tensor")
}

type Forward = Box<dyn Fn(&Tensor) -> Result<Tensor>>;

/// An encoder or LLM: its promised cost, its parameters, its input, and its forward pass.
fn build(plugin: Plugin) -> Option<(Cost, Vec<Param>, Tensor, Forward)> {
    let mut store = Store::new(&Dev::default(), 7);
    match plugin {
        Plugin::Encoder(config) => {
            let (module, side) = (config.build(&mut store.root()), config.image().size);
            let module = module.expect("a module");
            let forward: Forward = Box::new(move |x| Ok(module.forward(x, &mut NoTap)?.map));
            Some((config.cost(), store.into_params(), random(&[2, 3, side, side], 1), forward))
        }
        Plugin::Llm(config) => {
            let module = config.build(&mut store.root()).expect("a module");
            let forward: Forward = Box::new(move |x| module.forward(x, None, &mut NoTap));
            let input = random(&[2, 7, config.width()], 1);
            Some((config.cost(7), store.into_params(), input, forward))
        }
        _ => None,
    }
}

/// Operations on the tape, and the bits of the output and of every gradient.
fn bits(
    (params, input, forward): (&[Param], &Tensor, &Forward),
    trained: bool,
    checkpointing: bool,
) -> (usize, Vec<Vec<u32>>) {
    let tape = Tape::recording();
    tape.set_checkpointing(checkpointing);
    let hang = if trained { tape.clone() } else { Tape::default() };
    params.iter().for_each(|param| param.set_tape(&hang));
    let input = input.leaf(&tape);
    let out = forward(&input).expect("an output");
    let operations = tape.len();
    let gradient = random(out.shape(), 2).host().to_vec();
    let mut grads = out.backward_from(gradient).expect("gradients");
    assert!(tape.is_empty(), "the tape keeps operations");
    let mut all = vec![out.host().to_vec()];
    let slots = params.iter().map(Param::slot).chain(input.slot());
    all.extend(slots.filter_map(|slot| grads.take_host(slot)));
    (operations, all.iter().map(|x| x.iter().map(|x| x.to_bits()).collect()).collect())
}

#[test]
fn gradients_have_the_same_bits_and_the_tape_is_shorter() {
    let registry = registry();
    for (text, entry) in registry.iter().flat_map(|e| e.examples.iter().map(move |t| (t, e))) {
        let plugin = (entry.parse)(text).expect("an example").plugin;
        let Some((cost, params, input, forward)) = build(plugin) else { continue };
        for trained in [true, false] {
            let plain = bits((&params, &input, &forward), trained, false);
            let checkpointed = bits((&params, &input, &forward), trained, true);
            // Pix2Struct standardises its picture on the host: no gradient goes back to the pixels.
            let blocked = !trained && text.starts_with("Pix2Struct");
            assert!(plain.1.len() > 1 || blocked, "{text}: no gradients");
            assert!(plain.1 == checkpointed.1, "{text}: other bits, trained {trained}");
            if blocked {
                continue;
            }
            let (all, fewer) = (plain.0, checkpointed.0);
            assert!(
                (fewer < all) == (cost.block_inputs > 0),
                "{text}: {fewer} of {all} operations on the tape, its cost: {cost:?}"
            );
        }
    }
}

fn planned(set: &str) -> Schedule {
    let path = Path::new("../tests/fixtures/runs/tiny.ron");
    let source = std::fs::read_to_string(path).expect("a file").replace("lr: 1e-3,", set);
    let context = Context { base: path.parent().expect("a folder"), file: Some(path) };
    let graph = graph::check(&source, &registry(), &context).unwrap_or_else(|p| panic!("{p:?}"));
    schedule::plan(&graph, 1)
}

#[test]
fn the_plan_counts_less_memory_and_more_operations() {
    let (plain, checkpointed) =
        (planned("lr: 1e-3,"), planned("lr: 1e-3, gradient_checkpointing: true,"));
    assert!(checkpointed.activation_bytes() < plain.activation_bytes());
    assert_eq!(checkpointed.state_bytes(), plain.state_bytes());
    let (more, fewer) = (checkpointed.flops_per_sample(), plain.flops_per_sample());
    assert!(more > fewer && more < fewer * 4 / 3 + 1, "{more} against {fewer}");
}
