//! `trace` and `export`: a forward pass on given tensors, and a trained node as a checkpoint.
#![allow(clippy::expect_used)]

mod support;

use std::path::{Path, PathBuf};

use eagle_core::seed::Rng;
use eagle_core::weights::{Bundle, Files};
use support::{fixture, folder, refuse, succeed, text};

/// Inputs of tests/fixtures/runs/tiny.ron: two pictures and their sequences of 6 ids.
fn inputs() -> Bundle {
    let mut rng = Rng::new(3);
    let mut bundle = Bundle::default();
    let image = (0..2 * 3 * 32 * 32).map(|_| rng.normal()).collect();
    bundle.tensors.insert("image".into(), (vec![2, 3, 32, 32], image));
    let ids = [[1.0, -200.0, 9.0, 20.0, 7.0, 33.0], [1.0, 9.0, -200.0, 4.0, 5.0, 6.0]].concat();
    bundle.tensors.insert("ids".into(), (vec![2, 6], ids));
    bundle
}

fn write(home: &Path, bundle: &Bundle) -> PathBuf {
    let path = home.join("in.safetensors");
    bundle.write(&path).expect("inputs");
    path
}

/// What `trace` of the tiny experiment writes.
fn traced(home: &Path, bundle: &Bundle, more: &[&str]) -> Bundle {
    let (inputs, outputs) = (write(home, bundle), home.join("out.safetensors"));
    let file = fixture("runs/tiny.ron");
    let mut arguments = vec!["trace", text(&file), "--inputs", text(&inputs)];
    arguments.extend(["--outputs", text(&outputs)]);
    arguments.extend(more);
    let said = succeed(&arguments);
    let found = Bundle::read(&outputs).expect("outputs");
    assert_eq!(said.lines().count(), found.tensors.len());
    found
}

fn shapes(bundle: &Bundle) -> Vec<(&str, &[usize])> {
    bundle.tensors.iter().map(|(name, (shape, _))| (name.as_str(), shape.as_slice())).collect()
}

#[test]
fn every_nodes_output_is_there_by_its_id_and_every_blocks_if_asked() {
    let home = folder();
    let some = traced(home.path(), &inputs(), &[]);
    let expected: [(&str, &[usize]); 6] = [
        ("clip", &[2, 16, 16]),
        ("convnext", &[2, 16, 16]),
        ("convnext.pyramid.0", &[2, 8, 8, 8]),
        ("fuse", &[2, 16, 32]),
        // 16 visual tokens in place of one of 6.
        ("llm", &[2, 21, 256]),
        ("project", &[2, 16, 32]),
    ];
    assert_eq!(shapes(&some), expected);
    let all = traced(home.path(), &inputs(), &["--all"]);
    for (name, tensor) in &some.tensors {
        assert_eq!(&all.tensors[name], tensor, "{name} changes with --all");
    }
    let more: Vec<&str> =
        all.tensors.keys().map(String::as_str).filter(|n| !some.tensors.contains_key(*n)).collect();
    let blocks = ["clip.blocks.0", "convnext.blocks.0", "convnext.blocks.1"];
    assert_eq!(more, [&blocks[..], &["llm.blocks.0", "llm.hidden"]].concat());
    // CLIP's only block is its output; the fusion holds it channel by channel.
    assert_eq!(all.tensors["clip.blocks.0"], all.tensors["clip"]);
    assert_eq!(all.tensors["fuse"].1[..16], all.tensors["clip"].1[..16]);
}

#[test]
fn a_picture_without_text_and_text_without_a_picture_can_be_traced() {
    let home = folder();
    let all = traced(home.path(), &inputs(), &[]);
    let mut pictures = inputs();
    pictures.tensors.remove("ids");
    let seen = traced(home.path(), &pictures, &[]);
    assert!(!seen.tensors.contains_key("llm"));
    assert_eq!(seen.tensors["project"], all.tensors["project"]);
    let mut said = Bundle::default();
    said.tensors.insert("ids".into(), (vec![1, 3], vec![1.0, 9.0, 20.0]));
    let said = traced(home.path(), &said, &[]);
    assert_eq!(shapes(&said), [("llm", &[1, 3, 256][..])]);
}

#[test]
fn whole_numbers_are_token_ids_as_well() {
    let home = folder();
    let mut float = Bundle::default();
    float.tensors.insert("ids".into(), (vec![1, 3], vec![1.0, 9.0, 20.0]));
    let expected = traced(home.path(), &float, &[]);
    let path = home.path().join("in.safetensors");
    let header = r#"{"ids":{"dtype":"I64","shape":[1,3],"data_offsets":[0,24]}}"#;
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend([1i64, 9, 20].iter().flat_map(|id| id.to_le_bytes()));
    std::fs::write(&path, bytes).expect("inputs");
    let (file, outputs) = (fixture("runs/tiny.ron"), home.path().join("out.safetensors"));
    succeed(&["trace", text(&file), "--inputs", text(&path), "--outputs", text(&outputs)]);
    assert_eq!(Bundle::read(&outputs).expect("outputs"), expected);
}

#[test]
fn wrong_inputs_are_all_named_with_what_is_right() {
    let home = folder();
    let file = fixture("runs/tiny.ron");
    let said = |bundle: &Bundle| {
        let (inputs, outputs) = (write(home.path(), bundle), home.path().join("no.safetensors"));
        let (code, said) =
            refuse(&["trace", text(&file), "--inputs", text(&inputs), "--outputs", text(&outputs)]);
        assert_eq!(code, 2, "{said}");
        assert!(said.contains("in.safetensors") && !outputs.exists(), "{said}");
        said
    };
    let mut wrong = Bundle::default();
    wrong.tensors.insert("image".into(), (vec![2, 3, 16, 16], vec![0.0; 1536]));
    wrong.tensors.insert("pixels".into(), (vec![1], vec![0.0]));
    wrong.tensors.insert("ids".into(), (vec![1, 2], vec![1.5, -200.0]));
    let message = said(&wrong);
    for part in [
        "`image` is [2, 3, 16, 16]; ",
        "[B, 3, 32, 32]",
        "`ids`[0, 0] is 1.5: no token of 256, nor -200 for the picture",
        "`pixels` is not read",
        "`image.clip`",
    ] {
        assert!(message.contains(part), "no {part} in\n{message}");
    }
    let mut uneven = inputs();
    uneven.tensors.get_mut("ids").expect("ids").1[1] = 7.0;
    assert!(said(&uneven).contains("says -200 once, or none does"));
    let mut few = inputs();
    few.tensors.insert("ids".into(), (vec![1, 2], vec![1.0, -200.0]));
    assert!(said(&few).contains("says -200 1 times for 2 pictures"));
    let mut long = Bundle::default();
    long.tensors.insert("ids".into(), (vec![1, 129], vec![1.0; 129]));
    assert!(said(&long).contains("129 positions are beyond the context of 128"));
    assert!(said(&Bundle::default()).contains("neither pictures nor `ids`"));
    let (code, message) =
        refuse(&["trace", text(&file), "--inputs", "gone.safetensors", "--outputs", "x"]);
    assert!(code == 2 && message.contains("gone.safetensors"), "{message}");
}

#[test]
fn what_was_trained_is_exported_under_the_references_names_and_loads_again() {
    let home = folder();
    let (file, out) = (fixture("runs/tiny.ron"), home.path().join("results"));
    let small = ["--set", "stages.0.data.samples=32", "--set", "stages.1.data.samples=32"];
    let mut arguments = vec!["run", text(&file), "--out", text(&out)];
    arguments.extend(small);
    arguments.extend(["--set", "evaluate=[]"]);
    succeed(&arguments);
    let out = ["--out", text(&out)];
    let trained = [&["--run", text(&file)][..], &out].concat();
    let untrained = traced(home.path(), &inputs(), &["--all"]);
    let expected = traced(home.path(), &inputs(), &[&["--all"][..], &trained].concat());
    assert_ne!(untrained.tensors["clip"], expected.tensors["clip"]);

    let mut from_files = vec!["--all".to_owned()];
    for node in ["clip", "convnext", "project", "llm"] {
        let to = home.path().join(node);
        let export = ["export", text(&file), "--node", node, "--to", text(&to)];
        let said = succeed(&[&export[..], &out].concat());
        assert!(said.contains("model.safetensors") && said.contains("fine-tuning"), "{said}");
        from_files.push("--set".into());
        from_files.push(format!("nodes.{node}.weights=File({:?})", text(&to)));
    }
    let from_files: Vec<&str> = from_files.iter().map(String::as_str).collect();
    assert_eq!(traced(home.path(), &inputs(), &from_files), expected);

    let llm = Files::open(&home.path().join("llm")).expect("the LLM");
    assert_eq!(llm.notes()["format"], "pt", "transformers asks for it");
    for name in
        ["model.embed_tokens.weight", "model.layers.0.self_attn.q_proj.weight", "lm_head.weight"]
    {
        assert!(llm.shape(name).is_some(), "no {name}");
    }
    let clip = Files::open(&home.path().join("clip")).expect("CLIP");
    assert!(clip.names().all(|name| name.starts_with("vision_model.")));
    let config = std::fs::read_to_string(home.path().join("llm/config.json")).expect("a config");
    let config: serde_json::Value = serde_json::from_str(&config).expect("JSON");
    assert_eq!(config["architectures"][0], "LlamaForCausalLM");
    assert_eq!((&config["hidden_size"], &config["vocab_size"]), (&32.into(), &256.into()));

    // The projector was trained twice; the first stage's is another one.
    let to = home.path().join("first");
    let first = ["export", text(&file), "--node", "project", "--to", text(&to)];
    succeed(&[&first[..], &["--stage", "pre-training"], &out].concat());
    let weight = |folder: &str| {
        Files::open(&home.path().join(folder)).expect("files").values("0.weight").expect("0.weight")
    };
    assert_ne!(weight("first"), weight("project"));

    for (wrong, part) in [
        (&["--node", "fuse"][..], "no stage of the run trained `fuse`"),
        (&["--node", "clip", "--stage", "fine"], "no stage `fine`; did you mean `fine-tuning`?"),
    ] {
        let export = ["export", text(&file), "--to", text(&to)];
        let (code, said) = refuse(&[&export[..], wrong, &out].concat());
        assert!(code == 2 && said.contains(part), "{said}");
    }
    let (code, said) = refuse(&["export", "none", "--node", "clip", "--to", "x", out[0], out[1]]);
    assert!(code == 2 && said.contains("no run `none`"), "{said}");
}

#[test]
fn the_rest_of_a_reference_is_exported_with_what_was_trained() {
    let home = folder();
    let (file, results) = (fixture("runs/tiny.ron"), home.path().join("results"));
    let small = ["--set", "stages.0.data.samples=16", "--set", "stages.1.data.samples=16"];
    let run = ["run", text(&file), "--out", text(&results), "--set", "evaluate=[]"];
    succeed(&[&run[..], &small].concat());
    let mut rest = Bundle::default();
    for name in [
        "vision_model.embeddings.class_embedding",
        "text_model.a",
        "vision_model.pre_layrnorm.bias",
    ] {
        rest.tensors.insert(format!("clip.{name}"), (vec![16], vec![7.0; 16]));
    }
    let (path, to) = (home.path().join("rest.safetensors"), home.path().join("clip"));
    rest.write(&path).expect("a checkpoint");
    let export =
        ["export", text(&file), "--node", "clip", "--to", text(&to), "--out", text(&results)];
    succeed(&[&export[..], &["--rest-of", text(&path), "--prefix", "clip."]].concat());
    let files = Files::open(&to).expect("CLIP");
    assert_eq!(files.values("vision_model.embeddings.class_embedding").expect("it"), [7.0; 16]);
    assert!(files.shape("text_model.a").is_some());
    assert_ne!(files.values("vision_model.pre_layrnorm.bias").expect("ours"), [7.0; 16]);
}
