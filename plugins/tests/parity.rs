//! Every plugin against the implementation that people trust: output, every block's output and the
//! gradient of every parameter, on the fixtures of `tests/fixtures/parity` (see `fixture.py` there).
#![allow(clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};

use eagle_core::nn::ops::{self, Activation};
use eagle_core::nn::{Builder, Store};
use eagle_core::registry::{
    EncoderConfig, Features, FusionConfig, Kind, LlmConfig, MapShape, Plugin, ProjectorConfig,
    Registry, Tap, TokensShape,
};
use eagle_core::tensor::{Dev, Param, Result, Tape, Tensor};
use eagle_core::weights::{self, Bundle};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/parity");

/// Largest difference from the reference, in shares of the tensor's largest magnitude.
const TOLERANCE: f32 = 1e-4;

/// A tensor below this share of its group's largest magnitude is rounding noise around zero (the
/// gradient of a key's bias is exactly zero), and is compared on this scale.
const NOISE: f32 = 1e-3;

fn registry() -> Registry {
    eagle_plugins::registry().expect("no duplicates")
}

fn fixtures() -> Vec<PathBuf> {
    let folder = std::fs::read_dir(FIXTURES).expect(FIXTURES);
    let mut paths: Vec<_> = folder.map(|entry| entry.expect(FIXTURES).path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "safetensors"));
    paths.sort();
    paths
}

fn plugin_text(bundle: &Bundle) -> &str {
    bundle.notes.get("plugin").expect("the note `plugin`")
}

/// The tensors under `group`, without it.
fn group<'a>(
    bundle: &'a Bundle,
    group: &'a str,
) -> impl Iterator<Item = (&'a str, &'a [usize], &'a [f32])> {
    bundle.tensors.iter().filter_map(move |(name, (shape, values))| {
        Some((name.strip_prefix(group)?, &shape[..], &values[..]))
    })
}

fn tensor(bundle: &Bundle, name: &str) -> Option<Tensor> {
    let (shape, values) = bundle.tensors.get(name)?;
    Some(Tensor::new(&Dev::default(), values.clone(), shape).expect(name))
}

/// An input as a leaf: its gradient may be asked for.
fn input(bundle: &Bundle, tape: &Tape, name: &str) -> Option<Tensor> {
    let x = tensor(bundle, &format!("inputs/{name}"))?;
    Some(if bundle.tensors.contains_key(&format!("grads/inputs/{name}")) {
        x.leaf(tape)
    } else {
        x
    })
}

/// Writes down what every block gives.
#[derive(Default)]
struct Recorder(Vec<Tensor>);

impl Tap for Recorder {
    fn after_block(&mut self, index: usize, count: usize, x: Tensor) -> Result<Tensor> {
        assert_eq!(index, self.0.len(), "blocks come in order");
        assert!(index < count, "block {index} of {count}");
        self.0.push(x.clone());
        Ok(x)
    }
}

impl Recorder {
    fn blocks(self) -> Vec<(String, Tensor)> {
        let blocks = self.0.into_iter().enumerate();
        blocks.map(|(i, block)| (format!("blocks/{i}"), block)).collect()
    }
}

/// What one run gives, under the fixture's names, and what the cotangent belongs to.
struct Run {
    found: Vec<(String, Tensor)>,
    main: Tensor,
    /// Inputs whose gradients are compared.
    leaves: Vec<(String, Tensor)>,
}

/// Builds the fixture's plugin, loads its weights strictly, and runs it on the fixture's inputs.
fn run(bundle: &Bundle, path: &Path, tape: &Tape) -> (Vec<Param>, Run) {
    let text = plugin_text(bundle);
    let name = text.split('(').next().unwrap_or_default();
    let entry = registry().get(name).unwrap_or_else(|| panic!("no plugin {name}"));
    let fixture = Fixture { bundle, path, tape };
    match (entry.parse)(text).unwrap_or_else(|error| panic!("{text}: {error}")).plugin {
        Plugin::Encoder(config) => encoder(&*config, &fixture),
        Plugin::Fusion(config) => fusion(&*config, &fixture),
        Plugin::Projector(config) => projector(&*config, &fixture),
        Plugin::Llm(config) => llm(&*config, &fixture),
        _ => panic!("{text} is compared elsewhere"),
    }
}

struct Fixture<'a> {
    bundle: &'a Bundle,
    path: &'a Path,
    tape: &'a Tape,
}

impl Fixture<'_> {
    fn input(&self, name: &str) -> Tensor {
        input(self.bundle, self.tape, name).unwrap_or_else(|| panic!("no inputs/{name}"))
    }

    /// The module, and its parameters with the fixture's values, on the tape.
    fn build<T>(&self, build: impl FnOnce(&mut Builder<'_>) -> Result<T>) -> (T, Vec<Param>) {
        let mut store = Store::new(&Dev::default(), 0);
        let module = build(&mut store.root()).unwrap_or_else(|error| panic!("{error}"));
        let params = store.into_params();
        weights::load(&params, self.bundle, "weights/", self.path)
            .unwrap_or_else(|error| panic!("{error}"));
        params.iter().for_each(|param| param.set_tape(self.tape));
        (module, params)
    }
}

fn encoder(config: &dyn EncoderConfig, fixture: &Fixture<'_>) -> (Vec<Param>, Run) {
    config.output().expect("a promise");
    let (module, params) = fixture.build(|b| config.build(b));
    let image = fixture.input("image");
    let mut recorder = Recorder::default();
    let seen = module.forward(&image, &mut recorder).expect("a map");
    let mut found = recorder.blocks();
    let levels = seen.pyramid.into_iter().enumerate();
    found.extend(levels.map(|(i, level)| (format!("outputs/pyramid.{i}"), level)));
    found.push(("outputs/map".into(), seen.map.clone()));
    (params, Run { found, main: seen.map, leaves: vec![("image".into(), image)] })
}

fn fusion(config: &dyn FusionConfig, fixture: &Fixture<'_>) -> (Vec<Param>, Run) {
    let (mut inputs, leaves) = experts(fixture.bundle, fixture.tape);
    let mut shapes: Vec<MapShape> = inputs.iter().map(shape_of).collect();
    let block = |i| tensor(fixture.bundle, &format!("inputs/block.{i}"));
    let blocks: Vec<Tensor> = (0..).map_while(block).collect();
    let injects = config.injects();
    injects.into_iter().for_each(|into| shapes[into].blocks = blocks.len());
    config.output(&shapes).expect("a promise");
    let (module, params) = fixture.build(|b| config.build(&shapes, b));
    let mut recorder = Recorder::default();
    if let Some(into) = injects {
        let mut others = inputs.clone();
        let mut map = others.remove(into).map;
        let mut tap = module.tap(&others).expect("a tap");
        for (i, added) in blocks.iter().enumerate() {
            let x = ops::add(&map, added).expect("a block");
            map = tap.after_block(i, blocks.len(), x).expect("an injection");
            recorder.0.push(map.clone());
        }
        inputs[into].map = map;
    }
    let question = |i| tensor(fixture.bundle, &format!("inputs/question.{i}"));
    let ids = |question: Tensor| question.host().iter().map(|id| *id as u32).collect();
    let questions: Vec<Vec<u32>> = (0..).map_while(question).map(ids).collect();
    let out = module.forward_asked(&inputs, &questions).expect("tokens");
    let mut found = recorder.blocks();
    found.push(("outputs/map".into(), out.clone()));
    (params, Run { found, main: out, leaves })
}

fn projector(config: &dyn ProjectorConfig, fixture: &Fixture<'_>) -> (Vec<Param>, Run) {
    let input = fixture.input("tokens");
    let [_, tokens, width] = input.dims("tokens").expect("three axes");
    let llm_width = tensor(fixture.bundle, "outputs/map").expect("outputs/map").shape()[2];
    let shape = TokensShape { tokens, width };
    let (module, params) = fixture.build(|b| config.build(shape, llm_width, b));
    let out = module.forward(&input).expect("tokens");
    let found = vec![("outputs/map".into(), out.clone())];
    (params, Run { found, main: out, leaves: vec![("tokens".into(), input)] })
}

fn llm(config: &dyn LlmConfig, fixture: &Fixture<'_>) -> (Vec<Param>, Run) {
    config.validate().expect("a good configuration");
    let (module, params) = fixture.build(|b| config.build(b));
    let ids = fixture.input("ids");
    let [batch, length] = ids.dims("ids").expect("two axes");
    let ids: Vec<u32> = ids.host().iter().map(|id| *id as u32).collect();
    let x = ops::embedding(&module.embeddings().tensor(), &ids).expect("embeddings");
    let x = x.reshape(&[batch, length, config.width()]).expect("embeddings");
    let mut recorder = Recorder::default();
    let hidden = module.forward(&x, None, &mut recorder).expect("hidden states");
    let head = module.head().tensor();
    let logits = ops::linear(&hidden, &head, None, Activation::None).expect("logits");
    let mut found = recorder.blocks();
    found.push(("outputs/map".into(), hidden));
    found.push(("outputs/logits".into(), logits.clone()));
    (params, Run { found, main: logits, leaves: Vec::new() })
}

/// A fusion's inputs, and those of them that are differentiated.
fn experts(bundle: &Bundle, tape: &Tape) -> (Vec<Features>, Vec<(String, Tensor)>) {
    let mut leaves = Vec::new();
    let mut take = |name: String| -> Option<Tensor> {
        let x = input(bundle, tape, &name)?;
        leaves.push((name, x.clone()));
        Some(x)
    };
    let one = |i: usize| -> Option<Features> {
        let map = take(format!("map.{i}"))?;
        let pyramid = (0..).map_while(|level| take(format!("pyramid.{i}.{level}"))).collect();
        let tokens = map.shape()[1];
        let side = tokens.isqrt();
        let grid = match tensor(bundle, &format!("inputs/grid.{i}")) {
            Some(grid) => Some((grid.host()[0] as usize, grid.host()[1] as usize)),
            None => (side * side == tokens).then_some((side, side)),
        };
        Some(Features { map, grid, pyramid })
    };
    let inputs = (0..).map_while(one).collect();
    (inputs, leaves)
}

fn shape_of(features: &Features) -> MapShape {
    let [_, tokens, width] = features.map.dims("map").expect("three axes");
    let level = |x: &Tensor| (x.shape()[1], x.shape()[2], x.shape()[3]);
    MapShape {
        grid: features.grid,
        tokens,
        width,
        pyramid: features.pyramid.iter().map(level).collect(),
        blocks: 0,
    }
}

fn largest(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |a, b| a.max(b.abs()))
}

/// How `found` differs from `expected`, if it does. Not-a-number differs.
fn difference(found: &[f32], expected: &[f32], noise: f32) -> Option<String> {
    if found.len() != expected.len() {
        return Some(format!("{} values, the reference has {}", found.len(), expected.len()));
    }
    let size = largest(expected).max(noise);
    let off = |(a, b): (&f32, &f32)| if a.is_finite() { (a - b).abs() / size } else { f32::NAN };
    let worst = found.iter().zip(expected).map(off).max_by(f32::total_cmp)?;
    let near = worst <= TOLERANCE;
    (!near).then(|| format!("{worst:.1e} of {size:.1e} apart"))
}

/// Everything in which our run of a fixture differs from the reference, in the order of the pass.
fn differences(bundle: &Bundle, path: &Path) -> Vec<String> {
    let tape = Tape::recording();
    let (params, run) = run(bundle, path, &tape);
    let mut problems = Vec::new();
    let mut compare = |name: &str, shape: &[usize], found: &[f32], noise: f32| {
        let problem = match bundle.tensors.get(name) {
            None => Some("is not in the fixture".to_owned()),
            Some((want, _)) if want != shape => Some(format!("is {shape:?}, not {want:?}")),
            Some((_, want)) => difference(found, want, noise),
        };
        problems.extend(problem.map(|problem| format!("{name}: {problem}")));
    };
    for (name, x) in &run.found {
        compare(name, x.shape(), &x.host(), 0.0);
    }
    let cotangent = tensor(bundle, "cotangent").expect("a cotangent").host().into_owned();
    let mut grads = run.main.backward_from(cotangent).expect("a backward pass");
    let noise = NOISE * group(bundle, "grads/").map(|(.., g)| largest(g)).fold(0.0, f32::max);
    for param in &params {
        let found = grads.take_host(param.slot()).unwrap_or_default();
        compare(&format!("grads/{}", param.name()), param.shape(), &found, noise);
    }
    for (name, leaf) in &run.leaves {
        let Some(slot) = leaf.slot() else { continue };
        let found = grads.take_host(slot).unwrap_or_default();
        compare(&format!("grads/inputs/{name}"), leaf.shape(), &found, noise);
    }
    let seen = |name: &str| {
        run.found.iter().any(|(found, _)| found == name)
            || name.strip_prefix("grads/").is_some_and(|key| {
                let input = key.strip_prefix("inputs/");
                params.iter().any(|param| param.name() == key)
                    || run.leaves.iter().any(|(leaf, _)| Some(leaf.as_str()) == input)
            })
    };
    for part in ["blocks/", "outputs/", "grads/"] {
        let unseen = group(bundle, part).map(|(name, ..)| format!("{part}{name}"));
        problems.extend(
            unseen.filter(|name| !seen(name)).map(|name| format!("{name}: we have no such thing")),
        );
    }
    problems
}

#[test]
fn outputs_blocks_and_gradients_are_the_references() {
    let mut report = String::new();
    for path in fixtures() {
        let bundle = Bundle::read(&path).unwrap_or_else(|error| panic!("{error}"));
        let file = path.file_name().unwrap_or_default().display();
        for problem in differences(&bundle, &path) {
            report += &format!("\n{file}: {problem}");
        }
    }
    assert!(report.is_empty(), "{report}");
}

#[test]
fn every_encoder_and_llm_has_three_fixtures() {
    let texts: Vec<String> = fixtures()
        .iter()
        .map(|path| plugin_text(&Bundle::read(path).expect("a bundle")).to_owned())
        .collect();
    let mut report = String::new();
    for entry in registry().iter().filter(|e| matches!(e.kind, Kind::Encoder | Kind::Llm)) {
        let own = |text: &&String| text.split('(').next() == Some(entry.name);
        let count = texts.iter().filter(own).count();
        if count < 3 {
            report += &format!("\n{}: {count} fixtures", entry.name);
        }
    }
    assert!(report.is_empty(), "{report}");
}

#[test]
fn one_wrong_number_is_found_where_it_is() {
    let path = &Path::new(FIXTURES).join("clip-vit-eagle.safetensors");
    let bundle = Bundle::read(path).unwrap_or_else(|error| panic!("{error}"));
    for name in ["blocks/1", "outputs/map"] {
        let mut wrong = bundle.clone();
        let (_, values) = wrong.tensors.get_mut(name).expect(name);
        values[0] += 2.0 * TOLERANCE * largest(values);
        let problems = differences(&wrong, path);
        assert!(problems.len() == 1 && problems[0].starts_with(name), "{problems:?}");
    }
    let names = group(&bundle, "grads/").map(|(name, ..)| name.to_owned()).collect::<Vec<_>>();
    let mut wrong = bundle.clone();
    for (_, (_, values)) in wrong.tensors.iter_mut().filter(|(name, _)| name.starts_with("grads/"))
    {
        values.iter_mut().for_each(|value| *value *= 1.01);
    }
    // All but those that are zero: one key's bias a block.
    let found = differences(&wrong, path).len();
    assert!(found < names.len() && found + 3 > names.len(), "{found} of {}", names.len());
}
