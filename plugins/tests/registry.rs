//! Every registered plugin is held to its promise, without a line of test in the plugin.
//!
//! Defaults are the real, large models; a plugin's `examples` say how it is made small.
#![allow(clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::sync::Arc;

use eagle_core::data::annotations::{Annotations, Glyph, Object};
use eagle_core::data::tiles::{Layout, Thumbnail};
use eagle_core::nn::Store;
use eagle_core::registry::{
    Backbone, Configured, EncoderConfig, Features, Fusion, Kind, MapShape, NoTap, Plugin, Registry,
    Seen, Tap, Target, TokensShape,
};
use eagle_core::seed::Rng;
use eagle_core::tensor::{Dev, Param, Result, Tape, Tensor};
use eagle_core::weights::{self, Bundle};

/// Every small configuration of every node plugin.
fn small() -> Vec<&'static str> {
    registry().iter().filter(|e| is_node(e.kind)).flat_map(|e| e.examples).copied().collect()
}

const BATCH: usize = 2;
const LLM_WIDTH: usize = 12;

fn registry() -> Registry {
    eagle_plugins::registry().expect("no duplicates")
}

fn configured(text: &str) -> (&'static str, Configured) {
    let name = text.split('(').next().unwrap_or_default();
    let entry = registry().get(name).unwrap_or_else(|| panic!("no plugin {name}"));
    (entry.name, (entry.parse)(text).unwrap_or_else(|error| panic!("{text}: {error}")))
}

fn random(shape: &[usize], seed: u64) -> Tensor {
    let mut rng = Rng::new(seed);
    let values = (0..shape.iter().product()).map(|_| rng.normal()).collect();
    Tensor::new(&Dev::default(), values, shape).expect("a tensor")
}

/// The encoder that objectives read.
fn expert() -> (Arc<dyn EncoderConfig>, MapShape) {
    let text = "ClipVit(image_size: 16, patch_size: 4, width: 8, layers: 1, heads: 2)";
    let Plugin::Encoder(encoder) = configured(text).1.plugin else { panic!("{text}") };
    let shape = encoder.output().expect("a promise");
    (encoder, shape)
}

/// What is known of picture number `i`.
fn known(i: usize) -> Annotations {
    let left = 0.1 + 0.3 * i as f32;
    let place = [left, 0.2, left + 0.3, 0.6];
    let outline = vec![[left, 0.2], [left + 0.3, 0.2], [left + 0.3, 0.6], [left, 0.6]];
    Annotations {
        caption: ["a red circle", "two blue stars, the word fig"][i % 2].to_owned(),
        objects: vec![Object { class: 1 + i, outline }],
        glyphs: vec![Glyph { character: ['a', 'b'][i % 2], place }],
    }
}

/// The two experts' maps that fusions join.
fn experts() -> Vec<MapShape> {
    let pyramid = MapShape { pyramid: vec![(8, 8, 4)], ..MapShape::on_grid((4, 4), 6) };
    vec![MapShape::on_grid((3, 3), 8).with_blocks(BLOCKS), pyramid]
}

/// The blocks of the first expert, between which fusions may inject; each gives its input plus 1.
const BLOCKS: usize = 5;

/// The experts' features, the one that the fusion injects into run through its blocks.
fn seen(module: &dyn Fusion, injects: Option<usize>, inputs: &[MapShape]) -> Result<Vec<Features>> {
    let mut seen: Vec<_> = inputs.iter().zip(1..).map(|(shape, i)| features(shape, i)).collect();
    let Some(into) = injects else { return Ok(seen) };
    let others = seen.iter().enumerate().filter(|(i, _)| *i != into).map(|(_, f)| f.clone());
    let mut tap = module.tap(&others.collect::<Vec<_>>())?;
    for block in 0..inputs[into].blocks {
        let ones =
            Tensor::new(&Dev::default(), vec![1.0; seen[into].map.len()], seen[into].map.shape())?;
        let x = eagle_core::nn::ops::add(&seen[into].map, &ones)?;
        seen[into].map = tap.after_block(block, inputs[into].blocks, x)?;
    }
    Ok(seen)
}

fn features(shape: &MapShape, seed: u64) -> Features {
    let level = |&(h, w, c): &(usize, usize, usize)| random(&[BATCH, h, w, c], seed + 1);
    Features {
        map: random(&[BATCH, shape.tokens, shape.width], seed),
        grid: shape.grid,
        pyramid: shape.pyramid.iter().map(level).collect(),
    }
}

/// A built node: its parameters, and its forward pass on fixed random inputs.
struct Built {
    params: Vec<Param>,
    /// `[B, N, C]` that it promises.
    promise: [usize; 3],
    forward: Box<dyn Fn() -> Result<Tensor>>,
}

/// The input of projectors, on a grid of 6 x 6: some take the LLM's width only.
fn tokens(text: &str) -> TokensShape {
    let as_it_is = ["Identity", "PackTiles"].iter().any(|name| text.starts_with(name));
    TokensShape { tokens: 36, width: if as_it_is { LLM_WIDTH } else { 8 } }
}

/// The tiles of two pictures, one of which is padded: five in all.
fn layouts() -> [Layout; 2] {
    let first = Some(Thumbnail::First);
    [
        Layout { rows: 1, columns: 2, thumbnail: first, padded: Some((40, 15)) },
        Layout { rows: 1, columns: 1, thumbnail: Some(Thumbnail::Last), padded: None },
    ]
}

fn build(text: &str) -> Built {
    let (_, configured) = configured(text);
    let mut store = Store::new(&Dev::default(), 7);
    match configured.plugin {
        Plugin::Encoder(config) => {
            let shape = config.output().expect("a promise");
            let module = config.build(&mut store.root()).expect("a module");
            let side = config.image().size;
            let image = random(&[BATCH, 3, side, side], 1);
            Built {
                params: store.into_params(),
                promise: [BATCH, shape.tokens, shape.width],
                forward: Box::new(move || {
                    let seen = module.forward(&image, &mut NoTap)?;
                    assert_eq!(seen.grid, shape.grid, "the grid");
                    let levels: Vec<_> = seen.pyramid.iter().map(|l| l.shape().to_vec()).collect();
                    let want: Vec<_> =
                        shape.pyramid.iter().map(|&(h, w, c)| vec![BATCH, h, w, c]).collect();
                    assert_eq!(levels, want, "the pyramid");
                    Ok(seen.map)
                }),
            }
        }
        Plugin::Fusion(config) => {
            let inputs = experts();
            let shape = config.output(&inputs).expect("a promise");
            let lie = config.grid(&inputs).is_none_or(|(h, w)| h * w == shape.tokens);
            assert!(lie, "{text}: {} tokens on {:?}", shape.tokens, config.grid(&inputs));
            let module = config.build(&inputs, &mut store.root()).expect("a module");
            Built {
                params: store.into_params(),
                promise: [BATCH, shape.tokens, shape.width],
                forward: Box::new(move || {
                    let seen = seen(module.as_ref(), config.injects(), &inputs)?;
                    module.forward_asked(&seen, &[vec![1, 2], vec![3]])
                }),
            }
        }
        Plugin::Projector(config) => {
            let input = tokens(text);
            let shape = config.output(input, LLM_WIDTH).expect("a promise");
            let module = config.build(input, LLM_WIDTH, &mut store.root()).expect("a module");
            assert_eq!(shape.width, LLM_WIDTH, "{text}: the LLM can't read it");
            let grid = config.grid(Some((6, 6))).expect("a grid");
            let lie = grid.is_none_or(|(h, w)| h * w == shape.tokens);
            assert!(lie, "{text}: {} tokens on {grid:?}", shape.tokens);
            if let Some(packing) = config.packs() {
                let count = |layout: &Layout| layout.sequence((6, 6), packing).len();
                let tokens = random(&[5, 36, LLM_WIDTH], 1);
                return Built {
                    params: store.into_params(),
                    promise: [1, layouts().iter().map(count).sum(), LLM_WIDTH],
                    forward: Box::new(move || module.pack(&tokens, &layouts(), (6, 6))),
                };
            }
            Built {
                params: store.into_params(),
                promise: [BATCH, shape.tokens, shape.width],
                forward: Box::new(move || {
                    module.forward(&random(&[BATCH, input.tokens, input.width], 1))
                }),
            }
        }
        Plugin::Llm(config) => {
            config.validate().expect("a good configuration");
            let module = config.build(&mut store.root()).expect("a module");
            let width = config.width();
            let table = [config.vocabulary(), width];
            assert_eq!(module.embeddings().shape(), table);
            assert_eq!(module.head().shape(), table);
            Built {
                params: store.into_params(),
                promise: [BATCH, 5, width],
                forward: Box::new(move || {
                    // Through embeddings and head, so that every parameter is used.
                    let ids: Vec<u32> = (0..10).map(|i| i * 7 % 20).collect();
                    let table = module.embeddings().tensor();
                    let x = eagle_core::nn::ops::embedding(&table, &ids)?;
                    let x = x.reshape(&[BATCH, 5, width])?;
                    let hidden = module.forward(&x, None, &mut NoTap)?;
                    let head = module.head().tensor();
                    // A small share of the head's gradient joins the output's.
                    let logits = eagle_core::nn::ops::matmul(
                        &hidden.reshape(&[BATCH * 5, width])?,
                        &transposed(&head)?,
                    )?;
                    let mixed = eagle_core::nn::ops::matmul(&logits, &head)?;
                    eagle_core::nn::ops::add(&hidden, &mixed.reshape(&[BATCH, 5, width])?)
                }),
            }
        }
        Plugin::Objective(config) => {
            let (encoder, shape) = expert();
            let backbone = Backbone { encoder: encoder.as_ref(), shape: &shape };
            config.meets(backbone).expect("a promise");
            let tokenizer = config.tokenizer(Path::new("")).expect("a tokenizer");
            let labeller = config.labeller(backbone, tokenizer.map(Arc::new));
            let targets: Vec<Target> =
                (0..BATCH).map(|i| labeller.target(Some(&known(i))).expect("a target")).collect();
            let module = config.build(backbone, &mut store.root()).expect("a module");
            let params = store.into_params();
            let count = BATCH * config.views();
            let side = encoder.image().size;
            let image = random(&[count, 3, side, side], 3);
            let map = random(&[count, shape.tokens, shape.width], 4);
            let mut teacher = Store::new(&Dev::default(), 8);
            encoder.build(&mut teacher.root()).expect("an encoder");
            module.begin(&teacher.into_params()).expect("a beginning");
            Built {
                params,
                promise: [1, 1, 1],
                forward: Box::new(move || {
                    let features = Features { map: map.clone(), grid: shape.grid, pyramid: vec![] };
                    let (image, targets) = (Some(&image), &targets[..]);
                    let seen = Seen { features: &features, image, targets, progress: 0.5 };
                    // One that judges alone has none.
                    match module.loss(seen)? {
                        Some(loss) => loss.reshape(&[1, 1, 1]),
                        None => Tensor::new(map.dev(), vec![0.0], &[1, 1, 1]),
                    }
                }),
            }
        }
        Plugin::Dataset(_) | Plugin::Benchmark(_) => panic!("{text} is not a node"),
    }
}

/// `[V, C]` to `[C, V]`, by a product with the identity, which passes gradients.
fn transposed(x: &Tensor) -> Result<Tensor> {
    let [v, c] = x.dims("transposed")?;
    let eye = |n: usize| {
        let values = (0..n * n).map(|i| f32::from(u8::from(i % (n + 1) == 0))).collect();
        Tensor::new(&Dev::default(), values, &[n, n])
    };
    // linear(I, x) = I x^T.
    let flipped =
        eagle_core::nn::ops::linear(&eye(c)?, x, None, eagle_core::nn::ops::Activation::None)?;
    assert_eq!(flipped.shape(), [c, v]);
    Ok(flipped)
}

fn is_node(kind: Kind) -> bool {
    !matches!(kind, Kind::Dataset | Kind::Benchmark)
}

#[test]
fn every_node_plugin_has_an_example_of_itself() {
    for entry in registry().iter().filter(|entry| is_node(entry.kind)) {
        let name = entry.name;
        assert!(!entry.examples.is_empty(), "give {name} small examples in its register!");
        for text in entry.examples {
            assert_eq!(text.split('(').next(), Some(name), "{text} is no {name}");
        }
    }
}

#[test]
fn every_plugin_is_described() {
    for entry in registry().iter() {
        let name = entry.name;
        assert!(entry.docs.iter().any(|line| !line.trim().is_empty()), "{name} says nothing");
        for field in entry.fields {
            assert!(!field.docs.is_empty(), "{name}.{} says nothing", field.name);
        }
    }
}

#[test]
fn default_configurations_parse_and_are_their_own_identity() {
    for entry in registry().iter() {
        let parsed = (entry.parse)(&format!("{}()", entry.name)).expect(entry.name);
        let fields = parsed.identity.get("fields").and_then(|fields| fields.as_object());
        assert!(fields.is_some_and(serde_json::Map::is_empty), "{}: {parsed:?}", entry.name);
    }
}

#[test]
fn unknown_fields_are_refused() {
    for entry in registry().iter() {
        let text = format!("{}(no_such_field: 1)", entry.name);
        assert!((entry.parse)(&text).is_err(), "{text} is taken");
    }
}

#[test]
fn a_field_away_from_its_default_changes_the_identity() {
    for text in small().iter().filter(|text| !text.contains("()")) {
        let (name, configured) = configured(text);
        let plain = (registry().get(name).expect(name).parse)(&format!("{name}()"));
        assert_ne!(configured.identity, plain.expect(name).identity, "{text}");
    }
}

#[test]
fn the_real_shape_is_the_promised_one() {
    for text in small() {
        let built = build(text);
        let out = (built.forward)().unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(out.shape(), built.promise, "{text}");
        assert!(out.host().iter().all(|value| value.is_finite()), "{text}: not finite");
    }
}

/// Notes what passes.
#[derive(Default)]
struct Blocks(Vec<(usize, usize, Vec<usize>)>);

impl Tap for Blocks {
    fn after_block(&mut self, index: usize, count: usize, x: Tensor) -> Result<Tensor> {
        self.0.push((index, count, x.shape().to_vec()));
        Ok(x)
    }
}

#[test]
fn promised_blocks_are_shown_to_taps_in_order_on_the_promised_grid() {
    let mut promising = 0;
    for text in small() {
        let Plugin::Encoder(config) = configured(text).1.plugin else { continue };
        let shape = config.output().expect(text);
        let module = config.build(&mut Store::new(&Dev::default(), 7).root()).expect(text);
        let side = config.image().size;
        let mut blocks = Blocks::default();
        module.forward(&random(&[BATCH, 3, side, side], 1), &mut blocks).expect(text);
        for (i, (index, count, _)) in blocks.0.iter().enumerate() {
            assert_eq!((*index, *count), (i, blocks.0.len()), "{text}");
        }
        if shape.blocks == 0 {
            continue;
        }
        promising += 1;
        assert_eq!(blocks.0.len(), shape.blocks, "{text}");
        for (_, _, seen) in &blocks.0 {
            let vectors: usize = seen[1..seen.len() - 1].iter().product();
            assert_eq!((seen[0], seen.last()), (BATCH, Some(&shape.width)), "{text}");
            let grid = shape.grid.map_or(shape.tokens, |(h, w)| h * w);
            assert!(vectors >= grid, "{text}: {vectors} vectors, {grid} on the grid");
        }
    }
    assert!(promising > 0, "no encoder promises blocks");
}

#[test]
fn counting_parameters_allocates_none_and_names_the_same() {
    for text in small() {
        let built = build(text);
        let mut counting = Store::counting();
        let root = &mut counting.root();
        match configured(text).1.plugin {
            Plugin::Encoder(config) => drop(config.build(root).expect(text)),
            Plugin::Fusion(config) => drop(config.build(&experts(), root).expect(text)),
            Plugin::Projector(config) => {
                drop(config.build(tokens(text), LLM_WIDTH, root).expect(text));
            }
            Plugin::Llm(config) => drop(config.build(root).expect(text)),
            Plugin::Objective(config) => {
                let (encoder, shape) = expert();
                let backbone = Backbone { encoder: encoder.as_ref(), shape: &shape };
                drop(config.build(backbone, root).expect(text));
            }
            Plugin::Dataset(_) | Plugin::Benchmark(_) => {}
        }
        let counted: Vec<_> =
            counting.shapes().iter().map(|p| (p.name.clone(), p.shape.clone())).collect();
        let real: Vec<_> =
            built.params.iter().map(|p| (p.name().to_owned(), p.shape().to_vec())).collect();
        assert_eq!(counted, real, "{text}");
        assert!(counting.into_params().is_empty());
    }
}

#[test]
fn every_trained_parameter_gets_a_gradient_and_a_frozen_one_none() {
    for text in small() {
        let built = build(text);
        assert!(!(built.forward)().expect(text).records(), "{text}: frozen, yet it records");
        let tape = Tape::recording();
        built.params.iter().for_each(|param| param.set_tape(&tape));
        let out = (built.forward)().expect(text);
        let Some(first) = built.params.first() else { continue };
        let ones = random(out.shape(), 9).host().into_owned();
        let mut grads = out.backward_from(ones).expect(text);
        for param in &built.params {
            let gradient = grads.take_host(param.slot());
            if param.is_buffer() {
                assert!(gradient.is_none(), "{text}: a gradient for {}", param.name());
                continue;
            }
            let moves = gradient.is_some_and(|g| g.iter().any(|v| *v != 0.0));
            assert!(moves, "{text}: {} gets no gradient", param.name());
        }
        // One parameter frozen, the others trained.
        first.set_tape(&Tape::default());
        let out = (built.forward)().expect(text);
        if out.records() {
            let ones = vec![1.0; out.len()];
            let mut grads = out.backward_from(ones).expect(text);
            assert!(grads.take_host(first.slot()).is_none(), "{text}: a frozen gradient");
        }
    }
}

/// The derivative of `sum(out * r)` along a random direction of all parameters, by central
/// differences in f32 and by the tape.
#[test]
fn gradients_agree_with_finite_differences() {
    for text in small() {
        let built = build(text);
        if built.params.is_empty() {
            continue;
        }
        let r = random(&built.promise, 11).host().into_owned();
        let value = || -> f64 {
            let out = (built.forward)().expect(text);
            out.host().iter().zip(&r).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
        };
        let directions: Vec<Vec<f32>> = built
            .params
            .iter()
            .zip(0..)
            .map(|(param, i)| random(param.shape(), 100 + i).host().into_owned())
            .collect();
        let shift = |by: f32| {
            let params = built.params.iter().zip(&directions);
            for (param, direction) in params.filter(|(param, _)| !param.is_buffer()) {
                param.update(|values| {
                    values.iter_mut().zip(direction).for_each(|(v, d)| *v += by * d)
                });
            }
        };
        // Central differences of the fourth order: norms over few channels bend sharply.
        let step = 5e-4;
        let at = |by: f32| {
            shift(by);
            let value = value();
            shift(-by);
            value
        };
        let near = at(step) - at(-step);
        let far = at(2.0 * step) - at(-2.0 * step);
        let numeric = (8.0 * near - far) / (12.0 * f64::from(step));
        let tape = Tape::recording();
        built.params.iter().for_each(|param| param.set_tape(&tape));
        let mut grads = (built.forward)().expect(text).backward_from(r.clone()).expect(text);
        let (mut exact, mut squares) = (0.0, 0.0);
        let params = built.params.iter().zip(&directions);
        for (param, direction) in params.filter(|(param, _)| !param.is_buffer()) {
            let gradient = grads.take_host(param.slot()).expect("a gradient");
            exact += gradient.iter().zip(direction).map(|(g, d)| f64::from(g * d)).sum::<f64>();
            squares += gradient.iter().map(|g| f64::from(g * g)).sum::<f64>();
        }
        // The gradient's norm is the size of a typical directional derivative.
        let error = (numeric - exact).abs() / squares.sqrt();
        assert!(error < 5e-3, "{text}: {numeric} by differences, {exact} by the tape");
    }
}

#[test]
fn saved_weights_load_into_another_seed_with_the_same_output() {
    let file = tempfile::tempdir().expect("a folder");
    let path = file.path().join("w.safetensors");
    for text in small() {
        let built = build(text);
        let before = (built.forward)().expect(text).host().into_owned();
        let mut bundle = Bundle::default();
        bundle.add("node/", &built.params);
        bundle.write(&path).expect(text);
        built.params.iter().for_each(|param| param.update(|values| values.fill(0.25)));
        let read = Bundle::read(&path).expect(text);
        assert_eq!(read, bundle, "{text}");
        weights::load(&built.params, &read, "node/", &path).expect(text);
        assert_eq!((built.forward)().expect(text).host().into_owned(), before, "{text}");
    }
}

#[test]
fn loading_lists_every_tensor_that_does_not_fit_and_changes_nothing() {
    let clip = small().into_iter().find(|text| text.starts_with("ClipVit")).expect("a ClipVit");
    let built = build(clip);
    let mut bundle = Bundle::default();
    bundle.add("", &built.params);
    let first = built.params[0].name().to_owned();
    bundle.tensors.remove(&first);
    bundle.tensors.insert("stranger".into(), (vec![1], vec![0.0]));
    let second = built.params[1].name().to_owned();
    bundle.tensors.insert(second.clone(), (vec![1], vec![9.0]));
    let before = (built.forward)().expect("forward").host().into_owned();
    let error = weights::load(&built.params, &bundle, "", Path::new("clip.safetensors"));
    let message = error.expect_err("refused").to_string();
    for part in [
        "clip.safetensors",
        &format!("missing: {first}"),
        &format!("shape: {second}"),
        "surplus: stranger",
    ] {
        assert!(message.contains(part), "{part} not in {message}");
    }
    assert_eq!((built.forward)().expect("forward").host().into_owned(), before);
}
