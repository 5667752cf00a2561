//! Tiles: grids, pixels and packed features are the references' (`tests/fixtures/tiles/tiles.py`), and
//! every encoder can see them.
#![allow(clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use eagle_core::data::preprocess::{ImageSpec, prepare, prepare_as};
use eagle_core::data::tiles::Tiles;
use eagle_core::data::{Picture, Sample, Turn};
use eagle_core::features::{FeatureCache, Frozen, Shelves};
use eagle_core::graph::{self, Context, Graph};
use eagle_core::model::{self, Model};
use eagle_core::nn::Store;
use eagle_core::registry::{EncoderConfig, LlmConfig, NoTap, Plugin, Tiled};
use eagle_core::spec;
use eagle_core::tensor::{Dev, Tape, Tensor};
use eagle_core::text::{Template, TooLong};
use eagle_core::train::loader::{Batch, Drawn, assemble};
use eagle_core::train::sequence::TextSpec;
use eagle_core::weights::{Bundle, Files, load_files};
use eagle_plugins::llms::llama::Llama;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/tiles");
const FIVE: &str = "LlavaNext(grids: [(1, 2), (2, 1), (2, 2), (3, 1), (1, 3)])";

/// An experiment of one encoder that sees tiles, and what stands between it and the LLM.
fn experiment(encoder: &str, tiles: &str, rest: &str, last: &str) -> Graph {
    let ids = ["see", "project", "pack", "llm"];
    let there = |id: &&str| *id == "see" || *id == "llm" || rest.contains(&format!("id: {id:?}"));
    let train: Vec<&str> = ids.into_iter().filter(there).collect();
    let source = format!(
        "Experiment(name: \"tiled\", stages: [(name: \"tuning\", train: {train:?}, data: MiniWorld(), batch: 4, lr: 1e-3)], nodes: [
            (id: \"see\", plugin: {encoder}, from: [\"image\"], tiles: {tiles}),
            {rest}
            (id: \"llm\", plugin: Llama(width: 16, layers: 1, heads: 2, hidden: 24, vocabulary: 256, context: 100000),
             from: [\"{last}\", \"text\"]),
        ])"
    );
    let registry = eagle_plugins::registry().expect("no duplicates");
    let context = Context { base: Path::new(""), file: None };
    graph::check(&source, &registry, &context)
        .unwrap_or_else(|problems| panic!("{}", spec::render(&problems, &source, "tiled", false)))
}

const PROJECT: &str = r#"(id: "project", plugin: Mlp(depth: 2), from: ["see"]),"#;
const PACK: &str = r#"(id: "project", plugin: Mlp(depth: 2), from: ["see"]),
    (id: "pack", plugin: PackTiles(), from: ["project"]),"#;
const SMALL: &str = "ClipVit(image_size: 21, patch_size: 7, width: 12, layers: 2, heads: 2, hidden: 24, class_token: Inside, skip_last: 1)";

/// What the encoder of an experiment sees.
fn image_of(graph: &Graph) -> ImageSpec {
    let image = graph.dag.node_weights().find_map(|node| match &node.plugin {
        Plugin::Encoder(config) => Some(config.image()),
        _ => None,
    });
    image.expect("an encoder")
}

#[test]
fn the_chosen_grids_are_the_references() {
    let text = std::fs::read_to_string(Path::new(FIXTURES).join("grids.json")).expect("grids.json");
    let rules: Vec<serde_json::Value> = serde_json::from_str(&text).expect("JSON");
    let mut compared = 0;
    for rule in &rules {
        let tiles = rule["tiles"].as_str().expect("a rule");
        // 24 x 24 vectors of every tile, whatever the tile by which the grid is chosen.
        let encoder = "ClipVit(image_size: 96, patch_size: 4, width: 8, layers: 1, heads: 1)";
        let graph = experiment(encoder, tiles, PACK, "pack");
        let (tiles, visual) = (graph.tiles().expect("tiles"), graph.visual());
        for chosen in rule["chosen"].as_array().expect("sizes") {
            let n: Vec<usize> = serde_json::from_value(chosen.clone()).expect("numbers");
            let layout = tiles.choose((n[0] as u32, n[1] as u32));
            assert_eq!((layout.rows, layout.columns), (n[2], n[3]), "{tiles:?}: {chosen}");
            if let Some(tokens) = n.get(4) {
                assert_eq!(visual.of(Some(&layout)), *tokens, "{tiles:?}: {chosen}");
                assert!(*tokens <= graph.visual_tokens());
            }
            compared += 1;
        }
    }
    assert!(compared > 1500, "{compared} sizes: some are lost");
}

/// The largest difference from the reference, in steps of an 8-bit channel.
fn apart(path: &Path) -> f32 {
    let bundle = Bundle::read(path).unwrap_or_else(|error| panic!("{error}"));
    let note = |name: &str| bundle.notes.get(name).unwrap_or_else(|| panic!("no note {name}"));
    let plugin = note("plugin").replace(')', ", width: 8, layers: 1, heads: 1)");
    let spec = image_of(&experiment(&plugin, note("tiles"), PROJECT, "project"));
    let picture = path.parent().unwrap_or(Path::new("")).join(note("picture"));
    let ours = prepare(&Picture::File(picture), &spec).unwrap_or_else(|error| panic!("{error}"));
    let (shape, theirs) = &bundle.tensors["pixels"];
    assert_eq!(shape[1..], [3, spec.size, spec.size], "{}", path.display());
    assert_eq!(ours.len(), theirs.len(), "{}: {shape:?}", path.display());
    let area = spec.size * spec.size;
    let steps = |(i, (a, b)): (usize, (&f32, &f32))| (a - b).abs() * spec.std[i / area % 3] * 255.0;
    ours.iter().zip(theirs).enumerate().map(steps).fold(0.0, f32::max)
}

#[test]
fn the_pixels_of_tiles_are_the_references() {
    let mut paths = Vec::new();
    let more = std::env::var_os("EAGLE_LAB_TILED").map(PathBuf::from);
    for folder in [PathBuf::from(FIXTURES)].into_iter().chain(more) {
        let entries = std::fs::read_dir(&folder).expect("fixtures");
        paths.extend(entries.map(|entry| entry.expect("an entry").path()));
    }
    paths.retain(|path| {
        path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("pixels-"))
    });
    paths.sort();
    assert!(paths.len() >= 9, "{} fixtures: some are lost", paths.len());
    let off = |path: &PathBuf| (path.clone(), apart(path));
    let far: Vec<_> =
        paths.iter().map(off).filter(|(_, off)| off.is_nan() || *off > 0.01).collect();
    assert!(far.is_empty(), "{far:?} of 255 apart");
}

fn largest(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |a, b| a.max(b.abs()))
}

fn close(name: &str, found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len(), "{name}");
    let off = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(off <= 1e-4 * largest(expected), "{name}: {off} of {} apart", largest(expected));
}

#[test]
fn packed_features_and_their_gradients_are_llava_nexts() {
    let path = Path::new(FIXTURES).join("llava-next.safetensors");
    let bundle = Bundle::read(&path).unwrap_or_else(|error| panic!("{error}"));
    let graph = experiment(SMALL, FIVE, PACK, "pack");
    let model = model::build(&graph, &Dev::default()).expect("a model");
    let tape = Tape::recording();
    let prefixes = [
        ("see", "weights/model.vision_tower.vision_tower."),
        ("project", "weights/model.mm_projector."),
        ("pack", "weights/model."),
    ];
    let files = Files::open(&path).expect("a file");
    for (id, prefix) in prefixes {
        let node = model.nodes.iter().find(|node| node.id == id).expect(id);
        load_files(&node.params, &files, prefix, &node.keys).unwrap_or_else(|e| panic!("{e}"));
        node.params.iter().for_each(|param| param.set_tape(&tape));
    }
    let tensor = |name: &str| {
        let (shape, values) = bundle.tensors[name].clone();
        Tensor::new(&Dev::default(), values, &shape).expect("a tensor")
    };
    let sizes = tensor("inputs/image_sizes");
    let tiles = graph.tiles().expect("tiles");
    let choose = |size: &[f32]| tiles.choose((size[1] as u32, size[0] as u32));
    let layouts: Vec<_> = sizes.host().chunks(2).map(choose).collect();
    let images = [tensor("inputs/image")];
    let packed = model.see_tapped(&images, &layouts, false, &mut |_, _| {}).expect("tokens");
    let (shape, expected) = &bundle.tensors["outputs/pack"];
    assert_eq!(packed.shape(), [1, shape[0], shape[1]]);
    close("pack", &packed.host(), expected);
    let (_, cotangent) = &bundle.tensors["cotangent"];
    let mut grads = packed.backward_from(cotangent.clone()).expect("gradients");
    let mut compared = 0;
    for (id, prefix) in prefixes {
        let node = model.nodes.iter().find(|node| node.id == id).expect(id);
        for param in &node.params {
            let name = format!("{}{}", prefix.replace("weights", "grads"), param.name());
            let found =
                grads.take_host(param.slot()).unwrap_or_else(|| panic!("no gradient of {name}"));
            // A key's bias moves every score alike: its gradient is noise around zero.
            if !name.contains("k_proj.bias") {
                let (_, expected) =
                    bundle.tensors.get(&name).unwrap_or_else(|| panic!("no {name}"));
                close(&name, &found, expected);
                compared += 1;
            }
        }
    }
    assert!(compared > 20, "{compared} gradients");
}

/// Every small encoder of the registry.
fn encoders() -> Vec<(&'static str, Arc<dyn EncoderConfig>)> {
    let registry = eagle_plugins::registry().expect("no duplicates");
    let of = |text: &&'static str| {
        let name = text.split('(').next().unwrap_or_default();
        let parsed = (registry.get(name)?.parse)(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        match parsed.plugin {
            Plugin::Encoder(config) => Some((*text, config)),
            _ => None,
        }
    };
    registry.iter().flat_map(|entry| entry.examples).filter_map(of).collect()
}

fn random(shape: &[usize]) -> Tensor {
    let mut rng = eagle_core::seed::Rng::new(7);
    let values = (0..shape.iter().product::<usize>()).map(|_| rng.normal()).collect();
    Tensor::new(&Dev::default(), values, shape).expect("a tensor")
}

/// The values of a map `[B, H, W, C]` at a place of its grid.
fn at(map: &Tensor, picture: usize, (row, column): (usize, usize)) -> Vec<f32> {
    let [_, h, w, c] = map.dims("a map").expect("four axes");
    map.host()[((picture * h + row) * w + column) * c..][..c].to_vec()
}

#[test]
fn every_encoder_sees_fixed_tiles_as_it_sees_pictures() {
    let found = encoders();
    assert!(found.len() >= 20, "{} encoders", found.len());
    for (text, config) in found {
        for thumbnail in [false, true] {
            let (rows, columns, tiles) = (2, 3, 6 + usize::from(thumbnail));
            let rule = Tiles::Fixed { rows, columns, thumbnail };
            let tiled = Tiled::new(config.clone(), rule);
            let build = |config: &dyn EncoderConfig| {
                config.build(&mut Store::new(&Dev::default(), 7).root()).expect(text)
            };
            let (size, shape) = (config.image().size, tiled.output().expect(text));
            let image = random(&[2 * tiles, 3, size, size]);
            let apart = build(config.as_ref()).forward(&image, &mut NoTap).expect(text);
            let stacked = image.reshape(&[2, tiles * 3, size, size]).expect(text);
            let seen = build(&tiled).forward(&stacked, &mut NoTap).expect(text);
            assert_eq!(seen.map.shape(), [2, shape.tokens, shape.width], "{text}");
            assert_eq!(seen.grid, shape.grid, "{text}");
            assert_eq!(seen.grid.is_some(), apart.grid.is_some() && !thumbnail, "{text}");
            let bits = |x: &Tensor| x.host().iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            let sorted = |x: &Tensor| {
                let mut values = bits(x);
                values.sort_unstable();
                values
            };
            assert_eq!(sorted(&seen.map), sorted(&apart.map), "{text}: vectors are lost");
            let Some((h, w)) = apart.grid.filter(|_| !thumbnail) else { continue };
            let levels = |f: &eagle_core::registry::Features| f.levels().expect(text);
            assert_eq!(seen.pyramid.len(), shape.pyramid.len(), "{text}");
            for (whole, parts) in levels(&seen).iter().zip(levels(&apart)) {
                let [_, h, w, _] = parts.dims("a map").expect(text);
                for (row, column) in
                    [(0, 0), (h, 0), (0, 2 * w), (2 * h - 1, 3 * w - 1), (h - 1, w)]
                {
                    let tile = tiles + row / h * columns + column / w;
                    let expected = at(&parts, tile, (row % h, column % w));
                    assert_eq!(at(whole, 1, (row, column)), expected, "{text}: {row}, {column}");
                }
            }
            assert_eq!(seen.grid, Some((rows * h, columns * w)), "{text}");
        }
    }
}

fn picture(name: &str) -> Picture {
    Picture::File(Path::new(FIXTURES).join(format!("../preprocess/processors/{name}.png")))
}

/// The tile at a place of a larger prepared square, `[3, n * S, n * S]`.
fn cut(planes: &[f32], n: usize, size: usize, (row, column): (usize, usize)) -> Vec<f32> {
    let side = n * size;
    let rows = |plane: usize| (0..size).map(move |y| (plane * side + row * size + y) * side);
    let starts = (0..3).flat_map(rows).map(|start| start + column * size);
    starts.flat_map(|start| planes[start..start + size].to_vec()).collect()
}

#[test]
fn fixed_tiles_are_cut_from_the_larger_picture_mirrored_or_not() {
    for fit in ["Stretch", "Pad", "Crop"] {
        let of = |size: usize| {
            let text = format!(
                "ClipVit(image_size: {size}, patch_size: 7, width: 8, layers: 1, heads: 1, fit: {fit})"
            );
            let tiles =
                if size == 14 { "Fixed(rows: 2, columns: 2, thumbnail: true)" } else { "None" };
            image_of(&experiment(&text, tiles, PROJECT, "project"))
        };
        for mirrored in [false, true] {
            for name in ["landscape", "portrait", "small"] {
                let prepared =
                    |spec: ImageSpec| prepare_as(&picture(name), &spec, mirrored).expect(name);
                let (tiles, whole) = (prepared(of(14)), prepared(of(28)));
                let alone = prepared(ImageSpec { tiles: None, ..of(14) });
                let mut tiles = tiles.chunks(3 * 14 * 14);
                for place in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                    let expected = cut(&whole, 2, 14, place);
                    assert_eq!(tiles.next(), Some(&expected[..]), "{fit} {name} {place:?}");
                }
                assert_eq!(tiles.next(), Some(&alone[..]), "{fit} {name}: the whole picture");
            }
        }
    }
}

fn text(graph: &Graph) -> TextSpec {
    TextSpec {
        tokenizer: Arc::new(Llama::default().tokenizer(Path::new("")).expect("a tokenizer")),
        template: Template::Mini,
        max_length: 100_000,
        too_long: TooLong::Error,
        visual: graph.visual(),
        asks: false,
    }
}

/// Pictures of three shapes, and one sample without any.
fn drawn() -> Vec<Drawn> {
    let names = ["landscape", "portrait", "", "small"];
    let one = |(index, name): (usize, &&str)| {
        let picture = (!name.is_empty()).then(|| picture(name));
        let turns = vec![Turn { question: "what colour is it?".into(), answer: "red".into() }];
        let sample = Sample { id: (*name).into(), picture, turns, ..Sample::default() };
        Drawn { sample, index, flipped: false, chance: 0 }
    };
    names.iter().enumerate().map(one).collect()
}

fn made(graph: &Graph) -> Model {
    model::build(graph, &Dev::default()).expect("a model")
}

fn visual_rows(batch: &Batch) -> Vec<usize> {
    use eagle_core::nn::ops::Row;
    batch
        .rows
        .iter()
        .filter_map(|row| if let Row::Visual(i) = row { Some(*i) } else { None })
        .collect()
}

#[test]
fn a_picture_has_the_same_tokens_in_every_batch_and_its_rows_name_them() {
    let rules = [(FIVE, PACK, "pack"), ("InternVl(max: 6)", PROJECT, "project")];
    for (rule, rest, last) in rules {
        let graph = experiment(SMALL, rule, rest, last);
        let (model, text) = (made(&graph), text(&graph));
        let frozen = Frozen::none(&model);
        let see = |drawn: &[Drawn]| {
            let mut batch = assemble(drawn, &model.images, &text, &frozen).expect("a batch");
            let rows = visual_rows(&batch);
            let seen = frozen.see(&model, &mut batch).expect("features").expect("pictures");
            assert_eq!(rows, (0..seen.rows().0).collect::<Vec<_>>(), "{rule}: every token once");
            seen.host().into_owned()
        };
        let all = drawn();
        let apart: Vec<Vec<f32>> = [0, 1, 3].iter().map(|i| see(&all[*i..i + 1])).collect();
        let lengths: Vec<usize> = apart.iter().map(Vec::len).collect();
        assert!(lengths.iter().any(|n| *n != lengths[0]), "{rule}: {lengths:?}");
        assert_eq!(see(&all), apart.concat(), "{rule}");
    }
}

#[test]
fn shelves_keep_tiles_and_give_the_same_bits() {
    let graph = experiment(SMALL, FIVE, PACK, "pack");
    let (model, text) = (made(&graph), text(&graph));
    let folder = tempfile::tempdir().expect("a folder");
    let shelves = Shelves::new(folder.path(), 1 << 30);
    let open = || {
        Frozen::open(&model, &|_| true, &shelves, FeatureCache::F32, (4, "data")).expect("shelves")
    };
    let see = |frozen: &Frozen| {
        let mut batch = assemble(&drawn(), &model.images, &text, frozen).expect("a batch");
        let prepared: usize = batch.images.iter().map(|image| image.pictures.len()).sum();
        let seen = frozen.see(&model, &mut batch).expect("features").expect("pictures");
        (seen.host().into_owned(), prepared)
    };
    let (plain, tiles) = see(&Frozen::none(&model));
    assert!(tiles > 6, "{tiles} tiles");
    assert_eq!(see(&open()), (plain.clone(), tiles));
    let kept = open();
    assert_eq!(see(&kept), (plain, 0), "nothing is prepared that is kept");
    assert_eq!((kept.recall().recalled, kept.recall().encoded), (tiles, 0));
}

#[test]
fn a_fusion_joins_experts_tile_by_tile() {
    let source = r#"Experiment(name: "experts",
        stages: [(name: "tuning", train: ["clip", "convnext", "project", "llm"], data: MiniWorld(), batch: 4, lr: 1e-3)], nodes: [
        (id: "clip", plugin: ClipVit(image_size: 16, patch_size: 4, width: 8, layers: 1, heads: 2), from: ["image"], tiles: InternVl(max: 6, tile: 16)),
        (id: "convnext", plugin: ConvNext(image_size: 32, depths: [1, 1], widths: [8, 16]), from: ["image"], tiles: InternVl(max: 6, tile: 16)),
        (id: "fuse", plugin: ChannelConcat(grid: 4), from: ["clip", "convnext"]),
        (id: "project", plugin: PixelShuffleMlp(), from: ["fuse"]),
        (id: "llm", plugin: Llama(width: 16, layers: 1, heads: 2, hidden: 24, vocabulary: 256, context: 256), from: ["project", "text"]),
    ])"#;
    let registry = eagle_plugins::registry().expect("no duplicates");
    let context = Context { base: Path::new(""), file: None };
    let graph = graph::check(source, &registry, &context)
        .unwrap_or_else(|problems| panic!("{}", spec::render(&problems, source, "tiled", false)));
    assert_eq!(graph.visual_tokens(), 7 * 4);
    let (model, text) = (made(&graph), text(&graph));
    let frozen = Frozen::none(&model);
    let mut batch = assemble(&drawn(), &model.images, &text, &frozen).expect("a batch");
    let tiles: usize = batch.layouts.iter().map(|layout| layout.count()).sum();
    let seen = frozen.see(&model, &mut batch).expect("features").expect("pictures");
    assert_eq!(seen.shape(), [1, tiles * 4, 16]);
}

#[test]
fn tiles_are_part_of_an_identity_and_their_absence_is_not() {
    let identity = |tiles: &str| {
        let graph = experiment(SMALL, tiles, PROJECT, "project");
        let node = graph.dag.node_weights().find(|node| node.id == "see").expect("see");
        node.identity.clone()
    };
    assert!(identity("None").get("tiles").is_none());
    let rules = ["None", "Fixed(rows: 1, columns: 2)", "InternVl()", "InternVl(max: 6)", FIVE];
    let found: Vec<String> = rules.iter().map(|tiles| identity(tiles).to_string()).collect();
    for (at, one) in found.iter().enumerate() {
        assert!(!found[..at].contains(one), "{one} twice");
    }
    assert_eq!(
        found[2],
        identity("InternVl(min: 1, max: 12, thumbnail: true, tile: 0)").to_string()
    );
}
