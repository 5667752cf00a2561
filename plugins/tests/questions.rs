//! Fusions that read the questions: from a data set's turns to the gate of `Mova` and back.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use eagle_core::data::Dataset;
use eagle_core::evaluate::{Exam, answer};
use eagle_core::features::Frozen;
use eagle_core::graph::{self, Context, Graph};
use eagle_core::model::{self, Model};
use eagle_core::nn::{Store, ops};
use eagle_core::registry::{
    BenchmarkConfig, DatasetConfig, Features, Fusion, FusionConfig, LlmConfig, MapShape, Plugin,
};
use eagle_core::seed::Rng;
use eagle_core::spec::{self, Generation};
use eagle_core::tensor::{Dev, Param, Tape, Tensor};
use eagle_core::text::{Template, TooLong};
use eagle_core::train::loader::{Drawn, assemble};
use eagle_core::train::sequence::TextSpec;
use eagle_plugins::benchmarks::mini_vqa::MiniVqa;
use eagle_plugins::datasets::mini_world::MiniWorld;
use eagle_plugins::llms::llama::Llama;

const MOVA: &str =
    "Mova(layers: 2, heads: 2, top_k: 2, zero_init: false, vocabulary: 20, text_width: 6)";
const BATCH: usize = 4;

fn fusion(text: &str) -> Arc<dyn FusionConfig> {
    let registry = eagle_plugins::registry().unwrap();
    let entry = registry.get("Mova").unwrap();
    match (entry.parse)(text).unwrap_or_else(|error| panic!("{text}: {error}")).plugin {
        Plugin::Fusion(config) => config,
        _ => panic!("{text} is no fusion"),
    }
}

fn random(shape: &[usize], seed: u64) -> Tensor {
    let mut rng = Rng::new(seed);
    let values = (0..shape.iter().product()).map(|_| rng.normal()).collect();
    Tensor::new(&Dev::default(), values, shape).unwrap()
}

fn shapes() -> [MapShape; 3] {
    [MapShape::on_grid((3, 3), 8), MapShape::on_grid((4, 4), 6), MapShape::on_grid((2, 2), 10)]
}

/// Pictures `first..first + count` of four.
fn seen(first: usize, count: usize) -> Vec<Features> {
    let one = |(shape, seed): (&MapShape, u64)| {
        let map = random(&[BATCH, shape.tokens, shape.width], seed);
        let map = ops::narrow(&map, 0, first, count).unwrap();
        Features { map, grid: shape.grid, pyramid: Vec::new() }
    };
    shapes().iter().zip(1..).map(one).collect()
}

fn build(text: &str) -> (Box<dyn Fusion>, Vec<Param>) {
    let mut store = Store::new(&Dev::default(), 7);
    let module = fusion(text).build(&shapes(), &mut store.root()).unwrap();
    (module, store.into_params())
}

fn questions() -> Vec<Vec<u32>> {
    vec![vec![3, 1, 4], vec![1, 5], vec![], vec![9, 2, 6, 5]]
}

fn bits(x: &Tensor) -> Vec<u32> {
    x.host().iter().map(|value| value.to_bits()).collect()
}

#[test]
fn another_question_gives_other_tokens_and_the_same_one_the_same_bits_in_every_batch() {
    let (module, _) = build(MOVA);
    let all = bits(&module.forward_asked(&seen(0, BATCH), &questions()).unwrap());
    let row = all.len() / BATCH;
    for (first, count) in [(0, 1), (3, 1), (1, 3), (2, 2)] {
        let some = &questions()[first..first + count];
        let some = bits(&module.forward_asked(&seen(first, count), some).unwrap());
        assert!(some == all[first * row..(first + count) * row], "pictures {first}.. ({count})");
    }
    let mut others = questions();
    others[1] = vec![7, 8];
    let others = bits(&module.forward_asked(&seen(0, BATCH), &others).unwrap());
    let moved = |i: &usize| all[i * row..][..row] != others[i * row..][..row];
    assert_eq!((0..BATCH).filter(moved).collect::<Vec<_>>(), [1]);
    let unasked = bits(&module.forward(&seen(0, BATCH)).unwrap());
    let same = |i: &usize| all[i * row..][..row] == unasked[i * row..][..row];
    assert_eq!((0..BATCH).filter(same).collect::<Vec<_>>(), [2], "nothing asked is nothing read");
}

/// The derivative of `sum(out * r)` along a random direction of the embeddings.
#[test]
fn the_gradient_of_the_questions_embeddings_agrees_with_finite_differences() {
    let (module, params) = build(MOVA);
    let text = params.iter().find(|param| param.name() == "text.weight").unwrap();
    assert_eq!(text.shape(), [20, 6]);
    let run = || module.forward_asked(&seen(0, BATCH), &questions()).unwrap();
    let r = random(run().shape(), 11).host().into_owned();
    let direction = random(text.shape(), 12).host().into_owned();
    let at = |by: f32| -> f64 {
        let shift = |by: f32| {
            text.update(|values| values.iter_mut().zip(&direction).for_each(|(v, d)| *v += by * d));
        };
        shift(by);
        let out = run();
        shift(-by);
        out.host().iter().zip(&r).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    let step = 5e-3;
    let differences = 8.0 * (at(step) - at(-step)) - (at(2.0 * step) - at(-2.0 * step));
    let numeric = differences / (12.0 * f64::from(step));
    text.set_tape(&Tape::recording());
    let gradient = run().backward_from(r.clone()).unwrap().take_host(text.slot()).unwrap();
    let exact: f64 = gradient.iter().zip(&direction).map(|(g, d)| f64::from(g * d)).sum();
    let norm = gradient.iter().map(|g| f64::from(g * g)).sum::<f64>().sqrt();
    assert!(norm > 0.0 && (numeric - exact).abs() / norm < 5e-3, "{numeric}, {exact}, {norm}");
}

#[test]
fn what_cannot_be_read_is_named() {
    let (module, _) = build(MOVA);
    let error = module.forward_asked(&seen(0, 1), &[vec![20]]).unwrap_err().to_string();
    assert!(error.contains("token 20") && error.contains("`vocabulary`"), "{error}");
    let error = module.forward_asked(&seen(0, 2), &[vec![1]]).unwrap_err().to_string();
    assert!(error.contains("1 questions about 2 pictures"), "{error}");
    let misfit = fusion("Mova(vocabulary: 20)").meets(21).unwrap_err();
    assert_eq!(misfit.field, Some("vocabulary"));
    assert!(fusion("Mova(vocabulary: 20)").meets(20).is_ok());
    assert!(fusion("Mova()").meets(20).is_ok() && !fusion("Mova()").reads_questions());
    let misfit = fusion("Mova(heads: 2, vocabulary: 9, text_width: 0)").output(&shapes());
    assert_eq!(misfit.unwrap_err().field, Some("text_width"));
}

#[test]
fn a_gate_by_the_picture_alone_has_no_columns_for_a_question() {
    let (plain, params) = build("Mova(layers: 2, heads: 2, top_k: 2, zero_init: false)");
    assert!(params.iter().all(|param| param.name() != "text.weight"));
    let asked = plain.forward_asked(&seen(0, BATCH), &questions()).unwrap();
    assert!(bits(&asked) == bits(&plain.forward(&seen(0, BATCH)).unwrap()));
    let gate = |params: &[Param]| {
        let gate = params.iter().find(|param| param.name() == "blocks.0.gate.0.weight").unwrap();
        gate.shape().to_vec()
    };
    assert_eq!((gate(&params), gate(&build(MOVA).1)), (vec![8, 8], vec![8, 6 + 8]));
}

const SOURCE: &str = r#"Experiment(
    name: "asked",
    nodes: [
        (id: "clip", plugin: ClipVit(image_size: 32, patch_size: 8, width: 16, layers: 1, heads: 2), from: ["image"]),
        (id: "convnext", plugin: ConvNext(image_size: 32, depths: [1, 1], widths: [8, 16]), from: ["image"]),
        (id: "coarse", plugin: ClipVit(image_size: 32, patch_size: 16, width: 8, layers: 1, heads: 2), from: ["image"]),
        (id: "fuse", plugin: Mova(layers: 1, heads: 2, top_k: 2, zero_init: false, vocabulary: 256, text_width: 8), from: ["clip", "convnext", "coarse"]),
        (id: "project", plugin: Mlp(depth: 2), from: ["fuse"]),
        (id: "llm", plugin: Llama(width: 32, layers: 1, heads: 2, hidden: 64, vocabulary: 256, context: 128), from: ["project", "text"]),
    ],
    stages: [
        (name: "tuning", train: ["clip", "convnext", "coarse", "fuse", "project", "llm"], data: MiniWorld(), batch: 4, lr: 1e-3),
    ],
)"#;

fn linked() -> Graph {
    let registry = eagle_plugins::registry().unwrap();
    let context = Context { base: Path::new(""), file: None };
    graph::check(SOURCE, &registry, &context)
        .unwrap_or_else(|problems| panic!("{}", spec::render(&problems, SOURCE, "test", false)))
}

fn text(graph: &Graph) -> TextSpec {
    TextSpec {
        tokenizer: Arc::new(Llama::default().tokenizer(Path::new("")).unwrap()),
        template: Template::Mini,
        max_length: 128,
        too_long: TooLong::Error,
        visual: graph.visual(),
        asks: graph.reads_questions(),
    }
}

/// The embeddings of the questions' tokens.
fn table(model: &Model) -> &Param {
    let fuse = model.nodes.iter().find(|node| node.id == "fuse").unwrap();
    fuse.params.iter().find(|param| param.name() == "text.weight").unwrap()
}

#[test]
fn the_tokens_of_the_first_questions_of_a_batch_are_what_learns() {
    let graph = linked();
    assert!(graph.reads_questions());
    let model = model::build(&graph, &Dev::default()).unwrap();
    let text = text(&graph);
    let world = MiniWorld { samples: 3, turns: 2, ..MiniWorld::default() };
    let data: Arc<dyn Dataset> = world.open(Path::new("")).unwrap();
    let draw =
        |index| Drawn { sample: data.sample(index).unwrap(), index, flipped: false, chance: 0 };
    let drawn: Vec<Drawn> = (0..3).map(draw).collect();
    let frozen = Frozen::none(&model);
    let mut batch = assemble(&drawn, &model.images, &text, &frozen).unwrap();
    let ids = |drawn: &Drawn| {
        let tokens = text.tokenizer.encode(&drawn.sample.turns[0].question).unwrap();
        tokens.into_iter().map(|token| token.id).collect::<Vec<u32>>()
    };
    let asked: Vec<Vec<u32>> = drawn.iter().map(ids).collect();
    assert_eq!(batch.questions, asked);

    let table = table(&model);
    table.set_tape(&Tape::recording());
    let seen = frozen.see(&model, &mut batch).unwrap().unwrap();
    let weights = random(seen.shape(), 9).host().into_owned();
    let gradient = seen.backward_from(weights).unwrap().take_host(table.slot()).unwrap();
    let moved = |(id, row): (usize, &[f32])| row.iter().any(|g| *g != 0.0).then_some(id as u32);
    let moved: BTreeSet<u32> = gradient.chunks(8).enumerate().filter_map(moved).collect();
    assert_eq!(moved, asked.into_iter().flatten().collect());

    let blind = TextSpec { asks: false, ..text };
    let batch = assemble(&drawn, &model.images, &blind, &frozen).unwrap();
    assert!(batch.questions.is_empty());
}

/// Embeddings that are not numbers spoil the answers of whoever reads them.
#[test]
fn an_exam_reads_its_questions_and_a_blind_one_too() {
    let graph = linked();
    let model = model::build(&graph, &Dev::default()).unwrap();
    let (text, frozen) = (text(&graph), Frozen::none(&model));
    let benchmark = MiniVqa { samples: 6, ..MiniVqa::default() };
    let questions = benchmark.open(Path::new("")).unwrap();
    let answers = |blind, batch| {
        let exam = Exam {
            model: &model,
            text: &text,
            benchmark: &benchmark,
            questions: questions.as_ref(),
            frozen: &frozen,
            generation: Generation::default(),
            blind,
            batch,
        };
        let said = answer(&exam, &mut |_, _| true).unwrap().unwrap();
        said.into_iter().map(|said| said.prediction).collect::<Vec<_>>()
    };
    let before = [false, true].map(|blind| answers(blind, 4));
    assert_eq!(before, [false, true].map(|blind| answers(blind, 1)), "the batch is seen");
    table(&model).update(|values| values.fill(f32::NAN));
    for (blind, before) in [false, true].into_iter().zip(before) {
        let after = answers(blind, 4);
        assert!(
            before.iter().zip(&after).all(|(a, b)| a != b),
            "blind {blind}: {before:?} {after:?}"
        );
    }
}
