//! Checkpoints as they are found in the world: shards with an index, 16-bit floats, other prefixes and
//! names, and what is said about those that don't fit.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::path::Path;

use eagle_core::graph::{self, Context, Graph};
use eagle_core::model::{self, Model};
use eagle_core::registry::Plugin;
use eagle_core::seed::Rng;
use eagle_core::spec::Problem;
use eagle_core::tensor::Dev;
use eagle_core::weights::{Bundle, Files};

/// EAGLE's X5, small: its towers in the order of its name string, its projector, its LLM.
const EXPERIMENT: &str = r#"Experiment(
    name: "small-x5",
    nodes: [
        (id: "clip", plugin: ClipVit(image_size: 16, pretrained_size: 12, patch_size: 4, width: 8, layers: 2, heads: 2), from: ["image"],
         weights: File(path: "eagle", prefix: "model.vision_tower.vision_towers.0.vision_tower.")),
        (id: "convnext", plugin: ConvNext(image_size: 32, depths: [1, 2], widths: [4, 8]), from: ["image"],
         weights: File(path: "eagle", prefix: "model.vision_tower.vision_towers.1.vision_tower.")),
        (id: "sam", plugin: SamVit(image_size: 24, patch_size: 4, width: 8, layers: 2, heads: 2, window: 4, global_blocks: [1], neck_width: 3), from: ["image"],
         weights: File(path: "eagle", prefix: "model.vision_tower.vision_towers.2.vision_tower.")),
        (id: "eva", plugin: Eva02Vit(image_size: 20, pretrained_size: 12, patch_size: 4, width: 8, layers: 2, heads: 2, window: 3, global_blocks: [1], rope_grid: 4), from: ["image"],
         weights: File(path: "eagle", prefix: "model.vision_tower.vision_towers.3.vision_tower.")),
        (id: "pix2struct", plugin: Pix2Struct(image_size: 20, patch_size: 4, max_patches: 11, positions: 5, width: 8, layers: 2, heads: 2, hidden: 12), from: ["image"],
         weights: File(path: "eagle", prefix: "model.vision_tower.vision_towers.4.vision_tower.")),
        (id: "fuse", plugin: ChannelConcat(grid: 4), from: ["clip", "convnext", "sam", "eva", "pix2struct"]),
        (id: "project", plugin: Mlp(depth: 2), from: ["fuse"], weights: File(path: "eagle", prefix: "model.mm_projector.")),
        (id: "llm", plugin: Llama(width: 16, layers: 2, heads: 2, hidden: 24, vocabulary: 256, context: 64), from: ["project", "text"],
         weights: File("eagle/model.safetensors.index.json")),
    ],
    stages: [(name: "fine-tuning", train: ["clip", "convnext", "sam", "eva", "pix2struct", "project", "llm"], data: MiniWorld(samples: 8), batch: 4, lr: 1e-3)],
)"#;

fn link(text: &str, base: &Path) -> Result<Graph, Vec<Problem>> {
    let registry = eagle_plugins::registry().expect("no duplicates");
    graph::check(text, &registry, &Context { base, file: None })
}

fn built(graph: &Graph) -> Model {
    model::build(graph, &Dev::default()).expect("a model")
}

/// Where EAGLE's checkpoint has a node's tensors.
fn prefix(node: &str) -> &'static str {
    match node {
        "clip" => "model.vision_tower.vision_towers.0.vision_tower.",
        "convnext" => "model.vision_tower.vision_towers.1.vision_tower.",
        "sam" => "model.vision_tower.vision_towers.2.vision_tower.",
        "eva" => "model.vision_tower.vision_towers.3.vision_tower.",
        "pix2struct" => "model.vision_tower.vision_towers.4.vision_tower.",
        "project" => "model.mm_projector.",
        _ => "",
    }
}

/// The checkpoint with random values, under EAGLE's names: with what our nodes have no use for, and
/// with the LayerScale under another name.
fn eagle(model: &Model) -> Bundle {
    let mut bundle = Bundle::default();
    let mut rng = Rng::new(5);
    let mut add = |name: String, shape: &[usize]| {
        let values = (0..shape.iter().product()).map(|_| rng.normal()).collect();
        bundle.tensors.insert(name, (shape.to_vec(), values));
    };
    for node in &model.nodes {
        for param in &node.params {
            let name = match param.name().strip_suffix(".gamma") {
                Some(block) => format!("{block}.weight"),
                None => param.name().to_owned(),
            };
            add(format!("{}{name}", prefix(&node.id)), param.shape());
        }
    }
    let clip = format!("{}vision_model.", prefix("clip"));
    add(format!("{clip}embeddings.class_embedding"), &[8]);
    add(format!("{clip}post_layernorm.weight"), &[8]);
    add(format!("{clip}post_layernorm.bias"), &[8]);
    add(format!("{}head.norm.weight", prefix("convnext")), &[8]);
    add(format!("{}head.fc.weight", prefix("convnext")), &[10, 8]);
    for table in ["rope_win", "rope_glb", "blocks.0.attn.rope", "blocks.1.attn.rope"] {
        add(format!("{}{table}.freqs_cos", prefix("eva")), &[9, 4]);
        add(format!("{}{table}.freqs_sin", prefix("eva")), &[9, 4]);
    }
    bundle
}

/// Writes a checkpoint in two shards, every other tensor in the second, with an index.
fn in_shards(bundle: &Bundle, folder: &Path) {
    let shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    let mut parts = [Bundle::default(), Bundle::default()];
    let mut map = serde_json::Map::new();
    for (i, (name, tensor)) in bundle.tensors.iter().enumerate() {
        parts[i % 2].tensors.insert(name.clone(), tensor.clone());
        map.insert(name.clone(), shards[i % 2].into());
    }
    for (part, name) in parts.iter().zip(shards) {
        part.write(&folder.join(name)).expect("a shard");
    }
    let index = serde_json::json!({ "metadata": { "total_size": 1 }, "weight_map": map });
    std::fs::write(folder.join("model.safetensors.index.json"), index.to_string())
        .expect("an index");
}

/// A file whose tensors are given as their numbers' type, shape and bytes.
fn raw(path: &Path, tensors: &[(&str, &str, &[usize], Vec<u8>)]) {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::<u8>::new());
    for (name, dtype, shape, bytes) in tensors {
        let offsets = [data.len(), data.len() + bytes.len()];
        let info = serde_json::json!({ "dtype": dtype, "shape": shape, "data_offsets": offsets });
        header.insert((*name).to_owned(), info);
        data.extend(bytes);
    }
    let header = serde_json::Value::from(header).to_string();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend(data);
    std::fs::write(path, file).expect("a file");
}

#[test]
fn eagles_checkpoint_in_shards_loads_node_by_node() {
    let home = tempfile::tempdir().expect("a folder");
    // Without files first: the experiment is known, and says what it lacks.
    let graph = link(EXPERIMENT, home.path()).expect("it links");
    assert_eq!(graph.absent.len(), 7);
    let model = built(&graph);
    let bundle = eagle(&model);
    in_shards(&bundle, &home.path().join("eagle"));
    let graph = link(EXPERIMENT, home.path()).unwrap_or_else(|problems| panic!("{problems:#?}"));
    assert!(graph.absent.is_empty(), "{:?}", graph.absent);
    for node in model.nodes.iter().filter(|node| !node.params.is_empty()) {
        node.load(&home.path().join("eagle"), prefix(&node.id)).unwrap_or_else(|e| panic!("{e}"));
        for param in &node.params {
            let name = format!("{}{}", prefix(&node.id), param.name());
            let theirs = match name.strip_suffix(".gamma") {
                Some(block) => format!("{block}.weight"),
                None => name,
            };
            assert_eq!(*param.tensor().host(), bundle.tensors[&theirs].1[..], "{theirs}");
        }
    }
}

#[test]
fn everything_that_does_not_fit_is_said_at_once_when_the_file_is_checked() {
    let home = tempfile::tempdir().expect("a folder");
    let model = built(&link(EXPERIMENT, home.path()).expect("it links"));
    let mut bundle = eagle(&model);
    bundle.tensors.remove("model.norm.weight").expect("the norm");
    bundle.tensors.insert("model.layers.2.extra.weight".into(), (vec![1], vec![0.0]));
    bundle.tensors.insert("lm_head.weight".into(), (vec![3, 2], vec![0.0; 6]));
    in_shards(&bundle, &home.path().join("eagle"));
    let problems = link(EXPERIMENT, home.path()).expect_err("it doesn't fit");
    assert_eq!(problems.len(), 1, "{problems:#?}");
    assert_eq!(problems[0].message, "eagle/model.safetensors.index.json doesn't fit `llm`");
    assert_eq!(
        problems[0].notes,
        [
            "missing: model.norm.weight [16]",
            "shape: lm_head.weight is [3, 2] in the file, [256, 16] in the model",
            "surplus: model.layers.2.extra.weight",
        ]
    );
    // Loading says the same, and changes nothing.
    let llm = model.nodes.last().expect("the LLM");
    let before: Vec<Vec<f32>> = llm.params.iter().map(|p| p.tensor().host().into_owned()).collect();
    let said = llm.load(&home.path().join("eagle"), "").expect_err("it doesn't fit").to_string();
    assert!(said.contains("`llm`") && said.contains("missing: model.norm.weight [16]"), "{said}");
    let after: Vec<Vec<f32>> = llm.params.iter().map(|p| p.tensor().host().into_owned()).collect();
    assert_eq!(before, after);
}

#[test]
fn a_wrong_prefix_is_answered_with_the_right_one() {
    let home = tempfile::tempdir().expect("a folder");
    let model = built(&link(EXPERIMENT, home.path()).expect("it links"));
    in_shards(&eagle(&model), &home.path().join("eagle"));
    let text = EXPERIMENT.replace("prefix: \"model.mm_projector.\"", "prefix: \"mm_projector.\"");
    let problems = link(&text, home.path()).expect_err("a wrong prefix");
    let help = problems[0].help.as_deref().unwrap_or_default();
    assert_eq!(help, "what is missing stands under the prefix \"model.mm_projector.\"");
}

#[test]
fn the_whole_clip_of_hugging_face_loads_without_its_text_tower() {
    let home = tempfile::tempdir().expect("a folder");
    let model = built(&link(EXPERIMENT, home.path()).expect("it links"));
    let clip = &model.nodes[0];
    let mut tensors = Vec::new();
    for param in &clip.params {
        let bytes = vec![0u8; 2 * param.len()];
        tensors.push((param.name().to_owned(), "BF16", param.shape().to_vec(), bytes));
    }
    for (name, shape) in [("text_model.final_layer_norm.bias", 3), ("logit_scale", 1)] {
        tensors.push((name.to_owned(), "F32", vec![shape], vec![0; 4 * shape]));
    }
    let ids = "vision_model.embeddings.position_ids";
    tensors.push((ids.to_owned(), "I64", vec![1, 2], vec![0; 16]));
    let tensors: Vec<_> =
        tensors.iter().map(|(n, d, s, b)| (n.as_str(), *d, s.as_slice(), b.clone())).collect();
    let path = home.path().join("clip.safetensors");
    raw(&path, &tensors);
    clip.load(&path, "").unwrap_or_else(|error| panic!("{error}"));
    assert!(clip.params.iter().all(|param| param.tensor().host().iter().all(|x| *x == 0.0)));
    // A tensor of a configuration with more blocks is surplus all the same.
    let mut more = tensors.clone();
    more.push(("vision_model.encoder.layers.2.mlp.fc1.bias", "F32", &[1], vec![0; 4]));
    raw(&path, &more);
    let said = clip.load(&path, "").expect_err("a third block").to_string();
    assert!(said.contains("surplus: vision_model.encoder.layers.2.mlp.fc1.bias"), "{said}");
    assert!(!said.contains("text_model"), "{said}");
}

#[test]
fn sixteen_bit_floats_become_f32_exactly() {
    let home = tempfile::tempdir().expect("a folder");
    let path = home.path().join("half.safetensors");
    let bytes = |bits: &[u16]| bits.iter().flat_map(|b| b.to_le_bytes()).collect::<Vec<u8>>();
    raw(
        &path,
        &[
            // 1, -2, 65504, the smallest subnormal, infinity, -0
            ("f16", "F16", &[6], bytes(&[0x3c00, 0xc000, 0x7bff, 0x0001, 0x7c00, 0x8000])),
            ("bf16", "BF16", &[2, 2], bytes(&[0x3f80, 0xc000, 0x7f80, 0x0001])),
            ("i64", "I64", &[2], [7i64, -200].iter().flat_map(|n| n.to_le_bytes()).collect()),
            ("f64", "F64", &[1], vec![0; 8]),
        ],
    );
    let files = Files::open(&path).expect("a file");
    let f16 = files.values("f16").expect("f16");
    assert_eq!(f16, [1.0, -2.0, 65504.0, 2f32.powi(-24), f32::INFINITY, 0.0]);
    assert!(f16[5].is_sign_negative());
    let small = f32::from_bits(1 << 16);
    assert_eq!(files.values("bf16").expect("bf16"), [1.0, -2.0, f32::INFINITY, small]);
    assert_eq!(files.values("i64").expect("i64"), [7.0, -200.0]);
    let said = files.values("f64").expect_err("f64").to_string();
    assert!(said.contains("`f64` is F64, not f32, f16 or bf16"), "{said}");
}

#[test]
fn a_tensor_longer_than_one_piece_is_read_whole() {
    let home = tempfile::tempdir().expect("a folder");
    let path = home.path().join("long.safetensors");
    let values: Vec<f32> = (0..600_001u32).map(|i| i as f32).collect();
    let mut bundle = Bundle::default();
    bundle.tensors.insert("long".into(), (vec![values.len()], values));
    bundle.notes.insert("format".into(), "pt".into());
    bundle.write(&path).expect("written");
    assert_eq!(Bundle::read(&path).expect("read"), bundle);
}

#[test]
fn what_is_no_checkpoint_is_told_by_what_it_is() {
    let home = tempfile::tempdir().expect("a folder");
    let path = home.path().join("weights.safetensors");
    let said = |bytes: &[u8]| {
        std::fs::write(&path, bytes).expect("a file");
        let said = Files::open(&path).expect_err("no checkpoint").to_string();
        assert!(said.contains("weights.safetensors"), "{said}");
        said
    };
    assert!(said(b"PK\x03\x04archive").contains("pickle of PyTorch's; write it as safetensors"));
    assert!(said(b"version https://git-lfs.github.com/spec/v1").contains("git lfs pull"));
    assert!(said(b"abc").contains("3 bytes"));
    assert!(said(&[0xff; 64]).contains("a header of"));
    let mut bundle = Bundle::default();
    bundle.tensors.insert("a".into(), (vec![4], vec![1.0; 4]));
    bundle.write(&path).expect("written");
    let whole = std::fs::read(&path).expect("bytes");
    assert!(said(&whole[..whole.len() - 3]).contains("it was not copied whole"));
    let gone = Files::open(&home.path().join("gone.safetensors")).expect_err("nothing there");
    assert!(gone.to_string().contains("gone.safetensors"), "{gone}");
    let folder = Files::open(&home.path().join(".")).map(|files| files.names().count());
    assert!(folder.is_err(), "a cut file in a folder");
    std::fs::remove_file(&path).expect("removed");
    let empty = Files::open(home.path()).expect_err("an empty folder").to_string();
    assert!(
        empty.contains("0 `.safetensors` files and no `model.safetensors.index.json`"),
        "{empty}"
    );
}

#[test]
fn an_index_that_names_what_is_not_there_is_refused() {
    let home = tempfile::tempdir().expect("a folder");
    let mut bundle = Bundle::default();
    bundle.tensors.insert("a".into(), (vec![1], vec![1.0]));
    bundle.tensors.insert("b".into(), (vec![1], vec![1.0]));
    in_shards(&bundle, home.path());
    let index = home.path().join("model.safetensors.index.json");
    let text = std::fs::read_to_string(&index).expect("an index");
    std::fs::write(&index, text.replace("\"b\"", "\"c\"")).expect("changed");
    let said = Files::open(home.path()).expect_err("c is nowhere").to_string();
    assert!(said.contains("`c` not in model-00002-of-00002.safetensors"), "{said}");
    std::fs::write(&index, text).expect("restored");
    std::fs::remove_file(home.path().join("model-00002-of-00002.safetensors")).expect("removed");
    let said = Files::open(home.path()).expect_err("a shard is gone").to_string();
    assert!(said.contains("model-00002-of-00002.safetensors"), "{said}");
}

#[test]
fn no_plugin_ignores_what_it_does_not_name() {
    for entry in eagle_plugins::registry().expect("no duplicates").iter() {
        for text in entry.examples {
            let plugin = (entry.parse)(text).expect(text).plugin;
            let mut store = eagle_core::nn::Store::counting();
            let built = match &plugin {
                Plugin::Encoder(config) => config.build(&mut store.root()).map(drop),
                Plugin::Llm(config) => config.build(&mut store.root()).map(drop),
                _ => continue,
            };
            built.expect(text);
            let keys = plugin.keys();
            assert!(!keys.ignores("surplus.weight") && !keys.ignores("surplus"), "{text}");
            for param in store.shapes() {
                let near = format!("{}.more", param.name);
                let known = keys.ignores(&param.name);
                assert!(known || !keys.ignores(&near), "{text} ignores {near}");
            }
        }
    }
}
